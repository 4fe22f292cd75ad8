"""The schemas that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from aimm_plugins._config.json_schema import schema, schema_names, schema_text


@pytest.mark.parametrize("name", schema_names())
def test_schema_is_sound_and_describes_every_key(name):
    loaded = schema(name)
    Draft202012Validator.check_schema(loaded)
    assert loaded["$id"] == f"aimm://{name}.yaml"

    def bare(node, path):
        if isinstance(node, dict):
            for key, child in node.get("properties", {}).items():
                if isinstance(child, dict) and "$ref" not in child:
                    for word in ("description", "default"):
                        if word not in child:
                            yield f"{path}.{key}: no {word}"
            for key, child in node.items():
                yield from bare(child, f"{path}.{key}")
        elif isinstance(node, list):
            for child in node:
                yield from bare(child, path)

    assert list(bare(loaded, name)) == []


def test_unknown_schema_is_a_lookup_error():
    with pytest.raises(LookupError, match=r"there are .*job, .*plugins, policy, .*report"):
        schema_text("nobody")


def test_schemas_at_the_top_are_those_of_the_package():
    top = Path(__file__).parents[2] / "schemas"
    assert sorted(path.stem for path in top.iterdir()) == list(schema_names())
