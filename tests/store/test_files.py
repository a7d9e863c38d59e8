import functools
import os
import socket
import uuid

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning
from keras_restpg.store import Files, Shards
from keras_restpg.store.remote import Remote


@pytest.fixture(params=["local", "memory"])
def files(request, tmp_path):
    if request.param == "local":
        return Files(tmp_path)
    return Files(f"memory://{uuid.uuid4()}")


def test_a_written_file_may_be_read_by_whom_any_other_may(tmp_path):
    Files(tmp_path).write("a", b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


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
    "name",
    ["../x", "/etc/x", "a/../../x", "", "..", "a\\..\\b", "a\0b", "a\ud800"],
)
def test_no_name_leads_out_of_the_folder(files, name):
    with pytest.raises(InputError, match="name of a file"):
        files.write(name, b"")


def test_no_link_in_the_folder_is_followed(tmp_path):
    secret, run = tmp_path / "secret", tmp_path / "run"
    (run / "in").mkdir(parents=True)
    secret.mkdir()
    (secret / "key").write_text("mine")
    (run / "out").symlink_to(secret)
    (run / "key").symlink_to(secret / "key")
    (run / "new").symlink_to(secret / "new")
    (run / "inside").symlink_to(run / "in")
    files = Files(run)
    for change in (
        lambda: files.read("key"),
        lambda: files.read("out/key"),
        lambda: files.write("out/key", b""),
        lambda: files.write("new", b""),
        lambda: files.append("key", b""),
        lambda: files.names("out"),
        lambda: files.remove("out/key"),
        # Nor one that stays inside.
        lambda: files.write("inside/a", b"1"),
    ):
        with pytest.raises(InputError, match="is a link"):
            change()
    assert [p.name for p in secret.iterdir()] == ["key"]
    assert (secret / "key").read_text() == "mine"


def test_what_is_no_file_of_data_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    files = Files(tmp_path)
    for name in ("pipe", "socket"):
        for change in (
            files.read,
            files.exists,
            functools.partial(files.append, line=b""),
            functools.partial(files.write, data=b""),
        ):
            with pytest.raises(InputError, match="neither a file nor a folder"):
                change(name)


def test_a_run_directory_may_itself_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    Files(tmp_path / "run").write("a/b", b"1")
    assert (tmp_path / "disk/a/b").read_bytes() == b"1"


def test_a_file_is_created_once(files):
    assert files.create("a/b", b"one")
    assert not files.create("a/b", b"two")
    assert files.read("a/b") == b"one"
    assert files.names("a") == ["b"]


def test_a_file_is_created_once_where_there_are_no_links(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    test_a_file_is_created_once(Files(tmp_path))


def test_names_age_and_moves(files):
    assert files.names() == [] and files.names("a") == []
    assert files.modified("a/b") is None
    files.write("a/b", b"1")
    files.write("a/c/d", b"2")
    assert files.names("a") == ["b", "c"] and files.names() == ["a"]
    assert files.modified("a/c/d") >= files.modified("a/b")
    files.move("a", "x/y")
    assert files.names("x/y") == ["b", "c"]
    assert files.read("x/y/c/d") == b"2" and files.read("a/b") is None


def test_new_names_are_on_the_disk(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files, root = Files(tmp_path), str(tmp_path)
    files.append("a/log", b"1")
    assert synced == [root, f"{root}/a/log", f"{root}/a"]
    del synced[:]
    files.append("a/log", b"2")
    assert synced == [f"{root}/a/log"]
    files.write("b/c/d", b"1")
    assert {root, f"{root}/b", f"{root}/b/c"} <= set(synced)


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
    """A store whose every third request fails, with its client's error."""

    protocol = "failing"
    store, pseudo_dirs = {}, [""]
    requests = 0
    always = False
    error = OSError("503 slow down")

    def _request(self):
        Failing.requests += 1
        if Failing.always or Failing.requests % 3 == 1:
            raise Failing.error

    def cat_file(self, *args, **kwargs):
        self._request()
        return super().cat_file(*args, **kwargs)

    def pipe_file(self, *args, **kwargs):
        self._request()
        return super().pipe_file(*args, **kwargs)

    def ls(self, *args, **kwargs):
        self._request()
        return super().ls(*args, **kwargs)

    def rm_file(self, *args, **kwargs):
        self._request()
        return super().rm_file(*args, **kwargs)


@pytest.fixture(params=[OSError, RuntimeError])
def failing(request, monkeypatch):
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr(Remote, "pauses", (0, 0, 0))
    monkeypatch.setattr(Failing, "always", False)
    monkeypatch.setattr(Failing, "error", request.param("503 slow down"))
    return Files(f"failing://{uuid.uuid4()}")


def test_a_remote_store_that_fails_at_times_is_asked_again(failing):
    stored = Shards(failing, "s", Reasoning)
    stored.put("0", [Reasoning("a", "b")])
    stored.put("1", [Reasoning("c", "d")])
    again = Shards(failing, "s", Reasoning)
    assert again.get("1") == [Reasoning("c", "d")]


def test_a_remote_store_that_always_fails_stops_with_a_message(failing):
    Failing.always = True
    for ask in (
        lambda: failing.write("a", b""),
        lambda: failing.append("a", b""),
        lambda: failing.read("a"),
        # Not told as absence: what is there would be made anew.
        lambda: failing.exists("a"),
        lambda: failing.remove("a"),
    ):
        with pytest.raises(InputError, match="503 slow down"):
            ask()


class Deaf(MemoryFileSystem):
    """A store that writes, and then says it has failed."""

    protocol = "deaf"
    store, pseudo_dirs = {}, [""]
    writes = 0

    def pipe_file(self, *args, **kwargs):
        super().pipe_file(*args, **kwargs)
        Deaf.writes += 1
        if Deaf.writes % 2:
            raise OSError("no answer")


def test_a_line_is_added_once_where_the_answer_is_lost(monkeypatch):
    fsspec.register_implementation("deaf", Deaf, clobber=True)
    monkeypatch.setattr(Remote, "pauses", (0,))
    files = Files(f"deaf://{uuid.uuid4()}")
    files.append("log", b"1")
    files.append("log", b"2")
    assert files.read("log") == b"1\n2\n"


class Plain(MemoryFileSystem):
    """A store that knows no `mode`."""

    protocol = "plain"
    store, pseudo_dirs = {}, [""]

    def pipe_file(self, path, value):
        super().pipe_file(path, value)


def test_a_file_is_created_where_the_store_knows_no_mode():
    fsspec.register_implementation("plain", Plain, clobber=True)
    test_a_file_is_created_once(Files(f"plain://{uuid.uuid4()}"))
