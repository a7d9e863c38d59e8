import json
import tracemalloc

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


def test_examples_are_gone_through_once_and_not_kept():
    examples = (example("b", "x", "y " * 10**5, 1) for _ in range(300))
    tracemalloc.start()
    found = stats.rows(examples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["b"][1][1] == (10**5, 0.0) and peak < 3e7


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
    assert lines[2].split()[:3] == ["topic", "val", "1"]


def test_a_split_of_the_papers_size_has_the_papers_numbers(
    tmp_path, monkeypatch
):
    sizes = ((1.0, 0.5), (2.0, 0.5), (3.0, 0.5))
    monkeypatch.setattr(stats, "PAPER", {"topics": ((9, 1, 9), sizes)})
    row = {
        "author": "a",
        "input": "one two",
        "output": "three",
        "profile": [{"content": "c", "summary": "s"}],
    }
    for split in ("val", "test"):
        path = tmp_path / f"topic_{split}.jsonl"
        path.write_text(json.dumps(row))
    lines = stats.table(tmp_path).split("\n")
    assert [line.split()[0] for line in lines[2:]] == ["topic", "the", "topic"]
    assert "3.00 ± 0.50" in lines[3]
