"""What a host does with hostile plugins, and what it sees: the names that a case's script has."""

# ruff: noqa: F401  (what looks unused here is for the scripts of the cases)

from __future__ import annotations

import importlib
import json
import logging
import os
import pickle
import signal
import sys
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import packaging.requirements
import yaml

import aimm_plugins
import aimm_plugins._config.yaml_reader
import aimm_plugins._startup.lifecycle
from aimm_plugins import (
    ConfigError,
    PluginLoadError,
    UnknownPluginError,
    current_report,
    exec_data_access,
    exec_fit,
    get_plugin_manager,
    initialize,
    plan,
    providers,
    unload_all,
)

_REPORT = jsonschema.Draft202012Validator(
    yaml.safe_load((files("aimm_plugins") / "schemas" / "report.yaml").read_text("utf-8"))
)


def keys() -> list[str]:
    """All that can be called."""
    return sorted(f"{action}:{key}" for action, key in providers())


def plugged() -> list[str]:
    """The names of the modules in pluggy."""
    return sorted(
        name for name, plugin in get_plugin_manager().list_name_plugin() if plugin is not None
    )


def account(report: Any) -> dict[str, Any]:
    """A report as plain data, after holding it to all that every report must be."""
    data = report.to_dict()
    again = json.loads(json.dumps(data))
    assert again == data, "to_dict() is not plain JSON"
    fault = jsonschema.exceptions.best_match(_REPORT.iter_errors(data))
    assert fault is None, f"to_dict() does not fit schemas/report.yaml: {fault}"
    text = str(report)
    text.encode("utf-8")
    return {
        "ok": report.ok,
        "plugins": data["plugins"],
        "findings": data["findings"],
        "text": text,
        "states": {each["name"]: each["state"] for each in data["plugins"]},
        "keys": keys(),
        "plugged": plugged(),
    }


def attempt(function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What a call returned or raised."""
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        try:
            text = str(error)
        except BaseException:
            text = "<unprintable>"
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"error": type(error).__name__, "text": text, "kinds": kinds}
    return {"value": value if isinstance(value, int | str | float | None) else repr(value)}


def strictly(conf: Any) -> dict[str, Any]:
    """What a strict call leads to, with its error sent through pickle."""
    try:
        report = initialize(conf)
    except PluginLoadError as error:
        again = pickle.loads(pickle.dumps(error))
        return {
            "error": type(error).__name__,
            "text": str(error),
            "pickled": type(again) is type(error) and str(again) == str(error),
            "members": [type(each).__name__ for each in error.exceptions],
            "states": account(error.report)["states"],
            "ok": error.report.ok,
            "keys": keys(),
            "plugged": plugged(),
        }
    return {"error": None, **account(report)}


def site_modules() -> set[str]:
    """Modules that were imported from the case's own folders."""
    here = os.getcwd() + os.sep
    return {
        name
        for name, module in list(sys.modules.items())
        if isinstance(vars(module).get("__file__") if hasattr(module, "__dict__") else None, str)
        and module.__file__.startswith(here)
        and name != "__main__"
    }


def gauntlet(conf: Any) -> dict[str, Any]:
    """Plan, isolate, repeat, unload, strict, isolate again: what a host goes through."""
    conf = {"names": [], **(conf or {})}
    out: dict[str, Any] = {}
    out["plan"] = account(plan(conf))
    out["imported_by_plan"] = sorted(site_modules())
    out["isolate"] = account(initialize({**conf, "on_error": "isolate"}))
    out["good"] = attempt(exec_data_access, "good")
    out["bad"] = attempt(exec_fit, "bad", None)
    out["current"] = account(current_report())
    out["repeat"] = account(initialize({**conf, "on_error": "isolate"}))
    unload_all()
    out["unloaded"] = keys()
    out["strict"] = strictly(conf)
    out["again"] = account(initialize({**conf, "on_error": "isolate"}))
    out["good_again"] = attempt(exec_data_access, "good")
    return out
