"""One writer at a time in a run directory."""

import json
import os
import socket

from keras_restpg.errors import InputError

NAME = "lock.json"


class Lock:
    """A context that holds a run directory for this process.

    The lock of a process of this machine that lives no more is taken over;
    that of another machine has to be removed by a person.

    Args:
        files: the directory's `Files`.

    Raises:
        InputError: on entering, another process holds it.
    """

    def __init__(self, files):
        self.files = files
        self.owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
        }

    def __enter__(self):
        if self._create():
            return self
        held = self._held()
        if held is not None and not self._stale(held):
            raise InputError(
                f"{self.files.url} is in use by process {held.get('pid')} on "
                f"{held.get('host')}. Wait for it, or remove {NAME} there if "
                "it runs no more."
            )
        self.files.remove(NAME)
        if not self._create():
            raise InputError(f"{self.files.url} is in use by another process.")
        return self

    def __exit__(self, *_):
        if self._held() == self.owner:
            self.files.remove(NAME)

    def _create(self):
        data = json.dumps(self.owner).encode()
        if not self.files.local:
            if self.files.exists(NAME):
                return False
            self.files.write(NAME, data)
            return self._held() == self.owner
        # A hard link appears whole and never replaces one that is there.
        own = f"{NAME}.{self.owner['pid']}"
        self.files.write(own, data)
        try:
            os.link(self.files.path(own), self.files.path(NAME))
            return True
        except FileExistsError:
            return False
        finally:
            self.files.remove(own)

    def _held(self):
        try:
            held = json.loads(self.files.read(NAME) or b"null")
        except ValueError:
            return None
        return held if isinstance(held, dict) else None

    def _stale(self, held):
        if held.get("host") != self.owner["host"]:
            return False
        pid = held.get("pid")
        if not isinstance(pid, int) or pid <= 0:
            return True
        if pid == self.owner["pid"]:
            return held != self.owner
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # The number may belong to a younger process by now.
        return _started(pid) != held.get("started")


def _started(pid):
    """When a process began, in the machine's ticks; None where unknown."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
