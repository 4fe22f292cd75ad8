"""What a shell is offered behind a verb; nothing of it imports a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from aimm_plugins._diagnostics.survey import Survey


def complete_keys(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Keys, alone and with their action."""
    return _items({text for key in _keys(ctx) for text in key}, incomplete)


def complete_subjects(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What `explain` can be asked for: keys, distributions, modules and plugins."""
    texts = {text for key in _keys(ctx) for text in key}
    for plugin in _survey(ctx).plugins:
        record = plugin.record
        texts.update({record.name, record.module, record.distribution or ""})
    return _items(texts, incomplete)


def complete_schemas(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of schemas."""
    from aimm_plugins._config.json_schema import schema_names

    return _items(set(schema_names()), incomplete)


def _keys(ctx: click.Context) -> list[tuple[str, str]]:
    return [(key, f"{action}:{key}") for action, key in _survey(ctx).slots]


def _survey(ctx: click.Context) -> Survey:
    from aimm_plugins._diagnostics.survey import survey

    return survey(ctx.params.get("conf"))


def _items(texts: set[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(text) for text in sorted(texts - {""}) if text.startswith(incomplete)]
