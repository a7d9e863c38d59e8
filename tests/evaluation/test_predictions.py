import json

import numpy as np
import pytest

from keras_restpg import prompts
from keras_restpg.data import load_longlamp
from keras_restpg.errors import InputError
from keras_restpg.evaluation.predictions import score_file
from keras_restpg.records import Example
from tests.evaluation.silent import Silent

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
    assert ours.notes == ()


def test_references_may_be_lamps_outputs(tmp_path):
    golds = [{"id": "1", "output": "the old gate"}, {"id": 2, "output": "a b"}]
    predictions = write(tmp_path, {"task": "LongLaMP-1", "golds": golds})
    references = tmp_path / "outputs.json"
    whole = {"task": "LongLaMP-1", "golds": golds[::-1]}
    references.write_text(json.dumps(whole, indent=1))
    scored = score_file(predictions, references)
    assert scored.means["LongLaMP-1"]["rouge1"] == 1.0
    assert scored.means["all"]["count"] == 2
    with pytest.raises(InputError, match="2 of 2 references have no prompt"):
        score_file(predictions, references, reward=lambda *_: 1.0)
    for text, message in (
        ('{"golds": []}', "no references"),
        ('{"golds": [3]}', "must hold objects"),
        ('{"golds": [{"id": 1}]}', "'output' is missing"),
    ):
        references.write_text(text)
        with pytest.raises(InputError, match=f"{references}: .*{message}"):
            score_file(predictions, references)


@pytest.mark.parametrize("name", ["val.json", "val-00000-of-00001.json"])
def test_references_may_be_in_the_hubs_layout(tmp_path, name):
    path = tmp_path / "topic_writing_user" / name
    path.parent.mkdir()
    path.write_text(json.dumps([{"input": "x", "output": "a train"}]))
    row = {"id": "topic_writing_user-val-0", "output": "a train"}
    scored = score_file(write(tmp_path, {"golds": [row]}), path)
    assert scored.means["topic_writing_user"]["rouge1"] == 1.0


CHINESE = "今天天气很好,我们去公园散步"
RUSSIAN = "Сегодня мы гуляем по старому саду"


@pytest.mark.parametrize(
    ("texts", "unread"),
    [
        ([CHINESE, RUSSIAN, "plain words"], 2),
        # A number in it does not make it read.
        ([CHINESE + " 2024", RUSSIAN + " 5 km"], 2),
        (["हिन्दी में लिखना", "…!", "the café in Zürich"], 2),
    ],
)
def test_texts_that_rouge_does_not_read_are_told_of(tmp_path, texts, unread):
    examples = [
        Example(str(i), "t", "u", "x", text, ()) for i, text in enumerate(texts)
    ]
    rows = [{"id": e.id, "output": e.expected} for e in examples]
    path = write(tmp_path, {"golds": rows})
    scored = score_file(path, examples)
    (note,) = scored.notes
    assert f"in {unread} of {len(texts)} expected outputs" in note
    assert scored.table().endswith(note)


def test_words_of_any_script_are_compared_on_request(tmp_path):
    examples = [
        Example(str(i), "t", "u", "x", text, ())
        for i, text in enumerate([CHINESE, RUSSIAN, "plain words"])
    ]
    rows = [{"id": e.id, "output": e.expected} for e in examples]
    path = write(tmp_path, {"golds": rows})
    scored = score_file(path, examples, tokenizer="words")
    assert scored.means["all"]["rouge1"] == scored.means["all"]["rougeL"] == 1.0
    assert scored.notes == ()
    with pytest.raises(ValueError, match="one of rouge, words. Received: 'x'"):
        score_file(path, examples, tokenizer="x")


def test_only_the_final_answer_counts(tmp_path, references):
    output = prompts.join_output("a train and rivers", "the old garden gate")
    rows = [{"id": "1", "output": output}, {"id": 2, "output": "a train"}]
    scored = score_file(
        write(tmp_path, {"golds": rows}),
        references,
        reward=lambda example, answer: 1.0,
        reasoning=True,
    )
    assert scored.means["task"]["rouge1"] == 1.0
    assert scored.means["task"]["judge"] == 1.0
    # Without reasoning there is no final answer.
    assert scored.means["topic"]["rouge1"] == 0.0
    assert scored.means["topic"]["judge"] == 0.0
    assert scored.notes == ("1 of 2 outputs have no final answer and count 0.",)


def test_what_the_judge_gave_no_score_is_left_out_and_told(
    tmp_path, references
):
    rows = [{"id": "1", "output": "a gate."}, {"id": 2, "output": "Hm!"}]
    path = write(tmp_path, {"golds": rows})
    scored = score_file(path, references, reward=Silent())
    assert [row["judge"] for row in scored.rows] == [0.7, None]
    assert scored.rows[1]["unjudged"] == 'it said: "Hm!"'
    assert scored.means["all"]["judge"] == 0.7
    assert np.isnan(scored.means["topic"]["judge"])
    (note,) = scored.notes
    assert "gave 1 of 2 answers no score" in note and '"Hm!"' in note


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_references_are_longlamps_own_files(tmp_path, suffix):
    """Rows without ids have those that the loader makes."""
    rows = [
        {
            "author": "a",
            "input": "x",
            "output": output,
            "profile": [{"summary": "s", "content": "c"}],
        }
        for output in ("the old garden gate", "a train")
    ]
    path = tmp_path / f"topic_writing_val.{suffix}"
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) if suffix == "jsonl" else json.dumps(rows))
    examples = load_longlamp("topic_writing", "val", tmp_path)
    golds = [{"id": e.id, "output": e.expected} for e in examples]
    predictions = write(tmp_path, "\n".join(map(json.dumps, golds)))
    scored = score_file(predictions, path)
    assert scored == score_file(predictions, examples)
    assert scored.means["topic_writing"] == scored.means["all"]
    assert scored.means["all"]["rouge1"] == 1.0
    with pytest.raises(InputError, match="line 1: the field 'id' is missing"):
        (tmp_path / "mine.jsonl").write_text("\n".join(lines))
        score_file(predictions, tmp_path / "mine.jsonl")


def test_a_task_does_not_take_the_place_of_the_totals(tmp_path):
    path = write(tmp_path, {"golds": [{"id": "1", "output": "x"}]})
    named = tmp_path / "all_test.jsonl"
    named.write_text(json.dumps(REFERENCES[0]))
    with pytest.raises(InputError, match="no task can have the name 'all'"):
        score_file(path, named)


def test_every_reference_needs_a_prediction(tmp_path, references):
    path = write(tmp_path, {"golds": [{"id": "1", "output": "x"}]})
    message = f"{path}: 1 of 2 examples are not in it, first '2'"
    with pytest.raises(InputError, match=message):
        score_file(path, references)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ('{"golds": 3}', "'golds' must be a list"),
        ('{"golds": []}', "no predictions"),
        ('{"golds": [{"id": "1"}]}', "the field 'output' is missing"),
        ('{"golds": ["x"]}', "must hold objects"),
        ('{"id": "9", "output": "x"}', "no example has the id '9'"),
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
