"""Discovery, registration and dispatch of machine-learning plugins.

Authors decorate functions or a class and publish the module as an entry point of the group
`aimm.plugins`; hosts call `initialize` at start; callers use `exec_fit` and its siblings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aimm_plugins._api.calling import (
    exec_data_access,
    exec_data_access_async,
    exec_deserialize,
    exec_deserialize_async,
    exec_fit,
    exec_fit_async,
    exec_instantiate,
    exec_instantiate_async,
    exec_predict,
    exec_predict_async,
    exec_serialize,
    exec_serialize_async,
)
from aimm_plugins._api.starting import (
    current_report,
    freeze,
    get_plugin_manager,
    initialize,
    options,
    plan,
    providers,
    refresh,
    unload_all,
)
from aimm_plugins._declarations.decorators import (
    data_access,
    deserialize,
    fit,
    instantiate,
    predict,
    serialize,
)
from aimm_plugins._declarations.model_class import Model, model
from aimm_plugins._dispatch.hookspecs import Result, hookimpl
from aimm_plugins._registry.providers import Provider
from aimm_plugins._values.actions import Action, StateCallback
from aimm_plugins._values.provenance import Provenance
from aimm_plugins.errors import (
    AimmPluginsError,
    ArtifactError,
    Cancelled,
    ConfigError,
    DeclarationError,
    EnvironmentLost,
    ParityError,
    PluginConflictError,
    PluginImportError,
    PluginLoadError,
    UnknownPluginError,
)

if TYPE_CHECKING:
    from aimm_plugins import workers as workers
    from aimm_plugins._artifacts.info import ArtifactInfo
    from aimm_plugins._artifacts.pack import inspect as inspect
    from aimm_plugins._artifacts.pack import pack, unpack
    from aimm_plugins._dispatch.cancelling import CancelToken
    from aimm_plugins._dispatch.reporting import reporting
    from aimm_plugins._dispatch.state_events import StateEvent, progress, state_event
    from aimm_plugins._parity.differences import compare as compare
    from aimm_plugins._parity.fingerprint import Fingerprint, fingerprint
    from aimm_plugins._values.report import Finding, PluginRecord, Report

    __version__: str

__all__ = [
    "Action",
    "AimmPluginsError",
    "ArtifactError",
    "ArtifactInfo",
    "CancelToken",
    "Cancelled",
    "ConfigError",
    "DeclarationError",
    "EnvironmentLost",
    "Finding",
    "Fingerprint",
    "Model",
    "ParityError",
    "PluginConflictError",
    "PluginImportError",
    "PluginLoadError",
    "PluginRecord",
    "Provenance",
    "Provider",
    "Report",
    "Result",
    "StateCallback",
    "StateEvent",
    "UnknownPluginError",
    "current_report",
    "data_access",
    "deserialize",
    "exec_data_access",
    "exec_data_access_async",
    "exec_deserialize",
    "exec_deserialize_async",
    "exec_fit",
    "exec_fit_async",
    "exec_instantiate",
    "exec_instantiate_async",
    "exec_predict",
    "exec_predict_async",
    "exec_serialize",
    "exec_serialize_async",
    "fingerprint",
    "fit",
    "freeze",
    "get_plugin_manager",
    "hookimpl",
    "initialize",
    "instantiate",
    "model",
    "options",
    "pack",
    "plan",
    "predict",
    "progress",
    "providers",
    "refresh",
    "reporting",
    "serialize",
    "state_event",
    "unload_all",
    "unpack",
]


# `inspect` and `compare` are not in `__all__`: a star import would put them over modules and
# functions of the importer.
_BESIDE_ALL = ("__version__", "compare", "inspect", "workers")


def __getattr__(name: str) -> Any:
    """Import what a host does not need to start; by statements, which freezers of programs see."""
    module: Any
    if name in ("inspect", "pack", "unpack"):
        from aimm_plugins._artifacts import pack as module
    elif name == "ArtifactInfo":
        from aimm_plugins._artifacts import info as module
    elif name == "compare":
        from aimm_plugins._parity import differences as module
    elif name in ("Fingerprint", "fingerprint"):
        from aimm_plugins._parity import fingerprint as module
    elif name in ("Finding", "PluginRecord", "Report"):
        from aimm_plugins._values import report as module
    elif name in ("StateEvent", "progress", "state_event"):
        from aimm_plugins._dispatch import state_events as module
    elif name == "CancelToken":
        from aimm_plugins._dispatch import cancelling as module
    elif name == "reporting":
        from aimm_plugins._dispatch import reporting as module
    elif name == "workers":
        import aimm_plugins.workers as module

        return module
    elif name == "__version__":
        return _version()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(module, name))


def _version() -> str:
    # Metadata takes longer to read than the rest of this import.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("aimm-plugins")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_BESIDE_ALL})
