"""An object store, through fsspec: each holder writes under its own names.

A store shows an upload only when it is complete, and can't take back one that
a client sends late: a holder that slept in the middle of a request may end it
after another has taken over. So whoever takes over from a holder that may
still live writes `state~2.json` where the first one wrote `state.json`, the
next one `state~3.json`, and all read the newest. What the sleeper still writes
has an older name, and nobody reads it.
"""

import datetime
import os
import posixpath
import re
from typing import Any

# (stem, generation, mark of a removal, ending)
_NAME = re.compile(r"(.+)~(\d{1,9})(-?)((?:\.[^.]*)?)", re.DOTALL)
# What is read again while a run goes on; the rest is known by its checksum.
_MUTABLE = (".json", ".sha256", "manifest.jsonl", "metrics.jsonl")


class Remote:
    """The operations of `Files` on whole paths, as `disk.Disk` has them.

    Args:
        system: an fsspec file system.
        root: the path of the folder in it.

    Attributes:
        generation: how many holders have taken over from one that may live,
            this one included, and the first: 1.
    """

    # Stores raise their clients' errors, of any class.
    failures, pauses = Exception, (0.2, 1.0, 4.0)

    def __init__(self, system: Any, root: str) -> None:
        self.system = system
        self.root = root
        self.generation = 1

    def check(self, path: str) -> None:
        """Any path will do: object stores know no links."""

    def exists(self, path: str) -> bool:
        return self._newest(path) is not None

    def modified(self, path: str) -> datetime.datetime | None:
        found = self._newest(path)
        try:
            return found and self.system.modified(found)
        except (FileNotFoundError, NotImplementedError):
            return None

    def names(self, path: str) -> list[str]:
        found = self._listed(path).items()
        return sorted(name for name, each in found if not max(each)[1])

    def read(self, path: str) -> bytes | None:
        found = self._newest(path)
        try:
            return found and self.system.cat_file(found)
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        self.system.makedirs(posixpath.dirname(path), exist_ok=True)
        self.system.pipe_file(self._ours(path), data)
        self._unmark(path)

    def create(self, path: str, data: bytes) -> bool:
        if self.exists(path):
            return False
        self.system.makedirs(posixpath.dirname(path), exist_ok=True)
        try:
            self.system.pipe_file(self._ours(path), data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, NotImplementedError):  # It knows no such mode.
            self.system.pipe_file(self._ours(path), data)
        return True

    def touch(self, path: str, data: bytes) -> None:
        self.write(path, data)

    def remove(self, path: str) -> None:
        if self.generation > 1:
            # What a sleeper writes late must not come back.
            self.system.pipe_file(self._ours(path, "-"), b"")
        for generation, gone, each in self._variants(path):
            mine = generation == self.generation
            if generation <= self.generation and not (gone and mine):
                self._delete(each)

    def copy(self, path: str, target: str) -> None:
        self.system.makedirs(posixpath.dirname(target), exist_ok=True)
        self.system.cp_file(self._newest(path), self._ours(target))
        self._unmark(target)

    def tree(self, path: str) -> list[str]:
        """The names of all files under a path."""
        return list(self._tree(path))

    def upload(self, path: str, source: str) -> None:
        self.system.put_file(source, self._ours(path))
        self._unmark(path)

    def download(self, path: str, target: str) -> bool:
        found = self._newest(path)
        try:
            if found:
                self.system.get_file(found, target)
            return bool(found)
        except FileNotFoundError:
            return False

    def newest_generation(self) -> int:
        """The highest generation that any name tells of."""
        self.system.invalidate_cache()
        found = map(_parsed, self._find(self.root))
        return max((generation for _, generation, _ in found), default=1)

    def adopt(self) -> None:
        """Makes ours what is read again and again, as it is now."""
        for name, found in self._tree(self.root).items():
            if name.endswith(_MUTABLE):
                data = self.system.cat_file(found)
                self.write(posixpath.join(self.root, name), data)

    def _ours(self, path, mark=""):
        if self.generation == 1:
            return path
        stem, ending = os.path.splitext(path)
        return f"{stem}~{self.generation}{mark}{ending}"

    def _variants(self, path):
        """`(generation, whether it marks a removal, path)`, oldest first."""
        folder = posixpath.dirname(path)
        return sorted(self._listed(folder).get(posixpath.basename(path), ()))

    def _newest(self, path):
        """Where a name, of a file or a folder, is found; None: nowhere."""
        variants = self._variants(path)
        if not variants or variants[-1][1]:
            return None
        return variants[-1][2]

    def _listed(self, folder):
        """`{name: its variants}` of a folder."""
        try:
            self.system.invalidate_cache()
            paths = self.system.ls(folder, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found = {}
        for path in (each.rstrip("/") for each in paths):
            # Some stores list the folder itself.
            if path != folder.rstrip("/"):
                name, generation, gone = _parsed(path)
                variants = found.setdefault(posixpath.basename(name), [])
                variants.append((generation, gone, path))
        return found

    def _tree(self, path):
        """`{name: where its newest is}` of all files under a path."""
        self.system.invalidate_cache()
        newest = {}
        for each in self._find(path):
            name, generation, gone = _parsed(each)
            found = (generation, gone, each)
            newest[name] = max(newest.get(name, found), found)
        return {
            posixpath.relpath(name, path): each
            for name, (_, gone, each) in sorted(newest.items())
            if not gone
        }

    def _find(self, path):
        try:
            return self.system.find(path)
        except FileNotFoundError:
            return []

    def _unmark(self, path):
        if self.generation > 1:
            self._delete(self._ours(path, "-"))

    def _delete(self, path):
        try:
            self.system.rm_file(path)
        except FileNotFoundError:
            return


def _parsed(path):
    """`(path without a generation, generation, whether it was removed)`."""
    folder, name = posixpath.split(path)
    found = _NAME.fullmatch(name)
    if not found:
        return path, 1, False
    stem, generation, mark, ending = found.groups()
    return posixpath.join(folder, stem + ending), int(generation), bool(mark)
