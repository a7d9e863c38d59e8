"""Rows of files from outside, one at a time, with where each one stands.

Whatever does not fit is refused with file and line before anything is
computed. A file is streamed: memory holds one row, or one block of it.
"""

import json
import pathlib
import re

from keras_restpg.errors import InputError

FORMATS = (".jsonl", ".json", ".parquet")
# Characters read at once, and the longest row of a JSON array.
_BLOCK = 1 << 20
_LONGEST = 1 << 28
_SPACE = re.compile(r"[\s,]*")


def objects(path):
    """The rows of a `.jsonl`, `.json` or `.parquet` file.

    A `.json` file is an array of objects, or an object a line.

    Yields:
        `(where, row)`: file and line, for messages, and a dict.

    Raises:
        InputError: no such file, another format, nothing in it, a row that
            is no JSON object, bytes that are not UTF-8.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    if path.suffix not in FORMATS:
        raise InputError(
            f"{path}: the format must be one of {', '.join(FORMATS)}."
        )
    rows = _parquet if path.suffix == ".parquet" else _json
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


def text_of(row, field, where):
    """A field's text; numbers become text, as LongLaMP's types vary.

    Raises:
        InputError: the field is missing or neither text nor a number.
    """
    if field not in row:
        raise InputError(
            f"{where}: the field {field!r} is missing. There are: "
            f"{', '.join(map(str, row))}"
        )
    value = row[field]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(
            f"{where}: the field {field!r} must be text. Received: "
            f"{str(value)[:80]!r}"
        )
    return str(value)


def _json(path):
    with open(path, "rb") as file:
        first = file.read(1)
        while first in (b" ", b"\n", b"\r", b"\t"):
            first = file.read(1)
    return _array(path) if first == b"[" else _lines(path)


def _lines(path):
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}, line {number}"
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


def _array(path):
    """The items of a JSON array, which is never whole in memory."""
    decode = json.JSONDecoder().raw_decode
    with open(path, encoding="utf-8") as file:
        buffer = _read(file, _BLOCK, path)
        start, number, block = buffer.index("[") + 1, 1, _BLOCK
        while True:
            start = _SPACE.match(buffer, start).end()
            if buffer.startswith("]", start):
                return
            where = f"{path}, item {number}"
            try:
                row, start = decode(buffer, start)
            except (ValueError, RecursionError) as error:
                more = (
                    "" if _broken(error, buffer) else _read(file, block, path)
                )
                if not more:
                    raise InputError(f"{where}: not JSON ({error}).") from None
                # Doubling keeps one long row from being parsed many times.
                buffer, start, block = buffer[start:] + more, 0, 2 * block
                continue
            yield where, row
            number, block = number + 1, _BLOCK


def _broken(error, buffer):
    """Whether more text could not mend what does not parse."""
    if isinstance(error, RecursionError) or len(buffer) > _LONGEST:
        return True
    cut = error.msg.startswith("Unterminated string")
    return not cut and error.pos < len(buffer) - 16


def _read(file, size, path):
    try:
        return file.read(size)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 ({error}). Save the file as UTF-8."
        ) from None


def _parquet(path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow: "
            "`pip install keras-restpg[hf]`"
        ) from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: not a Parquet file ({error}).") from None


def texts(path):
    """A user's documents from one file, a list of str.

    A `.txt` file has blank lines between documents; the other formats have
    a field `text` in each row.

    Raises:
        InputError: as `objects`.
    """
    path = pathlib.Path(path)
    if path.suffix != ".txt":
        return [text_of(row, "text", where) for where, row in objects(path)]
    try:
        whole = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start + 1} is not UTF-8. Save the file as "
            "UTF-8."
        ) from None
    found = [part.strip() for part in re.split(r"\n\s*\n", whole)]
    return [text for text in found if text]
