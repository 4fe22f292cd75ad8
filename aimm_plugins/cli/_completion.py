"""Completion of a verb's arguments in the shell. No plugin is imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from aimm_plugins.cli._output import given_conf

if TYPE_CHECKING:
    from aimm_plugins._startup.inventory import Inventory


def complete_keys(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    keys = _inventory(ctx).keys
    return _items({text for key in keys for text in (key.declaration.key, key.slot)}, incomplete)


def complete_subjects(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What `explain` can be asked for: keys, distributions, modules and plugins."""
    from aimm_plugins._diagnostics.explanation import known_names

    return _items(known_names(_inventory(ctx)), incomplete)


def complete_schemas(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from aimm_plugins._config.json_schema import schema_names

    return _items(schema_names(), incomplete)


def _inventory(ctx: click.Context) -> Inventory:
    from aimm_plugins._diagnostics.take_inventory import take_inventory

    return take_inventory(given_conf(ctx.params))


def _items(texts: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(text) for text in sorted(texts) if text.startswith(incomplete)]
