"""Tests of the sample through the public API, as a plugin's author would write them."""

import pandas as pd
import pytest
import sqlalchemy
from aimm_sample_data.conformance import CONFORMANCE

import aimm_plugins
from aimm_plugins.testing import parametrize_conformance


@pytest.fixture(autouse=True)
def plugins():
    aimm_plugins.initialize({"names": ["aimm_sample_data"], "entry_points": {"enabled": False}})
    yield
    aimm_plugins.unload_all()


@pytest.fixture
def frame():
    return pd.DataFrame({"a": range(10), "b": [i / 2 for i in range(10)], "y": [0, 1] * 5})


def test_wine_splits_do_not_overlap_and_cover_all():
    sizes = {
        split: len(aimm_plugins.exec_data_access("wine", None, split=split)[1])
        for split in ("all", "train", "test")
    }
    assert sizes == {"all": 178, "train": 134, "test": 44}


def test_wine_without_target_is_features_alone():
    features = aimm_plugins.exec_data_access("wine", None, split="test", target=False)
    assert features.shape == (44, 13)


def test_csv_is_read_in_chunks_with_progress(tmp_path, frame):
    path = tmp_path / "frame.csv"
    frame.to_csv(path, index=False)
    events = []
    x, y = aimm_plugins.exec_data_access("csv", events.append, path, target="y", chunk_rows=4)
    assert len(events) == 3
    assert events[-1]["step"] == events[-1]["total"] == path.stat().st_size
    pd.testing.assert_frame_equal(x, frame[["a", "b"]])
    pd.testing.assert_series_equal(y, frame["y"])


def test_csv_without_the_column_names_those_there_are(tmp_path, frame):
    path = tmp_path / "frame.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(ValueError, match="no column z; there are a, b, y"):
        aimm_plugins.exec_data_access("csv", None, path, target="z")


def test_sql_reads_any_url_with_parameters(tmp_path, frame):
    url = f"sqlite:///{tmp_path / 'frame.db'}"
    engine = sqlalchemy.create_engine(url)
    frame.to_sql("frame", engine, index=False)
    engine.dispose()
    events = []
    x = aimm_plugins.exec_data_access(
        "sql",
        events.append,
        "select a, b from frame where a >= :least",
        url=url,
        parameters={"least": 4},
        chunk_rows=4,
    )
    assert list(x["a"]) == [4, 5, 6, 7, 8, 9]
    assert [event["step"] for event in events] == [4, 6]


def test_raising_callback_ends_the_reading(tmp_path, frame):
    path = tmp_path / "frame.csv"
    frame.to_csv(path, index=False)

    def stop(state):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        aimm_plugins.exec_data_access("csv", stop, path)


def test_columns_are_kept_in_the_order_asked_for(tmp_path, frame):
    path = tmp_path / "frame.csv"
    frame.to_csv(path, index=False)
    x = aimm_plugins.exec_data_access("csv", None, str(path), columns=["b", "a"])
    assert list(x) == ["b", "a"]


def test_csv_without_rows_is_an_empty_frame(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("a,b\n")
    assert aimm_plugins.exec_data_access("csv", None, path).shape == (0, 2)


def test_csv_without_anything_is_an_error(tmp_path):
    path = tmp_path / "nothing.csv"
    path.touch()
    with pytest.raises(ValueError, match="No columns"):
        aimm_plugins.exec_data_access("csv", None, path)


@pytest.mark.parametrize("access", [("csv", "frame.csv"), ("sql", "SELECT 1")])
def test_chunks_have_at_least_one_row(access):
    with pytest.raises(ValueError, match="at least 1"):
        aimm_plugins.exec_data_access(access[0], None, access[1], chunk_rows=0)


def test_sql_has_the_bundled_data_where_no_url_is_given():
    x, y = aimm_plugins.exec_data_access(
        "sql",
        None,
        "SELECT alcohol_percent, cultivar FROM wine WHERE cultivar = :cultivar",
        parameters={"cultivar": 2},
        target="cultivar",
    )
    assert x.shape == (48, 1)
    assert set(y) == {2}


def test_sql_without_hits_keeps_its_columns():
    x = aimm_plugins.exec_data_access("sql", None, "SELECT hue FROM wine WHERE hue < 0")
    assert x.shape == (0, 1)


def test_sql_that_writes_is_refused_and_changes_nothing(tmp_path, frame):
    url = f"sqlite:///{tmp_path / 'frame.db'}"
    engine = sqlalchemy.create_engine(url)
    frame.to_sql("frame", engine, index=False)
    engine.dispose()
    with pytest.raises(ValueError, match="SELECT"):
        aimm_plugins.exec_data_access("sql", None, "DELETE FROM frame", url=url)
    left = aimm_plugins.exec_data_access("sql", None, "SELECT * FROM frame", url=url)
    assert len(left) == len(frame)


def test_callback_that_raises_ends_the_query():
    def stop(state):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        aimm_plugins.exec_data_access("sql", stop, "SELECT * FROM wine", chunk_rows=10)


def test_wine_is_what_its_documentation_says():
    x, y = aimm_plugins.exec_data_access("wine")
    assert x.dtypes.eq("float64").all()
    assert not x.isna().any(axis=None)
    assert y.value_counts().to_dict() == {1: 71, 0: 59, 2: 48}
    assert (x["proline"].min(), x["proline"].max()) == (278, 1680)


def test_wine_is_shuffled_in_the_same_way_by_the_same_seed():
    plain, one, two = (
        aimm_plugins.exec_data_access("wine", None, split="train", shuffle=seed)[0]
        for seed in (None, 7, 7)
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(plain)
    assert sorted(one["proline"]) == sorted(plain["proline"])


def test_names_make_a_dict_for_keyword_arguments():
    data = aimm_plugins.exec_data_access("wine", None, split="test", names=["x", "learn_from"])
    assert list(data) == ["x", "learn_from"]


def test_names_are_as_many_as_the_results():
    with pytest.raises(ValueError, match="list of 1"):
        aimm_plugins.exec_data_access("wine", None, target=False, names=["x", "y"])


def test_unknown_split_names_those_there_are():
    with pytest.raises(ValueError, match="all, train or test, not 'dev'"):
        aimm_plugins.exec_data_access("wine", None, split="dev")


@parametrize_conformance(CONFORMANCE)
def test_conformance(check):
    check()
