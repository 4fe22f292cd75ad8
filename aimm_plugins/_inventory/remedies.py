"""What to do about a plugin that calls do not reach: by its error, the rules and what is installed.

Only a failure costs what is looked up here. A remedy is worth its line where following it to the
letter works.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from traceback import walk_tb

from aimm_plugins._discovery.distribution import Distribution, path_in_record
from aimm_plugins._discovery.record_file import record_digest, top_levels
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._inventory.dependencies import always_unmet, python_required, unmet
from aimm_plugins._inventory.module_files import (
    changed_entry_points,
    file_for_another_python,
    file_in,
    in_other_case,
    is_changed,
    recorded,
    recorded_file,
    source_file,
)
from aimm_plugins._policy.judge import Policy
from aimm_plugins._policy.rules import Layer
from aimm_plugins._system.names import ANEW, normalized, pip_install
from aimm_plugins._system.text import did_you_mean, nearest, safe_text
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import PluginImportError

_ADDED = {
    "annotationlib": "3.14",
    "compression": "3.14",
    "concurrent.interpreters": "3.14",
    "string.templatelib": "3.14",
    "profiling": "3.15",
}
"""Modules of newer Pythons than the oldest one that this package runs on."""


_OF_OTHER_VERSIONS = (ImportError, AttributeError, TypeError, NameError)
"""What imports raise where a library or Python has another version than they were written for."""

FOR_CONFLICT = "Add the prefer line of the message to the conf, or deny one of them."


def remedy_for_failure(record: PluginRecord, error: BaseException, installed: Scan) -> str | None:
    """What to do about what an import raised, or will; `None` where its message says all."""
    remedy = _for_failure(record, error, installed)
    return remedy and in_environment(record.environment, remedy)


def in_environment(name: str | None, remedy: str) -> str:
    """A remedy with where it is to be followed."""
    return remedy if name is None else f"In environment {name}: {remedy}"


def _for_failure(record: PluginRecord, error: BaseException, installed: Scan) -> str | None:
    distribution = installed.find(record.distribution) if record.distribution else None
    if isinstance(error, PluginImportError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, SystemExit):
        return 'Tell its author: sys.exit() belongs beneath `if __name__ == "__main__"`.'
    if isinstance(error, KeyError) and _is_of_environ(error):
        return f"Set the environment variable {safe_text(error)} where the host is started."
    if isinstance(error, SyntaxError):
        return (
            _for_another_python(distribution, installed)
            or _for_changed_file(record, error.filename, distribution, installed)
            or "Mend the source, or install a version of it that this Python can read."
        )
    if type(error) is ImportError and "partially initialized" in safe_text(error):
        from aimm_plugins._source.reader import SourceReader  # few failures need it

        # So Python puts it, and calls it a circular import, where a package lacks a submodule.
        fault = SourceReader([record.module], installed.modules).read(record.module).fault
        error = error if fault is None else fault.error
    if "cannot open shared object file" in (text := safe_text(error)):
        return f"Install the system's package that brings {text.partition(':')[0]}."
    if isinstance(error, FileNotFoundError) and distribution is not None:
        return _for_missing_file(str(error.filename), distribution)
    name = getattr(error, "name", None)
    if isinstance(error, ModuleNotFoundError) and isinstance(name, str):
        if type(error).__name__ == "PackageNotFoundError":  # importing metadata takes its time
            return _for_missing_distribution(name, distribution, installed)
        return _for_missing_module(record, name, distribution, installed)
    changed = _for_changed_file(record, getattr(error, "path", None), distribution, installed)
    if changed is None and isinstance(error, _OF_OTHER_VERSIONS) and distribution is not None:
        missing = always_unmet(distribution, installed)
        if missing:
            return " ".join(requirement.remedy for requirement in missing)
        if (remedy := _for_another_python(distribution, installed)) is not None:
            return remedy
        if isinstance(error, ImportError) and name == "aimm_plugins":
            return _for_another_version_of_this(error, installed)
    return changed


def _for_changed_file(
    record: PluginRecord, file: object, distribution: Distribution | None, installed: Scan
) -> str | None:
    """What to do about a module that an interrupted upgrade or a disk has left in pieces."""
    if distribution is not None:
        for path in (file, record.file or installed.modules.locate(record.module)):
            if isinstance(path, str) and is_changed(distribution, path):
                what = f"{path} is not as it was installed, by its hash in RECORD"
                return f"{what}: {pip_install(distribution.name, ANEW)}."
    return None


def _for_missing_file(file: str, distribution: Distribution) -> str | None:
    path = path_in_record(distribution, file)
    if path is None:
        return None
    if path in recorded(distribution):
        return f"{file} was installed and is gone: {pip_install(distribution.name, ANEW)}."
    if path.partition("/")[0] not in (top_levels(distribution) or ()):
        return None
    return (
        f"Tell its author: {distribution.name} was built without {path}. With setuptools, "
        "package-data includes files that are no modules; then install it again."
    )


def _for_missing_distribution(name: str, distribution: Distribution | None, installed: Scan) -> str:
    """What to do where an import asks for the version of a distribution that is not installed."""
    if distribution is None:
        return "Install it, or correct the name in the source."
    if any(requirement.name == normalized(name) for requirement in unmet(distribution, installed)):
        return _for_dependency(name, distribution, installed)
    return (
        f"Tell its author: no distribution {name} is installed, and {distribution.name} does not "
        "require it. If its own is meant, that is another name."
    )


def _for_another_version_of_this(error: ImportError, installed: Scan) -> str:
    """What to do where an import asks this package for what it does not have."""
    _, name, *_ = (*safe_text(error).split("'"), "", "")
    hint = did_you_mean(name, dir(sys.modules["aimm_plugins"]))
    this = installed.find("aimm-plugins")
    return f"Tell its author: {this.who if this else 'aimm-plugins'} has no {name}" + (
        f"; {hint}" if hint else f". If a newer one has it: {pip_install('aimm-plugins', '-U ')}."
    )


def _is_of_environ(error: KeyError) -> bool:
    codes = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    return codes[-1:] == [type(os.environ).__getitem__.__code__]


def _for_missing_module(
    record: PluginRecord, name: str, distribution: Distribution | None, installed: Scan
) -> str:
    if sys.modules.get(name, name) is None:
        return (
            f"Something in this process keeps {name} from being imported, by None in its place in "
            "sys.modules: take that away."
        )
    is_plugin = f"{record.module}.".startswith(f"{name}.")
    if is_plugin and distribution is None:
        return _for_conf_name(record, installed)
    if name in _ADDED:
        return f"{name} is part of Python {_ADDED[name]}: run the host on that, or a newer one."
    built = file_for_another_python(name, distribution, installed.modules)
    if built is not None:
        wanted = "what brings it for this one"
        if distribution is not None:
            name = distribution.name
            wanted = f"{name} for this one: {pip_install(name, ANEW)}"
        this = sys.implementation.cache_tag or sys.version.split()[0]
        return (
            f"{built} is there, which is compiled for another Python than {this}. Install {wanted}."
        )
    if distribution is None:
        return "Install what provides it."
    if name.partition(".")[0] == record.module.partition(".")[0]:
        return _for_own_module(record, name, distribution, installed)
    return _for_dependency(name, distribution, installed)


def _for_conf_name(record: PluginRecord, installed: Scan) -> str:
    """What to do about a name in the conf that is no module."""
    name, place = record.module, record.config_place or "the conf"
    distribution = installed.find(name)
    if distribution is not None:
        brought = _modules_of(distribution, installed)
        if brought:
            return (
                f"{name} is a distribution, and a conf names modules: write {', '.join(brought)} "
                f"instead ({place})."
            )
    modules = installed.modules
    meant = next(filter(modules.find, _spelled_as_modules(name)), None)
    meant = meant or in_other_case(name, modules)
    for folder in _near_folders(record) if meant is None else ():
        for spelled in (name, *_spelled_as_modules(name)):
            file = file_in(folder, spelled)
            if file is not None:
                write = "" if spelled == name else f"Write {spelled} ({place}). "
                return (
                    f"{write}{file} is there, and {folder} is not on the path of this process: "
                    f"start the host with PYTHONPATH={folder}, and give the commands "
                    f"--path {folder}."
                )
    near = nearest(name, sorted({candidate.module for candidate in installed.candidates}))
    if meant is not None or near:
        return f"Did you mean {meant or near[0]}? Correct the name ({place})."
    return f"Correct the name ({place}), or put the module on the path."


def _spelled_as_modules(name: str) -> Iterator[str]:
    """What may be meant by a file's name, or by one that is spelled as a distribution's."""
    path = name.removesuffix(".py").replace(os.sep, ".").replace("/", ".").strip(".")
    path = path.removesuffix(".__init__")  # as which it would be imported a second time
    for spelled in (path, path.replace("-", "_"), path.replace("-", "_").lower()):
        if spelled != name and all(part.isidentifier() for part in spelled.split(".")):
            yield spelled


def _modules_of(distribution: Distribution, installed: Scan) -> list[str]:
    """The modules that a conf may name instead of a distribution."""
    own = [c.module for c in installed.candidates if c.distribution.key == distribution.key]
    found = own or _brought_by(distribution)
    return [name for name in dict.fromkeys(found) if installed.modules.find(name) is not None]


@lru_cache(maxsize=8)  # each of a distribution's plugins may ask
def _brought_by(distribution: Distribution) -> list[str]:
    return sorted(filter(str.isidentifier, top_levels(distribution) or ()))


def _near_folders(record: PluginRecord) -> Iterator[str]:
    """The conf's own folder and the working folder, where they are not on the path."""
    conf = (record.config_place or "").rpartition(":")[0]
    folders = [os.path.dirname(os.path.abspath(conf))] if conf and os.path.isfile(conf) else []
    path = {os.path.abspath(item) for item in sys.path if isinstance(item, str)}
    for folder in dict.fromkeys([*folders, os.getcwd()]):
        if folder not in path:
            yield folder


