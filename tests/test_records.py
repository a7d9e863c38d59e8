"""Records there and back as JSON, and what is refused."""

import dataclasses
import json
import math
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_restpg.decoding import decode
from keras_restpg.records import (
    Document,
    Example,
    Reasoning,
    Sample,
    Score,
    ScoredSample,
    TrainingExample,
)

fuzz = settings(
    max_examples=int(os.environ.get("KERAS_RESTPG_FUZZ", 100)), deadline=None
)
SAMPLE = Sample("a", 0, "text", (1, 2), True, -1.5)
SCORE = Score("a", 0, 0.7, "", (0.1, 0.9), None)
RECORDS = [
    Example("a", "email", "u", "x", "y", (Document("d", "1"), Document("e"))),
    Reasoning("a", "- warm", 0.1, 2),
    ScoredSample(SAMPLE, SCORE),
    TrainingExample("a", "email", "x", ("y", "z"), (1.0, 0.7)),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_there_and_back(record):
    text = json.dumps(dataclasses.asdict(record))
    assert decode(type(record), json.loads(text)) == record


@pytest.mark.parametrize(
    "record, changes, message",
    [
        (SAMPLE, {"index": -1}, "Sample.index must be at least 0"),
        (SAMPLE, {"index": 1.0}, "Sample.index must be of type int"),
        (SAMPLE, {"log_prob": 10**400}, "Sample.log_prob must be a finite"),
        (SAMPLE, {"log_prob": math.nan}, "Sample.log_prob must be a finite"),
        (SAMPLE, {"log_prob": True}, "Sample.log_prob must be of type float"),
        (SAMPLE, {"token_ids": 3}, "Sample.token_ids must be a list"),
        (SAMPLE, {"more": 1}, "There is no 'Sample.more'. In its place"),
        (SCORE, {"index": -1}, "Score.index must be at least 0"),
        (SCORE, {"reward": 1.1}, "Score.reward must be from 0 to 1"),
        (SCORE, {"reward": -0.1}, "Score.reward must be from 0 to 1"),
        (SCORE, {"reward": math.nan}, "Score.reward must be from 0 to 1"),
        (SCORE, {"reward": math.inf}, "Score.reward must be from 0 to 1"),
        (
            SCORE,
            {"probabilities": [10**400]},
            "Score.probabilities must be a finite",
        ),
    ],
)
def test_refused(record, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        decode(type(record), dataclasses.asdict(record) | changes)
    assert len(str(caught.value)) < 200


def test_a_notebook_shows_an_example_as_a_table():
    shown = dataclasses.replace(RECORDS[0], prompt="<x>")._repr_html_()
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", shown)
    assert cells == (
        "task email user u document d document e prompt &lt;x&gt; expected y"
    ).split(" ")


def test_no_task_has_the_name_of_the_totals():
    values = dataclasses.asdict(RECORDS[0]) | {"task": "all"}
    with pytest.raises(ValueError, match="example 'a': no task.*'all'"):
        decode(Example, values)


def test_a_missing_field_is_named_and_one_with_a_default_is_not_needed():
    with pytest.raises(ValueError, match="Document.text is missing"):
        decode(Document, {"id": "1"})
    assert decode(Document, {"text": "d"}) == Document("d")


def test_a_value_of_any_depth_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="Document.text must be of type str"):
        decode(Document, {"text": deep})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@fuzz
@given(st.sampled_from(RECORDS), st.data())
def test_any_values_are_read_or_refused(record, data):
    values = dataclasses.asdict(record)
    name = data.draw(st.sampled_from(sorted(values)))
    for changed in (values | {name: data.draw(VALUES)}, data.draw(VALUES)):
        try:
            decode(type(record), changed)
        except ValueError:
            continue
