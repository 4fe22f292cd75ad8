"""`aimm-plugins explain`."""

from __future__ import annotations

import click

from aimm_plugins._diagnostics.explanation import explain
from aimm_plugins._diagnostics.survey import survey
from aimm_plugins._system.text import one_line
from aimm_plugins.cli._completion import complete_subjects
from aimm_plugins.cli._output import (
    conf_option,
    echo,
    format_option,
    load_option,
    print_json,
    print_pairs,
    stdout_kept,
)


@click.command("explain")
@click.argument("subject", metavar="KEY|DISTRIBUTION|MODULE", shell_complete=complete_subjects)
@load_option
@format_option
@conf_option
def command(subject: str, load: bool, form: str, conf: str | None) -> int:
    """Explain why a key, distribution, module or plugin is there or is not, and what to change.

    The exit status is 1 if it is not there: no call of the key, or of any key of it, would be
    answered.
    """
    with stdout_kept():
        answer = explain(survey(conf, load=load, sources=True), subject)
    if form == "json":
        print_json(answer.to_dict())
        return 0 if answer.there else 1
    for number, reason in enumerate(answer.reasons):
        if number:
            click.echo()
        echo(one_line(f"{reason.subject}: {'there' if reason.there else 'not there'}"))
        print_pairs(
            [
                ("who", reason.who),
                ("state", reason.state),
                ("why", reason.why),
                ("to change", reason.remedy),
            ]
        )
    return 0 if answer.there else 1
