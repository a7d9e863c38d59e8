"""A folder, local or remote, in which a file is there whole or not at all.

Local files are written under a temporary name, synced and renamed. Remote
ones go through fsspec (`gs://`, `s3://`, `memory://`): object stores show an
upload only when it is complete.
"""

import contextlib
import datetime
import hashlib
import os
import pathlib
import posixpath
import time
from collections.abc import Callable

import fsspec

from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.store import disk

# Waits between tries of a remote operation, in seconds.
_PAUSES = (0.2, 1.0, 4.0)


class Files:
    """The files under one folder, by names with `/` in them.

    Args:
        url: local path, or a URL that fsspec knows.

    Attributes:
        guard: called before each change; raises where none may be made.

    Raises:
        InputError: from any method, where the disk is full, a folder can't
            be written, or a remote store fails again and again; what was
            written before stays.
    """

    def __init__(self, url: Path) -> None:
        self.url = os.fspath(url)
        self.guard: Callable[[], None] | None = None
        try:
            self.system, self.root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise InputError(f"{url}: {error}") from None
        self.local = isinstance(
            self.system, fsspec.implementations.local.LocalFileSystem
        )

    def path(self, name: str) -> str:
        """The whole path of a file.

        Raises:
            InputError: the name, or a link on its way, leads out of the
                folder.
        """
        if not _is_name(name):
            raise InputError(
                f"{name!r} is not the name of a file in {self.url}."
            )
        path = posixpath.join(self.root, *pathlib.PurePosixPath(name).parts)
        if self.local and not _is_under(path, self.root):
            raise InputError(
                f"{self.url}/{name} is a link that leads out of the folder. "
                "Put what it leads to in its place."
            )
        return path

    def exists(self, name: str) -> bool:
        path = self.path(name)

        # fsspec's own `exists` takes any failure for absence.
        def exists():
            try:
                self.system.invalidate_cache()
                return bool(self.system.info(path))
            except FileNotFoundError:
                return False

        return self._try(exists, name)

    def modified(self, name: str) -> datetime.datetime | None:
        """When a file was written, by the clock of the store.

        None where there is no file, or the store does not tell.
        """
        path = self.path(name)

        def modified():
            try:
                self.system.invalidate_cache()
                return self.system.modified(path)
            except (FileNotFoundError, NotImplementedError):
                return None

        return self._try(modified, name)

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder, sorted; none where it is not there."""
        path = self.path(folder) if folder else self.root

        def names():
            try:
                self.system.invalidate_cache()
                found = self.system.ls(path, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            found = [each.rstrip("/") for each in found]
            # Some stores list the folder itself.
            return sorted(
                posixpath.basename(each)
                for each in found
                if each != path.rstrip("/")
            )

        return self._try(names, folder or ".")

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None where it is not there."""
        path = self.path(name)

        def read():
            try:
                return self.system.cat_file(path)
            except FileNotFoundError:
                return None

        return self._try(read, name)

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces a file as a whole; `data` is bytes."""
        path = self.path(name)
        write = disk.write if self.local else self._write_remote
        self._change(lambda: write(path, data), name)

    def create(self, name: str, data: bytes) -> bool:
        """Writes a file where there is none; returns whether it did."""
        path = self.path(name)
        create = disk.create if self.local else self._create_remote
        return self._change(lambda: create(path, data), name)

    def append(self, name: str, line: bytes) -> None:
        """Adds one line (bytes, without its end) to a file.

        A last line that was torn by a crash is cut off first.
        """
        line += b"\n"
        if self.local:
            path = self.path(name)
            self._change(lambda: disk.append(path, line), name)
        else:
            # Written as a whole, so that a second try adds no second line.
            old = self.read(name) or b""
            self.write(name, old[: old.rfind(b"\n") + 1] + line)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        path = self.path(name)

        def remove():
            with contextlib.suppress(FileNotFoundError):
                self.system.rm_file(path)

        self._change(remove, name)

    def move(self, name: str, target: str) -> None:
        """Moves a file or folder to another name."""
        source, target = self.path(name), self.path(target)
        move = disk.move if self.local else self._move_remote
        self._change(lambda: move(source, target), name)

    def upload(self, source: str, name: str) -> None:
        """Copies a local file to a remote folder."""
        path = self.path(name)
        self._change(lambda: self.system.put_file(source, path), name)

    def download(self, name: str, target: str) -> bool:
        """Copies a remote file to a local path; whether it is there."""
        path = self.path(name)

        def download():
            try:
                self.system.get_file(path, target)
                return True
            except FileNotFoundError:
                return False

        return self._try(download, name)

    def failure(self, name: str, error: Exception) -> InputError:
        """The `InputError` for a file that can't be read or written."""
        why = getattr(error, "strerror", None) or str(error)
        return InputError(
            f"{self.url}: {name} can't be read or written "
            f"({why or type(error).__name__}). Make space or mend the access "
            "and run the same command again: it goes on after the last "
            "whole file."
        )

    def _write_remote(self, path, data):
        self.system.makedirs(posixpath.dirname(path), exist_ok=True)
        self.system.pipe_file(path, data)

    def _create_remote(self, path, data):
        try:
            self.system.invalidate_cache()
            self.system.info(path)
            return False
        except FileNotFoundError:
            self.system.makedirs(posixpath.dirname(path), exist_ok=True)
        try:
            self.system.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, NotImplementedError):  # It knows no such mode.
            self.system.pipe_file(path, data)
        return True

    def _move_remote(self, source, target):
        # File by file: a second try goes on where the first one failed.
        self.system.invalidate_cache()
        for path in self.system.find(source):
            self.system.cp_file(path, target + path[len(source) :])
            self.system.rm_file(path)

    def _change(self, action, name):
        if self.guard is not None:
            self.guard()
        return self._try(action, name)

    def _try(self, action, name):
        """Runs `action`; a remote one again after a pause where it fails."""
        # Remote stores raise their clients' errors, of any class.
        failures = OSError if self.local else Exception
        for pause in () if self.local else _PAUSES:
            try:
                return action()
            except failures:
                time.sleep(pause)
        try:
            return action()
        except failures as error:
            raise self.failure(name, error) from error


def digest(data: bytes, *place: str) -> str:
    """The checksum of bytes, and of the place that they belong to."""
    found = hashlib.sha256("\0".join(place).encode("utf-8", "replace"))
    found.update(data)
    return found.hexdigest()


def _is_name(name):
    parts = pathlib.PurePosixPath(name).parts
    odd = ".." in parts or "\\" in name or "\0" in name
    # Half of a surrogate pair is no text that a file system could keep.
    whole = name.encode(errors="replace").decode() == name
    return bool(parts) and whole and not odd and not name.startswith("/")


def _is_under(path, root):
    root = os.path.realpath(root)
    return os.path.commonpath([os.path.realpath(path), root]) == root
