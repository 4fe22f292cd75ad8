"""A plugin with options, for all tests of options."""

from __future__ import annotations

import json

import pytest

import aimm_plugins
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._options.schema import Schema
from tests.support.metadata import Stated

SECRET = "hunter2-of-the-cellar"


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "trees": {"type": "integer", "minimum": 1, "default": 100, "description": "How many."},
        "token": {"type": "string", "minLength": 8, "writeOnly": True},
        "store": {
            "type": "object",
            "default": {},
            "properties": {"url": {"type": "string", "default": "memory:"}},
        },
    },
}


KEY = "from aimm_plugins import fit\n\nfit(['wine'])(print)\n"

CODE = """\
import aimm_plugins

AT_IMPORT = aimm_plugins.options(__name__)


@aimm_plugins.fit(["wine"])
def fit(model):
    return aimm_plugins.options(__name__)
"""


GROUPS = {
    "aimm.plugins": {"wine": "aimm_wine"},
    "aimm.plugins.options": {"wine": "aimm_wine:options.json"},
}


MODEL = """\
class Settings:
    @classmethod
    def model_json_schema(cls):
        return {"properties": {"trees": {"type": "integer", "default": 100}}, "required": ["a"]}
"""


IN_CODE = {**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine.inner:Settings"}}


@pytest.fixture
def wine(make_distribution):
    """Installs `aimm-wine`, whose package `aimm_wine` has a schema of options."""

    def install(schema=SCHEMA, code=CODE, *, name="aimm-wine", groups=GROUPS, modules=(), files=()):
        content = schema if isinstance(schema, str) else json.dumps(schema)
        return make_distribution(
            name,
            modules={"aimm_wine": code, "aimm_wine.inner": "", **dict(modules)},
            entry_points=groups,
            files={"aimm_wine/options.json": content, **dict(files)},
        )

    return install


@pytest.fixture
def conf(tmp_path):
    """Writes a conf with options, and returns its path."""

    def write(options="", more=""):
        path = tmp_path / "plugins.yaml"
        indented = "".join(f"  {line}\n" for line in options.splitlines())
        path.write_text(f"names: []\n{more}options:\n{indented}" if options else "names: []\n")
        return str(path)

    return write


def given(path_or_options):
    """What the plugin is given under a conf."""
    conf = path_or_options
    if isinstance(conf, dict):
        conf = {"names": [], "options": conf}
    aimm_plugins.initialize(conf)
    return aimm_plugins.exec_fit("wine", None)


def schema_of(document):
    """A schema that a plugin `wine` publishes."""
    distribution = Stated(name="aimm-wine", version="1.0", origin="index")
    return Schema(
        document,
        PublishedOptions(
            name="wine",
            module="aimm_wine",
            attribute="options.json",
            distribution=distribution,
            place="entry_points.txt:5",
        ),
    )
