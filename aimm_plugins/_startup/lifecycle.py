"""What happens at start-up, in order: read, scan, prepare, load, resolve, commit.

That is the conf (`_config`), what is installed (`_discovery`), what of it may be imported and what
it is given (`_policy`, `_options`), the imports (`_loading`), who provides what (`_registry`), and
one swap, after which calls (`_dispatch`) reach it. `initialize`, `refresh` and the first call of a
deferred plugin take the same steps; `plan` takes those before the imports.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from aimm_plugins._config.environment import conf_or_default
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf, Config
from aimm_plugins._discovery.scan import scan
from aimm_plugins._registry.snapshot import Snapshot, Start
from aimm_plugins._startup.loading import load
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import prepare
from aimm_plugins._startup.publish import publish
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._startup.transaction import commit, resolved
from aimm_plugins._values.report import Report

if TYPE_CHECKING:
    from aimm_plugins._startup.inventory import Inventory


def initialize(runtime: Runtime, conf: Conf | Config, *, connect: bool = False) -> Report:
    """Load and register the plugins of a conf; see `aimm_plugins.initialize`.

    Workers and commands do not connect to the executor that it asks for.
    """
    conf = conf_or_default(conf)
    config = conf if isinstance(conf, Config) else read(conf)
    given = _given(conf)
    before = runtime.registry.snapshot
    with executor_of(runtime, config if connect else None):
        start = prepare(runtime, [config], scan())
        loaded = load(runtime, start)
        with resolved(runtime, start, loaded, given=given) as outcome:
            begun = Start(config, given, outcome.findings, start.policy.required)
            report = commit(runtime, outcome, with_start(runtime.registry.snapshot.starts, begun))
    log(report, before.records)
    return report


def executor_of(runtime: Runtime, config: Config | None = None) -> AbstractContextManager[None]:
    """Have the executor of a conf open; most confs have none, and do not import what opens it."""
    if runtime.executor is None and (config is None or config.dask is None):
        return nullcontext()
    from aimm_plugins._startup.cluster import opened

    return opened(runtime, config)


def _given(conf: Conf | Config) -> Conf:
    """What a conf is read from by a process in another folder."""
    if conf is None:
        return {"names": []}
    return os.path.abspath(conf) if isinstance(conf, str | os.PathLike) else conf


def with_start(starts: Sequence[Start], begun: Start) -> tuple[Start, ...]:
    """The starts and a new one, which takes the place of an earlier one with the same conf."""
    again = [s.config == begun.config._replace(folder=s.config.folder) for s in starts]
    if not any(again):
        return (*starts, begun)
    return tuple(begun if same else s for s, same in zip(starts, again, strict=True))


def plan(runtime: Runtime, conf: Conf) -> Report:
    return foresee(runtime, conf).report


def foresee(runtime: Runtime, conf: Conf) -> Inventory:
    """All that is known of distributions, plugins and keys before an import."""
    from aimm_plugins._startup.predict import predict  # a start reads no source

    start = prepare(runtime, [read(conf_or_default(conf))], scan(), only_looking=True)
    inventory = predict(runtime, start)
    return inventory if start.policy.probe_seconds is None else inventory.probed_first()


def unload_all(runtime: Runtime) -> None:
    if runtime.executor is not None:
        from aimm_plugins._startup.cluster import close

        close(runtime)
    with runtime.lock:
        publish(runtime, Snapshot())
        runtime.trust_imports()
        runtime.forget_versions()
    runtime.close_environments()
