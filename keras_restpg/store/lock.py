"""One writer at a time in a run directory.

Who holds `lock.json` renews it every 20 seconds. Whether a holder still lives
is told by the process table where it runs under ours, else by whether it
renews: one that is silent for two minutes is taken to be gone, as a spot
machine that was reclaimed, and its lock is taken over. Should it only have
been asleep, it finds another's lock before its next write, and stops.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from typing import Self

from keras_restpg.errors import InputError
from keras_restpg.store.files import Files, digest

NAME = "lock.json"
# Seconds between two renewals, until a silent holder counts as gone, and
# between two looks at one.
_RENEW, _SILENT, _LOOK = 20.0, 120.0, 1.0
# What is equal for all processes that one process table lists.
_PLACE = ("host", "boot", "processes")


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
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._renewed = 0.0
        self._lost = False

    def __enter__(self) -> Self:
        if not self._create():
            self._take_over()
        self._renewed = time.time()
        self.guarded.guard = self.check
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.guarded.guard = None
        self._released.set()
        self._thread.join()
        if self._is_ours():
            self.files.remove(NAME)

    def check(self) -> None:
        """Raises InputError where another process has taken over."""
        # A machine that slept may have been given up by the others.
        if self._lost or time.time() - self._renewed > _SILENT:
            self._renew()

    def _create(self):
        self.files.create(NAME, self._data())
        # Read back: not every remote store can refuse to replace a file.
        return self._is_ours()

    def _data(self):
        return json.dumps({**self.owner, "renewed": time.time()}).encode()

    def _is_ours(self):
        held = _held(self.files.read(NAME))
        return held.get("token") == self.owner["token"]

    def _take_over(self):
        found = self.files.read(NAME)
        held = _held(found)
        if found is not None and self._lives(held):
            raise InputError(
                f"{self.files.url} is in use by process {held.get('pid')} on "
                f"{held.get('host')}. Wait for it, or remove {NAME} there if "
                "it runs no more."
            )
        if not self._replace(found):
            raise InputError(
                f"{self.files.url} is in use by another process that began "
                "just now. Wait for it."
            )

    def _replace(self, found):
        """Puts our lock in the place of a dead one; whether it did."""
        # Of those that saw it dead, only one makes this file: the others
        # would remove the lock that the first has made by then.
        claim = f"{NAME}.after-{digest(found or b'')[:16]}"
        first = self.files.create(claim, b"")
        if not first and self._age(claim) < _SILENT:
            return False
        try:
            if found is not None and self.files.read(NAME) == found:
                self.files.remove(NAME)
            return self._create()
        finally:
            self.files.remove(claim)

    def _lives(self, held):
        if any(held.get(name) != self.owner[name] for name in _PLACE):
            return self._renews()
        pid = held.get("pid")
        if not isinstance(pid, int) or pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        # The number may belong to a younger process by now.
        return _started(pid) == held.get("started")

    def _renews(self):
        """Waits for a renewal until the last one is old; whether one came."""
        seen = self._seen()
        until = time.monotonic() + _SILENT - self._age(NAME)
        while time.monotonic() < until:
            time.sleep(_LOOK)
            now = self._seen()
            if now != seen:
                return now[0] is not None
        return False

    def _seen(self):
        return self.files.read(NAME), self.files.modified(NAME)

    def _age(self, name):
        """Seconds since a file was written; 0 where the store can't tell."""
        # Both times are of the store's clock: machines' clocks may differ.
        probe = f"{NAME}.{self.owner['token']}"
        self.files.write(probe, b"")
        now, then = self.files.modified(probe), self.files.modified(name)
        self.files.remove(probe)
        if now is None or then is None:
            return 0.0
        return max(0.0, (now - then).total_seconds())

    def _keep(self):
        while not self._lost and not self._released.wait(_RENEW):
            with contextlib.suppress(InputError):
                self._renew()

    def _renew(self):
        if not self._is_ours():
            self._lost = True
            raise InputError(
                f"{NAME} of {self.files.url} was removed, or another process "
                "took over while this one did not answer. What was written "
                "is kept: wait for the other, then run the same command again."
            )
        if self.files.local:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.files.path(NAME))
        else:
            self.files.write(NAME, self._data())
        self._renewed = time.time()


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
