"""Bytes that are changed at random, from one seed.

By a plain generator, since hypothesis keeps account of each example: thousands take seconds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

MUTATIONS = int(os.environ.get("AIMM_PLUGINS_MUTATIONS", "10000"))
"""How many a test tries."""


def mutated(data: bytes, draw: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """The bytes with one to four changes; some put one of the tokens in."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed) + 1)
        kind = draw.randrange(6 if tokens else 5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = draw.randrange(256)
        elif kind == 2:
            del changed[at : at + draw.randint(1, 40)]
        elif kind == 3:
            changed[at:at] = draw.randbytes(draw.randint(1, 40))
        elif kind == 4:
            end = draw.randrange(len(changed) + 1)
            changed[at:at] = changed[min(at, end) : max(at, end)][:64]
        elif kind == 5:
            changed[at:at] = draw.choice(tokens)
        if not changed:
            break
    return bytes(changed)
