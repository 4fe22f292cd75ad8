"""The executor that a conf asks for: opened before plugins are loaded, closed by `unload_all`.

It is found by the entry point group `aimm_plugins.executors`, under the name of the conf's key. The
rules of the conf and of the operator are asked before its module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from configparser import ConfigParser, Error
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from aimm_plugins._config.values import Conf, Config, DaskRules
from aimm_plugins._discovery.groups import EXECUTORS
from aimm_plugins._discovery.published import Candidate
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._dispatch.executor import Executor
from aimm_plugins._policy.plan import record_of
from aimm_plugins._startup.prepare import admission_of
from aimm_plugins._system.ceilings import ENTRY_POINT_LETTERS
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.names import parse_target
from aimm_plugins._system.text import described, type_name

if TYPE_CHECKING:
    from aimm_plugins._startup.admission import Admission
    from aimm_plugins._startup.runtime import Runtime

_KEY = "dask"
"""The conf's only key that asks for an executor, and the name of the entry point."""

_OWN = ("aimm-plugins", "aimm_plugins.dask")
"""This package's own executor: the distribution and the module."""


@contextmanager
def opened(runtime: Runtime, config: Config | None) -> Generator[None]:
    """Have the executor of a conf, if it asks for one, open in the block and after it.

    A block that raises closes it. One thread at a time, so that the second one finds what the first
    has opened.

    Raises:
        ConfigError: There is no such executor, it may not run, or that of another conf is open.
        Exception: What connecting raises, with a note that names the conf.
    """
    with runtime.switching:
        rules = None if config is None else config.dask
        if rules is None or config is None or _is_open(runtime, config, rules):
            yield
            return
        runtime.executor = _connected(runtime, config, rules)
        try:
            yield
        except BaseException:
            close(runtime)
            raise


def close(runtime: Runtime) -> None:
    with runtime.switching:
        executor, runtime.executor = runtime.executor, None
        if executor is not None:
            executor.close()


def sendable(conf: Conf) -> Mapping[str, object] | str:
    """A conf as a worker can read it: of one that was read already, what it was read from."""
    if isinstance(conf, str | os.PathLike):
        return os.path.abspath(conf)
    if not isinstance(conf, Config):
        return {"names": []} if conf is None else conf
    if conf == Config():
        return {"names": []}
    if conf.document is None:
        raise TypeError("a conf that was read from a mapping cannot be sent; give the mapping")
    if conf.document.file is not None and not conf.prefix:
        return os.path.abspath(conf.document.file)
    data: Any = conf.document.data
    for part in conf.prefix:
        data = data.get(part, {"names": []})
    found: Mapping[str, object] = data
    return found


def _is_open(runtime: Runtime, config: Config, rules: DaskRules) -> bool:
    if runtime.executor is None:
        return False
    if runtime.executor.rules != rules:
        raise config.error(
            f"calls run on {runtime.executor.rules.address} already, as an earlier conf says; call "
            "unload_all() first",
            (_KEY,),
        )
    return True


def _connected(runtime: Runtime, config: Config, rules: DaskRules) -> Executor:
    found = _choose(runtime, config)
    connect = _import_connect(config, found)
    try:
        executor = connect(rules)
    except Exception as error:
        error.add_note(f"address of dask: {config.where(_KEY, 'address')}")
        raise
    if not isinstance(executor, Executor):
        fault = f"returned {type_name(executor)}, which is no aimm_plugins.executors.Executor"
        raise config.error(f"{record_of(found).provenance} {fault}", (_KEY,))
    return executor


def _choose(runtime: Runtime, config: Config) -> Candidate:
    installed = scan()
    found = _published(installed)
    if not found:
        raise config.error(
            f"no installed distribution has an entry point {_KEY} in [{EXECUTORS}]; aimm-plugins "
            "has it where it is installed: pip install 'aimm-plugins[dask]'",
            (_KEY,),
        )
    admission = admission_of(runtime, [config], installed)
    denials = [(candidate, _denial(admission, candidate)) for candidate in found]
    allowed = [candidate for candidate, reason in denials if reason is None]
    if not allowed:
        reasons = "".join(
            f"\n  {record_of(candidate).provenance}\n    {reason}" for candidate, reason in denials
        )
        raise config.error(f"the executor may not run{reasons}", (_KEY,))
    if len(allowed) > 1:
        lines = "".join(f"\n  {record_of(candidate).provenance}" for candidate in allowed)
        names = ", ".join(candidate.distribution.name for candidate in allowed)
        raise config.error(
            f"{len(allowed)} distributions have the entry point {_KEY} in [{EXECUTORS}]{lines}\n"
            f"Deny all but one of {names} under entry_points.deny, or uninstall them.",
            (_KEY,),
        )
    return allowed[0]


def _denial(admission: Admission, candidate: Candidate) -> str | None:
    """Why the module of an executor must not be imported, or `None` if it may be.

    Rules say which plugins are loaded, and this package's own executor is none. It may be denied
    by name, so that another distribution can take its place.
    """
    if (candidate.distribution.key, candidate.module) == _OWN:
        denials = (layer.denial(candidate.distribution) for layer in admission.policy.layers)
        return next(filter(None, denials), None)
    return admission.denial_of(candidate.module, candidate.distribution)


def _import_connect(config: Config, found: Candidate) -> Callable[[DaskRules], object]:
    from pkgutil import resolve_name

    connect: Any = None
    with guarded() as attempt:
        connect = resolve_name(f"{found.module}:{found.attribute or ''}")
    if attempt.error is None and callable(connect):
        function: Callable[[DaskRules], object] = connect
        return function
    if isinstance(attempt.error, ImportError) and found.module == _OWN[1]:
        raise config.error(str(attempt.error), (_KEY,)) from attempt.error  # says what to install
    fault = "is no function" if attempt.error is None else described(attempt.error)
    raise config.error(f"{record_of(found).provenance}: {fault}", (_KEY,)) from attempt.error


def _published(installed: Scan) -> list[Candidate]:
    """The entry points of the name `_KEY`, sorted by distribution.

    Asked only where a conf wants an executor, so that a scan does not look for this group.
    """
    found = []
    for distribution in installed.distributions():
        content = distribution.read("entry_points.txt") or b""
        if EXECUTORS.encode() in content:
            parser = ConfigParser(delimiters="=", strict=False, interpolation=None)
            with suppress(Error):  # a line that cannot be read offers no executor
                parser.read_file(
                    map(str.strip, content.decode("utf-8-sig", "replace").splitlines())
                )
            value = parser.get(EXECUTORS, _KEY, fallback="")
            if value and len(value) <= ENTRY_POINT_LETTERS:
                # What names no module is reported where it cannot be imported.
                module, attribute = parse_target(value) or (value, None)
                found.append(Candidate(_KEY, value, module, attribute, distribution))
    return sorted(found, key=lambda candidate: candidate.distribution.key)
