"""Text of strangers on its way out: to a stream that must take it, or a terminal that obeys it.

Names, versions, keys and error texts come from whoever wrote the plugin or its metadata, and a
plugin that was denied still has its name printed.
"""

from __future__ import annotations

import re

# What a terminal obeys or what makes text look like another one: controls, the marks that turn
# the direction of writing, further line ends; and surrogates, which no encoding can hold.
_OBEYED = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def encodable(text: str) -> str:
    """The text with what UTF-8 cannot hold written as escapes; for machines, which obey nothing."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """The text for people: what a terminal would obey is written as an escape.

    Line breaks and tabs stay.
    """
    # To compile the pattern takes as long as to load four plugins.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return re.sub(_OBEYED, _escaped, text)


def one_line(text: str) -> str:
    """As `printable`, line breaks and tabs too: nobody's name begins a line of ours."""
    return text if text.isprintable() else printable(text.replace("\n", "\\n").replace("\t", "\\t"))


def indented(text: str) -> str:
    """The text with further lines below the first one, so that they begin no line of ours."""
    return text.replace("\n", "\n    ")


def _escaped(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]
