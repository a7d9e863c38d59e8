import json
import os
import pathlib

import pytest

from keras_restpg import prompts
from keras_restpg.data import load_folder, load_longlamp, longlamp
from keras_restpg.errors import InputError

ROWS = {
    "abstract": {
        "name": "A. Writer",
        "input": 'Generate an abstract for the title "T: x" using the '
        "following items: one, two",
        "output": "An abstract.",
        "profile": [
            {"abstract": "Old | text", "id": 7, "title": "First", "year": 2016},
        ],
    },
    "review": {
        "reviewerId": 12,
        "input": "Generate the review text: short",
        "output": "Good.",
        "profile": [
            {
                "description": "Kettle",
                "overall": 5.0,
                "reviewText": "Boils.",
                "summary": "Fine",
            }
        ],
    },
    "topic": {
        "author": "a",
        "input": "Generate the content for a reddit post",
        "output": "Content",
        "profile": [
            {"author": "a", "content": "Long", "id": "p", "summary": "Short"}
        ],
    },
    "email": {
        "id": "u1-2",
        "input": "Complete the text of the following email. title: Re. text: a",
        "output": "b",
        "profile": [{"text": "Mail", "title": "Re"}],
    },
}


def write(folder, task, rows, split="train"):
    lines = [json.dumps(row) for row in rows]
    path = folder / f"{task}_{split}.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("task", "text", "query", "user"),
    [
        ("abstract", "First Old | text", "one, two", "A. Writer"),
        ("review", "5.0 Fine Kettle Boils.", "", "12"),
        ("topic", "Short Long", "", "a"),
        ("email", "Mail", "Re. text: a", "u1-2"),
    ],
)
def test_each_task_is_known_by_its_columns(tmp_path, task, text, query, user):
    write(tmp_path, task, [ROWS[task]])
    (example,) = load_longlamp(task, "train", tmp_path)
    assert example.documents[0].text == text
    assert (example.query, example.user, example.task) == (query, user, task)
    assert example.expected == ROWS[task]["output"]
    made = f"{task}-train-0"
    assert example.id == (ROWS[task]["id"] if "id" in ROWS[task] else made)


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        (
            "abstract",
            '"Old | text" is the abstract for the title "First". Use the above '
            "abstracts as context to understand the style and language of the "
            "user and, ",
        ),
        (
            "review",
            '"5.0" is a rating for the product with description "Kettle". '
            '"Fine" is summary for "Boils.". Following the given patterns ',
        ),
        (
            "topic",
            '"Short" is a summary for "Long". Following the given patterns, ',
        ),
        ("email", '"Re" is the title for "Mail". '),
    ],
)
def test_the_benchmarks_own_prompts(tmp_path, task, prompt):
    write(tmp_path, task, [ROWS[task]])
    (plain,) = load_longlamp(task, "train", tmp_path)
    (example,) = load_longlamp(task, "train", tmp_path, template="benchmark")
    (document,) = example.documents
    found = prompts.personalized_prompt(
        example.prompt, [document.text], False, example.connector
    )
    assert found == prompt + example.prompt
    # The same text is searched.
    assert document.search_text == plain.documents[0].text


def test_the_benchmarks_prompts_cut_abstracts_and_join_documents(tmp_path):
    row = json.loads(json.dumps(ROWS["abstract"]))
    row["profile"][0]["abstract"] = "word {title} " * 500
    write(tmp_path, "abstract", [row])
    (example,) = load_longlamp(
        "abstract", "train", tmp_path, template="benchmark"
    )
    text = example.documents[0].text
    assert text.count("word") == text.count("{title}") == 375
    found = prompts.personalized_prompt("x", ["a", "b"], True, ". ")
    assert found.startswith("a, and b. x You should first summarize")
    assert prompts.personalized_prompt("x", [], False, ". ") == "x"


