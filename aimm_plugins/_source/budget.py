"""What reading source may cost, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass

from aimm_plugins._system.ceilings import SOURCE_BYTES, SOURCE_WORK


class OverBudgetError(Exception):
    pass


@dataclass(slots=True)
class Budget:
    """The most that is read of one distribution; honest ones need a small part of it.

    A syntax tree takes up to 900 times the memory of its source (measured on CPython 3.11), and
    `A1 = A0 + A0; A2 = A1 + A1` makes a text of any length of a few lines. So source is bounded in
    size before it is parsed, and in the work on its syntax tree.

    Attributes:
        work: Steps that are left. One is 5 bytes of source, a name that is bound or looked up, a
            part of an expression, an item of a list, or 100 characters that are put together;
            a declaration is 10 for each plugin that has it, a name that is imported 20.
        module_size: Bytes of one module.
    """

    work: int = SOURCE_WORK
    module_size: int = SOURCE_BYTES

    def take(self, steps: int) -> None:
        self.work -= steps
        if self.work < 0:
            raise OverBudgetError("it has too much source, or too many constants")
