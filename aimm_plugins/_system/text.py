"""Make text from plugins and metadata safe to print: encodable, free of terminal control sequences.

Names, versions, keys and error texts come from whoever wrote the plugin or its metadata. Even a
denied plugin has its name printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from aimm_plugins._system.guard import guarded
from aimm_plugins._system.masking import masked

# Control characters, marks that turn the direction of writing, further line ends; and surrogates,
# which no encoding can hold.
_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def encodable(text: str) -> str:
    """The text with surrogates written as escapes, so that it can be encoded as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """The text with control characters written as escapes; line breaks and tabs stay."""
    # Compiling the pattern takes as long as loading four plugins.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return re.sub(_UNSAFE, lambda match: repr(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """As `printable`, with line breaks and tabs escaped too, so that a name cannot forge a line."""
    return text if text.isprintable() else printable(text.replace("\n", "\\n").replace("\t", "\\t"))


def indented(text: str) -> str:
    """The text with its further lines indented, so that they cannot forge a line of a report."""
    return text.replace("\n", "\n    ")


def safe_text(error: BaseException) -> str:
    """`str(error)` as encodable text without secrets, or its class where `__str__` raises."""
    with guarded():
        return masked(encodable(str(error)))
    return f"<unprintable {type_name(error)}>"


_LONGEST_SHOWN = 200


def shown(value: object) -> str:
    """`repr(value)` on one line and not too long, or its class where `__repr__` raises."""
    with guarded():
        text = one_line(encodable(repr(value)))
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return f"<unprintable {type_name(value)}>"


def type_name(value: object) -> str:
    """The name of the value's class, even if its metaclass overrides `__name__`."""
    name = type.__dict__["__name__"].__get__(type(value))
    return encodable(str.__str__(name))


def described(error: BaseException) -> str:
    """`ValueError: its text`."""
    return f"{type_name(error)}: {safe_text(error)}"


def text_once(error: BaseException, told: set[str]) -> str:
    """As `safe_text`; what has several lines, and was `told` before, is cut to the first of them.

    Of a `PluginConflictError` for several keys, each counts.
    """
    texts = []
    for member in single_errors(error):
        text = safe_text(member)
        first, *more = text.splitlines() or [""]
        texts.append(f"{first} (see above)" if more and text in told else text)
        told.add(text)
    return "\n".join(texts)


def single_errors(error: BaseException) -> tuple[BaseException, ...]:
    """The `conflicts` that a `PluginConflictError` joins, else the error itself."""
    with guarded():
        conflicts = getattr(error, "conflicts", ())
        if isinstance(conflicts, tuple) and conflicts:
            return conflicts
    return (error,)


def counted(number: int, what: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A line for each row, with cells padded to the column widths; empty columns are left out."""
    table = list(rows)
    if not table:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True) if w).rstrip()
        for row in table
    ]


MOST_COMPARED = 200
"""Names that a misspelt one is compared with letter by letter, each in up to 0.1 ms."""

_MOST_SEEN = 10_000
"""Names of a set that are gone through; of more, those that are one slip away are looked up."""

_MOST_LETTERS = 100
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def nearest(name: str, known: Collection[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that are most like a misspelt one, best first."""
    from difflib import get_close_matches  # only errors need it

    # Not `isinstance(known, Set)`: without the GIL an abstract class may stay locked in a fork.
    if len(known) > _MOST_SEEN and not isinstance(known, list | tuple):
        likely = [other for other in {*_one_slip_away(name[:_MOST_LETTERS])} if other in known]
    else:
        likely = list(known)
    if len(likely) > MOST_COMPARED:
        alike = *_alike(name, likely, str.startswith), *_alike(name, likely, str.endswith)
        likely = [*dict.fromkeys(alike)]
    found = get_close_matches(name, likely, n=count, cutoff=cutoff)
    if not found:
        in_lower_case = {other.lower(): other for other in likely}
        close = get_close_matches(name.lower(), in_lower_case, n=count, cutoff=cutoff)
        found = [in_lower_case[other] for other in close]
    return found


def _one_slip_away(name: str) -> Iterator[str]:
    """What was meant if a letter is missing, one too many, wrong, or two have changed places."""
    for place in range(len(name) + 1):
        head, tail = name[:place], name[place:]
        yield head + tail[1:]
        yield head + tail[1:2] + tail[:1] + tail[2:]
        for letter in _LETTERS:
            yield f"{head}{letter}{tail}"
            yield f"{head}{letter}{tail[1:]}"


def _alike(name: str, known: list[str], shares: Callable[[str, str], bool]) -> list[str]:
    """Some of the names that share the longest beginning, or the longest end, with one."""
    quarter = max(1, len(name) // 4)
    for length in range(quarter, len(name) + 1, quarter):
        part = name[:length] if shares is str.startswith else name[-length:]
        closer = [other for other in known if shares(other, part)]
        if not closer:
            break
        known = closer
    return known[: MOST_COMPARED // 2]


def did_you_mean(name: str, known: Collection[str], *, cutoff: float = 0.6) -> str:
    """`did you mean 'name'?`, or an empty text where no known name is like the misspelt one."""
    near = nearest(name, known, cutoff=cutoff)
    return f"did you mean {near[0]!r}?" if near else ""
