"""Bytecode as somebody would forge it."""

from __future__ import annotations

import importlib._bootstrap_external as external
from importlib.util import cache_from_source
from pathlib import Path


def forge_bytecode(file: Path, source: str, *, optimization: str = "") -> Path:
    """Write bytecode of another source that Python takes for that of a file."""
    status = file.stat()
    code = compile(source, str(file), "exec")
    content = external._code_to_timestamp_pyc(code, int(status.st_mtime), status.st_size)
    path = Path(cache_from_source(str(file), optimization=optimization))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path
