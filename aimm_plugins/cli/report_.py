"""`aimm-plugins report`."""

from __future__ import annotations

import json
import os
import platform
import sys

import click

import aimm_plugins
from aimm_plugins._diagnostics.html_report import (
    WaterfallBar,
    bars_of_inventory,
    bars_of_profile,
    html_report,
)
from aimm_plugins.cli._output import (
    echo,
    inventory_of,
    inventory_options,
    print_json,
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
@inventory_options
def command(
    html: str | None, profile_file: str | None, load: bool, form: str, conf: str | None
) -> int:
    """Give the whole account: each plugin with state, keys and reason, and the findings.

    With --html as a page: plugins, who provides what, conflicts, start-up and findings, to filter
    and sort, without network. The exit status is 1 if a plugin fails, would fail or is missing.
    """
    if profile_file is not None and html is None:
        raise click.UsageError("--profile is drawn in a page: it needs --html FILE.")
    bars = None if profile_file is None else _measured_bars(profile_file)
    inventory = inventory_of(conf, load)
    report = inventory.report
    if html is not None:
        bars = bars_of_inventory(inventory) if bars is None else bars
        write_file(html, html_report(inventory, bars, about=_about(conf)))
        echo(f"wrote {html}", err=True)
    elif form == "json":
        print_json(report.to_dict())
    else:
        echo(str(report))
    return 0 if report.ok else 1


def _about(conf: str | None) -> dict[str, str]:
    return {
        "Host": platform.node(),
        "Python": f"{platform.python_version()}, {sys.prefix}",
        "Conf": "none" if conf is None else os.path.abspath(conf),
        "aimm-plugins": aimm_plugins.__version__,
    }


def _measured_bars(path: str) -> list[WaterfallBar]:
    try:
        with open(path, encoding="utf-8") as stream:
            return bars_of_profile(json.load(stream))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"is no profile: {error!r}",
            file=path,
            expected="JSON of `aimm-plugins profile --format json`",
        ) from error
