import csv
import json

import pytest

from keras_restpg.data import own
from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example

ROW = {
    "q": "Write",
    "a": "A text",
    "past": ["one", {"text": "two", "date": 2020}],
    "who": 7,
}
COLUMNS = own.Columns("q", "a", "past", "who")


def write(tmp_path, rows, name="mine.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_columns_are_mapped(tmp_path):
    (example,) = own.load_jsonl(write(tmp_path, [ROW]), COLUMNS)
    assert (example.prompt, example.expected) == ("Write", "A text")
    assert (example.id, example.user, example.task) == ("mine-0", "7", "own")
    assert [d.text for d in example.documents] == ["one", "two"]
    assert example.documents[1].date == "2020"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"past": []}, "'past' must be a list"),
        ({"past": [3]}, "document 1: must be text"),
        ({"past": [{"t": 1}]}, "document 1: the field 'text' is missing"),
        ({"a": ""}, "'a' is empty"),
        ({"q": None}, "'q' must be text"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, change, message):
    path = write(tmp_path, [ROW, ROW | change])
    with pytest.raises(InputError, match=message) as error:
        own.load_jsonl(path, COLUMNS)
    assert "line 2" in str(error.value)


def test_null_dates_and_ids_are_none(tmp_path):
    past = [{"text": "t", "id": None, "date": None}]
    (example,) = own.load_jsonl(
        write(tmp_path, [ROW | {"past": past}]), COLUMNS
    )
    (document,) = example.documents
    assert (document.id, document.date) == ("1", "")


def test_an_id_twice_is_named(tmp_path):
    path = write(tmp_path, [ROW, ROW])
    assert len(own.load_jsonl(path, COLUMNS)) == 2
    columns = own.Columns("q", "a", "past", "who", id="who")
    with pytest.raises(InputError, match="line 2: the id '7' was there"):
        own.load_jsonl(path, columns)


TABLE = [
    {"user": "ann", "prompt": "tea", "expected": "T", "past": "one"},
    {"user": "bob", "prompt": "tea", "expected": "B", "past": "other"},
    {"user": "ann", "prompt": "tea", "expected": "T", "past": "two, [3]"},
    {"user": "ann", "prompt": "milk", "expected": "M", "past": "one"},
]


def save(tmp_path, rows, suffix):
    path = tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif suffix == "csv":
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        write(tmp_path, rows, path.name)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_both_layouts_of_every_format_are_the_same(tmp_path, suffix):
    load = getattr(own, f"load_{suffix}")
    path = save(tmp_path, TABLE, suffix)
    examples = load(path, own.Columns(document="past"))
    texts = {e.id: [d.text for d in e.documents] for e in examples}
    assert texts == {
        "table-0": ["one", "two, [3]"],
        "table-1": ["other"],
        "table-3": ["one"],
    }
    assert [e.user for e in examples] == ["ann", "bob", "ann"]
    assert [d.id for d in examples[0].documents] == ["1", "2"]
    rows = [
        {
            "user": e.user,
            "prompt": e.prompt,
            "expected": e.expected,
            "id": e.id,
            "documents": json.dumps(texts[e.id])
            if suffix == "csv"
            else texts[e.id],
        }
        for e in examples
    ]
    path = save(tmp_path, rows, suffix)
    assert load(path, own.Columns(id="id")) == examples


def test_rows_with_one_id_are_one_example(tmp_path):
    columns = own.Columns(user="", id="user", document="past")
    rows = [TABLE[0], TABLE[1], TABLE[2]]
    examples = own.load_jsonl(write(tmp_path, rows), columns)
    assert [(e.id, len(e.documents)) for e in examples] == [
        ("ann", 2),
        ("bob", 1),
    ]
    path = write(tmp_path, TABLE)
    with pytest.raises(InputError, match="line 4: the id 'ann' was there"):
        own.load_jsonl(path, columns)


