"""Tell PyInstaller, by the entry point group `pyinstaller40`, where the hook of this package is."""

import os


def hook_dirs() -> list[str]:
    """The folder with `hook-aimm_plugins.py`."""
    return [os.path.dirname(__file__)]
