"""`aimm-plugins artifact`."""

from __future__ import annotations

from pathlib import Path

import click

from aimm_plugins._artifacts.info import ArtifactInfo
from aimm_plugins._artifacts.pack import inspect, verify
from aimm_plugins.cli import _output as output
from aimm_plugins.errors import ArtifactError

_file = click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@click.group("artifact")
def artifact_() -> None:
    """Look at saved models without loading them."""


@artifact_.command("inspect", short_help="Show what an artifact says of itself.")
@_file
@output.format_option
def inspect_(file: Path, form: str) -> None:
    """Show what an artifact says of itself: who made it, with what, when, and its metadata.

    Nothing is loaded. The exit status is 1 for a file that is no artifact, or is damaged.
    """
    info = inspect(file.read_bytes())
    if form == "json":
        output.print_json(info.to_dict())
    else:
        output.print_table(["artifact", str(file)], _rows(info))


@artifact_.command("verify", short_help="Tell whether a host could load it, without loading it.")
@_file
@output.format_option
@output.conf_option
def verify_(file: Path, form: str, conf: str | None) -> int:
    """Tell whether a host with a conf could load an artifact, without loading it.

    It could if the artifact is whole, signed as the conf wants, and its provider is installed, not
    denied, and of a version that fits. Otherwise the exit status is 1.
    """
    try:
        info = verify(file.read_bytes(), conf)
    except ArtifactError as error:
        if form != "json":
            raise
        names = ("reason", "model_type", "distribution", "version")
        told = {"message": str(error), **{name: getattr(error, name) for name in names}}
        output.print_json({"ok": False, "artifact": None, "error": told})
        return 1
    if form == "json":
        output.print_json({"ok": True, "artifact": info.to_dict(), "error": None})
    else:
        output.print_table(
            ["artifact", str(file)],
            [
                ("model type", info.model_type),
                ("provider", info.provider),
                ("signed by", info.signed_by or "-"),
                ("verdict", "can be loaded"),
            ],
        )
        output.print_findings(info.findings)
    return 0


def _rows(info: ArtifactInfo) -> list[tuple[str, str]]:
    signature = info.signature
    return [
        ("format", ".".join(map(str, info.format))),
        ("model type", info.model_type),
        ("provider", info.provider),
        ("module", info.module or "-"),
        ("requirements", " ".join(info.requirements) or "-"),
        ("python", info.python),
        ("created", info.created.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("size", f"{info.size} bytes"),
        ("sha256", info.sha256),
        ("signature", f"{signature.algorithm} key {signature.key}" if signature else "-"),
        *((f"metadata {key}", repr(value)) for key, value in sorted(info.metadata.items())),
    ]
