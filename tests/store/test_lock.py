import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from keras_restpg.errors import InputError
from keras_restpg.store import Files, Lock
from keras_restpg.store import lock as locks
from keras_restpg.store.lock import Gate
from keras_restpg.store.remote import Remote


@pytest.fixture(params=["local", "memory"])
def files(request, tmp_path):
    if request.param == "local":
        return Files(tmp_path)
    return Files(f"memory://{uuid.uuid4()}")


@pytest.fixture
def quick(monkeypatch):
    """A holder counts as gone after a second, not two minutes."""
    monkeypatch.setattr(locks, "_RENEW", 0.2)
    monkeypatch.setattr(locks, "_SILENT", 1.0)
    monkeypatch.setattr(locks, "_LOOK", 0.05)


def hold(files, **owner):
    """A lock of a process that renews it no more."""
    owner = {**Lock(files).owner, "token": "other", **owner}
    files.write("lock/1", json.dumps(owner).encode())


def left(files):
    """What is in the folder, but the lock's own gate and generation."""
    locks = {*files.names("lock")} - {"gate", "generation"}
    return [name for name in files.names() if name != "lock" or locks]


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    code = textwrap.dedent("""
        import sys
        from keras_restpg.store import Files, Lock
        with Lock(Files(sys.argv[1])):
            print("held", flush=True)
            sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"process {other.pid}"):
            Lock(Files(tmp_path)).__enter__()
        other.kill()
    # Killed, it left its lock behind: a stale one is taken over.
    assert any(each.isdigit() for each in os.listdir(tmp_path / "lock"))
    with Lock(Files(tmp_path)):
        assert any(each.isdigit() for each in os.listdir(tmp_path / "lock"))
    assert not any(each.isdigit() for each in os.listdir(tmp_path / "lock"))


def test_one_process_can_not_hold_it_twice(files):
    with Lock(files), pytest.raises(InputError, match="in use by process"):
        Lock(files).__enter__()
    with Lock(files):
        pass
    assert left(files) == []


def test_a_lock_that_could_not_be_removed_is_no_obstacle(files, monkeypatch):
    def fail(name):
        raise InputError("The disk is away.")

    lock = Lock(files).__enter__()
    monkeypatch.setattr(lock.files, "remove", fail)
    with pytest.raises(InputError, match="is away"):
        lock.__exit__()
    assert files.exists("lock/1")
    with Lock(files):
        files.write("a", b"")


@pytest.mark.parametrize(
    "other",
    [
        {"host": "elsewhere"},
        {"boot": "before"},
        {"processes": "pid:[1]", "pid": 2**22 + 1},
    ],
    ids=["another machine", "another start", "another container"],
)
def test_a_holder_that_can_not_be_seen_is_known_by_its_renewals(
    files, quick, other
):
    class Elsewhere(Lock):
        def __init__(self, files):
            super().__init__(files)
            self.owner |= other

    with Elsewhere(files):
        with pytest.raises(InputError, match="in use by process"):
            Lock(files).__enter__()
    hold(files, **other)
    begun = time.monotonic()
    with Lock(files):
        assert time.monotonic() - begun > 0.8


def test_a_holder_that_was_silent_for_long_is_not_waited_for(tmp_path):
    files = Files(tmp_path)
    hold(files, host="elsewhere")
    old = time.time() - 200
    os.utime(tmp_path / "lock/1", (old, old))
    begun = time.monotonic()
    with Lock(files):
        assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 10_000]
)
def test_a_lock_that_says_nothing_is_known_by_its_age(tmp_path, quick, data):
    path = tmp_path / "lock/1"
    path.parent.mkdir()
    path.write_bytes(data)
    os.utime(path, (1, 1))
    with Lock(Files(tmp_path)):
        pass


@pytest.mark.parametrize("pid", ["x", None, 0, -1, 2**80, 2**22 + 1])
def test_a_lock_of_no_process_is_stale(files, pid):
    hold(files, pid=pid)
    with Lock(files):
        pass


def test_the_number_of_a_dead_process_may_be_used_again(files):
    hold(files, pid=os.getppid(), started=1)
    with Lock(files):
        pass


def test_a_holder_that_slept_sees_who_took_over_and_writes_no_more(files):
    lock = Lock(files).__enter__()
    files.write("a", b"1")
    # Somebody took over, whatever the clocks of the two say.
    Files(files.url).write("lock/2", b"{}")
    for change in (
        lambda: files.write("a", b"3"),
        lambda: files.append("a", b"3"),
        lambda: files.move("a", "b"),
        lambda: files.remove("a"),
    ):
        with pytest.raises(InputError, match="took over"):
            change()
    assert files.read("a") == b"1"
    lock.__exit__()
    assert files.read("lock/2") == b"{}"


def test_a_holder_whose_lock_was_removed_stops(files):
    lock = Lock(files).__enter__()
    Files(files.url).remove("lock/1")
    with pytest.raises(InputError, match="was removed"):
        files.write("a", b"")
    lock.__exit__()
    assert not files.exists("lock/1")


def test_a_renewal_that_fails_is_told_and_tried_again(files, quick):
    lock = Lock(files)
    touch, tried = lock.files.touch, threading.Event()

    def fail_once(name, data):
        lock.files.touch = touch
        tried.set()
        raise InputError("The disk is away.")

    lock.files.touch = fail_once
    with pytest.warns(UserWarning, match="The disk is away. Until then"):
        with lock:
            assert tried.wait(10)
            before = files.modified("lock/1")
            deadline = time.monotonic() + 10
            while files.modified("lock/1") == before:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            files.write("a", b"1")


def test_a_silent_holder_is_of_an_earlier_generation(files, quick):
    hold(files, host="elsewhere")
    with Lock(files) as lock:
        assert lock.generation == files.generation == 2
        assert files.names("lock")[-1:] != ["1"]
    # One that let go is not.
    with Lock(Files(files.url)) as lock:
        assert lock.generation == 2


def test_a_killed_process_of_this_machine_writes_no_more(files):
    hold(files, pid=2**22 + 1)
    with Lock(files) as lock:
        assert lock.generation == 1


def test_nobody_takes_over_in_the_middle_of_a_write(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    files = Files(tmp_path)
    with Lock(files) as lock:
        with lock._gate, pytest.raises(InputError, match="middle of a write"):
            Gate(Files(tmp_path)).__enter__()
        # Where a file system has no locks, all may pass.
        monkeypatch.setattr(fcntl, "flock", no_locks)
        with lock._gate:
            with Gate(Files(tmp_path)):
                pass


def no_locks(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")


def race(folders, together, held):
    for folder in folders:
        lock = Lock(Files(folder))
        together.wait()
        try:
            lock.__enter__()
            held.put(folder)
        except InputError:
            lock = None
        together.wait()
        if lock:
            lock.__exit__()


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path):
    folders = [str(tmp_path / str(number)) for number in range(20)]
    for folder in folders:
        hold(Files(folder), pid=2**22 + 1)
    context = multiprocessing.get_context("spawn")
    together, held = context.Barrier(4, timeout=60), context.Queue()
    racers = [
        context.Process(target=race, args=(folders, together, held))
        for _ in range(4)
    ]
    for racer in racers:
        racer.start()
    # Each process' queue has a pace of its own.
    assert sorted(held.get(timeout=60) for _ in folders) == sorted(folders)
    for racer in racers:
        racer.join()
    assert held.empty()
    assert not any(left(Files(folder)) for folder in folders)


@pytest.mark.parametrize("gone", [False, True])
def test_one_that_judged_a_lock_long_ago_does_not_take_a_new_one(files, gone):
    hold(files, pid=2**22 + 1)
    late = Lock(files)

    def lives(*_):
        """While it judges, another comes, and perhaps a third."""
        first = Lock(Files(files.url)).__enter__()
        if gone:
            first.__exit__()
            files.write("lock/7", b"{}")
        return False

    late._lives = lives
    with pytest.raises(InputError, match="began just now"):
        late.__enter__()
    assert not files.exists("lock/2") or not gone


class Slow(MemoryFileSystem):
    """A store in which two see that nothing is there before one writes."""

    protocol = "slow"
    store, pseudo_dirs = {}, [""]
    both, one = threading.Barrier(2), threading.Lock()

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        if mode == "create":
            with contextlib.suppress(threading.BrokenBarrierError):
                self.both.wait(0.5)
        with self.one:
            if mode == "create" and path in self.store:
                raise FileExistsError(path)
            super().pipe_file(path, value)


def test_of_two_that_see_no_lock_in_a_remote_store_one_gets_it():
    fsspec.register_implementation("slow", Slow, clobber=True)
    url = f"slow://{uuid.uuid4()}"
    found = []

    def race():
        try:
            found.append(Lock(Files(url)).__enter__())
        except InputError as error:
            found.append(error)

    racers = [threading.Thread(target=race) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    held = [each for each in found if isinstance(each, Lock)]
    assert len(held) == 1
    held[0].__exit__()


class Down(MemoryFileSystem):
    """A store that fails, and whose client has errors of its own."""

    protocol = "down"
    store, pseudo_dirs = {}, [""]
    down = False

    def _check(self):
        if Down.down:
            raise RuntimeError("503 from the client")

    def ls(self, path, **kwargs):
        self._check()
        return super().ls(path, **kwargs)

    def cat_file(self, path, **kwargs):
        self._check()
        return super().cat_file(path, **kwargs)


def test_a_remote_store_that_fails_does_not_look_free(monkeypatch):
    fsspec.register_implementation("down", Down, clobber=True)
    monkeypatch.setattr(Remote, "pauses", (0,))
    files = Files(f"down://{uuid.uuid4()}")
    hold(files)
    before = files.read("lock/1")
    monkeypatch.setattr(Down, "down", True)
    with pytest.raises(InputError, match="503 from the client"):
        Lock(files).__enter__()
    monkeypatch.setattr(Down, "down", False)
    assert files.read("lock/1") == before
