"""Completion of a verb's arguments in the shell. No plugin is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from aimm_plugins.cli._output import given_conf

if TYPE_CHECKING:
    from aimm_plugins._startup.inventory import Inventory


def complete_keys(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return _items({text for key in _keys(ctx) for text in key}, incomplete)


def complete_subjects(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What `explain` can be asked for: keys, distributions, modules and plugins."""
    texts = {text for key in _keys(ctx) for text in key}
    for item in _inventory(ctx).plugins:
        texts |= {item.record.name, item.record.module, item.record.distribution or ""}
    return _items(texts, incomplete)


def complete_schemas(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from aimm_plugins._config.json_schema import schema_names

    return _items(set(schema_names()), incomplete)


def _keys(ctx: click.Context) -> list[tuple[str, str]]:
    return [(key.declaration.key, key.slot) for key in _inventory(ctx).keys]


def _inventory(ctx: click.Context) -> Inventory:
    from aimm_plugins._diagnostics.take_inventory import take_inventory

    return take_inventory(given_conf(ctx.params))


def _items(texts: set[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(text) for text in sorted(texts - {""}) if text.startswith(incomplete)]
