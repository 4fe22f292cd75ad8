"""The pages on artifacts and on workers are true: what they show runs, and prints what they show."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from aimm_plugins import compare
from aimm_plugins._parity.fingerprint import of_rows
from aimm_plugins._parity.rows import FingerprintRow
from tests.docs.pages import UPDATE, Page
from tests.support.installing import ROOT

PAGES = {name: Page(ROOT / "docs" / f"{name}.md") for name in ("artifacts", "workers")}


@pytest.fixture
def folder(site, monkeypatch):
    """The current folder, first on the path, with the keys that `ssh-keygen` makes there."""
    monkeypatch.chdir(site)
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (site / "training.key").write_bytes(private)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (site / "training.key.pub").write_bytes(public)
    return site


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_page_runs_and_prints_what_it_shows(folder, page):
    page.check(folder, folder)


def test_differences_look_as_the_page_shows():
    def row(**more):
        return FingerprintRow(
            **{
                "action": "fit",
                "key": "iris.svc",
                "distribution": "aimm-svc",
                "version": "1.2",
                "module": "aimm_svc",
                "files": "3f9a51c07d2e" * 5 + "3f9a",
                **more,
            }
        )

    trees = row(key="trees", distribution="aimm-trees", version="2.0", module="trees", files=None)
    host = of_rows([row(), row(action="predict"), trees])
    old = {"version": "1.1", "files": "b7" * 32}
    worker = of_rows([row(**old), row(action="predict", **old)])
    page = PAGES["workers"]
    (shown,) = page.blocks("text")
    output = f"{compare(host, worker)}\n"
    if UPDATE:
        text = page.path.read_text(encoding="utf-8")
        page.path.write_text(
            text.replace(f"```text\n{shown.code.lstrip()}```", f"```text\n{output}```")
        )
    else:
        assert output == shown.code
