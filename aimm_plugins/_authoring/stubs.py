"""Type stubs of `exec_*` for the keys that are registered: overloads by `Literal` key.

They stand in for `aimm_plugins/__init__.py`; type checkers take all other modules of the package
from where they are installed. Tried with mypy 2.4 (`mypy_path`) and pyright 1.1.414 (`stubPath`, by
default `typings`), which resolve a package module by module.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import aimm_plugins
from aimm_plugins import ConfigError, Provider
from aimm_plugins._authoring.annotations import ANY, OMITTED, Annotations, Verbatim
from aimm_plugins._system.files import readable
from aimm_plugins._system.text import printable
from aimm_plugins._values.actions import ACTIONS, ActionSpec

HEADER = """\
# Made by `aimm-plugins stubs`, which rewrites it when plugins change.
# mypy: ignore-errors
# pyright: basic, reportMissingModuleSource=false
# ruff: noqa
"""
_BYTES = Verbatim("bytes | bytearray | memoryview")
_CALLBACK = Verbatim("StateCallback | None")
_BY_POSITION = Parameter.POSITIONAL_ONLY
_EITHER = Parameter.POSITIONAL_OR_KEYWORD
_BY_KEYWORD = Parameter.KEYWORD_ONLY
_ARGS = Parameter.VAR_POSITIONAL
_KWARGS = Parameter.VAR_KEYWORD


def stub_files(providers: Iterable[Provider], *, open_keys: bool = False) -> dict[str, str]:
    """The stub package for what is registered; providers that are deferred are loaded.

    With `open_keys` any other key is allowed too, with the signatures that `exec_*` really have.
    """
    known = sorted(providers, key=lambda provider: provider.key)
    annotations = Annotations()
    overloads: dict[str, list[str]] = {}
    for spec in ACTIONS.values():
        ours = [provider for provider in known if provider.action == spec.name]
        forms = [form for provider in ours for form in _forms(provider, spec, annotations)]
        for name in (f"exec_{spec.name}", f"exec_{spec.name}_async"):
            function: Callable[..., Any] = getattr(aimm_plugins, name)
            all_forms = forms
            if open_keys:
                all_forms = [*forms, (annotations.signature(function), inspect.getdoc(function))]
            elif not forms:
                all_forms = [(_refusal(spec), inspect.getdoc(function))]
            overloads[name] = [_definition(name, *form) for form in all_forms]
    calls = [
        "\n".join(f"@overload\n{form}" for form in forms) if len(forms) > 1 else forms[0]
        for forms in overloads.values()
    ]
    imports = "".join(f"import {name}\n" for name in sorted(annotations.modules))
    surface = files("aimm_plugins").joinpath("__init__.py").read_text(encoding="utf-8")
    return {
        "__init__.pyi": HEADER + _surface(surface, overloads),
        "_calls.pyi": f"{HEADER}from typing import Any, Literal, Never, overload\n{imports}"
        "from aimm_plugins import StateCallback\n\n" + "\n\n".join(calls) + "\n",
    }


def write_stubs(folder: Path, contents: Mapping[str, str]) -> None:
    package = folder / "aimm_plugins"
    for name in contents:
        file = package / name
        if file.exists() and not file.read_text(encoding="utf-8").startswith(HEADER):
            raise ConfigError(
                "is not made by `aimm-plugins stubs`; name another folder", file=str(file)
            )
    package.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (package / name).write_text(text, encoding="utf-8")


def stale(folder: Path, contents: Mapping[str, str]) -> list[str]:
    """The files that are missing or differ."""
    files = {str(folder / "aimm_plugins" / name): text for name, text in contents.items()}
    return [name for name, text in files.items() if readable(name) != text.encode()]


def _forms(
    provider: Provider, spec: ActionSpec, annotations: Annotations
) -> Iterator[tuple[Signature, str | None]]:
    if provider.declaration is None and provider.load is not None:
        provider.load()
        slot = (provider.action, provider.key)
        provider = aimm_plugins.providers(*slot).get(slot, provider)
    declaration = provider.declaration
    if declaration is None:
        return
    owner = declaration.target if isinstance(declaration.target, type) else None
    signature = annotations.signature(declaration.function, owner)
    parameters, result = list(signature.parameters.values()), signature.return_annotation
    key = Verbatim(f"Literal[{provider.key!r}]")
    leading = [Parameter(spec.key_argument, _EITHER, annotation=key)]
    if spec.takes == "instance":
        instance, parameters = _taken(parameters, declaration.instance_arg_name)
        if declaration.method is not None and owner is not None:
            instance = annotations.written(owner)
        leading.append(Parameter("instance", _EITHER, annotation=instance))
        if spec.name == "predict" and not declaration.returns_instance:
            result = Verbatim(f"tuple[{instance}, {result}]")
        elif spec.name == "predict" and result == ANY:
            result = Verbatim("tuple[Any, Any]")
    elif spec.takes == "instance_bytes":
        content, parameters = _taken(parameters, None)
        content = _BYTES if content == ANY else content
        leading.append(Parameter("instance_bytes", _EITHER, annotation=content))
    docstring = inspect.getdoc(declaration.function)
    if not spec.free_arguments:
        if spec.name == "serialize" and result == ANY:
            result = _BYTES
        yield Signature(leading, return_annotation=result), docstring
        return
    if declaration.state_cb_arg_name is not None:
        _, parameters = _taken(parameters, declaration.state_cb_arg_name)
    for form in _calls(leading, parameters):
        yield _fitting_signature(form, result), docstring


def _taken(parameters: list[Parameter], name: str | None) -> tuple[Verbatim, list[Parameter]]:
    """The annotation of the parameter that the framework passes, and the other parameters.

    Without a name it is the first positional one. One with a name is passed as a keyword, and so
    must be what follows it.
    """
    for number, parameter in enumerate(parameters):
        if name is None and parameter.kind is _ARGS:
            return parameter.annotation, parameters
        before, after = parameters[:number], parameters[number + 1 :]
        if name is None and parameter.kind in (_BY_POSITION, _EITHER):
            return parameter.annotation, before + after
        if name is not None and parameter.name == name:
            if parameter.kind is _EITHER:
                after = _as(_BY_KEYWORD, (other for other in after if other.kind is not _ARGS))
            return parameter.annotation, before + after
    return ANY, parameters


def _as(kind: Any, parameters: Iterable[Parameter]) -> list[Parameter]:
    """Parameters, with another kind for those that are passed by position or by keyword."""
    return [p.replace(kind=kind) if p.kind is _EITHER else p for p in parameters]


def _calls(leading: list[Parameter], parameters: list[Parameter]) -> Iterator[list[Parameter]]:
    """Parameter lists: one with the callback by position, one without where that differs."""
    taken = {parameter.name for parameter in leading} | {"state_cb"}
    fitting: list[Parameter] = []
    for parameter in parameters:
        if parameter.name in taken and parameter.kind is _EITHER:
            # As a keyword it would be an argument of exec_* itself.
            fitting = _as(_BY_POSITION, [*fitting, parameter])
        elif parameter.name not in taken or parameter.kind is not _BY_KEYWORD:
            fitting.append(parameter)
    positional = [p for p in fitting if p.kind in (_BY_POSITION, _EITHER)]
    needed = any(parameter.default is Parameter.empty for parameter in positional)
    callback = Parameter("state_cb", _EITHER, annotation=_CALLBACK)
    optional = callback.replace(default=OMITTED)
    yield [*leading, callback if needed else optional, *fitting]
    required = [p for p in positional if p.default is Parameter.empty]
    if needed and all(parameter.kind is _EITHER for parameter in required):
        by_keyword = _as(_BY_KEYWORD, (p for p in fitting if p.kind not in (_BY_POSITION, _ARGS)))
        yield [*leading, optional.replace(kind=_BY_KEYWORD), *by_keyword]


def _fitting_signature(parameters: list[Parameter], result: Verbatim) -> Signature:
    """A signature of parameters that come from two functions, and may have the same names."""
    if any(parameter.kind is _BY_POSITION for parameter in parameters):
        last = max(n for n, p in enumerate(parameters) if p.kind is _BY_POSITION)
        parameters = [*_as(_BY_POSITION, parameters[:last]), *parameters[last:]]
    names: dict[str, Parameter] = {}
    for parameter in parameters:
        # A second one of a name is passed by position, so that any name will do.
        name = f"{parameter.name}_" if parameter.name in names else parameter.name
        names[name] = parameter.replace(name=name)
    return Signature(list(names.values()), return_annotation=result)


def _refusal(spec: ActionSpec) -> Signature:
    """The signature of an action that no plugin provides: any key is wrong."""
    return Signature(
        [
            Parameter(spec.key_argument, _EITHER, annotation=Verbatim("Never")),
            Parameter("args", _ARGS, annotation=ANY),
            Parameter("kwargs", _KWARGS, annotation=ANY),
        ],
        return_annotation=Verbatim("Never"),
    )


def _definition(name: str, signature: Signature, docstring: str | None) -> str:
    keyword = "async def" if name.endswith("_async") else "def"
    head = f"{keyword} {name}{signature}:"
    if not docstring:
        return f"{head} ..."
    return f"{head}\n{textwrap.indent(_docstring(docstring), '    ')}\n    ..."


def _docstring(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}"""'


def _surface(source: str, calls: Mapping[str, Sequence[str]]) -> str:
    """The public names of the package, from where they come, but `exec_*`."""
    tree = ast.parse(source)
    lines = [_docstring(ast.get_docstring(tree) or "")]
    lines += (f"from aimm_plugins._calls import {name} as {name}" for name in calls)
    # What is imported late is imported for type checkers only.
    blocks = [node.body if isinstance(node, ast.If) else [node] for node in tree.body]
    for node in (node for block in blocks for node in block):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aimm_plugins"):
            node.names = [alias for alias in node.names if alias.name not in calls]
            if node.names:
                lines.append(ast.unparse(node))
        elif isinstance(node, ast.AnnAssign) or ast.unparse(node).startswith("__all__ = "):
            lines.append(ast.unparse(node))
    return "\n".join(lines) + "\n"
