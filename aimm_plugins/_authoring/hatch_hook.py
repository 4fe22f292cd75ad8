"""A metadata hook of hatchling: entry points made from the code whenever the project is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface
from hatchling.plugin import hookimpl

from aimm_plugins import ConfigError, DeclarationError
from aimm_plugins._authoring.declarations import ProjectSource, run_declarations
from aimm_plugins._authoring.project import find_project
from aimm_plugins._authoring.tables import entry_points, is_made


class EntryPointsHook(MetadataHookInterface):
    PLUGIN_NAME = "aimm-plugins"

    def update(self, metadata: dict[str, Any]) -> None:
        config: dict[str, Any] = self.config
        place = "[tool.hatch.metadata.hooks.aimm-plugins]"
        for name in config:
            if name not in ("entry-points", "import"):
                raise ConfigError(f"{place}: unknown key {name!r}", expected="entry-points, import")
        others: dict[str, dict[str, str]] = dict(config.get("entry-points", {}))
        for group in others:
            if is_made(group):
                raise ConfigError(f"{place}: the group {group!r} is made from the code")
        project = find_project(Path(self.root))
        source = ProjectSource(project, f"import = true in {place}")
        run = config.get("import", False)
        declared = run_declarations(project) if run else source.declarations()
        if not declared:
            raise DeclarationError(f"no module of {self.root} declares anything")
        metadata["entry-points"] = {**others, **entry_points(source, declared)}


@hookimpl
def hatch_register_metadata_hook() -> type[MetadataHookInterface]:
    return EntryPointsHook