def _for_own_module(
    record: PluginRecord, name: str, distribution: Distribution, installed: Scan
) -> str:
    key, root = distribution.name, distribution.editable_root
    if root is not None and not os.path.isdir(root):
        return (
            f"Its source folder {root} is gone: put it back, or install it from where it is now: "
            f"pip install -e FOLDER."
        )
    source = source_file(distribution, name)
    if source is not None and installed.modules.find(name.partition(".")[0]) is None:
        return (
            f"{source} is there, and was installed after this process started, which reads .pth "
            "files only then: restart it."
        )
    file = recorded_file(distribution, name)
    if file is not None and os.path.isfile(file):
        return _for_hidden_module(name, file, installed)
    if file is not None:
        return f"{file} was installed and is gone: {pip_install(key, ANEW)}."
    whole = record.module if record.module.startswith(name) else name
    spelled = in_other_case(whole, installed.modules)
    if spelled is not None:
        return f"Tell its author: it is called {spelled}, and Python tells upper from lower case."
    python = _for_another_python(distribution, installed)
    if python is not None:
        return python
    if root is not None:
        return f"There is no {name} in its source folder {root}: correct the name there."
    if name == record.module and (points := changed_entry_points(distribution)):
        return f"{points} is not as it was installed: {pip_install(key, ANEW)}."
    if name == record.module:
        module = name.removesuffix(".py")
        if module != name and recorded_file(distribution, module) is not None:
            return f"Tell its author: the entry point names a file; its module is {module}."
        brought = _brought_by(distribution)
        hint = f" It brings {', '.join(brought[:3])}." if brought else " It brings no module."
        hint = "" if name.partition(".")[0] in brought else hint
        return f"Tell its author: the entry point names a module that {key} does not bring.{hint}"
    return (
        f"Tell its author: {key} was built without {name}. With setuptools, packages.find "
        "includes all packages; then install it again."
    )


