"""The most that is read of one installed distribution, all in one table; nothing is decided here.

A third party must not size the work: any 100 kB of metadata, source or schema take seconds and
megabytes. What lies beyond a ceiling is not read, and one finding, gap or reason says so. Honest
distributions stay far below. `docs/reference/limits.md` has this table, by these names.
"""

from __future__ import annotations

_KIB = 1024
_MIB = 1024 * _KIB

METADATA_BYTES = 8 * _MIB
"""Of one metadata file, in a folder or a zip."""

RECORD_BYTES = 16 * _MIB
"""Of RECORD; the largest wheels have some 50,000 files in 7 MiB."""

ENTRY_POINT_LINES = 20_000
"""Sound lines of an `entry_points.txt` in our groups."""

ENTRY_POINTS_OF_ONE_OBJECT = 10
"""Entry points of one module or object, each of which has all its keys."""

ENTRY_POINT_LETTERS = 1000
"""Of an entry point's value."""

ENTRY_POINT_DOTS = 20
"""In an entry point's value: for each of them the file system is asked."""

REQUIREMENTS = 500
"""Requirements of a distribution that are compared with what is installed."""

REQUIREMENT_LETTERS = 1000
"""Of one, and of what it says of Pythons: each condition in it is evaluated for each extra."""

SOURCE_BYTES = 512 * _KIB
"""Of one module; a syntax tree takes up to 900 times the memory of its source."""

SOURCE_WORK = 1_000_000
"""Steps that reading all source of a distribution may take; `_source/budget.py` counts them."""

SCHEMA_BYTES = _MIB
"""Of one schema of options."""

SCHEMA_VALUES = 4_000
"""Values in it: holding 4,000 against the schema of schemas takes up to 3 seconds."""

SCHEMA_DEPTH = 100
"""Levels that it is nested, and keywords within each other while values are held against it. Beyond
a thousand frames of Python the libraries below it may raise what is no `Exception`."""

SCHEMA_LIST = 500
"""Items of a list in it that are not all texts or all numbers: each is compared with each."""

SCHEMA_STEPS = 150_000
"""Of one check of options, and `SCHEMA_STEPS_OF_VALUE` more for each value that is given: steps and
not seconds, so that no machine is too slow for a sound conf. Faults take up to 1.5 kB a step."""

SCHEMA_STEPS_OF_VALUE = 20

SCHEMA_SECONDS = 2.0
"""Processor time for the schemas of a distribution while nothing is loaded; what is left is checked
when it is loaded."""

PATTERN_LETTERS = 1000
"""Of a regular expression in a schema."""

PATTERN_STEPS = 10_000_000
"""Of one search by it, each 1 to 30 ns."""
