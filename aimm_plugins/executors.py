"""What a distribution needs to run calls elsewhere when a conf asks for it.

    [project.entry-points."aimm_plugins.executors"]
    dask = "acme_pool:connect"

`initialize` gives the rules of the conf's key `dask` to that function, which returns an `Executor`.
Its hookimpls answer calls, `aimm_plugins.workers` initializes its workers.
"""

from __future__ import annotations

from aimm_plugins._config.values import DaskRules
from aimm_plugins._dispatch.executor import Executor
from aimm_plugins._parity.fingerprint import Fingerprint, of_snapshot
from aimm_plugins._registry.snapshot import Snapshot

__all__ = ["DaskRules", "Executor", "Snapshot", "fingerprint_of"]


def fingerprint_of(snapshot: Snapshot) -> Fingerprint:
    """The fingerprint that this process has once a snapshot is registered.

    Args:
        snapshot: As `Executor.is_ready` and `Executor.prepare` are given it.

    Returns:
        What the workers' own `aimm_plugins.fingerprint()` has to equal.
    """
    return of_snapshot(snapshot)
