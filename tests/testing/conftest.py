"""The plugin that is in order, and its variants with a bug each."""

from __future__ import annotations

import pytest

from aimm_plugins.testing._distributions import forget_modules, write_distribution
from tests.seeded.variants import SOURCE, VARIANTS


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A folder on the path with the plugin that is in order, and the variants as `seeded_<n>`."""
    folder = tmp_path_factory.mktemp("seeded")
    (folder / "line.py").write_text(SOURCE, encoding="utf-8")
    for number, variant in enumerate(VARIANTS):
        module = f"seeded_{number}"
        (folder / f"{module}.py").write_text(variant.source, encoding="utf-8")
        if variant.metadata:
            groups = {
                group: {name: value.format(module=module) for name, value in lines.items()}
                for group, lines in variant.metadata.items()
            }
            write_distribution(folder, module, entry_points=groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    forget_modules(folder)