def test_a_column_without_a_name_is_no_date(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(",user,text\n0,a,b\n")
    assert own.load_documents(path)["a"][0].date == ""


CSV = 'user,text,date\na,"second, later",2021\nb,only,2020\na,first,2019\n'


def test_documents_of_csv_are_grouped_and_dated(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(CSV)
    users = own.load_documents(path, date="date")
    assert [d.text for d in users["a"]] == ["first", "second, later"]
    (example,) = own.hold_out(users, lambda d: f"Write of {d.date}")
    assert example.user == "a" and example.expected == "second, later"
    assert example.prompt == "Write of 2021"
    assert [d.text for d in example.documents] == ["first"]


def test_a_document_without_a_date_comes_first(tmp_path):
    rows = [
        {"user": "a", "text": t, "date": d}
        for t, d in (("x", 2020), ("y", None), ("z", " "))
    ]
    users = own.load_documents(write(tmp_path, rows), date="date")
    assert [(d.text, d.date) for d in users["a"]] == [
        ("y", ""),
        ("z", ""),
        ("x", "2020"),
    ]
    with pytest.raises(InputError, match="'dtae' is missing"):
        own.load_documents(write(tmp_path, rows), date="dtae")


AMAZON = ["12 30, 2000", "02 3, 2014", "03 4, 1999"]
MAILS = [
    "Fri, 3 Jan 2020 09:00:00 -0800",
    "Fri, 3 Jan 2020 16:59:00 +0000",
    "Thu, 2 Jan 2020 23:00:00 +0000",
]


@pytest.mark.parametrize(
    ("written", "order"),
    [
        (AMAZON, [2, 0, 1]),
        (MAILS, [2, 1, 0]),
        ([1000000000, 999999999, 1000000001], [1, 0, 2]),
        (["2020-01-05T01:00+03:00", "2020-01-04", "2020-01-05"], [1, 0, 2]),
        (["2020-10", "2020-9", "2020"], [2, 1, 0]),
        ([2020, 2020, 2019], [2, 0, 1]),
    ],
)
def test_the_last_by_date_is_held_out(tmp_path, written, order):
    rows = [
        {"user": "a", "text": f"{i}", "w": d} for i, d in enumerate(written)
    ]
    users = own.load_documents(write(tmp_path, rows), date="w")
    assert [int(d.text) for d in users["a"]] == order
    assert [d.date for d in users["a"]] == [str(written[i]) for i in order]
    unsorted = {"a": sorted(users["a"], key=lambda d: d.text)}
    for given in (users, unsorted):
        (example,) = own.hold_out(given, lambda d: "x")
        texts = [d.text for d in example.documents] + [example.expected]
        assert [int(text) for text in texts] == order


def test_dates_that_cannot_be_read_are_named_with_their_place(tmp_path):
    rows = [
        {"user": "a", "text": "x", "w": d} for d in ("04/03/2020", "03/05/2020")
    ]
    path = write(tmp_path, rows)
    with pytest.raises(InputError, match="line 1, the field 'w': cannot read"):
        own.load_documents(path, date="w")
    users = own.load_documents(path, date="w", date_format="%m/%d/%Y")
    assert [d.date for d in users["a"]] == ["03/05/2020", "04/03/2020"]
    with pytest.raises(InputError, match="document '1': cannot read the date"):
        own.hold_out(users, lambda d: "x")
    (example,) = own.hold_out(users, lambda d: "x", date_format="%d/%m/%Y")
    assert example.documents[0].date == "04/03/2020"
    past = [{"text": "t", "date": "3.4.2020"}]
    path = write(tmp_path, [ROW | {"past": past}])
    with pytest.raises(
        InputError, match="line 1, document 1, the field 'date'"
    ):
        own.load_jsonl(path, COLUMNS)
    (example,) = own.load_jsonl(path, COLUMNS, date_format="%d.%m.%Y")
    assert example.documents[0].date == "3.4.2020"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no rows"),
        ("user,text\n", "there are no rows"),
        ("user,text\na,b,c\n", "line 2: 2 columns"),
        ("user,text\na\n", "line 2: 2 columns"),
        ("user,other\na,b\n", "line 2: the field 'text' is missing"),
        ("user,text\n,b\n", "line 2: the field 'user' is empty"),
        ('user,text\na,b\na,"b\n', "line 3: not CSV"),
        ('user,text\na,b\na,"b"c\n', "line 3: not CSV"),
        ('user,text\na,b\na,"b\nc\nd\n', "line 3: not CSV"),
    ],
)
def test_csv_that_does_not_fit_is_named(tmp_path, text, message):
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        own.load_documents(path)


