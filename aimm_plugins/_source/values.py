"""What names, expressions and decorator calls of a module mean: modules, constants, keys."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace

from aimm_plugins._declarations.decorators import checked_key, checked_keys
from aimm_plugins._source.budget import Budget
from aimm_plugins._source.declarations import ModuleSource
from aimm_plugins._source.description import unparsed
from aimm_plugins._source.statements import ImportedName
from aimm_plugins._values.actions import ACTIONS, MODEL_ACTIONS, Action
from aimm_plugins.errors import DeclarationError

PACKAGE = "aimm_plugins"
_DECORATORS = frozenset({*ACTIONS, "model", "hookimpl"})
_DEEPEST = 50
"""How deep the parts of an expression are nested that is worked out."""


@dataclass(frozen=True, slots=True)
class Decorator:
    """A decorator of this package, and whether it is one whatever conditions hold."""

    name: str
    certain: bool = True


class UnknownValueError(Exception):
    """Only the running code knows a value."""

    def __init__(self, what: ast.expr | str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        if isinstance(self.what, str):
            return self.what
        text = unparsed(self.what, most_nodes=50)
        shown = "the expression" if text is None else f"`{text}`"
        return f"{shown} is known only when the code runs"


class MistakeError(UnknownValueError):
    """The decorator will refuse it; the text is that of its own error where it has one."""


def uncertain(value: object) -> object:
    """What is left of a value that a name may have, or not: constants are not worth to be known."""
    return replace(value, certain=False) if isinstance(value, Decorator | ImportedName) else None


class Evaluator:
    """Works out names and constants, from module to module; `OverBudgetError` ends that."""

    def __init__(self, find: Callable[[str], ModuleSource | None], budget: Budget) -> None:
        self.find, self.budget = find, budget
        self._sought: set[tuple[str, str]] = set()

    def name(self, module: ModuleSource, name: str) -> object:
        """What a name means in a module: a decorator, a module or a constant; else `None`."""
        self.budget.take(1)
        if name == "__name__":
            return module.name
        if name not in module.values:
            for star in reversed(module.stars):
                found = self._exported(star.module, name)
                if found is not None and not name.startswith("_"):
                    return found if star.certain else uncertain(found)
            return None
        value = module.values[name]
        if not isinstance(value, ImportedName) or value.attribute is None:
            return value
        found = self._attribute(value.module, value.attribute)
        return found if value.certain else uncertain(found)

    def may_use_decorators(self, module: ModuleSource) -> bool:
        """Whether a name in a module, or an attribute of one, may be a decorator."""
        if module.stars:
            return True
        for name, value in list(module.values.items()):
            found = self.name(module, name) if isinstance(value, ImportedName) else value
            if isinstance(found, ImportedName):
                source = self.find(found.module)
                if found.module.partition(".")[0] == PACKAGE or (source and source.is_using):
                    return True
            elif isinstance(found, Decorator):
                return True
        return False

    def dotted_name(self, module: ModuleSource, node: ast.expr) -> object:
        """What `a.b.c` means in a module; `None` for other expressions."""
        if isinstance(node, ast.Name):
            return self.name(module, node.id)
        if not isinstance(node, ast.Attribute):
            return None
        self.budget.take(1)
        base = self.dotted_name(module, node.value)
        if not isinstance(base, ImportedName):
            return None
        found = self._attribute(base.module, node.attr)
        return found if base.certain else uncertain(found)

    def value(self, module: ModuleSource, node: ast.expr, depth: int = 0) -> object:
        """The value of a literal, or of what is made of constants; a list as a tuple."""
        self.budget.take(1)
        if depth > _DEEPEST:
            raise UnknownValueError(node)
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._items(module, items, depth + 1)
            case ast.JoinedStr(values=parts):
                return self._joined(module, parts, depth + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                one = self.value(module, left, depth + 1)
                other = self.value(module, right, depth + 1)
                if isinstance(one, str) and isinstance(other, str):
                    self.budget.take((len(one) + len(other)) // 100)
                    return one + other
                if isinstance(one, tuple) and isinstance(other, tuple):
                    self.budget.take(len(one) + len(other))
                    return one + other
            case ast.Name() | ast.Attribute():
                found = self.dotted_name(module, node)
                if found is not None and not isinstance(found, Decorator | ImportedName):
                    self.budget.take(len(found) if isinstance(found, tuple) else 0)
                    return found
            case _:
                pass
        raise UnknownValueError(node)

    def _items(self, module: ModuleSource, items: list[ast.expr], depth: int) -> tuple[object, ...]:
        found: list[object] = []
        for item in items:
            if not isinstance(item, ast.Starred):
                found.append(self.value(module, item, depth))
                continue
            unpacked = self.value(module, item.value, depth)
            if not isinstance(unpacked, tuple):
                raise UnknownValueError(item)
            self.budget.take(len(unpacked))
            found += unpacked
        return tuple(found)

    def _joined(self, module: ModuleSource, parts: list[ast.expr], depth: int) -> str:
        """An f-string's text; what it formats may only be texts, as they are."""
        texts: list[str] = []
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                if part.conversion != -1 or part.format_spec is not None:
                    raise UnknownValueError(part.value)
                part = part.value
            text = self.value(module, part, depth)
            if not isinstance(text, str):
                raise UnknownValueError(part)
            self.budget.take(len(text) // 100)
            texts.append(text)
        return "".join(texts)

    def _attribute(self, module: str, name: str) -> object:
        found = self._exported(module, name)
        # What is not found may be a submodule.
        return ImportedName(f"{module}.{name}") if found is None else found

    def _exported(self, module: str, name: str) -> object:
        """What a name means that a module binds; `None` where that is unknown."""
        if module == PACKAGE:
            return Decorator(name) if name in _DECORATORS else None
        source = self.find(module)
        # Modules may import from each other in a circle.
        if source is None or (module, name) in self._sought:
            return None
        self._sought.add((module, name))
        try:
            return self.name(source, name)
        finally:
            self._sought.discard((module, name))


def slots_of(
    decorator: str,
    call: ast.Call | None,
    default: str | None,
    evaluate: Callable[[ast.expr], object],
) -> list[tuple[Action, str]]:
    """The actions and keys that a call of a decorator gives; `None` for a bare one.

    `default` is the key of a class that `@model` is given no key for.
    """
    try:
        if decorator == "model":
            if call is not None and call.args:
                raise MistakeError("@model decorates a class; write @model(model_type=...)")
            key = None if call is None else _argument(call, "model_type", evaluate)
            key = default if key is None else key
            if key is None:
                raise UnknownValueError("its class has no name in the module")
            return [(action, checked_key("model", key)) for action in MODEL_ACTIONS]
        if call is None:
            raise MistakeError(f"@{decorator} needs its keys in parentheses")
        (spec,) = (spec for spec in ACTIONS.values() if spec.name == decorator)
        name = spec.key_argument if spec.takes is None else f"{spec.key_argument}s"
        keys = checked_keys(spec.name, _argument(call, name, evaluate))
        return [(spec.name, key) for key in keys]
    except DeclarationError as error:
        raise MistakeError(str(error)) from None


def _argument(call: ast.Call, name: str, evaluate: Callable[[ast.expr], object]) -> object:
    """The value of a keyword, or of the first argument; `None` where neither is given."""
    is_unpacked = any(isinstance(argument, ast.Starred) for argument in call.args[:1])
    if is_unpacked or any(keyword.arg is None for keyword in call.keywords):
        raise UnknownValueError("its arguments are unpacked")
    for keyword in call.keywords:
        if keyword.arg == name:
            return _keys(evaluate(keyword.value))
    return _keys(evaluate(call.args[0])) if call.args else None


def _keys(value: object) -> object:
    if isinstance(value, tuple) and any(isinstance(item, tuple) for item in value):
        raise MistakeError("a key is a str, and no list")  # which may be too long to be shown
    return value
