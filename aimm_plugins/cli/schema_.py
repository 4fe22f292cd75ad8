"""`aimm-plugins schema`."""

from __future__ import annotations

from difflib import get_close_matches

import click

from aimm_plugins._config import schema, schema_names, schema_text
from aimm_plugins.cli._completion import complete_schemas
from aimm_plugins.cli._output import format_option, print_json


@click.command("schema")
@click.argument("name", required=False, shell_complete=complete_schemas)
@format_option
def command(name: str | None, form: str) -> None:
    """Show a schema (JSON Schema 2020-12), or list their names."""
    if name is None:
        names = list(schema_names())
        if form == "json":
            print_json(names)
        else:
            click.echo("\n".join(names))
        return
    if name not in schema_names():
        near = get_close_matches(name, schema_names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"no schema {name!r}.{hint} There are {', '.join(schema_names())}.")
    if form == "json":
        print_json(schema(name))
    else:
        click.echo(schema_text(name), nl=False)
