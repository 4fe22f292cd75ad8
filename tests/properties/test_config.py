"""Laws of confs and of the YAML that they are written in."""

from __future__ import annotations

import importlib
import itertools
import re
import sys

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, find, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import aimm_plugins
from aimm_plugins import ConfigError
from aimm_plugins._config.json_schema import schema
from aimm_plugins._config.parse import parse
from aimm_plugins._config.values import Config
from aimm_plugins._config.yaml_reader import load
from aimm_plugins._jobs.job_file import Job, read_job
from tests.conftest import names
from tests.properties.strategies import (
    anything,
    json_like,
    mutated,
    names_only,
    of_schema,
    yaml_like,
)

PLUGINS = schema("plugins")
JOB = schema("job")
FITS_PLUGINS = Draft202012Validator(PLUGINS).is_valid
FITS_JOB = Draft202012Validator(JOB).is_valid

# The schema of the original's documentation, whose draft predates `$id`.
PAGE = {
    "type": "object",
    "required": ["names"],
    "properties": {"names": {"type": "array", "items": {"type": "string"}}},
}


def verdict(conf):
    """What `parse` says: the config, or `None` where it refuses as it should."""
    try:
        config = parse(conf)
    except ConfigError:
        return None
    assert isinstance(config, Config)
    return config


confs = of_schema(PLUGINS)


def says_nothing(conf):
    """Whether a rule has the shape of a requirement and a version that means nothing.

    That is the one thing beyond the schema: PEP 440 is no regular expression of ours.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    def texts(node):
        if isinstance(node, dict):
            for child in node.values():
                yield from texts(child)
        elif isinstance(node, list):
            for child in node:
                yield from texts(child)
        elif isinstance(node, str):
            yield node

    others = ("names", "prefer", "options")
    for text in texts({key: conf[key] for key in conf if key[:2] != "x-" and key not in others}):
        if not re.fullmatch(r"[A-Za-z0-9._-]+", text.strip(" \t")):
            try:
                Requirement(text)
            except InvalidRequirement:
                return True
    return False


@settings(max_examples=200, deadline=None)
@given(confs | mutated(confs) | anything)
@example({"names": ["a"], "entry_points": {"deny": ["a\n"]}})
def test_parse_accepts_exactly_what_the_schema_accepts(conf):
    if FITS_PLUGINS(conf):
        assert verdict(conf) is not None or says_nothing(conf)
    else:
        assert verdict(conf) is None


@pytest.mark.parametrize("key", [*PLUGINS["properties"]])
def test_every_key_of_the_schema_is_drawn_and_accepted(key):
    """The law above would hold of nothing if the strategy never drew a sound conf."""
    drawn = find(
        confs,
        lambda conf: key in conf and FITS_PLUGINS(conf) and verdict(conf) is not None,
        settings=settings(max_examples=1000, database=None, phases=[Phase.generate]),
    )
    assert key in drawn


@settings(max_examples=60, deadline=None)
@given(conf=mutated(confs))
def test_refused_conf_in_a_file_is_refused_with_a_line(tmp_path_factory, conf):
    text = yaml.safe_dump(conf)
    try:
        document = load(text, file="plugins.yaml")
    except ConfigError as error:
        assert error.file == "plugins.yaml"
        return
    try:
        parse(document.data, document=document)
    except ConfigError as error:
        assert (error.file, error.line is not None) == ("plugins.yaml", True)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(job=of_schema(JOB) | mutated(of_schema(JOB)))
def test_job_is_read_or_refused_with_its_file(tmp_path, job):
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(job, allow_unicode=True), encoding="utf-8")
    try:
        assert isinstance(read_job(path), Job)
    except ConfigError as error:
        assert error.file is not None


counter = itertools.count()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Modules that note their import and declare a key, remade for each example."""
    folder = tmp_path_factory.mktemp("pages")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@settings(max_examples=50, deadline=None)
@given(names_only(["a", "b", "c", "p.q", "p", "p.r"]))
def test_conf_of_the_original_imports_the_same_modules_in_the_same_order(pages, conf):
    assert Draft202012Validator(PAGE).is_valid(conf)
    outcomes = []
    for way in ("theirs", "ours"):
        top = f"w{next(counter)}"
        write_modules(pages, top)
        full = {"names": [f"{top}.{name}" for name in conf["names"]]}
        log: list[str] = []
        aimm_plugins.import_log = log
        try:
            if way == "theirs":
                for name in full["names"]:
                    importlib.import_module(name)
            else:
                aimm_plugins.initialize(names(*full["names"]))
            keys = {f"{action}:{key}" for action, key in aimm_plugins.providers()}
        finally:
            del aimm_plugins.import_log
            aimm_plugins.unload_all()
        outcomes.append(([name.removeprefix(top) for name in log], keys))
        for name in [name for name in sys.modules if name.split(".")[0] == top]:
            del sys.modules[name]
    assert outcomes[0] == outcomes[1]


def write_modules(folder, top):
    body = (
        "import aimm_plugins\naimm_plugins.import_log.append(__name__)\n"
        "@aimm_plugins.fit([__name__.partition('.')[2]])\ndef f(m): ...\n"
    )
    files = {
        "__init__": "",
        "a": body,
        "b": body + f"import {top}.c\n",
        "c": body,
        "p/__init__": body,
        "p/q": body,
        "p/r": body + "from . import q\n",
    }
    for name, text in files.items():
        path = folder / top / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


@given(st.lists(st.text(max_size=6), max_size=4))
@settings(max_examples=50, deadline=None)
def test_conf_of_the_original_is_valid(names):
    conf = {"names": names}
    assert Draft202012Validator(PAGE).is_valid(conf)
    assert verdict(conf).names == tuple(names)


@settings(max_examples=300, deadline=None)
@given(yaml_like | st.binary(max_size=30))
def test_any_text_is_plain_data_or_a_config_error(text):
    try:
        data = load(text, file="conf.yaml").data
    except ConfigError as error:
        assert str(error).startswith("conf.yaml:")
    else:
        assert plain(data)


def plain(data):
    if isinstance(data, dict):
        return all(type(key) is str and plain(value) for key, value in data.items())
    if isinstance(data, list):
        return all(map(plain, data))
    return data is None or type(data) in (bool, int, float, str)


@settings(max_examples=150, deadline=None)
@given(json_like)
def test_what_safe_dump_writes_is_read_back(data):
    """Where YAML 1.1 and 1.2 differ, in plain scalars, quotes are what makes them agree."""
    text = yaml.safe_dump(data, default_style='"') if isinstance(data, str) else dumped(data)
    assert load(text).data == data


def dumped(data):
    class Dumper(yaml.SafeDumper):
        pass

    def quoted(dumper, value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')

    Dumper.add_representer(str, quoted)
    return yaml.dump(data, Dumper=Dumper)


@settings(max_examples=150, deadline=None)
@given(json_like)
def test_places_lead_to_the_values(data):
    document = load(dumped(data))

    def walk(node, path):
        place = document.place(path)
        assert place is not None
        assert place >= (1, 1)
        children = node.items() if isinstance(node, dict) else ()
        for key, child in enumerate(node) if isinstance(node, list) else children:
            assert document.place((*path, key)) >= place
            walk(child, (*path, key))

    walk(document.data, ())
