"""Read the schema of a plugin's options from where metadata says that it is.

A schema in a file is read without running any code. For any other its module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from aimm_plugins._config.json_schema import plain
from aimm_plugins._declarations.declaration import modules_being_imported
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.module_location import HERE
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._system.ceilings import SCHEMA_BYTES
from aimm_plugins._system.files import read_file
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described
from aimm_plugins.errors import ConfigError, DeclarationError, PluginImportError

Denial = Callable[[str, Distribution], str | None]
"""Why a module that a distribution publishes must not be imported now; `None` if it may be."""


def read_document(published: PublishedOptions, denial: Denial | None) -> dict[str, Any]:
    """The document that metadata names; see `read_schema`."""
    document = _of_file(published) if published.is_file else _of_object(published, denial)
    if not isinstance(document, Mapping):
        raise broken(published, f"it is a {type(document).__name__}, and no mapping")
    try:
        copied: dict[str, Any] = plain(document)
    except ConfigError as error:
        raise broken(published, str(error)) from error
    return copied


def broken(
    published: PublishedOptions, message: str, file: str | None = None, line: int | None = None
) -> DeclarationError:
    """The error that says what is wrong with a schema, and whose it is."""
    return DeclarationError(
        f"{published.distribution.who} publishes {published} as the schema of its options "
        f"({published.place}), and {message}. Its author has to mend that.",
        file=file if line is not None else None,
        line=line,
    )


def _of_file(published: PublishedOptions) -> object:
    file = (published.modules or HERE).locate(published.module)
    if file is None:
        raise broken(published, f"{published.module} has no folder that can be found")
    path = os.path.join(os.path.dirname(file), published.attribute)
    content = _content(path, published)
    try:
        if path.endswith(".json"):
            import json

            return json.loads(content)
        from aimm_plugins._config.yaml_reader import load

        return load(content, file=path).data
    except ConfigError as error:
        raise broken(published, f"it cannot be read: {error}", path, error.line) from error
    except RecursionError:
        raise broken(published, "it is nested too deep") from None
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise broken(published, f"it is no JSON: {error}", path, line) from error


def _content(path: str, published: PublishedOptions) -> bytes:
    try:
        content = read_file(path, SCHEMA_BYTES)
        content = _content_in_zip(path) if content is None else content
    except (OSError, ValueError) as error:
        raise broken(published, f"it cannot be read: {error}") from error
    if content is None:
        raise broken(published, "there is no such file")
    return content


def _content_in_zip(path: str) -> bytes | None:
    """A file in a zip; its importer would unpack any number of bytes."""
    from pkgutil import get_importer
    from zipfile import BadZipFile, ZipFile

    importer = get_importer(os.path.dirname(path))
    archive = getattr(importer, "archive", None)
    if not isinstance(archive, str):
        return None
    name = os.path.relpath(path, archive).replace(os.sep, "/")
    try:
        with ZipFile(archive) as opened, opened.open(name) as stream:
            content = stream.read(SCHEMA_BYTES + 1)
    except (OSError, KeyError, BadZipFile):
        return None
    if len(content) > SCHEMA_BYTES:
        raise OSError(f"longer than {SCHEMA_BYTES} bytes")
    return content


def _of_object(published: PublishedOptions, denial: Denial | None) -> object:
    import importlib

    reason: str | None = "no code is to run"
    if denial is not None:
        reason = denial(published.module, published.distribution)
    if reason is not None:
        raise PluginImportError(
            f"the schema {published} of {published.distribution.who} ({published.place}) is not "
            f"read, since {reason}",
            name=published.module,
        )
    with guarded() as attempt:
        found: Any = importlib.import_module(published.module)
        for name in published.attribute.split("."):
            found = getattr(found, name)
        return found.model_json_schema() if hasattr(found, "model_json_schema") else found
    error = attempt.error
    assert error is not None
    if isinstance(error, AttributeError) and published.module in modules_being_imported():
        raise broken(
            published,
            f"{published.module} asks for options before it has made {published.attribute}; "
            "ask within functions, or keep the class in a module of its own",
        ) from error
    raise broken(published, f"it cannot be had: {described(error)}") from error
