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

import json
import re
import warnings

from keras_restpg.errors import InputError
from keras_restpg.records import Score, from_json, to_json
from keras_restpg.store.files import digest

# Of a line of a manifest.
_KINDS = {"generation": int, "shard": str, "sha256": str, "rows": int}
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


class Shards:
    """The shards of one stage.

    Args:
        files: a `Files`.
        folder: their folder's name in it.
        cls: the class of the records.
        fingerprint: what the stage's outcome depends on, a short text.
    """

    def __init__(self, files, folder, cls, fingerprint=""):
        self.files = files
        self.folder = folder
        self.cls = cls
        self.fingerprint = fingerprint
        self._manifest = self._read_manifest()

    def __contains__(self, key):
        return key in self._manifest

    def __len__(self):
        return len(self._manifest)

    @property
    def rows(self):
        """Records in all of them."""
        return sum(entry["rows"] for entry in self._manifest.values())

    def keys(self):
        """The shards that are there, a list."""
        return list(self._manifest)

    def get(self, key):
        """The records of a shard, or None where there is no sound one."""
        entry = self._manifest.get(key)
        if entry is None:
            return None
        name = self._name(key)
        data = self.files.read(name)
        if data is None:
            return self.lost(key, "is missing")
        if self._digest(key, data) != entry["sha256"]:
            return self.lost(key, "is damaged or not of this stage")
        try:
            records = [
                self._record(line) for line in data.decode().split("\n")[:-1]
            ]
        except (ValueError, RecursionError, OverflowError):
            return self.lost(key, f"does not hold {self.cls.__name__} records")
        if len(records) != entry["rows"]:
            return self.lost(key, f"does not have {entry['rows']} rows")
        return records

    def put(self, key, records):
        """Writes a shard, whole or not at all.

        Raises:
            InputError: a number in a record is not finite, or a reward not
                from 0 to 1.
        """
        data = "".join(
            self._line(key, record) + "\n" for record in records
        ).encode()
        checksum = self._digest(key, data)
        entry = {
            "shard": key,
            "sha256": checksum,
            "rows": len(records),
            "generation": self.files.generation,
        }
        self.files.write(self._name(key), data)
        self.files.append(self._name(), json.dumps(entry).encode())
        self._manifest[key] = entry

    def _digest(self, key, data):
        return digest(data, self.folder, self.fingerprint, key)

    def _record(self, line):
        return from_json(self.cls, json.loads(line, parse_constant=_refuse))

    def _line(self, key, record):
        try:
            _check_reward(record)
            return json.dumps(to_json(record), allow_nan=False)
        except ValueError as error:
            raise InputError(
                f"{self.files.url}/{self._name(key)} can't hold a "
                f"{self.cls.__name__} of example {record.example_id!r}: "
                f"{error}. Look at the model's weights or the reward that it "
                "came from."
            ) from None

    def _name(self, key=None):
        return f"{self.folder}/{'manifest' if key is None else key}.jsonl"

    def lost(self, key, why):
        """Leaves a shard out, with a warning; returns None."""
        warnings.warn(
            f"{self.files.url}/{self._name(key)} {why}: it is made anew.",
            stacklevel=3,
        )
        del self._manifest[key]

    def _read_manifest(self):
        data = self.files.read(self._name()) or b""
        entries, generation = {}, 1
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            entry = _entry(line)
            if entry is None:
                raise InputError(
                    f"{self.files.url}/{self._name()}, line {number}: not a "
                    "line of a manifest. Restore the file, or remove it to "
                    "make this stage's shards anew."
                )
            if entry["generation"] >= generation:
                generation = entry["generation"]
                entries[entry["shard"]] = entry
        return entries


def _entry(line):
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    entry = {"generation": 1, **entry}
    if {name: type(value) for name, value in entry.items()} != _KINDS:
        return None
    sound = _NAME.fullmatch(entry["shard"]) and 0 <= entry["rows"] < 2**63
    return entry if sound else None


def _check_reward(record):
    # Written so that NaN is refused too.
    if isinstance(record, Score) and not 0 <= record.reward <= 1:
        raise ValueError("the reward is not from 0 to 1")


def _refuse(constant):
    raise ValueError(f"{constant} is not JSON")
