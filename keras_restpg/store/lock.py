"""One writer at a time in a run directory.

    lock/3            its holder, the third since the folder was made
    lock/generation   how many took over from one that may live, the first too
    lock/gate         who writes on this machine right now

Who holds the directory renews its lock every 20 seconds. Whether a holder
still lives is told by the process table where it runs under ours, else by
whether it renews: one that is silent for two minutes is taken to be gone, as a
spot machine that was reclaimed. To take over is to create the next number: one
atomic step, which one process alone can make. Before each change a holder
looks whether its number is still the last. So one that was only asleep stops
before its next write.

What it was about to write when it fell asleep is kept from doing harm too. On
a machine, and where a shared file system has locks, looking and writing are
one: both are done behind the gate, through which a take-over has to go. An
object store has no gate; there each generation writes under names of its own
(`remote.py`).
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import threading
import time
import uuid
import warnings
from typing import Self

from keras_restpg.errors import InputError
from keras_restpg.store.disk import make_folder
from keras_restpg.store.files import Files

FOLDER = "lock"
_GENERATION = f"{FOLDER}/generation"
# Seconds between two renewals, until a silent holder counts as gone, between
# two looks at one, and for which another may be in the middle of a write.
_RENEW, _SILENT, _LOOK, _PATIENCE = 20.0, 120.0, 1.0, 60.0
# What is equal for all processes that one process table lists.
_PLACE = ("host", "boot", "processes")
# Tokens of what this process holds: it may outlive a lock that it could not
# remove.
_HELD = set()


class Lock:
    """A context that holds a run directory for this process.

    Args:
        files: the directory's `Files`; held, it refuses changes once another
            process has taken over.

    Raises:
        InputError: on entering, another process holds it.
    """

    def __init__(self, files: Files) -> None:
        self.guarded = files
        self.files = Files(files.url)
        self.owner = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "processes": _processes(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        self.number = 0
        self.generation = 1
        self._gate = contextlib.nullcontext()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        if self.files.local:
            self._gate = Gate(self.files)
        _HELD.add(self.owner["token"])
        try:
            self._take()
        except BaseException:
            self._close()
            raise
        self.guarded.guard = self._checked
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.guarded.guard = contextlib.nullcontext
        self._released.set()
        self._thread.join()
        try:
            with self._gate:
                if self._is_ours():
                    self.files.remove(self._name())
        finally:
            self._close()

    def check(self) -> None:
        """Raises InputError where another process has taken over."""
        if not self._is_ours():
            raise InputError(
                f"{self._name()} of {self.files.url} was removed, or another "
                "process took over while this one did not answer. What was "
                "written is kept: wait for the other, then run the same "
                "command again."
            )

    @contextlib.contextmanager
    def _checked(self):
        with self._gate:
            self.check()
            yield

    def _take(self):
        found, held = self._found()
        number = found[-1] if found else 0
        silent = bool(found) and not self._is_here(held)
        if found and self._lives(number, held):
            raise InputError(
                f"{self.files.url} is in use by process {held.get('pid')} on "
                f"{held.get('host')}. Wait for it, or remove "
                f"{self._name(number)} there if it runs no more."
            )
        self.number = number + 1
        self.generation = silent + max(
            _count(self.files.read(_GENERATION)),
            _count(held.get("generation")),
            self.files.store.newest_generation(),
        )
        with self._gate:
            self.files.create(self._name(), self._data())
            # Read back: not every remote store can refuse to replace a file,
            # and another may have come and gone since we looked.
            if not self._is_ours() or set(self._numbers()) - {*found} != {
                self.number
            }:
                self._withdraw()
            self.guarded.store.generation = self.generation
            if silent:
                self.guarded.write(_GENERATION, str(self.generation).encode())
                self.guarded.store.adopt()
            for name in self.files.names(FOLDER):
                if name.startswith("probe-") or name in map(str, found):
                    self.files.remove(f"{FOLDER}/{name}")

    def _found(self):
        """The numbers of the locks that are there, and the last holder."""
        while found := self._numbers():
            data = self.files.read(self._name(found[-1]))
            # Between the two looks it may have been let go.
            if data is not None:
                return found, _held(data)
        return [], {}

    def _withdraw(self):
        held = _held(self.files.read(self._name()))
        if held.get("token") == self.owner["token"]:
            self.files.remove(self._name())
        raise InputError(
            f"{self.files.url} is in use by another process that began just "
            "now. Wait for it."
        )

    def _close(self):
        _HELD.discard(self.owner["token"])
        if isinstance(self._gate, Gate):
            self._gate.close()

    def _name(self, number=None):
        return f"{FOLDER}/{self.number if number is None else number}"

    def _numbers(self):
        """Those of all locks that are there, sorted."""
        names = self.files.names(FOLDER)
        return sorted(int(n) for n in names if re.fullmatch("[0-9]{1,9}", n))

    def _data(self):
        now = {"generation": self.generation, "renewed": time.time()}
        return json.dumps({**self.owner, **now}).encode()

    def _is_ours(self):
        if self._numbers()[-1:] != [self.number]:
            return False
        held = _held(self.files.read(self._name()))
        return held.get("token") == self.owner["token"]

    def _is_here(self, held):
        """Whether our process table would list a holder."""
        return all(held.get(name) == self.owner[name] for name in _PLACE)

    def _lives(self, number, held):
        if not self._is_here(held):
            return self._renews(self._name(number))
        pid = held.get("pid")
        if not isinstance(pid, int) or pid <= 0:
            return False
        if pid == os.getpid():
            return held.get("token") in list(_HELD)
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        # The number may belong to a younger process by now.
        return _started(pid) == held.get("started")

    def _renews(self, name):
        """Waits for a renewal until the last one is old; whether one came."""
        seen = self._seen(name)
        until = time.monotonic() + _SILENT - self._age(name)
        while time.monotonic() < until:
            time.sleep(_LOOK)
            now = self._seen(name)
            if now != seen:
                return now[0] is not None
        return False

    def _seen(self, name):
        return self.files.read(name), self.files.modified(name)

    def _age(self, name):
        """Seconds since a file was written; 0 where the store can't tell."""
        # Both times are of the store's clock: machines' clocks may differ.
        probe = f"{FOLDER}/probe-{self.owner['token']}"
        self.files.write(probe, b"")
        now, then = self.files.modified(probe), self.files.modified(name)
        self.files.remove(probe)
        if now is None or then is None:
            return 0.0
        return max(0.0, (now - then).total_seconds())

    def _keep(self):
        while not self._released.wait(_RENEW):
            try:
                if not self._is_ours():
                    return
                self.files.touch(self._name(), self._data())
            except InputError as error:
                # Where warnings are errors, the next try is no less needed.
                with contextlib.suppress(UserWarning):
                    warnings.warn(
                        f"{error} Until then it is not renewed; it is tried "
                        f"again in {_RENEW:g} seconds.",
                        stacklevel=1,
                    )


