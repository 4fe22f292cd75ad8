"""Annotations of plugin functions, rewritten so that they mean the same in another file."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

ANY = "Any"


class _UnresolvedError(Exception):
    """A name that another file could not say, or a type checker not see."""


class Annotations:
    """Rewrites annotations, and keeps what modules they need.

    What type checkers cannot see becomes `Any`: modules of distributions that are not typed
    (PEP 561), names that are local to functions, types made while the code runs.

    Attributes:
        modules: Modules to import in the file that holds the rewritten annotations.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()

    def render(
        self, annotation: object, function: Callable[..., Any], owner: type | None = None
    ) -> str:
        """An annotation with absolute names.

        Args:
            annotation: As `inspect.signature` has it.
            function: Whose it is.
            owner: What `Self` means.
        """
        if annotation is inspect.Parameter.empty:
            return ANY
        home = _globals(function)
        needed: set[str] = set()
        scope = None if not isinstance(annotation, str) else home
        text = annotation if isinstance(annotation, str) else _spelled(annotation)
        try:
            rewritten = _Rewriter(scope, owner, needed).rewrite(ast.parse(text, mode="eval").body)
        except (_UnresolvedError, SyntaxError, ValueError, RecursionError):
            return ANY
        self.modules |= needed
        return rewritten

    def name_of(self, cls: type) -> str:
        """A class by its absolute name."""
        return self.render(cls, cls)


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function's annotations are made of."""
    inner = inspect.unwrap(function)
    if isinstance(inner, type):
        inner = vars(inner).get("__init__", inner)
    found = getattr(inner, "__globals__", None) or getattr(
        getattr(inner, "__func__", None), "__globals__", None
    )
    if isinstance(found, dict):
        return found
    return vars(sys.modules.get(getattr(inner, "__module__", None) or "", builtins))


def _spelled(annotation: object) -> str:
    """An annotation that is no text as one."""
    if annotation is None or annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        module = annotation.__module__
        return (
            annotation.__qualname__
            if module == "builtins"
            else f"{module}.{annotation.__qualname__}"
        )
    return repr(annotation)


class _Rewriter:
    """Makes the names of one annotation absolute.

    Args:
        scope: The globals that its names belong to; `None` where they are absolute already.
        owner: What `Self` means.
        needed: Takes the modules to import.
    """

    def __init__(self, scope: dict[str, Any] | None, owner: type | None, needed: set[str]) -> None:
        self.scope, self.owner, self.needed = scope, owner, needed

    def rewrite(self, node: ast.expr) -> str:
        """The text of an expression.

        Raises:
            _UnresolvedError: Some part of it cannot be said elsewhere.
        """
        match node:
            case ast.Name() | ast.Attribute():
                return self.absolute(ast.unparse(node).split("."))
            case ast.Constant(value=None):
                return "None"
            case ast.Constant(value=value) if value is ...:
                return "..."
            case ast.Constant(value=str() as value):
                return self.rewrite(ast.parse(value, mode="eval").body)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return f"{self.rewrite(left)} | {self.rewrite(right)}"
            case ast.List(elts=elements):
                return f"[{', '.join(map(self.rewrite, elements))}]"
            case ast.Starred(value=value):
                return f"*{self.rewrite(value)}"
            case ast.Subscript(value=value, slice=inner):
                return self.subscript(value, inner)
            case _:
                raise _UnresolvedError

    def subscript(self, value: ast.expr, inner: ast.expr) -> str:
        """A generic type with its arguments."""
        outer = self.rewrite(value)
        arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        name = outer.rpartition(".")[2]
        if name == "Literal":
            if all(isinstance(each, ast.Constant) for each in arguments):
                return f"{outer}[{', '.join(map(ast.unparse, arguments))}]"
            raise _UnresolvedError
        if name == "Annotated":
            return self.rewrite(arguments[0])
        if not arguments:
            return f"{outer}[()]"
        return f"{outer}[{', '.join(map(self.rewrite, arguments))}]"

    def absolute(self, parts: list[str]) -> str:
        """A dotted name, from a module on."""
        if self.scope is None:
            return self.of_module(parts)
        root = parts[0]
        home = self.scope.get("__name__", "")
        module = sys.modules.get(home)
        imported = None if module is None else _imports(module).get(root)
        if imported is not None:
            return self.of_module([*imported.split("."), *parts[1:]])
        if root in self.scope:
            return self.of_module([*home.split("."), *parts])
        return self.of_module(parts)

    def of_module(self, parts: list[str]) -> str:
        """A dotted name, of a module that type checkers see."""
        text = ".".join(parts)
        if len(parts) == 1:
            if hasattr(builtins, text):
                return text
            raise _UnresolvedError
        if text in ("typing.Self", "typing_extensions.Self"):
            if self.owner is None:
                raise _UnresolvedError
            return _Rewriter(None, None, self.needed).rewrite(
                ast.parse(_spelled(self.owner), mode="eval").body
            )
        for end in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:end])
            found: object = _module(name)
            if found is None:
                continue
            if not _is_visible(name):
                raise _UnresolvedError
            for part in parts[end:]:
                if not hasattr(found, part):
                    # Imported for type checkers only, perhaps: then its own module has it not.
                    raise _UnresolvedError
                found = getattr(found, part)
            self.needed.add(name)
            return text
        raise _UnresolvedError


def _module(name: str) -> object | None:
    if name not in sys.modules:
        try:
            importlib.import_module(name)
        except Exception:  # a module that only type checkers look for may do anything
            return None
    return sys.modules.get(name)


@cache
def _imports(module: ModuleType) -> dict[str, str]:
    """What a module's import statements bind, those for type checkers included."""
    found: dict[str, str] = {}
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return found
    package = getattr(module, "__package__", None) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                found[alias.asname or alias.name] = f"{base}.{alias.name}"
    return found


def _is_visible(module: str) -> bool:
    """Whether type checkers know a module: by PEP 561, or since it stands in the current folder."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("aimm_plugins", "typing_extensions"):
        return True
    for folder in sys.path:
        if Path(folder, f"{top}-stubs").is_dir():
            return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return False
    path = Path(file).resolve()
    parts = module.split(".")
    base = path.parents[len(parts) if path.stem == "__init__" else len(parts) - 1]
    if any((base.joinpath(*parts[: n + 1]) / "py.typed").is_file() for n in range(len(parts))):
        return True
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return base == Path.cwd() and base not in installed
