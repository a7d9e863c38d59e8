import json

import pytest

from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning, Score
from keras_restpg.store import Files, Shards
from keras_restpg.store.files import digest

RECORDS = [Reasoning("a", "text\u2028\ud800 }{"), Reasoning("b", "")]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def shards(files):
    return Shards(files, "reasoning", Reasoning)


def test_what_is_put_is_got_by_another_process(files):
    shards(files).put("0", RECORDS)
    assert shards(files).get("0") == RECORDS
    assert shards(files).get("1") is None
    assert "0" in shards(files) and "1" not in shards(files)


def damage(path, how):
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[:-1])
    elif how == "flipped":
        path.write_bytes(data[:5] + bytes([data[5] ^ 1]) + data[6:])
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "missing"])
def test_a_damaged_shard_is_named_and_only_it_is_made_anew(
    files, tmp_path, how
):
    stored = shards(files)
    stored.put("0", RECORDS)
    stored.put("1", RECORDS)
    damage(tmp_path / "reasoning" / "0.jsonl", how)
    stored = shards(files)
    with pytest.warns(UserWarning, match="0.jsonl"):
        assert stored.get("0") is None
    assert stored.get("1") == RECORDS
    stored.put("0", RECORDS[:1])
    assert shards(files).get("0") == RECORDS[:1]


def test_a_torn_last_line_of_the_manifest_is_no_shard(files, tmp_path):
    shards(files).put("0", RECORDS)
    manifest = tmp_path / "reasoning" / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes() + b'{"shard": "1", "sha')
    # A line is cut by the next process, not by a reader.
    assert shards(files).keys() == ["0"]
    assert b'"sha' in manifest.read_bytes()[-8:]
    shards(Files(tmp_path)).put("1", RECORDS)
    assert shards(files).keys() == ["0", "1"]
    assert shards(files).get("1") == RECORDS


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"[1]",
        b'{"shard": "0"}',
        b"\xff",
        b"[" * 10_000,
        b"{}",
        b"9" * 10_000,
        b'{"shard": "../0", "sha256": "", "rows": 1}',
        b'{"shard": "\\u001b[2J", "sha256": "", "rows": 1}',
        b'{"shard": "0", "sha256": "", "rows": true}',
    ],
)
def test_a_damaged_manifest_is_named_with_its_line(files, tmp_path, line):
    shards(files).put("0", RECORDS)
    manifest = tmp_path / "reasoning" / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match="manifest.jsonl, line 2"):
        shards(files)


def test_a_line_of_a_holder_that_was_given_up_does_not_count(files, tmp_path):
    shards(files).put("0", RECORDS)
    manifest = tmp_path / "reasoning" / "manifest.jsonl"
    line = json.loads(manifest.read_text())
    late = {**line, "shard": "1"}
    ours = {**line, "shard": "2", "generation": 2}
    lines = "".join(json.dumps(each) + "\n" for each in (line, ours, late))
    manifest.write_text(lines)
    assert shards(files).keys() == ["0", "2"]
    # Whoever goes on from there counts.
    shards(Files(tmp_path)).put("1", RECORDS)
    assert shards(files).keys() == ["0", "2", "1"]


def test_a_shard_that_a_kill_left_out_of_the_manifest_is_not_there(
    files, tmp_path
):
    shards(files).put("0", RECORDS)
    (tmp_path / "reasoning" / "1.jsonl").write_bytes(b"{}\n")
    assert shards(files).get("1") is None


@pytest.mark.parametrize(
    "line",
    [
        b"not JSON",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"example_id": "a", "index": 0}',
        b'{"example_id": "a", "index": 0, "reward": NaN}',
        b'{"example_id": "a", "index": 0, "reward": 1.5}',
        b'{"example_id": "a", "index": 0, "reward": -0.1}',
        b'{"example_id": "a", "index": 0, "reward": 1' + b"0" * 400 + b"}",
    ],
)
def test_a_shard_of_something_else_is_named_and_made_anew(files, line):
    data = line + b"\n"
    entry = {
        "shard": "0",
        "sha256": digest(data, "scores", "", "0"),
        "rows": 1,
    }
    files.write("scores/0.jsonl", data)
    files.append("scores/manifest.jsonl", json.dumps(entry).encode())
    stored = Shards(files, "scores", Score)
    with pytest.warns(UserWarning, match="0.jsonl does not hold Score"):
        assert stored.get("0") is None
    stored.put("0", [Score("a", 0, 1.0)])
    assert Shards(files, "scores", Score).get("0") == [Score("a", 0, 1.0)]


@pytest.mark.parametrize(
    "score",
    [
        Score("a", 0, float("nan")),
        Score("a", 0, 1.5),
        Score("a", 0, 1.0, probabilities=(float("inf"),)),
    ],
)
def test_a_number_that_could_not_be_read_back_is_not_written(files, score):
    stored = Shards(files, "scores", Score)
    with pytest.raises(InputError, match="Score of example 'a'"):
        stored.put("0", [score])
    assert files.names("scores") == []


def test_rows_are_counted_without_reading_the_shards(files, tmp_path):
    stored = shards(files)
    stored.put("0", RECORDS)
    stored.put("1", RECORDS)
    (tmp_path / "reasoning" / "0.jsonl").unlink()
    assert shards(files).rows == 4
