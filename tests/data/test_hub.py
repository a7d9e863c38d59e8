"""A folder in the hub's layout stands for the hub, which is elsewhere."""

import json

import pytest

from keras_restpg.data import load_longlamp, longlamp
from keras_restpg.errors import InputError

ROWS = [
    {
        "author": "a",
        "input": "Generate the content for a reddit post",
        "output": output,
        "profile": [{"author": "a", "content": "Long", "summary": summary}],
    }
    for output, summary in (("One", "Short"), ("Two", None))
]
README = """---
configs:
- config_name: topic_writing_user
  data_files: [{split: train, path: user.SUFFIX}]
- config_name: topic_writing_temporal
  data_files: [{split: val, path: temporal.SUFFIX}]
- config_name: damaged
  data_files: [{split: train, path: damaged.SUFFIX}]
---
"""


@pytest.fixture(params=["jsonl", "parquet"])
def hub(tmp_path, monkeypatch, request):
    pytest.importorskip("datasets")
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    readme = README.replace("SUFFIX", request.param)
    (tmp_path / "README.md").write_text(readme)
    for name, rows in (("user", ROWS), ("temporal", ROWS[::-1])):
        path = tmp_path / f"{name}.{request.param}"
        if request.param == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            path.write_text("\n".join(map(json.dumps, rows)))
    data = path.read_bytes()
    path.with_stem("damaged").write_bytes(data[: len(data) // 2])
    monkeypatch.setattr(longlamp, "HUB", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "kept")
    return tmp_path


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize(
    ("config", "split"),
    [("topic_writing_user", "train"), ("topic_writing_temporal", "val")],
)
def test_the_hubs_rows_are_those_of_a_file(hub, config, split, limit):
    (path,) = hub.glob(f"{config.removeprefix('topic_writing_')}.*")
    expected = load_longlamp(config, split, path, limit)
    assert load_longlamp(config, split, limit=limit) == expected
    assert expected[0].id == f"{config}-{split}-0"
    # With a limit nothing is kept whole.
    kept = list((hub / "kept").rglob("*.arrow"))
    assert bool(kept) == (limit == 0)


@pytest.mark.parametrize("limit", [0, 9])
@pytest.mark.parametrize(
    ("config", "split"),
    [
        ("damaged", "train"),
        ("no_such_config", "train"),
        ("topic_writing_user", "test"),
    ],
)
def test_what_the_library_raises_is_an_input_error(hub, config, split, limit):
    with pytest.raises(InputError, match=f"{hub}, {config}, {split}: "):
        load_longlamp(config, split, limit=limit)


def test_a_hub_that_is_not_reached_is_named(monkeypatch):
    datasets = pytest.importorskip("datasets")

    class ConnectError(Exception):
        """As an HTTP client's own, no OSError."""

    def load_dataset(*_, **__):
        raise ConnectError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match="ConnectError: no route"):
        load_longlamp("topic_writing_user", "val")
