"""Reasoning of one's own instead of a teacher's."""

import json

from keras_restpg.errors import InputError
from keras_restpg.reasoning.text import clean, copied_share
from keras_restpg.records import Reasoning


def load_reasoning(path, examples):
    """Reasoning of one's own, from JSONL.

    Each line is an object with `example_id` (or `id`) and `text` (or
    `reasoning`). `copied` is measured against the example's whole profile;
    nothing is refused for it.

    Args:
        path: of the file, UTF-8.
        examples: list of `Example`.

    Returns:
        list of `Reasoning`, in the order of `examples`.

    Raises:
        InputError: a line that does not fit, an id twice or unknown, an
            example without reasoning; the message has file, line and field.
    """
    by_id = {example.id: example for example in examples}
    found = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}, line {number}"
                key, text = _parse(line, where)
                if key not in by_id:
                    raise InputError(
                        f"{where}: there is no example with the id {key!r}"
                    )
                if key in found:
                    raise InputError(f"{where}: {key!r} was there before")
                example = by_id[key]
                copied = copied_share(text, example, example.documents)
                found[key] = Reasoning(key, text, copied)
    missing = [key for key in by_id if key not in found]
    if missing:
        raise InputError(
            f"{path} has no reasoning for {len(missing)} of {len(by_id)} "
            f"examples, first {missing[0]!r}. Add a line for each, or leave "
            "these examples out"
        )
    return [found[key] for key in by_id]


def _parse(line, where):
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: must be an object. Received: {row!r}")
    values = []
    for names in (("example_id", "id"), ("text", "reasoning")):
        value = next((row[name] for name in names if name in row), None)
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"{where}: needs the field {names[0]!r} (or {names[1]!r}) "
                f"with text. Received: {value!r}"
            )
        values.append(value)
    return values[0], clean(values[1])
