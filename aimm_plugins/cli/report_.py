"""`aimm-plugins report`."""

from __future__ import annotations

import json
from typing import Any

import click

from aimm_plugins._diagnostics.page import Bar, bars_of_profile, bars_of_survey, page
from aimm_plugins._diagnostics.survey import survey
from aimm_plugins.cli._output import (
    conf_option,
    echo,
    format_option,
    load_option,
    print_json,
    stdout_kept,
    write_file,
)
from aimm_plugins.errors import ConfigError


@click.command("report")
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write one self-contained page instead.",
)
@click.option(
    "--profile",
    "profile_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="JSON of `profile`, for the page's picture of the start-up.",
)
@load_option
@format_option
@conf_option
def command(
    html: str | None, profile_file: str | None, load: bool, form: str, conf: str | None
) -> int:
    """Give the whole account: each plugin with state, keys and reason, and the findings.

    With --html as a page: plugins, who provides what, conflicts, start-up and findings, to filter
    and sort, without network. The exit status is 1 if a plugin fails, would fail or is missing.
    """
    if profile_file is not None and html is None:
        raise click.UsageError("--profile is drawn in a page: it needs --html FILE.")
    measured = None if profile_file is None else _bars(profile_file)
    with stdout_kept():
        seen = survey(conf, load=load, sources=True)
        bars = bars_of_survey(seen) if measured is None else measured
    report = seen.report
    if html is not None:
        write_file(html, page(seen, bars))
        echo(f"wrote {html}", err=True)
    elif form == "json":
        print_json(report.to_dict())
    else:
        echo(str(report))
    return 0 if report.ok else 1


def _bars(path: str) -> list[Bar]:
    try:
        with open(path, encoding="utf-8") as stream:
            told: Any = json.load(stream)
        return bars_of_profile(told)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"is no profile: {error!r}",
            file=path,
            expected="JSON of `aimm-plugins profile --format json`",
        ) from error
