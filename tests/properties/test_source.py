"""What is read of source is what an import does, for modules of any statements."""

from __future__ import annotations

import importlib
import itertools
import sys
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import aimm_plugins
from aimm_plugins._source.reader import SourceReader
from tests.conftest import names

HEAD = """\
from contextlib import nullcontext
import aimm_plugins as ap
from aimm_plugins import fit
from aimm_plugins import fit as renamed
learn = ap.fit
A = "a"
B = ["b"]
"""
DECORATORS = st.sampled_from(["fit", "ap.fit", "renamed", "learn"])
TEXTS = st.sampled_from(["A", "'t'", "f'{A}s'", "B[0]", "A.upper()", "__name__"])
CONSTANTS = st.sampled_from(
    [
        "A = 'c'",
        "A = A + 'd'",
        "A += 'e'",
        "A = A.upper()",
        "B.append('f')",
        "from aimm_plugins import fit",
        "fit = ap.fit",
        "def fit(m): ...",
        "global A",
        "del learn",
        "import aimm_plugins as ap",
    ]
)
FORMS = [
    "@{decorator}([{text} + {suffix}])\ndef f{number}(m): ...",
    "def f{number}(m): ...\n{decorator}([{text} + {suffix}])(f{number})",
    "f{number} = {decorator}([{text} + {suffix}])(lambda m: m)",
    "@{decorator}([*B, {text} + {suffix}])\ndef f{number}(m): ...",
    "def f{number}():\n  {decorator}([{text} + {suffix}])(print)\nf{number}()",
    "part{number} = {decorator}([{text} + {suffix}])\n@part{number}\ndef f{number}(m): ...",
]
BLOCKS = [
    "if True:\n{body}",
    "if 0:\n{body}",
    "if len(A):\n{body}\nelse:\n  pass",
    "if __name__ == '__main__':\n{body}",
    "with nullcontext():\n{body}",
    "try:\n{body}\nexcept ImportError:\n  pass",
    "try:\n  import surely_not_there\nexcept ImportError:\n{body}",
    "for _ in [1]:\n{body}",
    "while True:\n{body}\n  break",
    "class C{number}:\n{body}",
    "def g{number}():\n{body}",
]
numbers = itertools.count()


@st.composite
def declarations(draw: st.DrawFn) -> str:
    number = next(numbers)  # no key is declared twice
    return draw(st.sampled_from(FORMS)).format(
        decorator=draw(DECORATORS), text=draw(TEXTS), suffix=repr(f".{number}"), number=number
    )


def blocks(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.lists(statements, min_size=1, max_size=3).map(
        lambda lines: "\n".join(f"  {line}" for text in lines for line in text.splitlines())
    )
    return st.builds(
        lambda block, body: block.format(body=body, number=next(numbers)),
        st.sampled_from(BLOCKS),
        bodies,
    )


STATEMENTS = st.recursive(st.one_of(declarations(), CONSTANTS), blocks, max_leaves=4)


def declared(folder: str, name: str) -> set[str] | None:
    """The keys that a module declares when it is imported; `None` where it cannot be."""
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        aimm_plugins.initialize(names(name))
        return {key for _, key in aimm_plugins.providers()}
    except aimm_plugins.PluginLoadError:
        return None
    finally:
        sys.path.remove(folder)
        aimm_plugins.unload_all()
        sys.modules.pop(name, None)


@given(st.lists(STATEMENTS, min_size=1, max_size=6))
def test_certain_declarations_are_made_and_without_a_gap_no_others(statements):
    name = f"any_source_{next(numbers)}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.py")
        file.write_text(HEAD + "\n".join(statements) + "\n")
        sys.path.insert(0, folder)
        try:
            source = SourceReader([name]).read(name)
        finally:
            sys.path.remove(folder)
        keys = declared(folder, name)
        if keys is None:
            return
        certain = {found.key for found in source.declarations if found.certain}
        assert certain <= keys, file.read_text()
        if not source.gaps:
            assert keys <= {found.key for found in source.declarations}, file.read_text()
