"""Annotations of plugin functions, written so that they mean the same in a stub file."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from aimm_plugins._source.statements import imported_names, is_taken
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.signatures import signature_of


class Verbatim(str):
    """A text that is printed in a signature as it is, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


ANY = Verbatim("Any")
OMITTED = Verbatim("...")
"""A default, as stubs write it."""


class _UnwritableError(Exception):
    """A type that another file cannot name."""


class Annotations:
    """Writes annotations, and keeps what modules they need.

    What another file cannot name becomes `Any`: classes local to functions, names that are not
    there. Type checkers take what is not typed (PEP 561) for `Any` by themselves.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._imported: dict[str, dict[str, object]] = {}

    def signature(
        self, function: Callable[..., Any], owner: type | None = None
    ) -> inspect.Signature:
        """A function's signature with texts as annotations; that of a class makes an instance."""
        try:
            signature = signature_of(function)
        except Exception:  # an extension's function, or a `__signature__` that fails
            signature = signature_of(lambda *args, **kwargs: None)
        names = self._names(function)

        def written(annotation: object) -> Verbatim:
            return self.written(_resolved(annotation, names), owner)

        parameters = [
            parameter.replace(
                annotation=written(parameter.annotation),
                default=OMITTED if parameter.default is not parameter.empty else parameter.empty,
            )
            for parameter in signature.parameters.values()
        ]
        result = function if isinstance(function, type) else signature.return_annotation
        return signature.replace(parameters=parameters, return_annotation=written(result))

    def written(self, hint: object, owner: type | None = None) -> Verbatim:
        """A type as text; `owner` is what `Self` means."""
        needed: set[str] = set()
        try:
            text = _text(hint, owner, needed)
        except (_UnwritableError, RecursionError):
            return ANY
        self.modules |= needed
        return Verbatim(text)

    def _names(self, function: Callable[..., Any]) -> dict[str, Any]:
        inner = inspect.unwrap(function)
        if isinstance(inner, type):
            inner = getattr(inner, "__init__", inner)
        names: dict[str, Any] = getattr(getattr(inner, "__func__", inner), "__globals__", {})
        module = sys.modules.get(names.get("__name__", ""))
        if module is None:
            return names
        if module.__name__ not in self._imported:
            self._imported[module.__name__] = _imported_for_checkers(module)
        return {**names, **self._imported[module.__name__]}


def _imported_for_checkers(module: types.ModuleType) -> dict[str, object]:
    """What a module imports under `if TYPE_CHECKING`, as far as it can be imported."""
    found: dict[str, object] = {}
    try:
        nodes = ast.walk(ast.parse(inspect.getsource(module)))
    except (OSError, TypeError, SyntaxError):
        return found
    package = module.__package__ or ""
    blocks = [node for node in nodes if isinstance(node, ast.If) and is_taken(node.test) is False]
    for node in (statement for block in blocks for statement in block.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, imported in imported_names(node, package):
                with guarded():  # a module that only type checkers look for may do anything
                    found[name] = importlib.import_module(imported.module)
                    if imported.attribute is not None:
                        found[name] = getattr(found[name], imported.attribute)
    return found


def _resolved(annotation: object, names: dict[str, Any]) -> object:
    """The type that an annotation means; `Any` where that cannot be known."""
    if annotation is inspect.Parameter.empty:
        return Any

    def carrier() -> None: ...

    # One for itself: where a name is unknown, the other annotations are still of use.
    carrier.__annotations__ = {"it": getattr(annotation, "__forward_arg__", annotation)}
    try:
        return typing.get_type_hints(carrier, names)["it"]
    except Exception:  # an annotation may be any expression
        return Any


def _text(hint: object, owner: type | None, needed: set[str]) -> str:
    """A type as text; adds to `needed` the modules that it is made of."""
    if hint is Any or hint is ...:
        return ANY if hint is Any else "..."
    if hint is None or hint is types.NoneType:
        return "None"
    if hint is typing.Self:
        return _name(owner, needed)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if not all(type(value) in (str, bytes, int, bool, types.NoneType) for value in arguments):
            raise _UnwritableError  # of an enumeration
        return f"Literal[{', '.join(map(repr, arguments))}]"
    parts = hint if isinstance(hint, list) else arguments  # a Callable has a list of parameters
    texts = [_text(part, owner, needed) for part in parts]
    if origin in (typing.Union, types.UnionType):
        return " | ".join(texts)
    if origin is tuple and not texts and hint is not typing.Tuple:  # noqa: UP006
        texts = ["()"]
    outer = "" if isinstance(hint, list) else _name(origin or hint, needed)
    return f"{outer}[{', '.join(texts)}]" if texts or not outer else outer


def _name(thing: object, needed: set[str]) -> str:
    """A class, or another object that means a type, by its module and name."""
    module = getattr(thing, "__module__", None)
    qualname = getattr(thing, "__qualname__", getattr(thing, "__name__", None))
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise _UnwritableError
    if module == "builtins" and hasattr(builtins, qualname):
        return qualname
    parts = module.split(".")
    modules = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    # Where it is public: in Python 3.13 `Path` is of pathlib._local.
    for name in modules if "._" in module else [module]:
        found: object = sys.modules.get(name)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if found is thing:
            needed.add(name)
            return f"{name}.{qualname}"
    raise _UnwritableError  # local to a function, a type variable, ...
