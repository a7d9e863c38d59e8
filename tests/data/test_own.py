import json

import hypothesis
import pytest
from hypothesis import strategies as st

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


CSV = 'user,text,date\na,"second, later",2021\nb,only,2020\na,first,2019\n'


def test_documents_of_csv_are_grouped_and_dated(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(CSV)
    users = own.load_csv(path, date="date")
    assert [d.text for d in users["a"]] == ["first", "second, later"]
    (example,) = own.hold_out(users, lambda d: f"Write of {d.date}")
    assert example.user == "a" and example.expected == "second, later"
    assert example.prompt == "Write of 2021"
    assert [d.text for d in example.documents] == ["first"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,text\na,b,c\n", "line 2: 2 columns"),
        ("user,text\na\n", "line 2: 2 columns"),
        ("user,other\na,b\n", "line 2: the field 'text' is missing"),
        ("user,text\n,b\n", "line 2: the field 'user' is empty"),
        ('user,text\na,"b\n', "not CSV"),
    ],
)
def test_csv_that_does_not_fit_is_named(tmp_path, text, message):
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        own.load_csv(path)


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


def test_near_copies_of_the_target_leave_the_profile():
    text = "we show that small models learn to write as their users do"
    near = text.replace("we show", "I show").upper() + " indeed"
    kept, count = own.drop_near_copies(
        [example(text, text, near, "another text of mine"), example("a", "a")]
    )
    assert count == 3 and len(kept) == 1
    assert [d.text for d in kept[0].documents] == ["another text of mine"]


def test_addresses_and_numbers_are_replaced():
    text = "Write to ann.b+c@mail.example.org or +44 (0)20 7946-0018, by 2020."
    (clean,) = own.scrub([example(text, text)])
    expected = "Write to <email> or <phone>, by 2020."
    assert clean.expected == clean.documents[0].text == expected
    (same,) = own.scrub([example("5.0 of 10 in 1999", "v1.2.3.4 at 10:30")])
    assert same.expected == "5.0 of 10 in 1999"


@hypothesis.settings(max_examples=80, deadline=None)
@hypothesis.given(st.text(), st.lists(st.text(), min_size=1, max_size=4))
def test_any_texts_pass(expected, documents):
    examples = [example(expected, *documents)]
    own.drop_near_copies(own.scrub(examples))
