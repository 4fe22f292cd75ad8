"""One module's source, read as an import runs it: statement by statement, from top to bottom."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Sequence

from aimm_plugins._declarations.ledger import declared_twice
from aimm_plugins._source.budget import Budget, OverBudgetError
from aimm_plugins._source.declarations import Gap, ModuleSource, Need, SourceDeclaration
from aimm_plugins._source.description import Function, description, unparsed
from aimm_plugins._source.refusals import why_class_refused, why_function_refused
from aimm_plugins._source.statements import (
    ImportedName,
    blocks,
    bound_names,
    imported_names,
    imports_unseen,
    is_taken,
    names_in,
    nodes_that_run,
    package_of,
)
from aimm_plugins._source.values import (
    Decorator,
    Evaluator,
    MistakeError,
    UnknownValueError,
    slots_of,
    uncertain,
)
from aimm_plugins._system.files import read_file
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import DeclarationError

_BINDS_UNSEEN = (b"globals", b"vars", b"setattr", b"exec", b"locals")
"""Words of a source that may bind names that it does not show."""

_FINDS_BY_ITSELF = rb"sys\.path|__path__|__package__|meta_path|path_hooks|sitedir|sys\.modules"
"""Words of a source that may change where modules are found."""

_MODEL = ImportedName("aimm_plugins.Model")


def read_module(module: ModuleSource, evaluator: Evaluator) -> None:
    """Read a module's source; why it cannot be read, or not to its end, is a gap."""
    reason, line, is_mistake = None, None, True
    try:
        content, tree = _parsed(module.file, evaluator.budget)
        is_mistake = False
        _Body(module, evaluator).read(tree, content)
    except OSError as error:
        reason = f"cannot be read: {error}"
    except SyntaxError as error:
        reason, line, module.fault = f"no Python: {error}", error.lineno, error
    except (RecursionError, MemoryError):
        reason = "it is nested too deep to be read"
    except OverBudgetError as error:
        reason, is_mistake = f"it is not read to its end: {error}", False
    if reason is not None:
        module.gaps.append(Gap(reason=reason, file=module.file, line=line, is_mistake=is_mistake))


