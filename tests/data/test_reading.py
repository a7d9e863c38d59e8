import datetime
import json
import tracemalloc

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


def test_a_row_that_is_too_long_for_an_array_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_BLOCK", 7)
    monkeypatch.setattr(reading, "LONGEST", 100)
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"a": "x"}, {"a": "x" * 1000}]))
    with pytest.raises(InputError, match="item 2: .*longer than 100 char"):
        rows_of(path)


def test_marks_and_spaces_around_an_array(tmp_path):
    path = tmp_path / "r.json"
    spaces = " \n" * 2_000_000
    for before in ("", "\ufeff", spaces, "\ufeff" + spaces):
        path.write_text(f'{before}[ {{"a": 1}} ,\n{{}}\t]\r\n', "utf-8")
        assert rows_of(path) == [{"a": 1}, {}]


def test_an_array_is_never_whole_in_memory(tmp_path):
    path = tmp_path / "r.json"
    item = json.dumps({"a": "x" * 1000}) + "," + " " * 1000
    path.write_text("[" + item * 20_000 + "{}]")
    tracemalloc.start()
    count = sum(1 for _ in reading.objects(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_001 and peak < 16 * 2**20 < path.stat().st_size


ARRAYS = st.lists(
    st.sampled_from(
        ["[", "]", "{}", '{"a": [1, "]"]}', ",", ", ", " ", "\n", "x", "1"]
    ),
    max_size=8,
).map("".join)


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(ARRAYS, st.integers(1, 9))
def test_arrays_are_those_of_json(tmp_path_factory, text, block):
    path = tmp_path_factory.getbasetemp() / "array.json"
    text = "[{}" + text
    path.write_text(text)
    try:
        expected = json.loads(text)
    except ValueError:
        expected = [None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCK", block)
        if all(isinstance(item, dict) for item in expected):
            assert rows_of(path) == expected
        else:
            with pytest.raises(InputError):
                rows_of(path)


def test_a_malformed_line_of_many_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"a": 1}\n' * 99_999 + '{"a": 1\n')
    with pytest.raises(InputError, match=f"{path}, line 100000: not JSON"):
        rows_of(path)


def test_numbers_and_dates_are_text():
    values = {
        "s": "x",
        "i": 7,
        "f": 5.0,
        "d": datetime.date(2020, 1, 15),
        "t": datetime.datetime(2020, 1, 15, 10, 30),
    }
    found = [reading.text_of(values, name, "here") for name in values]
    assert found == ["x", "7", "5.0", "2020-01-15", "2020-01-15T10:30:00"]
    for value in (True, None, [], float("nan"), float("inf")):
        with pytest.raises(InputError, match="here: the field 'a' must be"):
            reading.text_of({"a": value}, "a", "here")
    assert reading.text_or({"a": None}, "a", "here", "b") == "b"
    assert reading.text_or({}, "a", "here") == ""
    with pytest.raises(InputError, match="'a' must be text"):
        reading.text_or({"a": []}, "a", "here")


def test_parquet_with_dates_and_nulls(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"d": datetime.date(2020, 1, 15)}, {"d": None}]
    path = tmp_path / "r.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert reading.text_of(rows_of(path)[0], "d", "") == "2020-01-15"
    assert rows_of(path) == rows


def test_a_damaged_page_of_parquet_is_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "r.parquet"
    table = pyarrow.Table.from_pylist([{"a": f"text {i}"} for i in range(999)])
    parquet.write_table(table, path, compression="gzip", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[100:400] = b"\xff" * 300
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{path}: not a Parquet file"):
        rows_of(path)


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
        (b'[{"a": 1}] {"a": 2}', "closing bracket"),
        (b'[{"a": 1}]]', "closing bracket"),
        (b'[{"a": 1} {"a": 2}]', "item 1: not JSON .*comma"),
        (b'[{"a": 1},, {"a": 2}]', "item 2: not JSON"),
        (b'[,{"a": 1}]', "item 1: not JSON"),
        (b'[{"a": 1},]', "item 2: not JSON"),
        (b'[{"a": ' + b"1" * 5000 + b"}]", "item 1: not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "line 1: not JSON"),
        (b"[", "item 1: not JSON"),
        (b"[]", "the file is empty"),
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