def test_abstracts_are_dated(tmp_path):
    write(tmp_path, "abstract", [ROWS["abstract"]])
    (example,) = load_longlamp("abstract", "train", tmp_path)
    assert example.documents[0].date == "2016"
    assert example.documents[0].id == "7"


def test_a_folder_holds_several_tasks_and_a_limit_is_for_each(tmp_path):
    for task in ("review", "topic"):
        write(tmp_path, task, [ROWS[task]] * 3, "val")
    assert len(load_folder(tmp_path, "val")) == 6
    assert len(load_folder(tmp_path, "val", limit=2)) == 4
    tasks = [e.task for e in load_folder(tmp_path, "val", ["topic"])]
    assert tasks == ["topic"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": []}, "'profile'"),
        ({"profile": "x"}, "'profile'"),
        ({"profile": [{"a": 1}]}, "must have the fields"),
        ({"profile": [7]}, "must have the fields"),
        ({"output": "  "}, "'output' is empty"),
        ({"output": None}, "'output' must be text"),
        ({"input": ["x"]}, "'input' must be text"),
    ],
)
def test_rows_that_do_not_fit_are_named_by_file_line_and_field(
    tmp_path, change, message
):
    path = write(tmp_path, "topic", [ROWS["topic"], ROWS["topic"] | change])
    with pytest.raises(InputError, match=message) as error:
        load_longlamp("topic", "train", tmp_path)
    assert f"{path}, line 2" in str(error.value)


def test_a_missing_column_and_an_id_twice_are_named(tmp_path):
    row = dict(ROWS["email"])
    write(tmp_path, "email", [row, row])
    with pytest.raises(InputError, match="line 2: the id 'u1-2'"):
        load_longlamp("email", "train", tmp_path)
    del row["output"]
    write(tmp_path, "email", [row])
    with pytest.raises(InputError, match="line 1: the field 'output'"):
        load_longlamp("email", "train", tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_folder(tmp_path / "x", "train")
    with pytest.raises(InputError, match="no file <task>_train"):
        load_folder(tmp_path, "train")
    with pytest.raises(InputError, match="no such file"):
        load_longlamp("topic", "train", tmp_path)
    with pytest.raises(InputError, match="split must be"):
        load_longlamp("topic", "dev", tmp_path)
    with pytest.raises(InputError, match="template must be"):
        load_longlamp("topic", "val", tmp_path, template="mine")


@pytest.mark.parametrize("limit", [0, 1])
def test_the_hubs_rows_are_those_of_a_file(tmp_path, monkeypatch, limit):
    """A folder in the hub's layout stands for the hub, which is elsewhere."""
    rows = [ROWS["topic"], ROWS["topic"] | {"output": "Other"}]
    write(tmp_path, "topic", rows)
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: topic_writing_user\n  data_files:\n"
        "  - split: train\n    path: topic_train.jsonl\n---\n"
    )
    monkeypatch.setattr(longlamp, "HUB", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "kept")
    name = "topic_writing_user"
    (tmp_path / f"{name}_train.jsonl").write_text(
        (tmp_path / "topic_train.jsonl").read_text()
    )
    expected = load_longlamp(name, "train", tmp_path, limit)
    assert load_longlamp(name, "train", limit=limit) == expected
    # With a limit nothing is kept whole.
    kept = list((tmp_path / "kept").rglob("*.arrow"))
    assert bool(kept) == (limit == 0)
    with pytest.raises(InputError, match="no_such_config"):
        load_longlamp("no_such_config", "train")


@pytest.mark.skipif(
    "KERAS_RESTPG_DATA" not in os.environ, reason="needs real writing"
)
def test_real_writing_is_read_whole():
    folder = pathlib.Path(os.environ["KERAS_RESTPG_DATA"])
    counts = {s: len(load_folder(folder, s)) for s in ("train", "val", "test")}
    lines = {
        split: sum(
            len(path.read_bytes().splitlines())
            for path in folder.glob(f"*_{split}.jsonl")
        )
        for split in counts
    }
    assert counts == lines