class Gate:
    """A context that one thread of one process of a machine is in.

    The system lets go of it where the process ends. A file system without
    locks has none: there all may pass.

    Raises:
        InputError: on entering, another is in it for a minute.
    """

    def __init__(self, files: Files) -> None:
        path = files.path(f"{FOLDER}/gate")
        self._url = files.url
        self._thread = threading.Lock()
        try:
            make_folder(os.path.dirname(path))
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise files.failure(f"{FOLDER}/gate", error) from error

    def __enter__(self) -> None:
        self._thread.acquire()
        try:
            self._wait()
        except BaseException:
            self._thread.release()
            raise

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._thread.release()

    def close(self) -> None:
        os.close(self._descriptor)

    def _wait(self):
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    return  # There are no locks here.
            if time.monotonic() > until:
                raise InputError(
                    f"{self._url}: another process is in the middle of a "
                    "write there, and does not end it. Let it go on, or end "
                    "it, then run the same command again."
                )
            time.sleep(0.005)


def _count(value):
    """A generation as a file has it; 1 where it has none."""
    try:
        return max(1, min(int(value), 10**8))
    except (TypeError, ValueError):
        return 1


def _held(data):
    """What a lock says of its holder, a dict; empty where it is damaged."""
    try:
        held = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def _boot():
    """Names the machine's start; None where unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _processes():
    """Names the process table, of which a container has its own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid):
    """When a process began, in the machine's ticks; None where unknown."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
