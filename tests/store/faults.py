"""What can befall the N-th file operation of a folder, in this process."""

import contextlib
import errno
import os
import unittest.mock

# Functions of `os` that change a folder, and how many paths they take.
_CHANGES = {
    "write": 1,
    "fsync": 1,
    "ftruncate": 1,
    "utime": 1,
    "mkdir": 1,
    "rmdir": 1,
    "unlink": 1,
    "remove": 1,
    "replace": 2,
    "rename": 2,
    "link": 2,
}
# What goes on failing once it has begun; the others happen once.
_LASTING = (errno.ENOSPC, errno.EROFS)


class Killed(BaseException):
    """The process is gone: nothing of it reaches the disk from here on."""


class Fault:
    """A fault of the N-th operation on the files under a folder.

    Args:
        folder: the folder.
        how: `"kill"`: it is not made, nor any later one; `"tear"`: a write of
            half its bytes, then as killed; `"lie"`: it is made and reported
            as failed; or an `errno` that it fails with. None counts.
        number: of the operation, from 0; of the writes alone where it tears.

    Attributes:
        count: how many operations there were.
        writes: how many of them wrote bytes.
    """

    def __init__(self, folder, how=None, number=0):
        self.folder = os.path.realpath(folder)
        self.how = how
        self.number = number
        self.count = self.writes = 0
        self._dead = self._failing = False

    @contextlib.contextmanager
    def __call__(self):
        with contextlib.ExitStack() as stack:
            for name in ("open", *_CHANGES):
                function = getattr(os, name)
                hooked = self._hooked(name, function)
                patch = unittest.mock.patch.object(os, name, hooked)
                stack.enter_context(patch)
            yield self

    def _hooked(self, name, function):
        def hooked(path, *arguments, dir_fd=None, **kwargs):
            if dir_fd is not None:
                kwargs["dir_fd"] = dir_fd
            if not self._is_ours(path, dir_fd) or _reads(name, arguments):
                return function(path, *arguments, **kwargs)
            return self._happens(name, function, path, *arguments, **kwargs)

        return hooked

    def _happens(self, name, function, path, *arguments, **kwargs):
        if self._dead:
            raise Killed
        place = self.writes if self.how == "tear" else self.count
        counts = name == "write" or self.how != "tear"
        now = self._failing or (counts and place == self.number)
        self.count += 1
        self.writes += name == "write"
        if self.how is None or not now:
            return function(path, *arguments, **kwargs)
        if self.how == "lie":
            function(path, *arguments, **kwargs)
            raise OSError(errno.EIO, "reported as failed")
        if self.how == "tear" or (name == "write" and self.how == errno.ENOSPC):
            data = arguments[0]
            function(path, bytes(data)[: len(data) // 2])
        if self.how in ("kill", "tear"):
            self._dead = True
            raise Killed
        self._failing = self.how in _LASTING
        raise OSError(self.how, os.strerror(self.how))

    def _is_ours(self, path, dir_fd):
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        elif dir_fd is not None:
            above = os.readlink(f"/proc/self/fd/{dir_fd}")
            path = os.path.join(above, os.fspath(path))
        return os.fspath(path).startswith(self.folder)


def _reads(name, arguments):
    """Whether an `open` is one that changes nothing."""
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    return name == "open" and not arguments[0] & flags
