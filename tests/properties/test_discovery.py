"""Laws of reading metadata."""

from __future__ import annotations

import tempfile
from pathlib import Path

import importlib_metadata
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.entry_points import EntryPoints
from aimm_plugins._discovery.scan import scan
from aimm_plugins._discovery.verification import Verified, verify
from aimm_plugins._system.names import normalized
from tests.properties.strategies import files, folders, write
from tests.support.metadata import Stated, write_record


def by_importlib_metadata(path: list[str]) -> list[tuple[str, str]]:
    """Name and value of each entry point of the group that names an object."""
    found = []
    seen = set()
    for distribution in importlib_metadata.distributions(path=path):
        if distribution._normalized_name in seen:
            continue
        seen.add(distribution._normalized_name)
        for point in distribution.entry_points.select(group="aimm.plugins"):
            match = point.pattern.match(point.value)
            parts = f"{match['module']}.{match['attr'] or 'x'}".split(".") if match else [""]
            if all(part.isidentifier() for part in parts):
                found.append((point.name, point.value))
    return sorted(found)


@settings(max_examples=80, deadline=None)
@given(folders())
def test_answer_is_that_of_importlib_metadata(content):
    with tempfile.TemporaryDirectory() as root:
        path = write(Path(root), content)
        for folder in path:  # of two in one folder, the one whose files are there counts here
            found = importlib_metadata.distributions(path=[folder])
            names = [distribution._normalized_name for distribution in found]
            assume(len(names) == len(set(names)))
        try:
            expected = by_importlib_metadata(path)
        except ValueError:  # versions 8.7 to 9 stop at the first broken value
            return
        assert sorted((each.name, each.value) for each in scan(path).candidates) == expected


@settings(max_examples=30, deadline=None)
@given(folders(), st.binary(max_size=200))
def test_no_bytes_stop_a_scan(content, garbage):
    with tempfile.TemporaryDirectory() as root:
        path = write(Path(root), content)
        place = Path(path[0]) / "garbage-1.0.dist-info"
        place.mkdir()
        (place / "entry_points.txt").write_bytes(b"[aimm.plugins]\n" + garbage)
        for each in scan(path).distributions():
            assert normalized(each.name) == each.key


MODULES = st.sampled_from(["a", "a.b", "a.b.c", "ab", "b"])
OBJECTS = st.sampled_from(["C", "C.f", "C.f.g", "Cf", "D"])


def is_within(name: str, whole: str) -> bool:
    return f"{name}.".startswith(f"{whole}.")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(MODULES, st.none() | OBJECTS), max_size=4),
    st.lists(st.tuples(MODULES, OBJECTS), max_size=4),
    MODULES,
)
def test_key_goes_to_the_nearest_plugin_above_it_or_to_the_only_one(plugins, keys, named):
    lines = ["[aimm.plugins]"]
    lines += [
        f"p{i} = {module}" + (f":{attribute}" if attribute else "")
        for i, (module, attribute) in enumerate(plugins)
    ]
    lines += ["[aimm.plugins.fit]"]
    lines += [f"k{i} = {module}:{attribute}" for i, (module, attribute) in enumerate(keys)]
    points = EntryPoints(
        Stated(name="dist", version="1", origin="index"),
        "\n".join(lines).encode(),
    )

    def brought(module: str, attribute: str | None, modules: set[str]) -> list[str]:
        found = []
        for i, (of_key, function) in enumerate(keys):
            above = [each for each in {*modules, module} if is_within(of_key, each)]
            nearest = max(above, key=len) == module if above else (modules or {module}) == {module}
            if nearest and (attribute is None or is_within(function, attribute)):
                found.append(f"k{i}")
        return found

    modules = {module for module, _ in plugins}
    for module, attribute in [*plugins, (named, None)]:
        got = [key.key for key in points.keys_of(module, attribute)]
        assert got == brought(module, attribute, modules)
    idle = {f"k{i}" for i in range(len(keys))}
    idle -= {key for plugin in plugins for key in brought(*plugin, modules)}
    assert bool(idle) == bool(points.findings)


@settings(max_examples=30, deadline=None)
@given(files(), st.data())
def test_one_changed_byte_is_always_found(content, data):
    with tempfile.TemporaryDirectory() as root:
        site = Path(root)
        for name, body in content.items():
            file = site / "pkg" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        write_record(site, "dist", [f"pkg/{name}" for name in content])
        (dist,) = scan([root]).distributions()
        name = data.draw(st.sampled_from(sorted(content)))
        target = site / "pkg" / name
        assert isinstance(dist, Distribution)
        assert isinstance(verify(dist), Verified)
        target.write_bytes(target.read_bytes() + b"x")
        fault = verify(dist)
        assert isinstance(fault, str)
        assert str(target) in fault
