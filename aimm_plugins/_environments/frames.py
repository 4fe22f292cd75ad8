"""The kinds of frames between a host and a process, and what waits for them."""

from __future__ import annotations

import struct
from queue import SimpleQueue
from typing import NamedTuple

from aimm_plugins._environments.channel import Frame

LOAD, CALL, RESULT, ERROR, EVENT, ANSWER, CANCEL, DROP, END = range(1, 10)
"""Kinds of frames: to the process, from it, and both ways."""

NUMBER = struct.Struct("<q")
"""Of the instance that comes with a result; negative for none."""

GRACE_SECONDS = 3.0
"""What a call that is cancelled has until its process is ended."""

END_SECONDS = 5.0
"""What a process has to leave by itself."""


class Wish(NamedTuple):
    """Put among the frames of a call: that it is to end."""

    reason: str | None


Inbox = SimpleQueue[Frame | Wish | None]
"""What comes for one call; `None` when the process has ended."""


class NotTakenError(Exception):
    """A call was not even sent, since its process has ended or is about to leave."""
