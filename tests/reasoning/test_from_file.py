import dataclasses
import json

import pytest

from keras_restpg import records
from keras_restpg.errors import InputError
from keras_restpg.reasoning.from_file import load_reasoning
from tests.rewards.records import example

EXAMPLES = [example("e"), example("f", expected="one two three four five")]


def write(tmp_path, *rows):
    path = tmp_path / "own.jsonl"
    lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
    text = "\n".join(lines) + "\n"
    # A lone surrogate makes bytes that are not UTF-8.
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def test_both_spellings_in_any_order(tmp_path):
    path = write(
        tmp_path,
        {"id": "f", "reasoning": "Sure:\none two three four five"},
        "",
        dataclasses.asdict(records.Reasoning("e", "théâtre")),
    )
    found = load_reasoning(path, EXAMPLES)
    assert [r.example_id for r in found] == ["e", "f"]
    assert [r.text for r in found] == ["théâtre", "one two three four five"]
    assert [r.copied for r in found] == [0, 1]


def test_numbers_count_as_text_and_a_byte_order_mark_is_skipped(tmp_path):
    path = write(
        tmp_path, '\ufeff{"id": 7, "text": 3}', {"id": "8", "text": "b"}
    )
    found = load_reasoning(path, [example("7"), example("8")])
    assert [(r.example_id, r.text) for r in found] == [("7", "3"), ("8", "b")]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="none.jsonl: there is no such file"):
        load_reasoning(tmp_path / "none.jsonl", EXAMPLES)


def test_a_document_of_the_profile_is_no_leak(tmp_path):
    document = records.Document("one two three four five")
    own = dataclasses.replace(EXAMPLES[1], documents=(document,))
    path = write(tmp_path, {"id": "f", "text": "one two three four five"})
    assert load_reasoning(path, [own])[0].copied == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], "own.jsonl, line 1: not JSON"),
        (["", '{"id":' + "[" * 99_999], "own.jsonl, line 2: not JSON"),
        (["\ud800"], "own.jsonl, line 1: byte 1 is not UTF-8"),
        (["5"], "line 1: must be an object"),
        ([{"id": "e"}], "line 1: needs the field 'text' .or 'reasoning'."),
        ([{"text": "a"}], "line 1: needs the field 'example_id'"),
        ([{"id": "e", "text": None}], "line 1: .*'text' must be text"),
        ([{"id": True, "text": "a"}], "line 1: .*'id' must be text"),
        ([{"id": "e", "text": " "}], "line 1: needs the field 'text'"),
        ([{"id": "e", "text": "<eos>"}], "line 1: nothing is left"),
        ([{"id": "e", "text": "<think>hm</think>"}], "line 1: nothing is left"),
        ([{"id": "z", "text": "a"}], "no example has the id 'z'"),
        ([{"id": "e", "text": "a"}] * 2, "line 2: the id 'e' was there before"),
        (
            [{"id": "e", "text": "a"}],
            "1 of 2 examples are not in it.*'f'",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        load_reasoning(write(tmp_path, *rows), EXAMPLES)
