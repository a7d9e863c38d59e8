"""A holder that sleeps anywhere, and another that takes over meanwhile.

The first is stopped right before one of its file operations, the second takes
over and does some of its work, then the first wakes up and goes on as far as
it can. `KERAS_RESTPG_INTERLEAVINGS=500 pytest tests/store/test_fencing.py`
tries more of them, half on a disk and half in an object store.
"""

import contextlib
import functools
import os
import threading
import uuid

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning
from keras_restpg.run.status import status
from keras_restpg.store import RunDirectory
from keras_restpg.store import lock as locks
from keras_restpg.store.remote import Remote
from keras_restpg.store.state import read_state, write_state
from tests import arithmetic
from tests.store.faults import Fault

CASES = int(os.environ.get("KERAS_RESTPG_INTERLEAVINGS", "40")) // 2
ROUNDS = 3


class Sleep:
    """Stops the first holder's thread before its N-th operation.

    Attributes:
        count: its operations.
    """

    def __init__(self, number=None):
        self.number = number
        self.count = 0
        self.sleeper = None
        self.asleep, self.awake = threading.Event(), threading.Event()

    def before(self):
        if threading.current_thread() is self.sleeper:
            self.count += 1
            if self.count - 1 == self.number:
                self.asleep.set()
                assert self.awake.wait(60)


class Slow(Fault):
    """As a fault of a disk: it only takes long."""

    def __init__(self, folder, sleep):
        super().__init__(folder)
        self.sleep = sleep

    def _happens(self, name, function, path, *arguments, **kwargs):
        self.sleep.before()
        return function(path, *arguments, **kwargs)


class Objects(MemoryFileSystem):
    """An object store: a request that was sent is carried out, however late."""

    protocol = "objects"
    store, pseudo_dirs = {}, [""]
    sleep = Sleep()

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        Objects.sleep.before()
        super().pipe_file(path, value, mode=mode)

    def rm_file(self, path):
        Objects.sleep.before()
        super().rm_file(path)

    def cp_file(self, path, target, **kwargs):
        Objects.sleep.before()
        super().cp_file(path, target)


def work(run, who):
    """What a run does to its files, a step at a time; all of it by `who`."""
    for number in range(ROUNDS):
        value = f"{who}{number}"
        run.shards("reasoning", Reasoning).put(
            f"{number:05d}", [Reasoning(value, who)]
        )
        yield
        write_state(run, {"epoch": number, "stage": who})
        run.log("metrics.jsonl", value)
        yield
        run.claim("start", {"who": value})
        run.save_bytes("start/weights", value.encode())
        run.files.remove("start/other")
        run.save_bytes("start/other", value.encode())
        yield
        if run.files.local:
            run.save_folder("model", functools.partial(fill, text=value))


def fill(path, text):
    with open(os.path.join(path, "config.json"), "w") as file:
        file.write(text)


def found(run):
    """What `work` left, as a reader finds it."""
    shards = run.shards("reasoning", Reasoning)
    model = run.folder("model") if run.files.local else None
    return {
        "shards": [shards.get(key) for key in sorted(shards.keys())],
        "state": read_state(run),
        "log": run.read_log("metrics.jsonl"),
        "start": run.inputs("start"),
        "weights": run.load_bytes("start/weights"),
        "other": run.load_bytes("start/other"),
        "model": model and open(os.path.join(model, "config.json")).read(),
    }


def open_as(url):
    run = RunDirectory(url)
    return run.open()


