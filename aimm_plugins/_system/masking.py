"""Keep the texts of secrets that were read out of what is logged and reported.

A plugin that is given a password may put it into the error of a failed connection.
"""

from __future__ import annotations

import re

from aimm_plugins._system.guard import chain, guarded

_LEAST = 4
"""Characters below which masking a text would take apart words that have nothing to do with it."""

_MOST = 2000
"""Texts that are kept: tokens that are replaced each minute must not fill the memory."""

_texts: dict[str, None] = {}  # the one that was read last at the end


def remember_secret(text: str) -> None:
    """Mask a text from now on, also as `repr` and URLs spell it, and its lines one by one."""
    from urllib.parse import quote  # most starts read no secret

    lines = text.splitlines()
    found = {text, text.strip(), repr(text)[1:-1], quote(text, safe="")}
    found.update(line.strip() for line in lines[:1000] if len(lines) > 1 and len(line) > 15)
    for part in found:
        if len(part) >= _LEAST:
            _texts.pop(part, None)
            _texts[part] = None
    for part in list(_texts)[:-_MOST]:
        _texts.pop(part, None)


def masked(text: str) -> str:
    """The text with `***` in place of each secret."""
    for secret in sorted(_texts, key=len, reverse=True):  # a secret may hold another one
        text = text.replace(secret, "***")
    return text


def without_passwords(text: str) -> str:
    """The text with `***` for who logs in, and how, in its URLs."""
    return re.sub(r"//[^/\s]*@", "//***@", text)


def tells_a_secret(error: BaseException) -> bool:
    """Whether the error's text, notes, causes or context have one, as a traceback shows them."""
    if not _texts:
        return False
    # Not by `format_exception`: for its hints it imports what an ImportError names.
    from traceback import format_tb

    with guarded():  # the class of an error may override anything
        parts: list[str] = []
        for link in chain(error):
            parts += format_tb(link.__traceback__)
            with guarded():  # its `__str__` may raise
                parts += [str(getattr(link, "text", "")), *map(str, getattr(link, "__notes__", ()))]
                parts.append(str(link))
        text = "\n".join(parts)
        return any(secret in text for secret in list(_texts))
    return True
