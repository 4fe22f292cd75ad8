"""Prints as JSON what can be measured here: the versions of peers, and the features of ours."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys

import aimm_plugins


def features() -> list[str]:
    """Parts of this package that not every version has."""
    found = [
        f"aimm_plugins:{name}"
        for name in ("exec_predict_async", "reporting")
        if hasattr(aimm_plugins, name)
    ]
    try:
        aimm_plugins.plan({"names": [], "entry_points": {"enabled": False}, "load": "lazy"})
    except aimm_plugins.ConfigError:
        pass
    else:
        found.append("aimm_plugins:load")
    return found


def peers(names: list[str]) -> dict[str, str]:
    """Distribution to version, of those whose modules are there."""
    found = {}
    for name in names:
        module = {"importlib-metadata": "importlib_metadata", "scikit-learn": "sklearn"}.get(
            name, name
        )
        if importlib.util.find_spec(module) is not None:
            found[name] = importlib.metadata.version(name)
    return found


if __name__ == "__main__":
    print(
        json.dumps(
            {
                "python": sys.version.split()[0],
                "peers": peers(sys.argv[1:]),
                "features": features(),
            }
        )
    )
