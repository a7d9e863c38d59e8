"""A folder, local or remote, in which a file is there whole or not at all.

Local ones are handled by `disk.py`, object stores (`gs://`, `s3://`,
`memory://`) through fsspec by `remote.py`.
"""

import contextlib
import datetime
import hashlib
import os
import pathlib
import posixpath
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import fsspec

from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.store.disk import Disk
from keras_restpg.store.remote import Remote


class Files:
    """The files under one folder, by names with `/` in them.

    Args:
        url: local path, or a URL that fsspec knows.

    Attributes:
        guard: makes a context for each change, in which nobody else may make
            one; raises where none may be made.

    Raises:
        InputError: from any method, where the disk is full, a folder can't
            be written, or a remote store fails again and again; what was
            written before stays. Where a link or what is no file of data is
            in the way.
    """

    def __init__(self, url: Path) -> None:
        self.url = os.fspath(url)
        self.guard: Callable[[], AbstractContextManager] = (
            contextlib.nullcontext
        )
        try:
            system, root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise InputError(f"{url}: {error}") from None
        self.local = isinstance(
            system, fsspec.implementations.local.LocalFileSystem
        )
        # A remote one is also copied to and from, a local one appended to.
        self.store: Any = Disk(root) if self.local else Remote(system, root)

    @property
    def generation(self) -> int:
        """How many holders took over from one that may live, and the first."""
        return self.store.generation

    def path(self, name: str) -> str:
        """The whole path of a file.

        Raises:
            InputError: the name leads out of the folder, or there is a link
                on its way, or no file of data.
        """
        if not _is_name(name):
            raise InputError(
                f"{name!r} is not the name of a file in {self.url}."
            )
        root = self.store.root
        path = posixpath.join(root, *pathlib.PurePosixPath(name).parts)
        self.store.check(path)
        return path

    def exists(self, name: str) -> bool:
        return self._ask(self.store.exists, name)

    def modified(self, name: str) -> datetime.datetime | None:
        """When a file was written, by the clock of the store.

        None where there is no file, or the store does not tell.
        """
        return self._ask(self.store.modified, name)

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder, sorted; none where it is not there."""
        if folder:
            return self._ask(self.store.names, folder)
        return self._try(lambda: self.store.names(self.store.root), ".")

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None where it is not there."""
        return self._ask(self.store.read, name)

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces a file as a whole; `data` is bytes."""
        self._change(self.store.write, name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Writes a file where there is none; returns whether it did."""
        return self._change(self.store.create, name, data)

    def append(self, name: str, line: bytes) -> None:
        """Adds one line (bytes, without its end) to a file.

        A last line that was torn by a crash is cut off first.
        """
        line += b"\n"
        if self.local:
            self._change(self.store.append, name, line)
        else:
            # Written as a whole, so that a second try adds no second line.
            old = self.read(name) or b""
            self.write(name, old[: old.rfind(b"\n") + 1] + line)

    def touch(self, name: str, data: bytes) -> None:
        """Makes a file's time the present; `data` is what it holds."""
        self._change(self.store.touch, name, data)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        self._change(self.store.remove, name)

    def move(self, name: str, target: str) -> None:
        """Moves a file or folder to another name."""
        if self.local:
            self._change(self.store.move, name, self.path(target))
            return
        # File by file: a second try goes on where the first one failed.
        for each in self._ask(self.store.tree, name):
            end = self.path(f"{target}/{each}")
            self._change(self.store.copy, f"{name}/{each}", end)
            self.remove(f"{name}/{each}")

    def upload(self, source: str, name: str) -> None:
        """Copies a local file to a remote folder."""
        self._change(self.store.upload, name, source)

    def download(self, name: str, target: str) -> bool:
        """Copies a remote file to a local path; whether it is there."""
        return self._ask(self.store.download, name, target)

    def failure(self, name: str, error: Exception) -> InputError:
        """The `InputError` for a file that can't be read or written."""
        why = getattr(error, "strerror", None) or str(error)
        return InputError(
            f"{self.url}: {name} can't be read or written "
            f"({why or type(error).__name__}). Make space or mend the access "
            "and run the same command again: it goes on after the last "
            "whole file."
        )

    def _ask(self, action, name, *arguments):
        path = self.path(name)
        return self._try(lambda: action(path, *arguments), name)

    def _change(self, action, name, *arguments):
        path = self.path(name)

        def guarded():
            # Looked at right before each try.
            with self.guard():
                return action(path, *arguments)

        return self._try(guarded, name)

    def _try(self, action, name):
        """Runs `action`; a remote one again after a pause where it fails."""
        failures = self.store.failures
        for pause in self.store.pauses:
            try:
                return action()
            except InputError:
                raise
            except failures:
                time.sleep(pause)
        try:
            return action()
        except InputError:
            raise
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