def _parsed(file: str, budget: Budget) -> tuple[bytes, ast.Module]:
    if not file.endswith(".py"):
        raise OSError("it is no Python source")
    budget.take(1)
    content = read_file(file, budget.module_size)
    if content is None:
        raise FileNotFoundError("no such file")
    budget.take(len(content) // 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in texts
        try:
            return content, ast.parse(content, file)
        except ValueError as error:  # a NUL, before Python 3.12
            raise SyntaxError(str(error)) from error


class _Body:
    """Goes through a module's own statements, and notes what they bind, import and declare."""

    def __init__(self, module: ModuleSource, evaluator: Evaluator) -> None:
        self.module, self.evaluator = module, evaluator
        self.package = package_of(module.name, module.file)
        self.definitions: dict[str, Function | ast.ClassDef] = {}
        self.declared: dict[tuple[Action, str], int] = {}  # what surely is, with its first line
        self.understood: set[ast.AST] = set()
        self.around = 0  # with statements, which may swallow what an import raises

    def read(self, tree: ast.Module, content: bytes) -> None:
        statements = list(nodes_that_run(tree.body, blocks))
        for node in statements:
            if isinstance(node, ast.Global):  # a function may bind them at any time
                self.bind(node.names, None)
        top = self.module.name.partition(".")[0]
        self.module.imports_unseen = imports_unseen(tree.body, top, content)
        self.module.finds_by_itself = re.search(_FINDS_BY_ITSELF, content) is not None
        self.visit(tree.body, certain=True)
        binds_unseen = self.module.stars or any(word in content for word in _BINDS_UNSEEN)
        if not binds_unseen and "__getattr__" not in self.module.values:
            self.module.names = frozenset((*self.module.values, *bound_names(tree.body)))
        for node in statements:
            if isinstance(node, ast.Import | ast.ImportFrom) and node not in self.understood:
                for name, imported in imported_names(node, self.package, certain=False):
                    if name not in self.module.values:
                        self.bind([name], imported)
        is_using = self.evaluator.may_use_decorators(self.module)
        # Of a package, what its submodules hold can be had too.
        self.module.is_using = is_using or self.package == self.module.name
        if is_using:
            self.find_gaps(tree)

    def visit(self, statements: Sequence[ast.stmt], *, certain: bool) -> None:
        """Read statements of the module or of a block; `certain` ones always run."""
        for node in statements:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    self.define(node, certain)
                case ast.Import() | ast.ImportFrom():
                    self.import_names(node, certain)
                case ast.Assign(targets=targets, value=value):
                    self.assign(targets, value, certain)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self.assign([target], value, certain)
                case ast.Expr(value=value):
                    self.call(value, certain)
                case ast.If(test=test, body=body, orelse=orelse):
                    taken = is_taken(test)
                    if taken is not False:
                        self.visit(body, certain=certain and taken is True)
                    if taken is not True:
                        self.visit(orelse, certain=certain and taken is False)
                case ast.With(items=items, body=body):
                    self.bind(names_in(*(item.optional_vars for item in items)), None)
                    self.around += 1
                    self.visit(body, certain=certain)
                    self.around -= 1
                case _:
                    self.visit_other(node, certain)

    def visit_other(self, node: ast.AST, certain: bool) -> None:
        """Read what binds names in other ways, and blocks that may run or not."""
        if isinstance(node, ast.AugAssign | ast.For):
            self.bind(names_in(node.target), None)
        elif isinstance(node, ast.Delete):
            self.bind(names_in(*node.targets), None)
        last = getattr(node, "finalbody", [])
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self.visit([child], certain=certain and child in last)
            elif isinstance(child, ast.excepthandler | ast.match_case):
                self.visit_other(child, certain=False)

    def bind(self, names: Iterable[str], value: object) -> None:
        """Bind names to a value. What one that is bound twice means depends on where it is used."""
        values = self.module.values
        for name in names:
            self.evaluator.budget.take(1)
            if name not in values:
                values[name] = value
                continue
            self.module.plain.discard(name)
            if not isinstance(value, ImportedName) or values[name] != value:
                values[name] = uncertain(values[name])

    def bind_plainly(self, name: str, is_plain: bool) -> None:
        """Note a name that is about to be bound to what is surely no decorated object."""
        if is_plain and name not in self.module.values:
            self.module.plain.add(name)

    def import_names(self, node: ast.Import | ast.ImportFrom, certain: bool) -> None:
        self.understood.add(node)
        bound = list(imported_names(node, self.package, certain=certain))
        needed = [(imported.module, imported.attribute) for _, imported in bound]
        if isinstance(node, ast.Import):
            needed = [(alias.name, None) for alias in node.names]
        # The file system is asked for them, and for each level of a name; few names have many.
        levels = max(1, *(module.count(".") - 10 for module, _ in needed))
        self.evaluator.budget.take(20 * len(bound) * levels)
        for module, attribute in needed:
            self.module.imports.append((module, certain))
            if attribute is not None:  # it may be a submodule
                self.module.imports.append((f"{module}.{attribute}", certain))
            if module == self.module.name and attribute is not None:
                if attribute == "*" or attribute in self.module.values:
                    continue
                module, attribute = f"{module}.{attribute}", None
            if certain and not self.around:  # nothing catches its failure
                self.module.needs.append(Need(module, attribute, self.module.file, node.lineno))
        for name, imported in bound:
            if name == "*":
                self.module.stars.append(imported)
            else:
                self.bind([name], imported)

    def assign(self, targets: Sequence[ast.expr], value: ast.expr, certain: bool) -> None:
        self.call(value, certain)
        meaning = self.constant(value)
        for target in targets:
            if isinstance(target, ast.Name):
                self.bind_plainly(target.id, isinstance(value, ast.Constant))
                self.bind([target.id], meaning if certain else uncertain(meaning))
            else:
                if isinstance(target, ast.Attribute):
                    self.module.set_attributes.add(target.attr)
                self.bind(names_in(target), None)

    def constant(self, node: ast.expr) -> object:
        """The value of an expression where it may be of use for keys."""
        if isinstance(node, ast.Name | ast.Attribute):
            found = self.evaluator.dotted_name(self.module, node)
            if isinstance(found, Decorator) and found.certain:
                self.understood.add(node)
            return found
        first = node.elts[0] if isinstance(node, ast.List | ast.Tuple) and node.elts else node
        if isinstance(first, ast.List | ast.Tuple):  # a table
            return None
        try:
            return self.evaluator.value(self.module, node)
        except UnknownValueError:
            return None

    def define(self, node: Function | ast.ClassDef, certain: bool) -> None:
        self.definitions[node.name] = node
        is_bare = True  # decorators of others may return something else
        # The innermost decorator runs first.
        for expression in reversed(node.decorator_list):
            call = expression if isinstance(expression, ast.Call) else None
            decorator = expression.func if isinstance(expression, ast.Call) else expression
            found = self.evaluator.dotted_name(self.module, decorator)
            if not isinstance(found, Decorator) or found.name == "hookimpl":
                is_bare = False
                continue
            self.understood.add(decorator)
            line = node.decorator_list[0].lineno
            self.declare(found, decorator, call, node.name, line, certain)
            if certain and found.certain and is_bare and (why := self.refusal(node, found, call)):
                self.add_fault(self.error(why, decorator))
        # What a base or a metaclass does to a class is not known.
        inherited = getattr(node, "bases", ()) or getattr(node, "keywords", ())
        self.bind_plainly(node.name, not inherited and not node.decorator_list)
        self.bind([node.name], None)

    def call(self, value: ast.expr, certain: bool) -> None:
        """Read `fit(["k"])(learn)` and `model(Svc)`, written out."""
        call: ast.Call | None = None
        match value:
            case ast.Call(func=ast.Call(func=decorator) as call, args=[target]):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend")):
                if name in self.module.values:  # a list that is changed
                    self.bind([name], None)
                return
            case ast.Call(func=decorator, args=[target]):
                pass
            case _:
                return
        found = self.evaluator.dotted_name(self.module, decorator)
        if not isinstance(found, Decorator) or found.name == "hookimpl":
            return
        if call is not None or found.name == "model":
            self.understood.add(decorator)
            name = target.id if isinstance(target, ast.Name) else ""
            name = name if name in self.module.values else ""
            self.module.calls_decorators = True
            self.declare(found, decorator, call, name, value.lineno, certain)

    def declare(
        self,
        found: Decorator,
        decorator: ast.expr,
        call: ast.Call | None,
        name: str,
        line: int,
        certain: bool,
    ) -> None:
        """Note what a decorator declares for an object, whose name is empty where it has none."""
        spelled = unparsed(decorator) or found.name
        default = f"{self.module.name}.{name}" if name else None
        try:
            slots = slots_of(
                found.name, call, default, lambda node: self.evaluator.value(self.module, node)
            )
        except UnknownValueError as error:
            is_mistake = isinstance(error, MistakeError)
            reason = str(error) if is_mistake else f"@{spelled} of {name or 'a call'}: {error}"
            self.add_gap(reason, decorator, is_mistake=is_mistake)
            if is_mistake and certain and found.certain:
                self.add_fault(self.error(reason, decorator))
            return
        definition = self.definitions.get(name)
        actions: set[Action] = {action for action, _ in slots}
        described = {action: description(definition, action) for action in actions}
        self.evaluator.budget.take(10 * len(slots))
        for action, key in slots:
            signature, docstring = described[action]
            if certain and found.certain:
                first = self.declared.setdefault((action, key), line)
                if first != line:
                    places = (self.module.file, first), (self.module.file, line)
                    self.add_fault(declared_twice(self.module.name, action, key, *places))
            self.module.declarations.append(
                SourceDeclaration(
                    action=action,
                    key=key,
                    module=self.module.name,
                    qualname=name,
                    file=self.module.file,
                    line=line,
                    certain=certain and found.certain,
                    decorator=spelled,
                    signature=signature,
                    docstring=docstring,
                )
            )

    def error(self, reason: str, node: ast.expr) -> DeclarationError:
        return DeclarationError(reason, file=self.module.file, line=node.lineno)

    def add_fault(self, error: DeclarationError) -> None:
        if self.module.fault is None and not self.around:
            self.module.fault = error

    def refusal(
        self, node: Function | ast.ClassDef, found: Decorator, call: ast.Call | None
    ) -> str | None:
        """Why a decorator will refuse what it is given."""
        if not isinstance(node, ast.ClassDef):
            return why_function_refused(node, call)
        return why_class_refused(self.classes(node), call) if found.name == "model" else None

    def classes(self, node: ast.ClassDef) -> list[ast.ClassDef]:
        """A class and its bases; none where one of them, or a metaclass, may be anything."""
        if node.keywords:
            return []
        found = [node]
        for base in node.bases:
            name = base.id if isinstance(base, ast.Name) else ""
            definition = self.definitions.get(name) if name in self.module.plain else None
            if isinstance(definition, ast.ClassDef):
                found.append(definition)
            elif self.evaluator.dotted_name(self.module, base) != _MODEL:
                return []
        return found

    def add_gap(self, reason: str, node: ast.expr, *, is_mistake: bool = False) -> None:
        self.module.gaps.append(
            Gap(reason=reason, file=self.module.file, line=node.lineno, is_mistake=is_mistake)
        )

    def find_gaps(self, tree: ast.Module) -> None:
        """Find uses of our decorators that were not understood, as in functions and classes."""
        for node in nodes_that_run(tree.body):
            if not isinstance(node, ast.Name | ast.Attribute) or node in self.understood:
                continue
            found = self.evaluator.dotted_name(self.module, node)
            if not isinstance(found, Decorator):
                continue
            if found.name == "hookimpl":
                self.module.has_hooks = True
            elif isinstance(node.ctx, ast.Load):
                self.add_gap(not_a_decorator(unparsed(node) or found.name), node)


def not_a_decorator(spelled: str) -> str:
    """Why a use of a decorator may declare nothing, or something else."""
    return (
        f"`{spelled}` is not the decorator of a function or class that the module defines in any "
        "case"
    )
