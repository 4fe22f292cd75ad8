"""Declarations read from source, without running it.

What is read is what is certain: a decorator of this package above a function or class that the
module defines unconditionally, with keys that are literals or constants made of such. All else is
told as an obstacle, since a key that is missing from the metadata is a plugin that fails to load.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aimm_plugins import Action, DeclarationError
from aimm_plugins._authoring.project import Project
from aimm_plugins._values.actions import ACTIONS

_PACKAGE = "aimm_plugins"
_DEEPEST = 20
"""Names that stand for names are followed this far; a circle ends here."""
_DECORATORS = (*ACTIONS, "model")
_MODEL_ACTIONS: tuple[Action, ...] = ("instantiate", "fit", "predict", "serialize", "deserialize")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One action and key that a project declares.

    Attributes:
        action: The action.
        key: Model type or data access name.
        module: The module that declares it.
        attribute: Dotted name of the function or class in there.
        place: `pkg/module.py:14`, seen from the project's root.
    """

    action: Action
    key: str
    module: str
    attribute: str
    place: str


def read_declarations(project: Project) -> tuple[Declared, ...]:
    """All that a project's modules declare, in the order of modules and lines.

    Raises:
        DeclarationError: Something cannot be told without running the code, or is declared twice;
            all such places are named.
    """
    return _Reader(project).read()


def reachable(project: Project, module: str) -> frozenset[str]:
    """The project's modules that an import of one imports, itself included."""
    reader = _Reader(project)
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in project.modules:
            continue
        found.add(name)
        waiting += [name.rpartition(".")[0], *reader.module(name).imported()]
    return frozenset(found)


class _NotLiteralError(Exception):
    """An expression whose value only the running code knows."""


class _WrongKeyError(_NotLiteralError):
    """Keys that the decorator would refuse."""


@dataclass(frozen=True, slots=True)
class _Ours:
    """A decorator of this package."""

    name: str


@dataclass(frozen=True, slots=True)
class _ModuleName:
    """A module that a name is bound to."""

    dotted: str


@dataclass(frozen=True, slots=True)
class _Imported:
    """A name that comes from another module."""

    module: str
    name: str


