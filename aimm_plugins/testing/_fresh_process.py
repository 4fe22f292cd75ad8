"""The fixture `fresh_process`: run code in an interpreter that has imported nothing."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any

from aimm_plugins._system.child import START_SECONDS, run_task


class ProcessError(RuntimeError):
    """Code in a fresh process failed; the message has its traceback or its output."""


class FreshProcess:
    """Runs code in fresh interpreters that find modules where this one does.

    Args:
        seconds: Time that the code may take; starting the interpreter does not count.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self.seconds = seconds

    def __call__(self, code: str, /, **names: Any) -> Any:
        """Execute code and return what it left in `result`, or `None`.

        Args:
            code: Python source.
            **names: Names that it finds; the values are pickled.

        Raises:
            ProcessError: It raised, hung or crashed.
            ChildError: No process can be started here.
        """
        result = run_task(
            partial(execute, code, pickle.dumps(names)),
            seconds=self.seconds,
            start_seconds=START_SECONDS,
        )
        if not result.answers:
            raise ProcessError(f"the process {result.ended}\n{result.text}".rstrip())
        return pickle.loads(result.answers[0])


def execute(code: str, names: bytes) -> Iterator[bytes]:
    """Execute code in the child process; answers with the pickled result."""
    variables = {"__name__": "__fresh__", **pickle.loads(names)}
    exec(compile(code, "<fresh process>", "exec"), variables)
    yield pickle.dumps(variables.get("result"))
