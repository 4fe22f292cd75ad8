"""Tables of pandas on their way into a process and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aimm_plugins import exec_data_access
from aimm_plugins._discovery.scan import scan
from aimm_plugins._environments.payload import pack, unpack
from aimm_plugins._environments.tables import as_arrow
from aimm_plugins._startup.environments.plan import travel_as_arrow
from tests.environments.conftest import Apart
from tests.support.metadata import write_dist_info

pd: Any = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

TIMES = pd.date_range("2020-01-01", periods=2, freq="D")
ZONED = TIMES.tz_localize("Europe/Berlin")


def with_attributes() -> Any:
    frame = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    frame.attrs[3] = ["x"]
    return frame


TABLES: dict[str, Callable[[], Any]] = {
    "numbers": lambda: pd.DataFrame({"a": [1, 2], "b": [1.5, None], "c": [True, False]}),
    "none": lambda: pd.DataFrame(),
    "no rows": lambda: pd.DataFrame({"t": pd.Series([], dtype="datetime64[ns, UTC]")}),
    "strings": lambda: pd.DataFrame({"s": ["a", "ß", None]}),
    "categories": lambda: pd.DataFrame(
        {"c": pd.Categorical(["x", None], ["y", "x", "z"], ordered=True)}
    ),
    "intervals as categories": lambda: pd.DataFrame({"c": pd.cut([1, 2, 3], 2)}),
    "times": lambda: pd.DataFrame({"t": ZONED, "d": TIMES - TIMES[0]}),
    "nullable": lambda: pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
    "periods": lambda: pd.DataFrame({"p": pd.period_range("2020", periods=2, freq="M")}),
    "lists": lambda: pd.DataFrame({"n": [1, 2], "l": [[1, 2], [3]], "d": [{"a": 1}, {"b": 2}]}),
    "mixed": lambda: pd.DataFrame({"m": pd.Series(["a", 1], dtype=object)}),
    "a named index": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="a")),
    "an index of times": lambda: pd.DataFrame({"a": [1, 2]}, index=TIMES),
    "an index of periods": lambda: pd.DataFrame({"a": [1, 2]}, index=TIMES.to_period("D")),
    "an index of levels": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["l", None])
    ),
    "numbered columns": lambda: pd.DataFrame([[1, 2]], columns=[3, 5]),
    "columns of two kinds": lambda: pd.DataFrame([[1, 2]], columns=[True, "a"]),
    "columns of one name": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "attributes": with_attributes,
    "a series": lambda: pd.Series(["a", "b"], index=TIMES, name=("x", 1)),
}


def assert_same(back: Any, table: Any) -> None:
    """The two are alike in all that pandas compares, and in what it does not."""
    compare = pd.testing.assert_series_equal if table.ndim == 1 else pd.testing.assert_frame_equal
    compare(back, table, check_freq=True)
    assert back.attrs == table.attrs


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_same_after_it_was_arrow(name: str) -> None:
    table = TABLES[name]()
    packed = pack(table, as_arrow())
    assert_same(unpack(packed.body, packed.buffers), table)


def test_tables_come_back_as_they_were_sent(apart: Apart) -> None:
    apart.start()
    for make in TABLES.values():
        ((back,), _) = exec_data_access("echo", None, make())
        assert_same(back, make())


@pytest.mark.parametrize(
    ("pandas", "pyarrow", "expected"),
    [("0.1", "0.1", True), ("0.1", None, False), (pd.__version__, "0.1", False)],
)
def test_tables_travel_as_arrow_to_another_version_of_pandas_that_has_pyarrow(
    tmp_path: Path, pandas: str, pyarrow: str | None, expected: bool
) -> None:
    write_dist_info(tmp_path, "pandas", pandas)
    if pyarrow is not None:
        write_dist_info(tmp_path, "pyarrow", pyarrow)
    assert travel_as_arrow(scan(), scan((str(tmp_path),))) is expected