def _for_hidden_module(name: str, file: str, installed: Scan) -> str:
    """What to do where the top-level package of a module that is there is another one's."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"Tell its author: Python has a module {top} of its own. It needs another name."
    location = installed.modules.find(top)
    places = [] if location is None else [location.file, *(location.folders or ())]
    first = next(filter(None, places), f"another {top}")
    return f"{file} is there, and {first} comes before it on the path: remove or rename that."


def _for_dependency(name: str, distribution: Distribution, installed: Scan) -> str:
    top = normalized(name.partition(".")[0])
    missing = unmet(distribution, installed)
    named = [requirement for requirement in missing if requirement.name == top]
    always = [requirement for requirement in missing if requirement.extra is None]
    if named or always:
        return " ".join(requirement.remedy for requirement in (named or always)[:3])
    extras = dict.fromkeys(requirement.extra for requirement in missing if requirement.extra)
    if extras:
        return (
            f"It may belong to an extra of {distribution.name} ({', '.join(extras)}): "
            f"{pip_install(f'{distribution.name}[{next(iter(extras))}]')}. Else install what "
            "provides it."
        )
    return "Install what provides it; its author should declare the dependency."


def _for_another_python(distribution: Distribution | None, installed: Scan) -> str | None:
    if distribution is None or not installed.modules.is_this_python:
        return None
    wanted = python_required(distribution)
    if wanted is None:
        return None
    return (
        f"{distribution.who} is for Python {wanted}, and this is {sys.version.split()[0]}: install "
        "a version of it for this Python, or run the host on such a one."
    )


def remedy_for(record: PluginRecord, policy: Policy, installed: Scan) -> str:
    """What to change so that calls reach a plugin that is denied, shadowed or has an error."""
    if record.remedy is not None:
        return record.remedy
    if record.state == "shadowed":
        place = (record.reason or "").rpartition("(")[2].partition(")")[0]
        return f"Change or remove the prefer rule ({place or 'see the reason'})."
    if record.state == "denied":
        return _for_denied(record, policy, installed)
    if getattr(record.error, "providers", None):
        return FOR_CONFLICT
    return "Mend what the message names, and call initialize again."


def _for_denied(record: PluginRecord, policy: Policy, installed: Scan) -> str:
    distribution = installed.find(record.distribution) if record.distribution else None
    remedies: list[str] = []
    if distribution is not None:
        for layer in policy.layers:
            remedies += _of_selection(layer, distribution)
            remedies += _of_files(policy, layer, distribution)
    if policy.blocked(record.module):
        remedies.append("Take the block back: get_plugin_manager().unblock(...).")
    return " ".join(remedies) or (
        "Change the rule that the reason names; it is about another distribution, whose files "
        "the import would run."
    )


def _of_selection(layer: Layer, distribution: Distribution) -> Iterator[str]:
    """Remedies for rules that choose distributions by name, version and origin."""
    name, version, origin = distribution.name, distribution.version, distribution.origin
    for rule in layer.denying(distribution):
        if rule.fits(version) is not False:
            yield f"Remove {rule} from deny, or narrow it to versions other than {version}."
    if (place := layer.origin_place(distribution)) is not None:
        yield (
            f"Install {name} from another origin than {origin}, or remove {origin} from "
            f"deny_origins ({place})."
        )
    if layer.exclusion(distribution) is not None:
        yield f"Add {name} in a version like {version} to allow ({layer.allow_place})."


def _of_files(policy: Policy, layer: Layer, distribution: Distribution) -> Iterator[str]:
    """Remedies for rules that compare installed files with a lock or with RECORD."""
    if (lock := layer.lock) is not None:
        entry = lock.entries.get(normalized(distribution.name))
        if (
            entry is None
            or entry.version != distribution.version
            or entry.digest != record_digest(distribution)
        ):
            place = layer.lock_place
            yield f"Install what {lock.file} locks (pip install -r), or freeze anew ({place})."
    if layer.verify_place is not None and policy.unverified(distribution, None):
        yield f"Reinstall {distribution.name}, or change verify ({layer.verify_place})."
