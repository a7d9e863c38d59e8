import os
import uuid

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning
from keras_restpg.store import Files, Shards


@pytest.fixture(params=["local", "memory"])
def files(request, tmp_path):
    if request.param == "local":
        return Files(tmp_path)
    return Files(f"memory://{uuid.uuid4()}")


def test_files_are_written_replaced_and_removed(files):
    assert files.read("a/b") is None and not files.exists("a/b")
    files.write("a/b", b"one")
    files.write("a/b", b"two")
    assert files.read("a/b") == b"two"
    files.append("log", b"1")
    files.append("log", b"2")
    assert files.read("log") == b"1\n2\n"
    files.move("a", "c")
    assert files.read("c/b") == b"two" and files.read("a/b") is None
    files.remove("c/b")
    files.remove("c/b")
    assert files.read("c/b") is None


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "", "..", "a\\..\\b"]
)
def test_no_name_leads_out_of_the_folder(files, name):
    with pytest.raises(InputError, match="name of a file"):
        files.write(name, b"")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    files = Files(tmp_path)
    files.write("a", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        files.write("a", b"new")
    monkeypatch.undo()
    assert files.read("a") == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a"]


class Failing(MemoryFileSystem):
    """A store whose every third request fails."""

    protocol = "failing"
    store, pseudo_dirs = {}, [""]
    requests = 0
    always = False

    def _request(self):
        Failing.requests += 1
        if Failing.always or Failing.requests % 3 == 1:
            raise OSError("503 slow down")

    def cat_file(self, *args, **kwargs):
        self._request()
        return super().cat_file(*args, **kwargs)

    def pipe_file(self, *args, **kwargs):
        self._request()
        return super().pipe_file(*args, **kwargs)


@pytest.fixture
def failing(monkeypatch):
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr("keras_restpg.store.files._PAUSES", (0, 0, 0))
    Failing.always = False
    return Files(f"failing://{uuid.uuid4()}")


def test_a_remote_store_that_fails_at_times_is_asked_again(failing):
    stored = Shards(failing, "s", Reasoning)
    stored.put("0", [Reasoning("a", "b")])
    stored.put("1", [Reasoning("c", "d")])
    again = Shards(failing, "s", Reasoning)
    assert again.get("1") == [Reasoning("c", "d")]


def test_a_remote_store_that_always_fails_stops_with_a_message(failing):
    Failing.always = True
    with pytest.raises(InputError, match="503 slow down"):
        failing.write("a", b"")
