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


# What a host does not need to start is imported when it is first asked for. `inspect` and `compare`
# are not in `__all__`: a star import would put them over modules and functions of the importer.


def _load_artifacts() -> dict[str, Any]:
    from aimm_plugins._artifacts.info import ArtifactInfo
    from aimm_plugins._artifacts.pack import inspect, pack, unpack

    return {"ArtifactInfo": ArtifactInfo, "inspect": inspect, "pack": pack, "unpack": unpack}


def _load_parity() -> dict[str, Any]:
    from aimm_plugins._parity.differences import compare
    from aimm_plugins._parity.fingerprint import Fingerprint, fingerprint

    return {"Fingerprint": Fingerprint, "compare": compare, "fingerprint": fingerprint}


def _load_reports() -> dict[str, Any]:
    from aimm_plugins._values.report import Finding, PluginRecord, Report

    return {"Finding": Finding, "PluginRecord": PluginRecord, "Report": Report}


def _load_state_events() -> dict[str, Any]:
    from aimm_plugins._dispatch.cancelling import CancelToken
    from aimm_plugins._dispatch.reporting import reporting
    from aimm_plugins._dispatch.state_events import StateEvent, progress, state_event

    return {
        "CancelToken": CancelToken,
        "StateEvent": StateEvent,
        "progress": progress,
        "reporting": reporting,
        "state_event": state_event,
    }


def _load_version() -> dict[str, Any]:
    # Metadata takes longer to read than the rest of this import.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {"__version__": version("aimm-plugins")}
    except PackageNotFoundError:  # run from a checkout that was not installed
        return {"__version__": "0+unknown"}


def _load_workers() -> dict[str, Any]:
    import aimm_plugins.workers as workers

    return {"workers": workers}


_LATER = {
    **dict.fromkeys(("ArtifactInfo", "inspect", "pack", "unpack"), _load_artifacts),
    **dict.fromkeys(("Fingerprint", "compare", "fingerprint"), _load_parity),
    **dict.fromkeys(("Finding", "PluginRecord", "Report"), _load_reports),
    **dict.fromkeys(
        ("CancelToken", "StateEvent", "progress", "reporting", "state_event"), _load_state_events
    ),
    "__version__": _load_version,
    "workers": _load_workers,
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = _LATER[name]()[name]
    return value if name == "__version__" else globals().setdefault(name, value)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
