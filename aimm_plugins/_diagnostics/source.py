"""What a module declares, as far as its source tells: nothing of it is imported.

The source is parsed and read as an import would run it: statements at the top level, in their
order, with what they import of the same package. Keys that are written out are found; what only
running it could tell is named as a gap.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aimm_plugins._discovery.module_location import locate
from aimm_plugins._system.files import read_file
from aimm_plugins._values.actions import ACTIONS, Action

if TYPE_CHECKING:
    import ast

_PACKAGE = "aimm_plugins"
_METHODS: tuple[Action, ...] = ("fit", "predict", "serialize", "deserialize")
_DECORATORS = frozenset({*ACTIONS, "model", "hookimpl"})
_LIMIT = 4 * 1024 * 1024
_MAX_MODULES = 50
"""Modules of one package that are followed; a plugin has a few, and its library may have many."""
_DYNAMIC = frozenset({"globals", "vars", "setattr", "exec", "locals"})
"""Words of a source that may bind names that it does not show."""

Description = tuple[str | None, str | None]
"""Signature and docstring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A declaration that was seen without importing it, or after an import that was asked for.

    Attributes:
        action: The action.
        key: The key.
        module: The module that makes it.
        qualname: The function or class in there.
        file: Source file, where known.
        line: Its line, from 1, where known.
        certain: Whether an import makes it whatever conditions hold.
    """

    action: Action
    key: str
    module: str
    qualname: str
    file: str | None = None
    line: int | None = None
    certain: bool = True
    describe: Callable[[], Description] = field(
        default=lambda: (None, None), compare=False, repr=False
    )

    @property
    def signature(self) -> str | None:
        """As in the source, `(model, x, *, epochs=20)`; `None` where it cannot be told."""
        return self._described()[0]

    @property
    def docstring(self) -> str | None:
        """Its docstring, cleaned, or `None`."""
        return self._described()[1]

    def _described(self) -> Description:
        try:
            return self.describe()
        except RecursionError:  # a default of a thousand terms
            return None, None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the source of a module and of what it imports of its package tells.

    Attributes:
        sightings: Declarations, in the order of the source.
        gaps: Why there may be more, one line each; empty where all was understood.
        hooks: Lines of hook implementations, as `file:line`.
        defaulted: Those of them that have a parameter with a default.
        names: Names that the module binds; `None` where that cannot be told.
        file: The module's source file, where it is found.
        needs: Top-level modules that its import surely imports, beside its own.
    """

    sightings: tuple[Sighting, ...] = ()
    gaps: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()
    names: frozenset[str] | None = None
    file: str | None = None
    needs: tuple[str, ...] = ()