class Holder(threading.Thread):
    """The first holder, until it has ended or finds out."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url = url
        self.told = None

    def run(self):
        try:
            with open_as(self.url) as run:
                for _ in work(run, "A"):
                    pass
        except InputError as error:
            self.told = str(error)


def is_first():
    return isinstance(threading.current_thread(), Holder)


def take_over(url):
    """The second holder; where the first is in a write, after it."""
    with contextlib.suppress(InputError):
        return open_as(url)
    return None


def interleave(url, sleep, steps):
    """Two holders; the second does `steps` steps while the first sleeps."""
    first = sleep.sleeper = Holder(url)
    first.start()
    while not sleep.asleep.wait(0.002) and first.is_alive():
        pass
    second = take_over(url)
    jobs = work(second, "B") if second else iter(())
    for _ in zip(range(steps), jobs, strict=False):
        pass
    sleep.awake.set()
    first.join(60)
    assert not first.is_alive()
    if second is None:
        # It was in the middle of a write, which nobody may interrupt.
        assert first.told is None or "middle" not in first.told
        second = open_as(url)
        jobs = work(second, "B")
    else:
        told = ("took over", "in use", "began just now", "can't be read or")
        assert first.told is None or any(t in first.told for t in told)
    for _ in jobs:
        pass
    second.close()
    return first


def check(url):
    """Everything is the second holder's, and whole."""
    last = f"B{ROUNDS - 1}"
    run = RunDirectory(url)
    # As an owner reads it, of the generation that it was left in.
    left = found(run)
    wanted = [[Reasoning(f"B{i}", "B")] for i in range(ROUNDS)]
    assert left["shards"] == wanted
    assert left["state"] == {"epoch": ROUNDS - 1, "stage": "B"}
    theirs = [line for line in left["log"] if line.startswith("B")]
    assert theirs == [f"B{i}" for i in range(ROUNDS)]
    # What the first one wrote in time is kept, and nothing came after.
    before = left["log"][: -len(theirs)]
    assert before == [f"A{i}" for i in range(len(before))]
    assert left["start"] == {"who": last}
    assert left["weights"] == left["other"] == last.encode()
    if run.files.local:
        assert left["model"] == last
        assert not [n for n in run.files.names() if n.startswith(".")]


@pytest.fixture
def quick(monkeypatch):
    """The first is silent for the second, and a write not waited for long."""
    monkeypatch.setattr(locks, "_PATIENCE", 0.02)
    monkeypatch.setattr(locks.Lock, "_is_here", lambda lock, held: False)
    monkeypatch.setattr(locks.Lock, "_lives", lambda *_: is_first())


def spread(count, cases):
    """`(operation that the first sleeps before, steps of the second)`."""
    for case in range(cases):
        yield case * count // cases, (case * 7) % (3 * ROUNDS + 1)


def test_on_a_disk(tmp_path, quick):
    sleep = Sleep()
    with Slow(tmp_path, sleep)():
        first = sleep.sleeper = Holder(tmp_path / "count")
        first.start()
        first.join()
        for number, steps in spread(sleep.count, CASES):
            hooked = Sleep(number)
            folder = tmp_path / uuid.uuid4().hex
            with Slow(folder, hooked)():
                interleave(folder, hooked, steps)
            check(folder)


def test_in_an_object_store(quick, monkeypatch):
    fsspec.register_implementation("objects", Objects, clobber=True)
    monkeypatch.setattr(Remote, "pauses", (0, 0))
    monkeypatch.setattr(Objects, "sleep", Sleep())
    first = Objects.sleep.sleeper = Holder(f"objects://{uuid.uuid4()}")
    first.start()
    first.join()
    for number, steps in spread(Objects.sleep.count, CASES):
        url = f"objects://{uuid.uuid4()}"
        monkeypatch.setattr(Objects, "sleep", Sleep(number))
        interleave(url, Objects.sleep, steps)
        check(url)
        Objects.store.clear()


@pytest.mark.parametrize("epoch", [1, 6, 12])
def test_a_whole_run_of_two_generations(tmp_path, quick, monkeypatch, epoch):
    """A machine is lost, another goes on in the same object store."""
    write = RunDirectory.write_json
    url = f"memory://{uuid.uuid4()}"

    def lost(run, name, value):
        write(run, name, value)
        if name == "state.json" and value["epoch"] == epoch:
            # Nobody lets go of its lock.
            run._lock = None
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_json", lost)
        with pytest.raises(KeyboardInterrupt):
            arithmetic.run(url)
    assert arithmetic.run(url) == arithmetic.run(tmp_path)
    run = RunDirectory(url)
    assert read_state(run)["epoch"] == 12
    assert "state~2.json" in map(
        os.path.basename,
        run.files.store.system.ls(run.files.store.root, detail=False),
    )
    assert ", 0 of them not sound" in status(url, verify=True)
    assert arithmetic.run(url) == arithmetic.run(tmp_path)
