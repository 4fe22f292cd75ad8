"""New plugin packages, made from the template that this package ships."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from aimm_plugins.errors import ConfigError


def make_package(name: str, folder: Path, answers: dict[str, Any], *, ask: bool) -> None:
    """Make a plugin package that passes its own tests, or nothing."""
    check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is no empty folder; name another with --into")
    try:
        from copier import run_copy
    except ImportError as error:
        needed = "aimm-plugins new needs copier: pip install 'aimm-plugins[new]'"
        raise ConfigError(needed) from error
    data = {"project": name, **answers}
    with as_file(files("aimm_plugins._authoring") / "template") as template:
        # A folder that it has made is removed again where this fails.
        run_copy(str(template), folder, data=data, defaults=not ask, quiet=True)


def check_name(name: str) -> None:
    """Refuse a name that no distribution, or no module, can have."""
    module = name.lower().replace("-", "_").replace(".", "_")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise ConfigError(f"{name!r} is no name of a distribution", expected="such as my-models")
    if not module.isidentifier() or keyword.iskeyword(module):
        raise ConfigError(f"{name!r} makes no module: {module!r} is no identifier")
    if module in sys.stdlib_module_names or module in ("aimm_plugins", "test", "tests"):
        raise ConfigError(f"{name!r} would hide the module {module!r}; choose another name")