class Inspector:
    """Reads modules, each file once.

    Args:
        plugins: Modules that are plugins of their own: what they declare is theirs alone, whoever
            imports them.
    """

    def __init__(self, plugins: Sequence[str] = ()) -> None:
        self._plugins = frozenset(plugins)
        self._sources: dict[tuple[str, str], _Source] = {}
        self._files: dict[str, str | None] = {}

    def inspect(self, module: str, attribute: str | None = None) -> Inspection:
        """What an import of a module would declare for the plugin that it is.

        Args:
            module: Dotted name.
            attribute: Only what is declared by this object, for an entry point `module:object`.
        """
        file = self._locate(module)
        if file is None:
            return Inspection(gaps=(f"{module} is not found",))
        own = self._read(module, file)
        parts = list(self._closure(module, own))
        gaps = [gap for source, _ in parts for gap in source.gaps]
        if len(parts) == _MAX_MODULES:
            gaps.append(f"{module} imports more than {_MAX_MODULES} modules of its package")
        sightings = [
            sighting
            if certain
            else Sighting(
                action=sighting.action,
                key=sighting.key,
                module=sighting.module,
                qualname=sighting.qualname,
                file=sighting.file,
                line=sighting.line,
                certain=False,
                describe=sighting.describe,
            )
            for source, certain in parts
            for sighting in source.sightings
            if attribute is None or f"{sighting.qualname}.".startswith(f"{attribute}.")
        ]
        return Inspection(
            sightings=tuple(sightings),
            gaps=tuple(dict.fromkeys(gaps)),
            hooks=tuple(hook for source, _ in parts for hook in source.hooks),
            defaulted=tuple(hook for source, _ in parts for hook in source.defaulted),
            names=own.names,
            file=file,
            needs=tuple(
                dict.fromkeys(
                    name.partition(".")[0]
                    for source, certain in parts
                    for name, surely in source.imports
                    if certain and surely and not f"{name}.".startswith(f"{module}.")
                )
            ),
        )

    def _closure(self, module: str, own: _Source) -> Iterator[tuple[_Source, bool]]:
        """The module and what it imports of its own package, and whether it surely does."""
        top = module.partition(".")[0]
        seen = {module}
        yield own, True
        queue = [(parent, True) for parent in _parents(module)]
        queue += own.imports
        count = 1
        while queue and count < _MAX_MODULES:
            name, certain = queue.pop(0)
            if name in seen or name.partition(".")[0] != top or self._is_anothers(name, module):
                continue
            seen.add(name)
            file = self._locate(name)
            if file is None:
                continue
            source = self._read(name, file)
            count += 1
            yield source, certain
            queue += [(parent, certain) for parent in _parents(name)]
            queue += [(each, certain and surely) for each, surely in source.imports]

    def _is_anothers(self, name: str, module: str) -> bool:
        while name:
            if name in self._plugins:
                return name != module
            name = name.rpartition(".")[0]
        return False

    def _locate(self, module: str) -> str | None:
        if module not in self._files:
            self._files[module] = locate(module)
        return self._files[module]

    def _read(self, module: str, file: str) -> _Source:
        if (module, file) not in self._sources:
            self._sources[module, file] = _Source(module, file)
        return self._sources[module, file]


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