@pytest.mark.parametrize("cell", ["plain", "[1", "{}", "[]", ""])
def test_a_cell_of_documents_must_be_a_list(tmp_path, cell):
    path = save(tmp_path, [ROW | {"past": cell}], "csv")
    with pytest.raises(
        InputError, match="line 2: the field 'past' must be a list"
    ):
        own.load_csv(path, COLUMNS)


def example(expected, *documents, user="u"):
    return Example(
        user, "t", user, "x", expected, tuple(map(Document, documents))
    )


def test_users_are_split_whole_and_alike_each_time():
    examples = [example("y", "d", user=f"u{i // 2}") for i in range(400)]
    splits = own.split_by_user(examples)
    users = [{e.user for e in part} for part in splits.values()]
    assert not users[0] & users[1] and not users[1] & users[2]
    assert 130 <= len(users[0]) <= 190 and users[1] and users[2]
    assert own.split_by_user(examples[::-1])["val"][::-1] == splits["val"]
    with pytest.raises(ValueError, match="sum to 1"):
        own.split_by_user(examples, (0.5, 0.1, 0.1))


def sizes(splits):
    return [len(splits[name]) for name in ("train", "val", "test")]


@pytest.mark.parametrize("count", range(3, 12))
def test_no_split_of_few_users_is_empty(count):
    users = [example("y", "d", user=f"u{i}") for i in range(count)]
    for seed in range(20):
        found = sizes(own.split_by_user(users, seed=seed))
        assert min(found) >= 1 and sum(found) == count
        two = sizes(own.split_by_user(users, (0.5, 0, 0.5), seed))
        assert two[1] == 0 and min(two[0], two[2]) >= 1


@pytest.mark.parametrize(("count", "empty"), [(1, "val and test"), (2, "test")])
def test_splits_that_stay_empty_are_told(count, empty):
    users = [example("y", "d", user=f"u{i}") for i in range(count)]
    message = f"The split {empty} is empty; 3 are needed .*: {count}"
    with pytest.warns(UserWarning, match=message):
        splits = own.split_by_user(users)
    assert splits["train"]
    with pytest.warns(UserWarning, match=message):
        own.split_by_time([example("y", "d")] * count)


@pytest.mark.parametrize("count", [3, 5, 10, 100])
def test_by_time_the_newest_are_for_testing(count):
    made = [example(f"{i}", "d") for i in range(count)]
    splits = own.split_by_time(made)
    assert min(sizes(splits)) >= 1
    order = splits["train"] + splits["val"] + splits["test"]
    assert [e.expected for e in order] == [f"{i}" for i in range(count)]
    if count == 100:
        assert sizes(splits) == [80, 10, 10]


def test_all_texts_that_are_worth_it_are_examples():
    texts = ["a", "a b c", "x", "d e f", "g h i"]
    users = {"ann": tuple(map(Document, texts))}
    found = own.hold_out(users, lambda d: d.text, most=0, words=3, past=2)
    assert [e.expected for e in found] == ["a b c", "d e f", "g h i"]
    assert len({e.id for e in found}) == 3
    past = [[d.text for d in e.documents] for e in found]
    assert past == [["a"], ["a b c", "x"], ["x", "d e f"]]
    (last,) = own.hold_out(users, lambda d: d.text)
    assert last.id == "own-ann" and len(last.documents) == 4
    assert own.hold_out(users, lambda d: d.text, words=9) == []
