import gzip
import json
import os
import pathlib

import pytest

from keras_restpg import prompts
from keras_restpg.data import load_folder, load_longlamp
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


@pytest.mark.parametrize("items", ["a, b", "1. a\n2. b"])
def test_a_title_with_items_is_no_query(tmp_path, items):
    prompt = (
        'Generate an abstract for the title "Sorted items: a survey" using '
        f"the following items: {items}"
    )
    write(tmp_path, "abstract", [ROWS["abstract"] | {"input": prompt}])
    (example,) = load_longlamp("abstract", "train", tmp_path)
    assert example.query == items


def test_nulls_are_missing_where_they_may_be(tmp_path):
    review = ROWS["review"]["profile"][0]
    item = review | {"summary": None, "id": None, "title": None}
    row = ROWS["review"] | {"id": None, "profile": [item, review]}
    write(tmp_path, "review", [row])
    (example,) = load_longlamp("review", "train", tmp_path)
    assert example.id == "review-train-0"
    assert [d.text for d in example.documents] == [
        "5.0 Kettle Boils.",
        "5.0 Fine Kettle Boils.",
    ]
    assert [d.id for d in example.documents] == ["1", "2"]
    email = ROWS["email"] | {"profile": [{"text": "Mail", "title": None}]}
    write(tmp_path, "email", [email])
    (example,) = load_longlamp("email", "train", tmp_path, 0, "benchmark")
    assert example.documents[0].text == '"" is the title for "Mail"'
    item = ROWS["abstract"]["profile"][0] | {"year": None}
    write(tmp_path, "abstract", [ROWS["abstract"] | {"profile": [item]}])
    (example,) = load_longlamp("abstract", "train", tmp_path)
    assert example.documents[0].date == ""


def test_documents_without_any_text_but_nulls_are_named(tmp_path):
    item = dict.fromkeys(("summary", "content"))
    rows = [ROWS["topic"] | {"profile": [item]}]
    write(tmp_path, "topic", rows)
    with pytest.raises(InputError, match="profile item 1: one of summary"):
        load_longlamp("topic", "train", tmp_path)


def test_abstracts_are_dated(tmp_path):
    write(tmp_path, "abstract", [ROWS["abstract"]])
    (example,) = load_longlamp("abstract", "train", tmp_path)
    assert example.documents[0].date == "2016"
    assert example.documents[0].id == "7"
    item = ROWS["abstract"]["profile"][0] | {"year": "in press"}
    write(tmp_path, "abstract", [ROWS["abstract"] | {"profile": [item]}])
    with pytest.raises(InputError, match="profile item 1, the field 'year'"):
        load_longlamp("abstract", "train", tmp_path)


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


def test_a_task_in_two_files_is_named(tmp_path):
    path = write(tmp_path, "topic", [ROWS["topic"]])
    (tmp_path / "topic_train.json").write_text(json.dumps([ROWS["topic"]]))
    for load in (
        lambda: load_folder(tmp_path, "train"),
        lambda: load_longlamp("topic", "train", tmp_path),
    ):
        with pytest.raises(InputError, match="json and topic_train.jsonl"):
            load()
    path.unlink()
    assert len(load_folder(tmp_path, "train", ["topic", "topic"])) == 1


def test_an_id_in_two_tasks_is_named(tmp_path):
    write(tmp_path, "email", [ROWS["email"]])
    write(tmp_path, "topic", [ROWS["topic"] | {"id": ROWS["email"]["id"]}])
    with pytest.raises(InputError, match="'email' and 'topic' both have"):
        load_folder(tmp_path, "train")


def save(path, rows):
    """Rows as a file of the kind that its name says."""
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return
    data = json.dumps(rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        ["train-00000-of-00002.json", "train-00001-of-00002.json"],
        ["train.json"],
        ["train.json.gz"],
    ],
)
def test_the_hubs_layout_is_read(tmp_path, names):
    folder = tmp_path / "topic_writing_user"
    rows = [ROWS["topic"] | {"output": f"{i}"} for i in range(4)]
    size = len(rows) // len(names)
    for number, name in enumerate(names):
        save(folder / name, rows[number * size : (number + 1) * size])
    save(folder / "training.json", rows)
    save(tmp_path / "review_train.json.gz", [ROWS["review"]])
    examples = load_folder(tmp_path, "train", ["topic_writing_user"])
    assert [e.expected for e in examples] == list("0123")
    made = [f"topic_writing_user-train-{i}" for i in range(4)]
    assert [e.id for e in examples] == made
    tasks = {e.task for e in load_folder(tmp_path, "train")}
    assert tasks == {"review", "topic_writing_user"}
    save(tmp_path / "topic_writing_user_train.json", rows)
    with pytest.raises(InputError, match="both are the task 'topic_writing"):
        load_folder(tmp_path, "train")


def test_a_part_that_is_missing_is_named(tmp_path):
    save(tmp_path / "topic" / "val-00000-of-00003.json", [ROWS["topic"]])
    save(tmp_path / "topic" / "val-00002-of-00003.json", [ROWS["topic"]])
    with pytest.raises(InputError, match="val-00001-of-00003.json: there is"):
        load_folder(tmp_path, "val")
    (tmp_path / "topic" / "val-00000-of-00003.json").unlink()
    with pytest.raises(InputError, match="val-00000-of-00003.json: there is"):
        load_folder(tmp_path, "val")


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
