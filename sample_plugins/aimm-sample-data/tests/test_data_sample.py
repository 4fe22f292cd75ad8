"""Tests of the sample through the public API, as a plugin's author would write them."""

import pandas as pd
import pytest
import sqlalchemy

import aimm_plugins


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
