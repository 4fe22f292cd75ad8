"""An executor that runs `exec_*` on a Dask cluster.

    with Client("tcp://scheduler:8786") as client, dask_executor(client, conf=conf):
        model = exec_fit("iris.svc", exec_instantiate("iris.svc"), print, x, y)

Every worker, one that joins late or is restarted too, is initialized with the same conf and held
against the host's fingerprint; one that differs runs no plugin. Needs
`pip install aimm-plugins[dask]` here, on the scheduler and on the workers.
"""

from __future__ import annotations

try:
    import distributed as distributed
except ImportError as error:
    raise ImportError(
        "aimm_plugins.dask needs distributed: pip install 'aimm-plugins[dask]'", name=error.name
    ) from error

from aimm_plugins._dask.connection import (
    cluster_client,
    connect,
    current_executor,
    dask_executor,
)
from aimm_plugins._dask.executor import DaskExecutor

__all__ = ["DaskExecutor", "cluster_client", "connect", "current_executor", "dask_executor"]
