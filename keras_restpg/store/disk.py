"""How local files are written: whole or not at all, and on the disk."""

import contextlib
import os
import tempfile

# How temporary names begin; what has one outlived its process.
WRITING = ".writing-"


def sync(path: str) -> None:
    """Has a file's bytes, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str) -> None:
    """Makes a local folder and those above it, their names on the disk."""
    if not os.path.isdir(path):
        above = os.path.dirname(path)
        make_folder(above)
        os.makedirs(path, exist_ok=True)
        sync(above)


# It can only be read by setting it.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def _beside(path, data):
    """The name of a temporary file with `data`, on the disk by `path`."""
    make_folder(os.path.dirname(path))
    file = tempfile.NamedTemporaryFile(
        dir=os.path.dirname(path), prefix=WRITING, delete=False
    )
    try:
        with file:
            file.write(data)
            # Temporary files are the user's alone; this one is to stay.
            os.chmod(file.name, 0o666 & ~_UMASK)
            file.flush()
            os.fsync(file.fileno())
        yield file.name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file.name)


def write(path: str, data: bytes) -> None:
    """Writes or replaces a file."""
    with _beside(path, data) as temporary:
        os.replace(temporary, path)
    sync(os.path.dirname(path))


def create(path: str, data: bytes) -> bool:
    """Writes a file where there is none; returns whether it did."""
    with _beside(path, data) as temporary:
        try:
            # A hard link appears whole and never replaces what is there.
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # Drives of some notebooks know no links.
            return _create_in_place(path, data)
    return True


def _create_in_place(path, data):
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def append(path: str, line: bytes) -> None:
    """Adds a line to a file, after its last whole one."""
    make_folder(os.path.dirname(path))
    new = not os.path.exists(path)
    with open(path, "ab+") as file:
        end = _whole_lines(file)
        file.truncate(end)
        try:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    if new:
        sync(os.path.dirname(path))


def move(source: str, target: str) -> None:
    """Gives a file or folder another name."""
    make_folder(os.path.dirname(target))
    os.rename(source, target)
    sync(os.path.dirname(target))


def _whole_lines(file):
    """Where the last whole line of an open binary file ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        size = min(end, 4096)
        file.seek(end - size)
        found = file.read(size).rfind(b"\n")
        if found >= 0:
            return end - size + found + 1
        end -= size
    return 0
