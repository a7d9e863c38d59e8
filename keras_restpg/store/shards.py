"""Immutable shards of records, with their checksums in a manifest.

    samples/manifest.jsonl    {"shard": "00000", "sha256": …, "rows": 64,
                               "generation": 1}
    samples/00000.jsonl       a record a line

A shard counts once its line is in the manifest, unless that is of an earlier
generation (`lock.py`) than a line above it: who wrote it had been given up.
A checksum is of the bytes and of the place that they belong to: the folder,
what its stage depends on, and the shard. One whose bytes do not match it,
hold no records, or are those of another stage or run, is named in a warning
and made anew; the others are kept.
"""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Generic

from keras_restpg.decoding import decode, rules
from keras_restpg.errors import InputError
from keras_restpg.records import Record, Score
from keras_restpg.store.files import digest

if TYPE_CHECKING:
    from keras_restpg.store.files import Files


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A line of a manifest."""

    shard: str
    sha256: str
    rows: int = dataclasses.field(metadata=rules(low=0))
    generation: int = dataclasses.field(default=1, metadata=rules(low=1))


def parts(count: int, size: int) -> Iterator[tuple[str, slice]]:
    """`(key, slice)` of each shard of `count` things, `size` in each."""
    for first in range(0, count, size):
        yield f"{first // size:05d}", slice(first, first + size)


class Shards(Generic[Record]):
    """The shards of one stage.

    Args:
        files: a `Files`.
        folder: their folder's name in it.
        cls: the class of the records.
        fingerprint: what the stage's outcome depends on, a short text.
    """

    def __init__(
        self,
        files: Files,
        folder: str,
        cls: type[Record],
        fingerprint: str = "",
    ) -> None:
        self.files = files
        self.folder = folder
        self.cls = cls
        self.fingerprint = fingerprint
        self._generation = 1
        self._manifest = self._read_manifest()

    def __contains__(self, key: str) -> bool:
        return key in self._manifest

    def __len__(self) -> int:
        return len(self._manifest)

    @property
    def rows(self) -> int:
        """Records in all of them."""
        return sum(entry.rows for entry in self._manifest.values())

    def keys(self) -> list[str]:
        """The shards that are there, a list."""
        return list(self._manifest)

    def get(self, key: str) -> list[Record] | None:
        """The records of a shard, or None where there is no sound one."""
        entry = self._manifest.get(key)
        if entry is None:
            return None
        name = self._name(key)
        data = self.files.read(name)
        if data is None:
            return self.lost(key, "is missing")
        if self._digest(key, data) != entry.sha256:
            return self.lost(key, "is damaged or not of this stage")
        try:
            records = [
                self._record(line) for line in data.decode().split("\n")[:-1]
            ]
        except (ValueError, RecursionError, OverflowError):
            return self.lost(key, f"does not hold {self.cls.__name__} records")
        if len(records) != entry.rows:
            return self.lost(key, f"does not have {entry['rows']} rows")
        return records

    def put(self, key: str, records: Sequence[Record]) -> None:
        """Writes a shard, whole or not at all.

        Raises:
            InputError: a number in a record is not finite, or a reward not
                from 0 to 1.
        """
        data = "".join(
            self._line(key, record) + "\n" for record in records
        ).encode()
        checksum = self._digest(key, data)
        # Lines that were taken from another run may be of a later one.
        self._generation = max(self._generation, self.files.generation)
        entry = _Entry(key, checksum, len(records), self._generation)
        self.files.write(self._name(key), data)
        self.files.append(
            self._name(), json.dumps(dataclasses.asdict(entry)).encode()
        )
        self._manifest[key] = entry

    def _digest(self, key, data):
        return digest(data, self.folder, self.fingerprint, key)

    def _record(self, line):
        return decode(self.cls, json.loads(line, parse_constant=_refuse))

    def _line(self, key, record):
        try:
            _check_reward(record)
            return json.dumps(dataclasses.asdict(record), allow_nan=False)
        except ValueError as error:
            raise InputError(
                f"{self.files.url}/{self._name(key)} can't hold a "
                f"{self.cls.__name__} of example {record.example_id!r}: "
                f"{error}. Look at the model's weights or the reward that it "
                "came from."
            ) from None

    def _name(self, key=None):
        return f"{self.folder}/{'manifest' if key is None else key}.jsonl"

    def lost(self, key: str, why: str) -> None:
        """Leaves a shard out, with a warning; returns None."""
        warnings.warn(
            f"{self.files.url}/{self._name(key)} {why}: it is made anew.",
            stacklevel=3,
        )
        del self._manifest[key]

    def _read_manifest(self):
        data = self.files.read(self._name()) or b""
        entries = {}
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            where = f"{self.files.url}/{self._name()}, line {number}"
            try:
                entry = decode(_Entry, json.loads(line))
                _check_name(entry.shard)
            except (ValueError, RecursionError):
                raise InputError(
                    f"{where}: not a line of a manifest. Restore the file, or "
                    "remove it to make this stage's shards anew."
                ) from None
            if entry.generation >= self._generation:
                self._generation = entry.generation
                entries[entry.shard] = entry
        return entries


def _check_name(name):
    if not re.fullmatch(r"[\w-]{1,64}", name, re.ASCII):
        raise ValueError("not the name of a shard")


def _check_reward(record):
    # Written so that NaN is refused too.
    if isinstance(record, Score) and not 0 <= record.reward <= 1:
        raise ValueError("the reward is not from 0 to 1")


def _refuse(constant):
    raise ValueError(f"{constant} is not JSON")
