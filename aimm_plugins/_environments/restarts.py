"""How often lost processes are started again."""

from __future__ import annotations

import time
from collections import deque

from aimm_plugins._config.values import EnvironmentRules
from aimm_plugins.errors import EnvironmentLost

_MINUTE = 60.0


class Restarts:
    """Counts the restarts of an environment's processes; `place` is where the conf names it."""

    def __init__(self, rules: EnvironmentRules, place: str) -> None:
        self._rules, self._place = rules, place
        self._times: deque[float] = deque()
        self.last_loss: EnvironmentLost | None = None
        """How the last process was lost."""

    @property
    def is_exhausted(self) -> bool:
        """Whether there were as many within a minute as the conf allows."""
        while self._times and time.monotonic() - self._times[0] > _MINUTE:
            self._times.popleft()
        return len(self._times) >= self._rules.restarts_per_minute

    def count(self) -> None:
        """Count one more start of a lost process."""
        self._times.append(time.monotonic())

    def check(self) -> None:
        """Raise `EnvironmentLost` rather than have a lost process started again too often."""
        if self.is_exhausted:
            name, limit = self._rules.name, f"(restarts_per_minute of {self._place})"
            text = f"environment {name} is started again by unload_all and initialize alone {limit}"
            if self._times:
                wait = _MINUTE - (time.monotonic() - self._times[0])
                text = (
                    f"environment {name} is not started again for {wait:.0f} s: its processes were "
                    f"started again {len(self._times)} times within a minute {limit}"
                )
            last = self.last_loss
            if last is not None:
                text += f"\nThe last time: {last}"
            stderr = "" if last is None else last.stderr
            raise EnvironmentLost(text, environment=name, stderr=stderr)
