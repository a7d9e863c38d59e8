import json

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data import reading
from keras_restpg.errors import InputError

ROWS = [{"a": "x\u2028y"}, {"a": 'quote " and ]}'}, {"b": [1, {"c": "é"}]}]


def rows_of(path):
    return [row for _, row in reading.objects(path)]


@pytest.mark.parametrize("name", ["r.jsonl", "r.json"])
def test_lines_and_arrays_give_the_same_rows(tmp_path, name):
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    assert rows_of(path) == ROWS
    path.write_text(json.dumps(ROWS, indent=1, ensure_ascii=False))
    assert rows_of(path) == ROWS


def test_an_array_is_read_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_BLOCK", 7)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(ROWS * 20))
    assert rows_of(path) == ROWS * 20


def test_parquet_gives_the_same_rows(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"a": "x", "p": [{"t": "u"}]}, {"a": "y", "p": []}]
    table = pyarrow.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "r.parquet")
    assert rows_of(tmp_path / "r.parquet") == rows
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a Parquet file"):
        rows_of(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b'{"a": 1}\n{"a": \n', "line 2: not JSON"),
        (b'{"a": 1}\n7\n', "line 2: must be an object"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2: byte 8 is not UTF-8"),
        (b'[{"a": 1}, {"a" 2}]', "item 2: not JSON"),
        (b'[{"a": 1}, 5]', "item 2: must be an object"),
        (b'[{"a": 1}, ', "item 2: not JSON"),
        (b'[{"a": "\xff"}]', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, data, message):
    path = tmp_path / "r.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as error:
        rows_of(path)
    assert str(path) in str(error.value)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_input_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    path.write_bytes(data)
    try:
        rows_of(path)
    except InputError as error:
        assert str(path) in str(error)


def test_a_users_texts(tmp_path):
    path = tmp_path / "d.txt"
    path.write_text("one\nstill one\n\n \ntwo\n")
    assert reading.texts(path) == ["one\nstill one", "two"]
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "one"}\n{"text": 2}')
    assert reading.texts(path) == ["one", "2"]
    with pytest.raises(InputError, match="No such file"):
        reading.texts(tmp_path / "x.txt")
