"""Discovery, registration and dispatch of machine-learning plugins.

Authors decorate functions or a class and publish the module as an entry point of the group
`aimm.plugins`; hosts call `initialize` at start; callers use `exec_fit` and its siblings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aimm_plugins._api import (
    current_report,
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
from aimm_plugins._dispatch.hooks import Result, hookimpl
from aimm_plugins._registry.providers import Provider
from aimm_plugins._values.actions import Action, StateCallback
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import Finding, PluginRecord, Report
from aimm_plugins.errors import (
    AimmPluginsError,
    ArtifactError,
    Cancelled,
    ConfigError,
    DeclarationError,
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
    from aimm_plugins._dispatch.state import (
        CancelToken,
        StateEvent,
        progress,
        reporting,
        state_event,
    )
    from aimm_plugins._parity.differences import compare as compare
    from aimm_plugins._parity.fingerprint import Fingerprint, fingerprint

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

# What a host does not need to start. `inspect` and `compare` are not in `__all__`: a star
# import would put them over modules and functions of everybody's.
_LATER = {
    "ArtifactInfo": "_artifacts.info",
    "CancelToken": "_dispatch.state",
    "Fingerprint": "_parity.fingerprint",
    "StateEvent": "_dispatch.state",
    "compare": "_parity.differences",
    "fingerprint": "_parity.fingerprint",
    "inspect": "_artifacts.pack",
    "pack": "_artifacts.pack",
    "progress": "_dispatch.state",
    "reporting": "_dispatch.state",
    "state_event": "_dispatch.state",
    "unpack": "_artifacts.pack",
}


def __getattr__(name: str) -> Any:
    # Asking for the version reads metadata, which costs more than the rest of this import.
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("aimm-plugins")
        except PackageNotFoundError:  # run from a checkout that was not installed
            return "0+unknown"
    if name in _LATER or name == "workers":
        from importlib import import_module

        module = import_module(f"aimm_plugins.{_LATER.get(name, name)}")
        value = module if name == "workers" else getattr(module, name)
        return globals().setdefault(name, value)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
