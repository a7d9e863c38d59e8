"""Folders that are there whole or not at all, such as a saved model.

A local one is written beside its place and renamed into it. A remote one is
uploaded file by file; the list of its files and their checksums, written
last, makes it whole.
"""

import atexit
import contextlib
import hashlib
import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from keras_restpg.store.disk import WRITING, make_folder, sync
from keras_restpg.store.files import Files

# How the name of a folder begins while a new one takes its place.
_REPLACED = ".replaced-"
# What a folder holds that is a run of its own.
_RUNS = ("recipe.toml", "run.json", "lock.json")


def save(files: Files, name: str, write: Callable[[str], Any]) -> None:
    """Writes or replaces a folder; `write(path)` fills a new local one."""
    (_save_local if files.local else _save_remote)(files, name, write)


def load(files: Files, name: str) -> str | None:
    """The local path of a folder, None where it is missing or damaged."""
    if not files.local:
        return _download(files, name)
    path = files.path(name)
    return path if os.path.isdir(path) else None


def sweep(files: Files) -> None:
    """Removes what a killed process left, and nothing else.

    Only for who holds the lock: it would take another's file in hand.
    """
    for name in files.names():
        if name.startswith("lock.json."):
            files.remove(name)
    if files.local:
        for folder, names, others in os.walk(files.root):
            for name in [*names, *others]:
                _settle(folder, name)
            # The folder of another run is that run's.
            names[:] = [
                name
                for name in names
                if not any(
                    os.path.exists(os.path.join(folder, name, mark))
                    for mark in _RUNS
                )
            ]


@contextlib.contextmanager
def writing(files: Files, name: str) -> Iterator[None]:
    """Says of a full disk what `Files` says of it."""
    try:
        yield
    except OSError as error:
        raise files.failure(name, error) from error
    except RuntimeError as error:
        # So HDF5 tells of a system call that failed.
        if "errno = " not in str(error):
            raise
        raise files.failure(name, error) from error


def _save_local(files, name, write):
    new, old = _beside(name, WRITING), _beside(name, _REPLACED)
    path = files.path(new)
    try:
        with writing(files, name):
            _remove(path)
            os.makedirs(path)
            write(path)
            _sync_all(path)
        if os.path.isdir(files.path(name)):
            _remove(files.path(old))
            files.move(name, old)
        files.move(new, name)
    finally:
        _remove(path)
        _settle(*os.path.split(files.path(old)))


def _save_remote(files, name, write):
    with tempfile.TemporaryDirectory() as folder, writing(files, name):
        write(folder)
        files.remove(f"{name}.json")
        checks = {each: _checksum(folder, each) for each in _inside(folder)}
        for each in checks:
            files.upload(os.path.join(folder, each), f"{name}/{each}")
        files.write(f"{name}.json", json.dumps(checks).encode())


def _download(files, name):
    try:
        checks = json.loads(files.read(f"{name}.json") or b"null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(checks, dict):
        return None
    folder = tempfile.mkdtemp(prefix="restpg-")
    atexit.register(_remove, folder)
    target = Files(folder)
    for each, check in checks.items():
        path = target.path(each)
        with writing(target, each):
            make_folder(os.path.dirname(path))
        if not files.download(f"{name}/{each}", path):
            return None
        if _checksum(folder, each) != check:
            return None
    return folder


def _settle(folder, name):
    """Ends what a killed process was about with one name in a folder."""
    path = os.path.join(folder, name)
    if name.startswith(_REPLACED) and os.path.isdir(path):
        place = os.path.join(folder, name.removeprefix(_REPLACED))
        if not os.path.lexists(place):
            os.rename(path, place)
    if name.startswith((WRITING, _REPLACED)):
        _remove(path)


def _remove(path):
    """Removes a file or folder, if it is there, and follows no link."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _beside(name, prefix):
    folder, last = posixpath.split(name)
    return posixpath.join(folder, prefix + last)


def _inside(folder):
    """The names of all files under a folder."""
    return [
        os.path.relpath(os.path.join(above, name), folder).replace(os.sep, "/")
        for above, _, names in os.walk(folder)
        for name in names
    ]


def _sync_all(folder):
    for above, _, names in os.walk(folder):
        for name in names:
            sync(os.path.join(above, name))
        sync(above)


def _checksum(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
