"""A folder, local or remote, in which a file is there whole or not at all.

Local files are written under a temporary name, synced and renamed. Remote
ones go through fsspec (`gs://`, `s3://`, `memory://`): object stores show an
upload only when it is complete.
"""

import hashlib
import os
import pathlib
import posixpath
import tempfile
import time

import fsspec

from keras_restpg.errors import InputError

# Waits between tries of a remote operation, in seconds.
_PAUSES = (0.2, 1.0, 4.0)


class Files:
    """The files under one folder, by names with `/` in them.

    Args:
        url: local path, or a URL that fsspec knows.

    Raises:
        InputError: from any method, where the disk is full, a folder can't
            be written, or a remote store fails again and again; what was
            written before stays.
    """

    def __init__(self, url):
        self.url = os.fspath(url)
        try:
            self.system, self.root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise InputError(f"{url}: {error}") from None
        self.local = isinstance(
            self.system, fsspec.implementations.local.LocalFileSystem
        )

    def path(self, name):
        """The whole path of a file.

        Raises:
            InputError: the name leads out of the folder.
        """
        parts = pathlib.PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or not parts:
            raise InputError(
                f"{name!r} is not the name of a file in {self.url}."
            )
        return posixpath.join(self.root, *parts)

    def exists(self, name):
        return self._try(lambda: self.system.exists(self.path(name)), name)

    def read(self, name):
        """The bytes of a file, or None where it is not there."""

        def read():
            try:
                return self.system.cat_file(self.path(name))
            except FileNotFoundError:
                return None

        return self._try(read, name)

    def write(self, name, data):
        """Writes or replaces a file as a whole; `data` is bytes."""
        write = self._write_local if self.local else self._write_remote
        self._try(lambda: write(self.path(name), data), name)

    def append(self, name, line):
        """Adds one line (bytes, without its end) to a file.

        A last line that was torn by a crash is cut off first.
        """
        append = self._append_local if self.local else self._append_remote
        self._try(lambda: append(self.path(name), line + b"\n"), name)

    def remove(self, name):
        """Removes a file, if it is there."""
        path = self.path(name)
        if self.system.exists(path):
            self._try(lambda: self.system.rm_file(path), name)

    def move(self, name, target):
        """Moves a file or folder to another name."""
        source, target = self.path(name), self.path(target)
        self._try(lambda: self.system.mv(source, target, recursive=True), name)

    def _write_local(self, path, data):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = None
        try:
            with tempfile.NamedTemporaryFile(
                dir=os.path.dirname(path), prefix=".writing-", delete=False
            ) as file:
                temporary = file.name
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)
            raise
        _sync_folder(os.path.dirname(path))

    def _append_local(self, path, line):
        os.makedirs(os.path.dirname(path), exist_ok=True)
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

    def _write_remote(self, path, data):
        self.system.makedirs(posixpath.dirname(path), exist_ok=True)
        self.system.pipe_file(path, data)

    def _append_remote(self, path, line):
        try:
            old = self.system.cat_file(path)
        except FileNotFoundError:
            old = b""
        self._write_remote(path, old[: old.rfind(b"\n") + 1] + line)

    def _try(self, action, name):
        """Runs `action`; a remote one again after a pause where it fails."""
        for pause in () if self.local else _PAUSES:
            try:
                return action()
            except OSError:
                time.sleep(pause)
        try:
            return action()
        except OSError as error:
            raise InputError(
                f"{self.url}: {name} can't be read or written "
                f"({error.strerror or error}). Make space or mend the access "
                "and run the same command again: it goes on after the last "
                "whole file."
            ) from error


def digest(data):
    """The checksum of bytes that manifests hold."""
    return hashlib.sha256(data).hexdigest()


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


def _sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
