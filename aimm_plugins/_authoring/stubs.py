"""Type stubs of `exec_*` for the keys that are registered: overloads by `Literal` key.

Both files stand in for this package's modules of the same name, and type checkers take all other
modules from where they are installed. Tried with mypy 2.4 (`mypy_path`) and pyright 1.1.414
(`stubPath`, by default `typings`), which resolve a package module by module.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from aimm_plugins import Action, ConfigError, Provider
from aimm_plugins._authoring.annotations import ANY, Annotations
from aimm_plugins._values.actions import ACTIONS

HEADER = """\
# Made by `aimm-plugins stubs`, which makes it anew when plugins change.
# mypy: ignore-errors
# pyright: basic
# ruff: noqa
"""
_BYTES = "bytes | bytearray | memoryview"
_CALLBACK = "StateCallback | None"
_Kind = inspect._ParameterKind
_BY_POSITION = inspect.Parameter.POSITIONAL_ONLY
_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
_BY_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_ARGS = inspect.Parameter.VAR_POSITIONAL
_KWARGS = inspect.Parameter.VAR_KEYWORD


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    kind: _Kind
    annotation: str
    optional: bool = False

    def __str__(self) -> str:
        stars = "*" if self.kind is _ARGS else "**" if self.kind is _KWARGS else ""
        return f"{stars}{self.name}: {self.annotation}{' = ...' if self.optional else ''}"


def stub_files(providers: Iterable[Provider], *, open_keys: bool = False) -> dict[str, str]:
    """The stub package for what is registered.

    Args:
        providers: Who answers what; those that are deferred are loaded.
        open_keys: Also allow any other key, with the signatures that `exec_*` really have.

    Returns:
        File name within the package's folder to content.
    """
    by_action: dict[Action, list[Provider]] = {action: [] for action in ACTIONS}
    for each in sorted(providers, key=lambda each: each.key):
        by_action[each.action].append(each)
    package = files("aimm_plugins")
    made = {
        "__init__.pyi": HEADER + _surface(package.joinpath("__init__.py").read_text("utf-8")),
        "_api/__init__.pyi": HEADER,
    }
    for module in ("starting", "calling", "calling_async"):
        source = package.joinpath("_api", f"{module}.py").read_text("utf-8")
        made[f"_api/{module}.pyi"] = _stub_of(source, by_action, open_keys)
    return made


def _stub_of(source: str, by_action: dict[Action, list[Provider]], open_keys: bool) -> str:
    """The stub of one module of the public functions."""
    tree = ast.parse(source)
    annotations = Annotations()
    parts: list[str] = []
    kept: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        action = _action(node.name)
        if action is None or open_keys:
            kept.append(node)
        if action is None:
            parts.append(_without_body(node))
            continue
        overloads = [
            form for provider in by_action[action] for form in _forms(provider, annotations)
        ]
        parts.append(_definition(node, action, overloads, open_keys))
    imports = [f"import {name}" for name in sorted(annotations.modules)]
    imports += _imports_for(tree, kept, {"StateCallback"})
    body = "\n\n".join(part.rstrip() for part in parts)
    return (
        HEADER
        + "from typing import Any, Literal, Never, overload\n"
        + "\n".join(imports)
        + f"\n\n{body}\n"
    )


def write_stubs(folder: Path, contents: Mapping[str, str]) -> None:
    """Write the stub package into a folder, as `aimm_plugins` in there.

    Raises:
        ConfigError: A file of that name is there that was not made by this; nothing is written.
    """
    package = folder / "aimm_plugins"
    for name in contents:
        file = package / name
        if file.exists() and not file.read_text(encoding="utf-8").startswith(HEADER):
            raise ConfigError(
                "is not made by `aimm-plugins stubs`; name another folder", file=str(file)
            )
    for name, text in contents.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")


def stale(folder: Path, contents: Mapping[str, str]) -> list[str]:
    """The files that are missing or differ, with the lines that do."""
    import difflib

    found: list[str] = []
    for name, text in contents.items():
        file = folder / "aimm_plugins" / name
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        found += difflib.unified_diff(
            before.splitlines(), text.splitlines(), str(file), f"{file} made now", lineterm="", n=0
        )
    return found


def _action(function: str) -> Action | None:
    if not function.startswith("exec_"):
        return None
    name = function.removeprefix("exec_").removesuffix("_async")
    return next((action for action in ACTIONS if action == name), None)


def _forms(provider: Provider, annotations: Annotations) -> list[str]:
    """The ways to call one action of one key: parameters and result."""
    if provider.declaration is None and provider.load is not None:
        from aimm_plugins import providers

        provider.load()
        slot = (provider.action, provider.key)
        provider = providers(*slot).get(slot, provider)
    declaration = provider.declaration
    if declaration is None:
        return []
    function = declaration.function
    owner = declaration.target if isinstance(declaration.target, type) else None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = inspect.Signature(
            [
                inspect.Parameter("args", _ARGS),
                inspect.Parameter("kwargs", _KWARGS),
            ]
        )
    parameters = [
        _Parameter(
            each.name,
            each.kind,
            annotations.render(each.annotation, function, owner),
            each.default is not inspect.Parameter.empty,
        )
        for each in signature.parameters.values()
    ]
    if isinstance(function, type):
        result = annotations.name_of(function)
    else:
        result = annotations.render(signature.return_annotation, function, owner)
    spec = ACTIONS[provider.action]
    leading = [_Parameter(spec.key_argument, _EITHER, f"Literal[{provider.key!r}]")]
    if spec.takes == "instance":
        instance, parameters = _taken(parameters, declaration.instance_arg_name)
        if declaration.method is not None and owner is not None:
            instance = annotations.name_of(owner)
        leading.append(_Parameter("instance", _EITHER, instance))
        if provider.action == "predict" and not declaration.returns_instance:
            result = f"tuple[{instance}, {result}]"
        elif provider.action == "predict" and result == ANY:
            result = f"tuple[{ANY}, {ANY}]"
    elif spec.takes == "instance_bytes":
        content, parameters = _taken(parameters, None)
        leading.append(_Parameter("instance_bytes", _EITHER, _BYTES if content == ANY else content))
    if not spec.free_arguments:
        if provider.action == "serialize" and result == ANY:
            result = _BYTES
        return [f"({', '.join(map(str, leading))}) -> {result}"]
    if declaration.state_cb_arg_name is not None:
        _, parameters = _taken(parameters, declaration.state_cb_arg_name)
    return [f"({form}) -> {result}" for form in _calls(leading, parameters)]


def _taken(parameters: list[_Parameter], name: str | None) -> tuple[str, list[_Parameter]]:
    """The annotation of the parameter that the framework passes, and the others.

    Args:
        parameters: All.
        name: Its name where it is passed as a keyword; else it is the first positional one. What
            follows one that is passed as a keyword can itself only be passed as one.
    """
    for number, each in enumerate(parameters):
        if name is None and each.kind is _ARGS:
            return each.annotation, parameters
        if name is None and each.kind in (_BY_POSITION, _EITHER):
            return each.annotation, parameters[:number] + parameters[number + 1 :]
        if name is not None and each.name == name:
            after = parameters[number + 1 :]
            if each.kind is _EITHER:
                after = [
                    replace(other, kind=_BY_KEYWORD) if other.kind is _EITHER else other
                    for other in after
                    if other.kind is not _ARGS
                ]
            return each.annotation, parameters[:number] + after
    return ANY, parameters


def _calls(leading: list[_Parameter], parameters: list[_Parameter]) -> list[str]:
    """Parameter lists: one with the callback by position, one without where that differs."""
    taken = {each.name for each in leading} | {"state_cb"}
    fitting: list[_Parameter] = []
    for each in parameters:
        if each.name in taken and each.kind is _EITHER:
            # As a keyword it would be an argument of exec_* itself.
            fitting = [
                replace(other, kind=_BY_POSITION) if other.kind is _EITHER else other
                for other in fitting
            ]
            fitting.append(replace(each, kind=_BY_POSITION))
        elif each.name not in taken or each.kind in (_BY_POSITION, _ARGS, _KWARGS):
            fitting.append(each)
    positional = [each for each in fitting if each.kind in (_BY_POSITION, _EITHER)]
    needed = any(not each.optional for each in positional)
    callback = _Parameter("state_cb", _EITHER, _CALLBACK, optional=not needed)
    forms = [_listed([*leading, callback, *fitting])]
    if needed and all(each.optional for each in positional if each.kind is _BY_POSITION):
        by_keyword = [
            replace(each, kind=_BY_KEYWORD) if each.kind is _EITHER else each
            for each in fitting
            if each.kind not in (_BY_POSITION, _ARGS)
        ]
        callback = replace(callback, kind=_BY_KEYWORD, optional=True)
        forms.append(_listed([*leading, callback, *by_keyword]))
    return forms


def _listed(parameters: list[_Parameter]) -> str:
    """Parameters as they stand in a definition, with `/` and `*`."""
    words: list[str] = []
    last = max((n for n, each in enumerate(parameters) if each.kind is _BY_POSITION), default=-1)
    starred = False
    for number, each in enumerate(parameters):
        if each.kind is _ARGS:
            starred = True
        elif each.kind is _BY_KEYWORD and not starred:
            words.append("*")
            starred = True
        words.append(_unique(each, parameters))
        if number == last:
            words.append("/")
    return ", ".join(words)


def _unique(parameter: _Parameter, parameters: list[_Parameter]) -> str:
    """A parameter; one that nobody can name and whose name is taken gets another."""
    same = [each for each in parameters if each.name == parameter.name]
    if len(same) > 1 and same[0] is not parameter:
        return str(replace(parameter, name=f"{parameter.name}_"))
    return str(parameter)


def _definition(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    action: Action,
    overloads: list[str],
    open_keys: bool,
) -> str:
    """One `exec_*` with all that can be called by it."""
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    if not overloads and not open_keys:
        # Nobody provides it, so that any key is wrong.
        overloads = [f"({ACTIONS[action].key_argument}: Never, *args: Any, **kwargs: Any) -> Never"]
    lines = [f"{keyword} {node.name}{form}: ..." for form in overloads]
    if open_keys:
        lines.append(_without_body(node))
    head = "@overload\n" if len(lines) > 1 else ""
    return "\n".join(f"{head}{line}" for line in lines)


def _without_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    stub = copy.copy(node)
    stub.body = [ast.Expr(ast.Constant(...))]
    docstring = ast.get_docstring(node)
    if docstring:
        stub.body.insert(0, ast.Expr(ast.Constant(docstring.partition("\n")[0])))
    return ast.unparse(ast.fix_missing_locations(stub))


def _imports_for(tree: ast.Module, functions: Iterable[ast.AST], more: set[str]) -> list[str]:
    """The import statements of a module that some of its functions need for their annotations."""
    used = set(more)
    for function in functions:
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for part in (function.args, function.returns):
            if part is not None:
                used |= {each.id for each in ast.walk(part) if isinstance(each, ast.Name)}
    lines: list[str] = []
    statements = [
        stmt for node in tree.body for stmt in (node.body if isinstance(node, ast.If) else [node])
    ]
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [each for each in node.names if (each.asname or each.name) in used]
            if isinstance(node, ast.ImportFrom) and node.module in ("__future__", "typing"):
                continue
            if names:
                lines.append(
                    f"import {', '.join(map(ast.unparse, names))}"
                    if isinstance(node, ast.Import)
                    else f"from {node.module} import {', '.join(map(ast.unparse, names))}"
                )
    return lines


def _surface(source: str) -> str:
    """The public names of the package, from where they come."""
    lines: list[str] = []
    for node in ast.parse(source).body:
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aimm_plugins")
        if ours or isinstance(node, ast.Assign):
            lines.append(ast.unparse(node))
    return "\n".join(lines) + "\n\n__version__: str\n"
