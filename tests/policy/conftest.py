"""Fixtures of the tests of policy."""

from __future__ import annotations

import pytest


@pytest.fixture
def marked(write, install, tmp_path):
    """Installs plugin `p` of mark-dist, which leaves a file when it is imported."""
    mark = tmp_path / "imported"

    def marked(version="1.0", name="mark-dist", **options):
        write(p=f"open({str(mark)!r}, 'w').close()\n@fit(['k'])\ndef f(m): return m\n")
        options.setdefault("files", ["p.py"])
        install(name, version, entry_points={"ep": "p"}, **options)
        return mark

    return marked
