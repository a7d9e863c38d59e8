"""Rows of files from outside, one at a time, with where each one stands.

Whatever does not fit is refused with file and line before anything is
computed. A file is streamed: memory holds one row of JSON, or one row group
of Parquet.
"""

import codecs
import contextlib
import datetime
import gzip
import io
import json
import math
import pathlib
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from keras_restpg._types import Path
from keras_restpg.errors import InputError

FORMATS = (".jsonl", ".ndjson", ".json", ".parquet")
# Characters read at once, and the longest row: LongLaMP has one of 672 MB.
_BLOCK = 1 << 20
LONGEST = 1 << 30
_DECODE = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")


def suffix(path: Path) -> str:
    """A file's kind, such as `.jsonl`, also of `rows.jsonl.gz`."""
    path = pathlib.Path(path)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.suffix.lower()


def stem(path: Path) -> str:
    """A file's name without its kind: `rows` of `rows.jsonl.gz`."""
    path = pathlib.Path(path)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.stem


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes as a stream, those of a `.gz` file unpacked.

    Raises:
        InputError: no such file, one that cannot be read, or a damaged .gz.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            yield cast(IO[bytes], file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path}: not a .gz file, or a damaged one ({error})."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a `.jsonl`, `.ndjson`, `.json` or `.parquet` file.

    A `.json` file is an array of objects, or an object a line. All but
    Parquet may be packed (`.gz`).

    Yields:
        `(where, row)`: file and line, for messages, and a dict.

    Raises:
        InputError: no such file, another format, nothing in it, a row that
            is no JSON object, bytes that are not UTF-8.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    if suffix(path) not in FORMATS:
        raise InputError(
            f"{path}: the format must be one of {', '.join(FORMATS)}."
        )
    rows = _parquet if path.suffix.lower() == ".parquet" else _json
    empty = True
    for where, row in rows(path):
        if not isinstance(row, dict):
            raise InputError(
                f"{where}: must be an object with named fields. Received: "
                f"{str(row)[:80]!r}"
            )
        empty = False
        yield where, row
    if empty:
        raise InputError(f"{path}: the file is empty.")


def by_id(
    rows: Iterable[tuple[str, str, Any]],
    path: Path,
    wanted: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`{id: value}` of `(where, id, value)` rows, in their order.

    Raises:
        InputError: an id is there twice; or, with `wanted`, a dict by id, it
            is none of those or one of those is missing.
    """
    found = {}
    for where, key, value in rows:
        if wanted is not None and key not in wanted:
            raise InputError(f"{where}: no example has the id {key!r}")
        if key in found:
            raise InputError(f"{where}: the id {key!r} was there before")
        found[key] = value
    wanted = wanted or {}
    missing = [key for key in wanted if key not in found]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of {len(wanted)} examples are not in it, "
            f"first {missing[0]!r}. Add a row for each, or leave these "
            "examples out."
        )
    return found


def text_of(row: Mapping[str, Any], field: str, where: str) -> str:
    """A field's text; numbers and dates become text, as LongLaMP's types vary.

    Raises:
        InputError: the field is missing or neither text, a number nor a date.
    """
    if field not in row:
        raise InputError(
            f"{where}: the field {field!r} is missing. There are: "
            f"{', '.join(map(str, row))}"
        )
    value = row[field]
    if isinstance(value, datetime.date):
        return value.isoformat()
    odd = isinstance(value, float) and not math.isfinite(value)
    if odd or type(value) not in (str, int, float):
        raise InputError(
            f"{where}: the field {field!r} must be text. Received: "
            f"{str(value)[:80]!r}"
        )
    return str(value)


def text_or(
    row: Mapping[str, Any], field: str, where: str, default: str = ""
) -> str:
    """As `text_of`, but `default` where the field is missing or null."""
    if row.get(field) is None:
        return default
    return text_of(row, field, where)


def _json(path):
    with opened(path) as file:
        head = file.read(_BLOCK).removeprefix(codecs.BOM_UTF8).lstrip()
        while not head and (block := file.read(_BLOCK)):
            head = block.lstrip()
    with opened(path) as file:
        yield from (_array if head.startswith(b"[") else _lines)(file, path)


def _lines(file, path):
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        where = f"{path}, line {number}"
        if len(line) > LONGEST:
            raise InputError(f"{where}: longer than {LONGEST} bytes.")
        if line.strip():
            yield where, _parse(line, where)


def _parse(line, where):
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte {error.start + 1} is not UTF-8. Save the file as "
            "UTF-8."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}).") from None


def _array(file, path):
    """The items of a JSON array, which is never whole in memory."""
    text = _Text(io.TextIOWrapper(file, "utf-8-sig"), path)
    text.take("[")
    number, more = 1, not text.take("]")
    while more:
        where = f"{path}, item {number}"
        yield where, text.value(where)
        number, more = number + 1, text.take(",")
        if not more and not text.take("]"):
            raise InputError(
                f"{where}: not JSON (after it must stand a comma or the "
                "closing bracket)."
            )
    if text.peek():
        raise InputError(
            f"{path}: not JSON (something stands after the array's closing "
            "bracket)."
        )


class _Text:
    """A file's JSON in a buffer: what is read is dropped from it."""

    def __init__(self, file, path):
        self.file = file
        self.path = path
        self.buffer = ""
        self.start = 0

    def peek(self):
        """The next character that is no space; at the end of the file none."""
        while True:
            self.start = next(_SPACE.finditer(self.buffer, self.start)).end()
            if self.start < len(self.buffer) or not self._read(_BLOCK):
                return self.buffer[self.start : self.start + 1]

    def take(self, mark):
        """Whether `mark` comes next; if so it is gone."""
        there = self.peek() == mark
        self.start += there
        return there

    def value(self, where):
        """The JSON value that comes next."""
        self.peek()
        block = _BLOCK
        while True:
            try:
                value, self.start = _DECODE(self.buffer, self.start)
                return value
            except (ValueError, RecursionError) as error:
                why = getattr(error, "msg", error)
                broken = _broken(error, self.buffer)
                if not broken and len(self.buffer) > LONGEST:
                    raise InputError(
                        f"{where}: not JSON ({why}), or longer than {LONGEST} "
                        "characters. Make such rows shorter."
                    ) from None
                if broken or not self._read(block):
                    raise InputError(f"{where}: not JSON ({why}).") from None
            # Doubling keeps one long row from being parsed many times.
            block *= 2

    def _read(self, size):
        try:
            more = self.file.read(size)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.path}: not UTF-8 ({error}). Save the file as UTF-8."
            ) from None
        self.buffer, self.start = self.buffer[self.start :] + more, 0
        return bool(more)


def _broken(error, buffer):
    """Whether more text could not mend what does not parse."""
    if not isinstance(error, json.JSONDecodeError):
        return True  # Too deep, or too many digits.
    cut = error.msg.startswith("Unterminated string")
    return not cut and error.pos < len(buffer) - 16


def _parquet(path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow: "
            "`pip install keras-restpg[parquet]`"
        ) from None
    number = 0
    try:
        # What Arrow and Python raise for pages, texts and dates that are not.
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as e:
        raise InputError(f"{path}: not a Parquet file ({e}).") from None
