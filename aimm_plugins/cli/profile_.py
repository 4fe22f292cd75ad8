"""`aimm-plugins profile`."""

from __future__ import annotations

from shlex import quote

import click

from aimm_plugins._diagnostics.profile import Cost, profile
from aimm_plugins._diagnostics.take_inventory import given_options, take_inventory
from aimm_plugins.cli import _output as output


@click.command("profile")
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Imports of each plugin; the median counts.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="What one import may take.",
)
@output.conf_options
def profile_(runs: int, timeout: float, form: str, conf: str | None) -> int:
    """Import each plugin in fresh child processes and show what that costs.

    Seconds are the median; modules and peak memory are what the import adds to a process that has
    imported aimm_plugins. `costliest` is the dependency whose own modules take most. Denied plugins
    are left out, and the others given the options that the conf has for them. The exit status is 1
    if a plugin cannot be imported.
    """
    with output.stdout_kept():
        seen = take_inventory(conf)
        records = [plugin.record for plugin in seen.plugins]
        for name in dict.fromkeys(r.environment for r in records if r.environment and r.module):
            there = f"aimm-plugins env run {name} --conf {quote(str(conf))} -- aimm-plugins profile"
            output.echo(f"Plugins of environment {name} are measured there: {there}", err=True)
        costs = profile(
            records,
            seen.admission,
            options=given_options(conf),
            runs=runs,
            timeout=timeout,
            on_import=lambda record: output.echo(f"importing {record.module}", err=True),
        )
    if form == "json":
        output.print_json({"plugins": [cost.to_dict() for cost in costs]})
    else:
        output.print_table(
            ["name", "distribution", "seconds", "modules", "memory", "costliest", "error"],
            [_row(cost) for cost in sorted(costs, key=lambda cost: -(cost.seconds or 0))],
        )
        output.print_findings(seen.findings)
    return 1 if any(cost.error for cost in costs) else 0


def _row(cost: Cost) -> tuple[str, ...]:
    costliest = cost.costliest
    return (
        cost.record.name,
        cost.record.distribution or "-",
        "-" if cost.seconds is None else f"{cost.seconds:.4f}",
        "-" if cost.seconds is None else str(cost.modules),
        "-" if cost.memory_bytes is None else f"{cost.memory_bytes / 2**20:.1f} MiB",
        "-" if costliest is None else f"{costliest.name} {costliest.seconds:.4f}",
        cost.error or "-",
    )
