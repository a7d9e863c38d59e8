import os
import random
import sqlite3
import subprocess
import sys

import pytest

from keras_restpg.errors import InputError
from keras_restpg.store.cache import Cache


def test_values_by_key_in_memory_and_in_a_file(tmp_path):
    for path in (None, tmp_path / "new" / "c.sqlite3"):
        cache = Cache(path, "things")
        many = {f"key {i}": bytes([i % 256]) * i for i in range(1200)}
        cache.add({**many, b"\xff": b"", "\ud800": b"\0"})
        assert cache.get([*many, "none"]) == many
        assert cache.get([b"\xff", "\ud800"]) == {b"\xff": b"", "\ud800": b"\0"}
        cache.add({"key 1": b"other"})
        assert cache.get(["key 1"]) == {"key 1": b"other"}
    assert Cache(path, "things").get(["key 2"]) == {"key 2": b"\2\2"}
    assert [p.name for p in path.parent.iterdir()] == ["c.sqlite3"]


def foreign(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (a)")
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "make",
    [
        foreign,
        lambda path: path.write_bytes(b"[1, 2]"),
        lambda path: path.write_bytes(b"SQLite format 3\0"),
        lambda path: Cache(path, "others").add({"k": b"v"}),
    ],
)
def test_another_file_is_refused_and_stays_as_it_is(tmp_path, make):
    path = tmp_path / "mine"
    make(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="mine is no cache of things"):
        Cache(path, "things")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
def test_links_and_pipes_are_refused(tmp_path, suffix):
    path, other = tmp_path / "c", tmp_path / "other"
    other.write_bytes(b"\0" * 600)
    (tmp_path / f"c{suffix}").symlink_to(other)
    with pytest.raises(InputError, match="is a link or no file"):
        Cache(path, "things")
    assert other.read_bytes() == b"\0" * 600
    (tmp_path / f"c{suffix}").unlink()
    os.mkfifo(tmp_path / f"c{suffix}")
    with pytest.raises(InputError, match="is a link or no file"):
        Cache(path, "things")


def test_no_flipped_bit_changes_a_value(tmp_path):
    path = tmp_path / "c"
    kept = {f"key {i}": f"value {i}".encode() * 20 for i in range(40)}
    Cache(path, "things").add(kept)
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            found = Cache(path, "things").get(kept)
        except InputError:
            continue
        assert found.items() <= kept.items()


def test_what_was_damaged_is_kept_anew(tmp_path):
    path = tmp_path / "c"
    Cache(path, "things").add({"a": b"first value", "b": b"other"})
    path.write_bytes(path.read_bytes().replace(b"first", b"fIrst"))
    cache = Cache(path, "things")
    assert cache.get("ab") == {"b": b"other"}
    cache.add({"a": b"first value"})
    assert Cache(path, "things").get("a") == {"a": b"first value"}


WRITE = """
import sys
from keras_restpg.store.cache import Cache
for number in range(40):
    cache = Cache(sys.argv[1], "things")
    cache.add({f"{sys.argv[2]} {number}": sys.argv[2].encode(), "s": b"s"})
"""


def test_processes_write_at_once(tmp_path):
    path = tmp_path / "c"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(path), name])
        for name in "xyz"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    keys = [f"{name} {number}" for name in "xyz" for number in range(40)]
    found = Cache(path, "things").get([*keys, "s"])
    assert found == {**{key: key[0].encode() for key in keys}, "s": b"s"}


def test_a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cache of things can't be read or"):
        Cache(tmp_path / "file" / "c", "things")
