"""What was costly to get, kept by its key: replies of servers, vectors.

A SQLite file, so that threads and processes can share it and a kill leaves
it whole. It may come from elsewhere: a file that is not a cache of the kind
that was asked for is refused and left as it is, links are not followed, and a
row whose checksum is not that of its key and value counts as absent, so that
what it held is made again.
"""

import hashlib
import itertools
import os
import pathlib
import sqlite3
import stat
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import TypeVar

from keras_restpg._types import Path
from keras_restpg.errors import InputError

Key = TypeVar("Key", str, bytes)

# "RPGC" and the version of the table below, in the header of each file.
_APPLICATION = 0x52504743
_VERSION = 1
# Where SQLite's header has them, and its length.
_VERSION_AT, _APPLICATION_AT, _HEADER = 60, 68, 100
_MAGIC = b"SQLite format 3\0"
# Seconds to wait while another process writes.
_PATIENCE = 60.0
# Keys of one query.
_KEYS = 500


class Cache:
    """Bytes by key, in memory or in a file; for threads and processes.

    Args:
        path: of the file, made where it is absent with the folders above it;
            None keeps all in memory.
        kind: what it holds, a word such as `"vectors"`; a file of another
            kind is refused.

    Raises:
        InputError: from any method: the path is a link, no regular file, no
            cache of this kind or damaged; the disk is full or can't be
            written; another process does not stop writing.
    """

    def __init__(self, path: Path | None, kind: str) -> None:
        self.path = None if path is None else pathlib.Path(path)
        self.kind = kind
        self._schema = (
            f'CREATE TABLE "{kind}" '
            "(key BLOB PRIMARY KEY, value BLOB NOT NULL, sum BLOB NOT NULL)"
        )
        self._lock = threading.Lock()
        if self.path is not None:
            self._try(self._check_file, self.path)
        self._try(self._open)

    def get(self, keys: Iterable[Key]) -> dict[Key, bytes]:
        """The values of those keys that are kept.

        Args:
            keys: iterable of text or bytes.

        Returns:
            dict of the given keys and their values, bytes.
        """
        return self._try(self._get, {_bytes(key): key for key in keys})

    def add(self, items: Mapping[Key, bytes]) -> None:
        """Keeps values by their keys, all of them or, on an error, none.

        Args:
            items: dict of text or bytes to bytes.
        """
        pairs = ((_bytes(key), value) for key, value in items.items())
        rows = [(key, v, self._checksum(key, v)) for key, v in pairs]
        self._try(self._add, rows)

    def _get(self, asked):
        found, names = {}, iter(asked)
        while part := list(itertools.islice(names, _KEYS)):
            marks = ",".join("?" * len(part))
            rows = self._db.execute(
                f'SELECT key, value, sum FROM "{self.kind}" '
                f"WHERE key IN ({marks})",
                part,
            ).fetchall()
            found |= {
                asked[key]: value
                for key, value, checksum in rows
                if key in asked and self._is_whole(key, value, checksum)
            }
        return found

    def _is_whole(self, key, value, checksum):
        plain = isinstance(value, bytes)
        return plain and checksum == self._checksum(key, value)

    def _checksum(self, key, value):
        """Of the kind as well: a row of another cache is none of this one."""
        digest = hashlib.blake2b(digest_size=16, person=b"keras_restpg")
        for part in (self.kind.encode(), key, value):
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.digest()

    def _add(self, rows):
        with self._transaction():
            self._db.executemany(
                f'INSERT OR REPLACE INTO "{self.kind}" VALUES (?, ?, ?)', rows
            )

    def _transaction(self):
        self._db.execute("BEGIN IMMEDIATE")
        return self._db  # Commits at its end, or rolls back.

    def _check_file(self, file):
        """Before SQLite sees the file: it would follow links, and undo what
        another program has not finished in a database of its own."""
        os.makedirs(file.parent, exist_ok=True)
        for suffix in ("", "-journal", "-wal", "-shm"):
            path = f"{file}{suffix}"
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(mode):
                raise InputError(
                    f"{path} is a link or no file of data, so no cache is "
                    "kept there. Remove it or give another path."
                )
        if file.exists() and file.stat().st_size:
            with open(file, "rb") as opened:
                self._check_header(opened.read(_HEADER))

    def _check_header(self, head):
        def number(place):
            return int.from_bytes(head[place : place + 4], "big")

        ours = (number(_APPLICATION_AT), number(_VERSION_AT))
        if not head.startswith(_MAGIC) or ours != (_APPLICATION, _VERSION):
            raise self._refusal()

    def _open(self):
        db = sqlite3.connect(
            ":memory:" if self.path is None else self.path,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        weakref.finalize(self, db.close)
        # No code of a file's own is run.
        db.execute("PRAGMA trusted_schema = OFF")
        # A kill loses nothing; a power cut may, and it is a cache.
        db.execute("PRAGMA synchronous = NORMAL")
        self._db = db
        if not self._tables():
            self._create()
        if self._tables() != [self._schema]:
            raise self._refusal()

    def _create(self):
        with self._transaction():
            # Another process may have been faster.
            if not self._tables():
                self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
                self._db.execute(self._schema)

    def _tables(self):
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        return [sql for (sql,) in self._db.execute(query)]

    def _refusal(self):
        return InputError(
            f"{self.path} is no cache of {self.kind}, so it was left as it "
            "is. Give another path, or remove the file if it is of no use: "
            "what a cache held is made again."
        )

    def _try(self, action, *arguments):
        try:
            with self._lock:
                return action(*arguments)
        # Its messages on a damaged file may hold bytes that are no text.
        except (sqlite3.Error, OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"{self.path}: the cache of {self.kind} can't be read or "
                f"written ({why}). Make space or mend the access and run the "
                "same command again: what was kept is kept. If the file is "
                "damaged, remove it: what it held is made again."
            ) from error


def _bytes(key):
    if isinstance(key, bytes):
        return key
    return key.encode("utf-8", "surrogatepass")
