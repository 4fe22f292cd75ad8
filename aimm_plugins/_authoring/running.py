"""Declarations read by running the code, in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aimm_plugins import PluginImportError
from aimm_plugins._authoring.project import Project
from aimm_plugins._source.declarations import SourceDeclaration

_CHILD = "import sys; from aimm_plugins._authoring.running import answer; answer(sys.argv[1])"


def run_declarations(project: Project) -> tuple[SourceDeclaration, ...]:
    """All that a project's modules declare when they are imported, packages before their parts.

    Everything that the project ships is imported. What it prints goes to stderr.

    Raises:
        PluginImportError: A module cannot be imported, or declares what has no name in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(
            json.dumps(
                {
                    "root": str(project.root),
                    "sources": [str(source) for source in project.sources],
                    "modules": sorted(project.modules),
                    "answer": str(Path(folder) / "answer.json"),
                }
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(job)],
            stdin=subprocess.DEVNULL,
            stdout=2,
            check=False,
        )
        try:
            told = json.loads((Path(folder) / "answer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PluginImportError(
                f"the process that imports {project.root} ended with exit status "
                f"{done.returncode} before it was done"
            ) from error
    if told["errors"]:
        raise PluginImportError("\n".join(told["errors"]))
    return tuple(SourceDeclaration(**each) for each in told["declared"])


def answer(job_file: str) -> None:
    """What the child does: imports the modules, and writes what they declare into a file."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    sys.path[:0] = job["sources"]
    errors: list[str] = []
    declared = _declared(job["modules"], job["root"], errors)
    Path(job["answer"]).write_text(
        json.dumps({"declared": declared, "errors": errors}), encoding="utf-8"
    )
    # Threads that the modules left behind would keep the process.
    sys.stdout.flush()
    os._exit(0)


def _declared(modules: Sequence[str], root: str, errors: list[str]) -> list[dict[str, Any]]:
    import importlib
    from traceback import format_exception_only

    import aimm_plugins

    for module in modules:
        try:
            importlib.import_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = "".join(format_exception_only(error)).strip()
            errors.append(f"{module} cannot be imported: {told}")
    found = []
    for provider in aimm_plugins.providers().values():
        if provider.declaration is None or provider.module not in modules:
            continue
        target = provider.declaration.target
        attribute = _name_of(target, provider.module)
        file = Path(provider.file or "")
        shown = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
        if attribute is None:
            errors.append(
                f"{shown}:{provider.line}: {provider.action}:{provider.key} is declared by "
                f"{target!r}, which no name in {provider.module} stands for"
            )
            continue
        found.append(
            {
                "action": provider.action,
                "key": provider.key,
                "module": provider.module,
                "qualname": attribute,
                "file": provider.file,
                "line": provider.line,
            }
        )
    return found


def _name_of(target: object, module: str) -> str | None:
    """The dotted name under which a module holds an object."""
    qualname = getattr(target, "__qualname__", "")
    if isinstance(qualname, str) and "<" not in qualname:
        found: object = sys.modules[module]
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if found is target:
            return qualname
    return next((n for n, each in vars(sys.modules[module]).items() if each is target), None)
