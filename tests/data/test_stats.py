import json

import pytest

from keras_restpg.data import stats
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example


def example(task, prompt, expected, documents):
    profile = (Document("x"),) * documents
    return Example(prompt + expected, task, "u", prompt, expected, profile)


def test_means_and_deviations():
    found = stats.rows(
        [example("b", "one two", "a", 3), example("b", "one", "a b c", 5)]
    )
    assert found == {"b": (2, [(1.5, 0.5), (2.0, 1.0), (4.0, 1.0)])}


def test_a_folder_is_printed(tmp_path):
    with pytest.raises(InputError, match="no file"):
        stats.table(tmp_path)
    row = {
        "author": "a",
        "input": "one two",
        "output": "three",
        "profile": [{"content": "c", "summary": "s"}],
    }
    (tmp_path / "topic_val.jsonl").write_text(json.dumps(row))
    lines = stats.table(tmp_path).split("\n")
    assert lines[1].split()[:3] == ["topic", "val", "1"]
