"""Work in threads."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Work = Callable[[], object]


@contextmanager
def in_threads(*works: Work, seconds: float = 60) -> Iterator[None]:
    """Run works in a thread each while the block runs, and wait for them at its end."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "a thread is stuck"


def together(*works: Work, seconds: float = 60) -> list[BaseException]:
    """Run works in a thread each, from one moment on; what they raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Work) -> None:
        try:
            barrier.wait(seconds)
            work()
        except BaseException as error:
            traceback.print_exception(error)  # pytest shows it if the test fails by it
            errors.append(error)

    with in_threads(*(lambda work=work: run(work) for work in works), seconds=seconds):
        pass
    return errors
