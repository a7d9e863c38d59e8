"""A local folder: files are there whole or not at all, and on the disk.

Each is written under a temporary name, synced and renamed. Links and whatever
is no file of data (a pipe would keep its reader waiting for ever) are refused:
a run directory may come from elsewhere.
"""

import contextlib
import datetime
import os
import secrets
import stat

from keras_restpg.errors import InputError

# How temporary names begin; what has one outlived its process.
WRITING = ".writing-"
# No link is followed, and no pipe waited for, should one come in between.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL
_APPEND = os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_NOFOLLOW | os.O_APPEND


class Disk:
    """The operations of `Files` on whole paths.

    Args:
        root: the folder's path, which may itself be a link.
    """

    # What a failed try is known by, and the pauses before the others.
    failures, pauses = OSError, ()
    generation = 1

    def __init__(self, root: str) -> None:
        self.root = root
        # Files whose last line is known to be whole.
        self._whole = set()

    def check(self, path: str) -> None:
        """Refuses a path that leads through a link or to no file of data.

        Raises:
            InputError: says which it is.
        """
        here = self.root
        for part in os.path.relpath(path, self.root).split(os.sep):
            here = os.path.join(here, part)
            try:
                mode = os.lstat(here).st_mode
            except (FileNotFoundError, NotADirectoryError):
                return
            if stat.S_ISLNK(mode):
                raise InputError(
                    f"{here} is a link, and none is followed in a run "
                    "directory. Put what it leads to in its place."
                )
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise InputError(
                    f"{here} is neither a file nor a folder. Remove it."
                )

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def modified(self, path: str) -> datetime.datetime | None:
        try:
            seconds = os.stat(path, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return None
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

    def names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: str) -> bytes | None:
        try:
            descriptor = os.open(path, _READ)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def write(self, path: str, data: bytes) -> None:
        with self._beside(path, data) as temporary:
            os.replace(temporary, path)
        sync(os.path.dirname(path))

    def create(self, path: str, data: bytes) -> bool:
        with self._beside(path, data) as temporary:
            try:
                # A hard link appears whole and never replaces what is there.
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # Drives of some notebooks know no links.
                return _create_in_place(path, data)
        sync(os.path.dirname(path))
        return True

    def append(self, path: str, line: bytes) -> None:
        make_folder(os.path.dirname(path))
        new = not os.path.lexists(path)
        descriptor = os.open(path, _APPEND, 0o666)
        try:
            if path not in self._whole:
                _cut_torn_line(descriptor)
            self._whole.discard(path)
            if os.write(descriptor, line) < len(line):
                raise OSError(0, "only a part of a line was written")
            os.fsync(descriptor)
            self._whole.add(path)
        finally:
            os.close(descriptor)
        if new:
            sync(os.path.dirname(path))

    def touch(self, path: str, data: bytes) -> None:
        os.utime(path)

    def newest_generation(self) -> int:
        """All write under the same names."""
        return 1

    def adopt(self) -> None:
        """Nothing is written behind the gate but by its holder."""

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def move(self, source: str, target: str) -> None:
        make_folder(os.path.dirname(target))
        os.rename(source, target)
        sync(os.path.dirname(target))

    @contextlib.contextmanager
    def _beside(self, path, data):
        """The name of a temporary file with `data`, on the disk by `path`."""
        folder = os.path.dirname(path)
        make_folder(folder)
        name = os.path.join(folder, temporary_name(self.generation))
        try:
            _fill(name, data)
            yield name
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def temporary_name(generation: int) -> str:
    """A name that no other holder of the folder gives."""
    return f"{WRITING}{generation}-{secrets.token_hex(8)}"


def sync(path: str) -> None:
    """Has a file's bytes, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str) -> None:
    """Makes a local folder and those above it, their names on the disk."""
    if not os.path.isdir(path):
        above = os.path.dirname(path)
        make_folder(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        sync(above)


def _fill(path, data):
    """Makes a file with `data` where there is none, on the disk."""
    descriptor = os.open(path, _NEW, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_in_place(path, data):
    try:
        _fill(path, data)
    except FileExistsError:
        return False
    return True


def _cut_torn_line(descriptor):
    """Cuts what follows the last whole line of an open file."""
    end = size = os.fstat(descriptor).st_size
    while end:
        first = max(0, end - 4096)
        os.lseek(descriptor, first, os.SEEK_SET)
        found = os.read(descriptor, end - first).rfind(b"\n")
        if found >= 0:
            end = first + found + 1
            break
        end = first
    if end < size:
        os.ftruncate(descriptor, end)
