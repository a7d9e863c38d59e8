"""Reasoning of one's own instead of a teacher's."""

from collections.abc import Sequence

from keras_restpg._types import Path
from keras_restpg.data import reading
from keras_restpg.errors import InputError
from keras_restpg.reasoning.leaks import clean, copied_share
from keras_restpg.records import Example, Reasoning

_KEY = ("example_id", "id")
_TEXT = ("text", "reasoning")


def load_reasoning(path: Path, examples: Sequence[Example]) -> list[Reasoning]:
    """Reasoning of one's own, from a `.jsonl`, `.json` or `.parquet` file.

    Each row is an object with `example_id` (or `id`) and `text` (or
    `reasoning`); numbers count as text. `copied` is measured against the
    example's whole profile; nothing is refused for it.

    Args:
        path: of the file.
        examples: list of `Example`.

    Returns:
        list of `Reasoning`, in the order of `examples`.

    Raises:
        InputError: no such file, a row that does not fit, an id twice or
            unknown, an example without reasoning; the message has file, line
            and field.
    """
    rows = (
        (where, *_parse(row, where)) for where, row in reading.objects(path)
    )
    wanted = {example.id: example for example in examples}
    texts = reading.by_id(rows, path, wanted)
    return [
        Reasoning(key, texts[key], copied_share(texts[key], e, e.documents))
        for key, e in wanted.items()
    ]


def _parse(row, where):
    """`(id, text)` of a row."""
    key, text = _field(row, _KEY, where), _field(row, _TEXT, where)
    cleaned = clean(text)
    if not cleaned:
        raise InputError(
            f"{where}: nothing is left of the reasoning without the control "
            "tokens, thoughts and sentences of the template that it consists "
            f"of. Received: {text[:80]!r}"
        )
    return key, cleaned


def _field(row, names, where):
    name = next((name for name in names if name in row), None)
    text = name and reading.text_of(row, name, where)
    if not text or not text.strip():
        raise InputError(
            f"{where}: needs the field {names[0]!r} (or {names[1]!r}) with "
            f"text. Received: {text!r}"
        )
    return text