class _Source:
    """One module's source, read once."""

    def __init__(self, module: str, file: str) -> None:
        self.module = module
        self.file = file
        self.sightings: list[Sighting] = []
        self.gaps: list[str] = []
        self.hooks: list[str] = []
        self.defaulted: list[str] = []
        self.imports: list[tuple[str, bool]] = []
        self.names: frozenset[str] | None = None
        self._bound: set[str] = set()
        self._open = False
        self._mentions = False
        self._constants: dict[str, str | tuple[str, ...]] = {"__name__": module}
        self._aliases: dict[str, str] = {}
        self._packages: set[str] = set()
        self._functions: dict[str, Any] = {}
        self._understood: set[int] = set()
        self._read_lines: set[int] = set()
        self._content = b""
        tree = self._parse()
        if tree is None:
            return
        import ast

        self._ast = ast
        try:
            self._visit(tree.body, True, "")
            if self._mentions:
                self._find_gaps(tree)
        except RecursionError:  # an expression of a thousand terms
            self.gaps.append(f"{self.file} is nested too deep to be read")
            self._open = True
        if not self._open:
            self.names = frozenset(self._bound)

    def _parse(self) -> Any:
        if not self.file.endswith(".py"):
            self.gaps.append(f"{self.file} is no Python source")
            return None
        try:
            content = read_file(self.file, _LIMIT)
            if content is None:
                raise OSError("No such file")
            self._content = content
            self._mentions = _PACKAGE.encode() in content
            self._open = any(each.encode() in content for each in _DYNAMIC)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # The value of ast.PyCF_ONLY_AST; ast itself is needed for few files only.
                return compile(content, self.file, "exec", 0x400, dont_inherit=True)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.gaps.append(f"{self.file} cannot be parsed: {error}")
            return None

    def _place(self, node: Any) -> str:
        return f"{self.file}:{node.lineno}"

    def _learn(self, node: Any) -> None:
        """What our decorators are called after an import."""
        if isinstance(node, self._ast.Import):
            for alias in node.names:
                if alias.name == _PACKAGE:
                    self._packages.add(alias.asname or alias.name)
            return
        if node.module != _PACKAGE or node.level:
            return
        for alias in node.names:
            if alias.name == "*":
                self._aliases.update({each: each for each in _DECORATORS})
            elif alias.name in _DECORATORS:
                self._aliases[alias.asname or alias.name] = alias.name

    def _decorator(self, node: Any) -> str | None:
        """The decorator of ours that an expression is."""
        ast = self._ast
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id)
        if (
            isinstance(node, ast.Attribute)
            and node.attr in _DECORATORS
            and isinstance(node.value, ast.Name)
            and node.value.id in self._packages
        ):
            return str(node.attr)
        return None

    def _visit(self, statements: Sequence[Any], certain: bool, prefix: str) -> None:
        ast = self._ast
        for node in statements:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._define(node, certain, prefix)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node, certain)
            elif isinstance(node, ast.If):
                kind = self._kind_of_test(node.test)
                if kind != "never":
                    self._visit(node.body, certain and kind == "always", prefix)
                self._visit(node.orelse, certain and kind == "never", prefix)
            elif isinstance(node, ast.Try | getattr(ast, "TryStar", ast.Try)):
                for body in (node.body, *(each.body for each in node.handlers), node.orelse):
                    self._visit(body, False, prefix)
                self._visit(node.finalbody, certain, prefix)
            elif isinstance(node, ast.With):
                for item in node.items:
                    self._bind(item.optional_vars, prefix)
                self._visit(node.body, certain, prefix)
            elif isinstance(node, ast.For | ast.While):
                if isinstance(node, ast.For):
                    self._bind(node.target, prefix)
                self._visit([*node.body, *node.orelse], False, prefix)
            elif isinstance(node, ast.Match):
                for case in node.cases:
                    self._visit(case.body, False, prefix)
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                self._assign(node, certain, prefix)
            elif isinstance(node, ast.Expr):
                self._call(node.value, certain, prefix)

    def _kind_of_test(self, test: Any) -> str:
        """Whether an import takes a branch: "always", "never" or "maybe"."""
        ast = self._ast
        name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", None)
        if name == "TYPE_CHECKING":
            return "never"
        if (
            isinstance(test, ast.Compare)
            and isinstance(test.left, ast.Name)
            and test.left.id == "__name__"
            and len(test.ops) == 1
            and isinstance(test.ops[0], ast.Eq)
        ):
            return "never"
        if isinstance(test, ast.Constant):
            return "always" if test.value else "never"
        return "maybe"

    def _bind(self, target: Any, prefix: str) -> None:
        if prefix or target is None:
            return
        for node in self._ast.walk(target):
            if isinstance(node, self._ast.Name):
                self._bound.add(node.id)

    def _define(self, node: Any, certain: bool, prefix: str) -> None:
        ast = self._ast
        qualname = f"{prefix}{node.name}"
        self._functions[qualname] = node
        if not prefix:
            self._bound.add(node.name)
            if node.name == "__getattr__":
                self._open = True
        # The innermost decorator runs first.
        for decorator in reversed(node.decorator_list):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = self._decorator(called)
            if name is None:
                continue
            if name == "hookimpl":
                self._understand(called)
                self._hook(node)
            elif name == "model" or isinstance(decorator, ast.Call):
                self._understand(called)
                arguments = decorator if isinstance(decorator, ast.Call) else None
                self._declare(name, arguments, node, qualname, node, certain)
        if isinstance(node, ast.ClassDef):
            self._visit(node.body, certain, f"{qualname}.")

    def _understand(self, called: Any) -> None:
        self._understood.add(id(called))
        self._read_lines.add(called.lineno)

    def _hook(self, node: Any) -> None:
        self.hooks.append(self._place(node))
        arguments = getattr(node, "args", None)
        if arguments is not None and (arguments.defaults or any(arguments.kw_defaults)):
            self.defaulted.append(self._place(node))

    def _call(self, node: Any, certain: bool, prefix: str) -> None:
        """`fit(["a"])(function)`, written out."""
        ast = self._ast
        if not isinstance(node, ast.Call):
            return
        if isinstance(node.func, ast.Call):
            name, arguments, called = self._decorator(node.func.func), node.func, node.func.func
        else:
            name, arguments, called = self._decorator(node.func), None, node.func
            if name != "model":
                return
        if name is None or name == "hookimpl" or len(node.args) != 1:
            return
        target = node.args[0]
        qualname = target.id if isinstance(target, ast.Name) else ""
        self._understand(called)
        self._declare(name, arguments, node, qualname, self._functions.get(qualname), certain)

    def _assign(self, node: Any, certain: bool, prefix: str) -> None:
        ast = self._ast
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            self._bind(target, prefix)
        if node.value is None:
            return
        self._call(node.value, certain, prefix)
        for target in targets:
            if not isinstance(target, ast.Name) or prefix:
                continue
            value = self._text(node.value)
            known = value if value is not None else self._texts(node.value)
            if isinstance(node, ast.AugAssign) or not certain or known is None:
                self._constants.pop(target.id, None)
            else:
                self._constants[target.id] = known

    def _import(self, node: Any, certain: bool) -> None:
        ast = self._ast
        self._learn(node)
        self._read_lines.update(range(node.lineno, node.end_lineno + 1))
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._bound.add(alias.asname or alias.name.partition(".")[0])
                self.imports.append((alias.name, certain))
            return
        base = node.module or ""
        if node.level:
            parts = self.module.split(".")
            if not os.path.basename(self.file).startswith("__init__."):
                parts = parts[:-1]
            parts = parts[: len(parts) - node.level + 1]
            base = ".".join([*parts, *([base] if base else [])])
        if not base:
            return
        self.imports.append((base, certain))
        for alias in node.names:
            if alias.name == "*":
                self._open = True
            else:
                self._bound.add(alias.asname or alias.name)
                # It may be a submodule.
                self.imports.append((f"{base}.{alias.name}", certain))

    def _declare(
        self, name: str, call: Any, at: Any, qualname: str, target: Any, certain: bool
    ) -> None:
        if name == "model":
            self._declare_model(call, at, qualname, target, certain)
            return
        action = ACTIONS[name].name  # type: ignore[index]  # a decorator of ours
        option = "name" if action == "data_access" else "model_type"
        many = action not in ("data_access", "instantiate")
        node = _argument(call, f"{option}s" if many else option)
        one = None if many else self._text(node)
        keys = self._texts(node) if many else None if one is None else (one,)
        if keys is None:
            self.gaps.append(f"{self._place(at)} declares {action} for keys that are worked out")
            return
        for key in keys:
            self._add(action, key, at, qualname, certain, lambda: self._description(target, 0))

    def _declare_model(self, call: Any, at: Any, qualname: str, target: Any, certain: bool) -> None:
        node = None if call is None else _argument(call, "model_type", by_position=False)
        if node is None:
            key = f"{self.module}.{qualname.rpartition('.')[2]}" if qualname else None
        else:
            key = self._text(node)
        if key is None:
            self.gaps.append(f"{self._place(at)} declares a model whose key is worked out")
            return
        for action in ("instantiate", *_METHODS):
            self._add(
                action,
                key,
                at,
                qualname,
                certain,
                partial(self._description_of_method, target, action),
            )

    def _add(
        self,
        action: Action,
        key: str,
        at: Any,
        qualname: str,
        certain: bool,
        describe: Callable[[], Description],
    ) -> None:
        decorators = getattr(at, "decorator_list", ())
        self.sightings.append(
            Sighting(
                action=action,
                key=key,
                module=self.module,
                qualname=qualname,
                file=self.file,
                line=min([at.lineno, *(each.lineno for each in decorators)]),
                certain=certain,
                describe=describe,
            )
        )

    def _text(self, node: Any) -> str | None:
        """The value of an expression, where it is a text that can be read off."""
        ast = self._ast
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            value = self._constants.get(node.id)
            return value if isinstance(value, str) else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._text(node.left), self._text(node.right)
            return None if left is None or right is None else left + right
        if isinstance(node, ast.JoinedStr):
            parts = [
                self._text(
                    part.value
                    if isinstance(part, ast.FormattedValue)
                    and part.conversion == -1
                    and part.format_spec is None
                    else part
                )
                for part in node.values
            ]
            return None if None in parts else "".join(part for part in parts if part is not None)
        return None

    def _texts(self, node: Any) -> tuple[str, ...] | None:
        ast = self._ast
        if isinstance(node, ast.List | ast.Tuple):
            found = [self._text(each) for each in node.elts]
            return None if None in found else tuple(each for each in found if each is not None)
        if isinstance(node, ast.Name):
            value = self._constants.get(node.id)
            return value if isinstance(value, tuple) else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._texts(node.left), self._texts(node.right)
            return None if left is None or right is None else left + right
        return None

    def _description(self, node: Any, drop: int) -> Description:
        """Signature and docstring of a function, or of a class as what makes instances."""
        ast = self._ast
        if isinstance(node, ast.ClassDef):
            made = self._method(node, "__init__")
            signature = None
            if made is not None:
                signature = self._description(made, 1)[0]
            elif not node.bases:
                signature = "()"
            return signature, ast.get_docstring(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return None, None
        positional = [*node.args.posonlyargs, *node.args.args][:drop]
        arguments = ast.arguments(
            posonlyargs=[each for each in node.args.posonlyargs if each not in positional],
            args=[each for each in node.args.args if each not in positional],
            vararg=node.args.vararg,
            kwonlyargs=node.args.kwonlyargs,
            kw_defaults=node.args.kw_defaults,
            kwarg=node.args.kwarg,
            defaults=node.args.defaults,
        )
        returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
        return f"({ast.unparse(arguments)}){returns}", ast.get_docstring(node)

    def _description_of_method(self, node: Any, action: Action) -> Description:
        if not isinstance(node, self._ast.ClassDef):
            return None, None
        if action == "instantiate":
            return self._description(node, 0)
        method = self._method(node, action)
        if method is None:
            return None, None
        static = any(
            isinstance(each, self._ast.Name) and each.id == "staticmethod"
            for each in method.decorator_list
        )
        return self._description(method, 0 if static else 1)

    def _method(self, node: Any, name: str) -> Any:
        ast = self._ast
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == name:
                return each
        return None

    def _find_gaps(self, tree: Any) -> None:
        """Uses of the decorators that are not understood, such as within functions."""
        if not self._is_worth_a_walk():
            return
        ast = self._ast
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom | ast.Import):
                self._learn(node)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Name | ast.Attribute) or id(node) in self._understood:
                continue
            name = self._decorator(node) if isinstance(node.ctx, ast.Load) else None
            if name is not None and name != "hookimpl":
                self.gaps.append(
                    f"{self._place(node)} uses {name} in a way that only runs can tell"
                )

    def _is_worth_a_walk(self) -> bool:
        """Whether our names stand on lines that were not understood; a walk takes longest here."""
        words = [re.escape(word) for word in (_PACKAGE, *self._aliases, *self._packages)]
        pattern = re.compile(rf"\b(?:{'|'.join(words)})\b".encode())
        return any(
            number not in self._read_lines and pattern.search(line)
            for number, line in enumerate(self._content.splitlines(), start=1)
        )


def _argument(call: Any, name: str, *, by_position: bool = True) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            value: ast.expr = keyword.value
            return value
    found: list[ast.expr] = call.args
    return found[0] if found and by_position else None