@dataclass(slots=True)
class _Module:
    """A module's tree, and what its own names are bound to.

    Attributes:
        bindings: By name, all that the module's body may bind it to; with whether that is certain.
        stars: Modules that all names are imported from.
    """

    name: str
    file: Path
    shown: str
    tree: ast.Module
    package: str
    bindings: dict[str, list[tuple[object, bool]]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)

    def bind(self) -> None:
        """Find the bindings."""
        self._bind(self.tree.body, certain=True)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Global):
                for name in node.names:
                    self._add(name, None, certain=False)

    def imported(self) -> Iterable[str]:
        """Dotted names that the body imports, of modules or of what is in them."""
        return self.imports

    def _bind(self, body: Sequence[ast.stmt], *, certain: bool) -> None:
        for node in body:
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        self._import(alias.name)
                        bound = alias.asname or alias.name.partition(".")[0]
                        dotted = alias.name if alias.asname else bound
                        self._add(bound, _ModuleName(dotted), certain)
                case ast.ImportFrom(names=names):
                    module = self._absolute(node)
                    self._import(module)
                    for alias in names:
                        if alias.name == "*":
                            self.stars.append(module)
                        else:
                            self._import(f"{module}.{alias.name}")
                            bound = alias.asname or alias.name
                            self._add(bound, _Imported(module, alias.name), certain)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._add(name, value, certain)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self._add(name, value, certain)
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    self._add(node.name, node, certain)
                case ast.If(test=test) if _is_type_checking(test):
                    self._bind(node.orelse, certain=certain)
                case ast.With() | ast.AsyncWith():
                    self._bind(node.body, certain=False)
                case ast.If() | ast.For() | ast.AsyncFor() | ast.While():
                    self._bind([*node.body, *node.orelse], certain=False)
                case ast.Try() | ast.TryStar():
                    handled = [stmt for each in node.handlers for stmt in each.body]
                    everything = [*node.body, *handled, *node.orelse, *node.finalbody]
                    self._bind(everything, certain=False)
                case _:
                    pass
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for target in _odd_targets(node):
                    self._add(target, None, certain=False)

    def _import(self, dotted: str) -> None:
        parts = dotted.split(".")
        self.imports.update(".".join(parts[: n + 1]) for n in range(len(parts)))

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        return ".".join(part for part in (base, node.module) if part)

    def _add(self, name: str, value: object, certain: bool) -> None:
        self.bindings.setdefault(name, []).append((value, certain))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _odd_targets(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds in a way that is not followed, such as unpacking."""
    targets: list[ast.expr] = []
    match node:
        case ast.Assign(targets=[ast.Name()]):
            pass
        case ast.Assign():
            targets = node.targets
        case ast.AugAssign() | ast.For() | ast.AsyncFor():
            targets = [node.target]
        case ast.Delete():
            targets = node.targets
        case ast.With() | ast.AsyncWith():
            targets = [each.optional_vars for each in node.items if each.optional_vars]
        case _:
            pass
    for target in targets:
        for each in ast.walk(target):
            if isinstance(each, ast.Name):
                yield each.id


class _Reader:
    """Reads the modules of one project, each once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.modules: dict[str, _Module] = {}
        self.obstacles: list[DeclarationError] = []

    def module(self, name: str) -> _Module:
        """A module of the project."""
        if name not in self.modules:
            file = self.project.modules[name]
            shown = self.project.shown(file)
            try:
                tree = ast.parse(file.read_bytes(), filename=str(file))
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None)
                raise DeclarationError(f"no Python: {error}", file=shown, line=line) from error
            package = name if self.project.is_package(name) else name.rpartition(".")[0]
            self.modules[name] = _Module(name, file, shown, tree, package)
            self.modules[name].bind()
        return self.modules[name]

    def read(self) -> tuple[Declared, ...]:
        """Read all modules."""
        found: list[Declared] = []
        for name in self.project.modules:
            module = self.module(name)
            used: set[ast.AST] = set()
            found += self.declared_in(module, module.tree.body, "", used)
            self.refuse_others(module, used)
        self.refuse_doubles(found)
        if self.obstacles:
            raise _joined(self.obstacles)
        return tuple(found)

    def declared_in(
        self, module: _Module, body: Sequence[ast.stmt], prefix: str, used: set[ast.AST]
    ) -> Iterator[Declared]:
        """What functions and classes of a body declare.

        Args:
            module: Where it is.
            body: A module's or a class's.
            prefix: What stands before names in it, such as `Class.`.
            used: Takes the decorators that were read.
        """
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            attribute = f"{prefix}{node.name}"
            # Python applies the lowest first.
            for decorator in reversed(node.decorator_list):
                call = decorator if isinstance(decorator, ast.Call) else None
                ours = self.resolve(module, call.func if call else decorator)
                if not isinstance(ours, _Ours):
                    continue
                used.add(call.func if call else decorator)
                place = f"{module.shown}:{node.decorator_list[0].lineno}"
                try:
                    slots = self.slots(module, ours.name, call, attribute)
                except _NotLiteralError as error:
                    self.obstacle(
                        module,
                        decorator,
                        f"@{ours.name} of {attribute}: {error}",
                        wrong=isinstance(error, _WrongKeyError),
                    )
                    continue
                for action, key in slots:
                    yield Declared(
                        action=action, key=key, module=module.name, attribute=attribute, place=place
                    )
            if isinstance(node, ast.ClassDef):
                yield from self.declared_in(module, node.body, f"{attribute}.", used)

    def slots(
        self, module: _Module, name: str, call: ast.Call | None, attribute: str
    ) -> list[tuple[Action, str]]:
        """The actions and keys of one decorator."""
        if name == "model":
            key: object = None
            if call is not None and call.args:
                raise _WrongKeyError("it decorates a class; write @model(model_type=...)")
            if call is not None:
                key = self.argument(module, call, 1, "model_type")
            if key is None:
                key = f"{module.name}.{attribute.rpartition('.')[2]}"
            return [(action, _key(key)) for action in _MODEL_ACTIONS]
        action = ACTIONS[name].name  # type: ignore[index]  # `name` is an action: it is no "model"
        if call is None:
            raise _WrongKeyError("it needs its keys in parentheses")
        if action in ("data_access", "instantiate"):
            parameter = "name" if action == "data_access" else "model_type"
            return [(action, _key(self.argument(module, call, 0, parameter)))]
        keys = self.argument(module, call, 0, "model_types")
        if not isinstance(keys, tuple) or not keys:
            raise _WrongKeyError(
                'it takes a list of model types, at least one, such as ["iris.svc"]'
            )
        return [(action, _key(key)) for key in keys]

    def argument(self, module: _Module, call: ast.Call, position: int, name: str) -> object:
        """The value of one argument of a decorator; `None` where it is not given."""
        if any(isinstance(each, ast.Starred) for each in call.args[: position + 1]):
            raise _NotLiteralError("its arguments are unpacked")
        if any(keyword.arg is None for keyword in call.keywords):
            raise _NotLiteralError("its arguments are unpacked")
        for keyword in call.keywords:
            if keyword.arg == name:
                return self.value(module, keyword.value)
        return self.value(module, call.args[position]) if len(call.args) > position else None

    def value(self, module: _Module, node: ast.expr, depth: int = 0) -> object:
        """The value of an expression that is a literal, or made of constants.

        Raises:
            _NotLiteralError: It is not.
        """
        shown = ast.unparse(node)
        if depth > _DEEPEST:
            raise _NotLiteralError(f"`{shown}` is defined by itself")
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                values: list[object] = []
                for element in elements:
                    if isinstance(element, ast.Starred):
                        inner = self.value(module, element.value, depth + 1)
                        if not isinstance(inner, tuple):
                            raise _NotLiteralError(f"`{shown}` is no literal")
                        values += inner
                    else:
                        values.append(self.value(module, element, depth + 1))
                return tuple(values)
            case ast.JoinedStr(values=parts):
                return "".join(self.text(module, part, depth + 1) for part in parts)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                one = self.value(module, left, depth + 1)
                other = self.value(module, right, depth + 1)
                if isinstance(one, str) and isinstance(other, str):
                    return one + other
                if isinstance(one, tuple) and isinstance(other, tuple):
                    return one + other
            case ast.Name(id="__name__"):
                return module.name
            case ast.Name() | ast.Attribute():
                found = self.resolve(module, node)
                if isinstance(found, tuple):
                    home, expression = found
                    return self.value(home, expression, depth + 1)
            case _:
                pass
        raise _NotLiteralError(f"`{shown}` is known only when the code runs")

    def text(self, module: _Module, part: ast.expr, depth: int) -> str:
        """A part of an f-string."""
        if isinstance(part, ast.FormattedValue):
            if part.conversion == -1 and part.format_spec is None:
                inner = self.value(module, part.value, depth)
                if isinstance(inner, str):
                    return inner
            raise _NotLiteralError(f"`{ast.unparse(part.value)}` is known only when the code runs")
        inner = self.value(module, part, depth)
        return str(inner)

    def resolve(self, module: _Module, node: ast.expr, depth: int = 0) -> object:
        """What a name or attribute stands for.

        Returns:
            `_Ours`, `_ModuleName`, a module with an expression, or `None` for what is unknown.
        """
        if isinstance(node, ast.Name):
            return self.lookup(module, node.id, depth)
        if isinstance(node, ast.Attribute):
            base = self.resolve(module, node.value, depth)
            if isinstance(base, _ModuleName):
                return self.member(base.dotted, node.attr, depth)
        return None

    def lookup(self, module: _Module, name: str, depth: int = 0) -> object:
        """What a name in a module stands for, where that is certain."""
        bound = module.bindings.get(name, [])
        if len(bound) == 1 and bound[0][1]:
            return self.meaning(module, bound[0][0], depth)
        if bound:
            return None
        for star in module.stars:
            found = self.member(star, name, depth + 1)
            if found is not None:
                return found
        return None

    def meaning(self, module: _Module, value: object, depth: int) -> object:
        """What a binding stands for."""
        if isinstance(value, _Imported):
            return self.member(value.module, value.name, depth + 1)
        if isinstance(value, ast.Name | ast.Attribute):
            found = self.resolve(module, value, depth + 1) if depth < _DEEPEST else None
            return (module, value) if found is None else found
        if isinstance(value, ast.expr):
            return module, value
        return value if isinstance(value, _ModuleName) else None

    def member(self, dotted: str, name: str, depth: int = 0) -> object:
        """What a module's attribute stands for."""
        if dotted == _PACKAGE:
            return _Ours(name) if name in _DECORATORS else None
        if depth < _DEEPEST and dotted in self.project.modules:
            module = self.module(dotted)
            if name in module.bindings or module.stars:
                return self.lookup(module, name, depth + 1)
        whole = f"{dotted}.{name}"
        above = any(each.startswith(f"{whole}.") for each in self.project.modules)
        return _ModuleName(whole) if whole in self.project.modules or above else None

    def refuse_others(self, module: _Module, used: set[ast.AST]) -> None:
        """Tell of uses of our decorators that were not read."""
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Name | ast.Attribute) or node in used:
                continue
            if not isinstance(node.ctx, ast.Load):
                continue
            if isinstance(self.possible(module, node), _Ours) and not self.is_alias(module, node):
                self.obstacle(
                    module,
                    node,
                    f"`{ast.unparse(node)}` is not the decorator of a function or class that the "
                    "module defines in any case",
                )

    def possible(self, module: _Module, node: ast.expr) -> object:
        """What a name stands for, be it certain or not."""
        found = self.resolve(module, node)
        if found is None and isinstance(node, ast.Name):
            for value, _ in module.bindings.get(node.id, ()):
                found = self.meaning(module, value, 0)
                if isinstance(found, _Ours):
                    return found
        return found

    def is_alias(self, module: _Module, node: ast.expr) -> bool:
        """Whether the use is `other = fit` at the module's top, which was followed."""
        return any(
            value is node and certain
            for bound in module.bindings.values()
            for value, certain in bound
        )

    def refuse_doubles(self, found: Sequence[Declared]) -> None:
        """Tell of what one project declares twice."""
        first: dict[tuple[str, str], Declared] = {}
        for each in found:
            before = first.setdefault((each.action, each.key), each)
            if before is not each:
                file, _, line = each.place.rpartition(":")
                self.obstacles.append(
                    DeclarationError(
                        f"{each.action}:{each.key} is declared a second time; the first is at "
                        f"{before.place}. Remove one, or give it another key.",
                        file=file,
                        line=int(line),
                    )
                )

    def obstacle(
        self, module: _Module, node: ast.expr, message: str, *, wrong: bool = False
    ) -> None:
        """Note what stands in the way; `wrong` if it would when the code runs, too."""
        advice = (
            ". Write the keys as literals, or read them by running the code: "
            "aimm-plugins entry-points --import"
        )
        self.obstacles.append(
            DeclarationError(
                message if wrong else message + advice,
                file=module.shown,
                line=node.lineno,
            )
        )


def _key(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongKeyError(f"a key is a str, not {value!r}")
    if not value.strip():
        raise _WrongKeyError("a key is empty")
    return value


def _joined(errors: Sequence[DeclarationError]) -> DeclarationError:
    """One error that tells of all."""
    if len(errors) == 1:
        return errors[0]
    return DeclarationError("\n".join(str(each) for each in errors))
