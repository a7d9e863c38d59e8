import json

import pytest

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.evaluation.predictions import score_file

REFERENCES = [
    {"id": "1", "input": "x", "output": "the old garden gate"},
    {"id": 2, "input": "x", "output": "a train", "task": "topic"},
]


@pytest.fixture
def references(tmp_path):
    path = tmp_path / "references.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in REFERENCES))
    return path


def write(tmp_path, value):
    path = tmp_path / "predictions.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_both_layouts_give_the_same_scores(tmp_path, references):
    golds = [
        {"id": "1", "output": "the old garden gate"},
        {"id": 2, "output": "rivers"},
    ]
    whole = write(tmp_path, {"task": "LongLaMP-1", "golds": golds})
    ours = score_file(whole, references)
    lines = write(tmp_path, "\n".join(json.dumps(row) for row in golds))
    assert score_file(lines, references) == ours
    assert ours.means["task"]["rouge1"] == 1.0
    assert ours.means["topic"]["rougeL"] == 0.0
    assert ours.means["all"]["count"] == 2
    assert "rougeL" in ours.table()


def test_only_the_final_answer_counts(tmp_path, references):
    output = prompts.join_output("a train and rivers", "the old garden gate")
    rows = [{"id": "1", "output": output}]
    scored = score_file(
        write(tmp_path, {"golds": rows}), references, reasoning=True
    )
    assert scored.means["all"]["rouge1"] == 1.0
    rows = [{"id": "1", "output": "the old garden gate"}]
    scored = score_file(
        write(tmp_path, {"golds": rows}),
        references,
        reward=lambda example, answer: 1.0,
        reasoning=True,
    )
    assert scored.means["all"]["judge"] == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ('{"golds": 3}', "'golds' must be a list"),
        ('{"golds": []}', "no predictions"),
        ('{"golds": [{"id": "1"}]}', "needs the field 'output'"),
        ('{"id": "9", "output": "x"}', "no reference has the id '9'"),
        (
            '{"golds": [{"id": "1", "output": "x"}, '
            '{"id": "1", "output": ""}]}',
            "there before",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, references, text, message):
    with pytest.raises(InputError, match=message):
        score_file(write(tmp_path, text), references)
