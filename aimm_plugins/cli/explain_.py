"""`aimm-plugins explain`."""

from __future__ import annotations

from dataclasses import asdict

import click

from aimm_plugins._diagnostics.explanation import explain
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins.cli._completion import complete_subjects
from aimm_plugins.cli._output import inventory_options, print_blocks, print_json, stdout_kept


@click.command("explain")
@click.argument("subject", metavar="KEY|DISTRIBUTION|MODULE", shell_complete=complete_subjects)
@inventory_options
def command(subject: str, load: bool, form: str, conf: str | None) -> int:
    """Explain why a key, distribution, module or plugin is there or is not, and what to change.

    The exit status is 1 if it is not there: no call of the key, or of any key of it, would be
    answered.
    """
    with stdout_kept():
        answer = explain(take_inventory(conf, load=load), subject)
    if form == "json":
        print_json(asdict(answer))
    else:
        print_blocks(
            (
                f"{reason.subject}: {'there' if reason.there else 'not there'}",
                [
                    ("who", reason.who),
                    ("state", reason.state),
                    ("why", reason.why),
                    ("to change", reason.remedy),
                ],
            )
            for reason in answer.reasons
        )
    return 0 if answer.there else 1
