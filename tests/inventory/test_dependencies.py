"""What a distribution requires and does not have, whatever its metadata says."""

from __future__ import annotations

import shlex

import pytest

from aimm_plugins._discovery.module_location import ModulesIn
from aimm_plugins._discovery.scan import scan
from aimm_plugins._inventory.dependencies import always_unmet, python_required, unmet
from aimm_plugins._system.names import pip_install


@pytest.fixture
def metadata(site, install):
    """Gives a distribution whose METADATA has some further lines."""

    def made(lines: str):
        path = install("acme") / "METADATA"
        path.write_text(f"Name: acme\nVersion: 1.0\n{lines}\n", encoding="utf-8")
        found = scan()
        return found.find("acme"), found

    return made


@pytest.mark.parametrize(
    "odd",
    [
        "needed; os_name ~= 'posix'",  # no comparison of texts
        "needed; unknown_thing == 'a'",
        "needed; python_version >= 'abc'",
        f"needed; {'(' * 400}os_name == 'a'{')' * 400}",
        "\x00\x1b",
        "a" * 5000,
    ],
)
def test_requirement_that_cannot_be_read_or_compared_hides_no_other(metadata, odd):
    distribution, installed = metadata(f"Requires-Dist: {odd}\nRequires-Dist: surely-not-there>=2")
    assert "surely-not-there>=2" in [found.requirement for found in unmet(distribution, installed)]


def test_extras_are_told_apart_from_what_is_always_required(metadata):
    distribution, installed = metadata(
        "Requires-Dist: surely-not-there\nRequires-Dist: not-this; extra == 'fast'"
    )
    assert [found.name for found in always_unmet(distribution, installed)] == ["surely-not-there"]
    assert [found.extra for found in unmet(distribution, installed)] == [None, "fast"]


def test_few_of_the_extras_of_one_requirement_are_asked_about(metadata):
    extras = " or ".join(f"extra == 'e{number}'" for number in range(40))
    distribution, installed = metadata(f"Requires-Dist: surely-not-there; {extras}")
    assert 1 <= len(unmet(distribution, installed)) < 40


def test_remedy_is_safe_to_paste_into_a_shell(metadata):
    distribution, installed = metadata("Requires-Dist: evil @ https://x.org/';rm$IFS-rf;'")
    (found,) = unmet(distribution, installed)
    words = shlex.split(found.remedy.partition("pip install ")[2].removesuffix("."))
    assert words == ["evil @ https://x.org/';rm$IFS-rf;'"]
    assert pip_install("-r evil") == "pip install -- '-r evil'"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (">=3.99", ">=3.99"),
        ("  >=3.99  ", ">=3.99"),
        (">=3.8", None),
        ("nonsense", None),
        (f">={'9' * 900}", f">={'9' * 900}"),
        (f"x{' ' * 90_000}y", None),  # a pattern would go back and forth in it
        (f">={'9' * 90_000}", None),
    ],
)
def test_python_that_a_distribution_is_for(metadata, wanted, told):
    assert python_required(metadata(f"Requires-Python: {wanted}")[0]) == told


def test_login_in_the_url_of_a_requirement_is_shown_to_nobody(metadata):
    distribution, installed = metadata(
        "Requires-Dist: private @ https://bob:s3cret@host/private.whl"
    )
    (found,) = unmet(distribution, installed)
    told = f"{found.fault} {found.remedy} {found.command}"
    assert "bob" not in told
    assert "s3cret" not in told
    assert "https://***@host/private.whl" in told
    assert "login of its metadata" in found.remedy


def test_conditions_are_those_of_the_python_of_an_environment(metadata, site):
    distribution, _ = metadata(
        "Requires-Dist: for-old; python_version < '3.9'\n"
        "Requires-Dist: for-new; python_version >= '3.9'"
    )
    there = scan([str(site)], ModulesIn([str(site)], "3.8"))
    assert [found.name for found in always_unmet(distribution, there)] == ["for-old"]
