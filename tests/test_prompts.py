import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_restpg import prompts
from keras_restpg.errors import InputError


def count(text):
    return len(text.split())


FIXED = count(prompts.personalized_prompt("write on {documents}", [], True))


def fit(documents, limit, prompt="write on {documents}"):
    return prompts.fit_prompt(prompt, documents, True, limit, count)


def test_what_fits_is_left_as_it_is():
    text = fit(["one two", "three"], FIXED + 10)
    assert text == prompts.personalized_prompt(
        "write on {documents}", ["one two", "three"], True
    )


def test_the_lowest_ranked_go_first_and_the_last_one_is_cut():
    documents = ["a1 a2 a3", "b1 b2 b3 b4", "c1 c2"]
    text = fit(documents, FIXED + 5)
    assert "a1 a2 a3|b1 b2 b3" in text
    assert "b4" not in text and "c1" not in text
    assert count(text) <= FIXED + 5


@pytest.mark.parametrize("room", range(0, 12))
def test_instruction_and_tail_are_never_touched(room):
    text = fit(["a1 a2 a3 a4", "b1 b2 b3 b4"], FIXED + room)
    assert "instruction: write on {documents}\n" in text
    assert text.endswith("\n\nanswer:")
    assert count(text) <= FIXED + room


def test_an_instruction_that_is_too_long_is_named():
    with pytest.raises(InputError, match="write write"):
        fit([], FIXED, prompt="write " * 50)


def test_a_document_of_a_megabyte_is_cut_soon():
    calls = []

    def counting(text):
        calls.append(1)
        return count(text)

    text = prompts.fit_prompt("x", ["word " * 200_000], True, 500, counting)
    assert count(text) == 500 and len(calls) < 30


def test_a_text_without_spaces_is_cut_between_its_letters():
    document = "他喜欢简短的句子" * 20
    fixed = len(prompts.personalized_prompt("x", [], True))
    text = prompts.fit_prompt("x", [document], True, fixed + 50, len)
    assert len(text) == fixed + 50 and document[:50] in text


def test_the_answer_is_what_follows_the_first_sentence():
    output = prompts.join_output("- warm", "Dear Ann")
    assert prompts.split_output(output) == ("- warm", "Dear Ann")
    twice = prompts.join_output("a", prompts.join_output("b", "c"))
    assert prompts.split_output(twice)[0] == "a"
    assert prompts.split_output("no answer here") is None
    assert prompts.final_answer(prompts.join_output("a", " "), True) is None
    assert prompts.final_answer(" plain ", False) == "plain"


fuzz = settings(
    max_examples=int(os.environ.get("KERAS_RESTPG_FUZZ", 100)), deadline=None
)
# Texts in which the templates' own words come up.
PIECES = st.sampled_from(
    [prompts.SUMMARY_SENTENCE, prompts.ANSWER_SENTENCE]
    + ["{reasoning}", "{answer}", "{prompt}", "{", "}", "\\1", "\n\n", " "]
)
TEXTS = st.lists(PIECES | st.text(st.characters())).map("".join)


@fuzz
@given(TEXTS)
def test_any_output_has_an_answer_or_none(text):
    parts = prompts.split_output(text)
    answer = prompts.final_answer(text, True)
    if parts is None:
        assert answer is None
        assert not text.partition(prompts.ANSWER_SENTENCE)[2].strip()
    else:
        reasoning, rest = parts
        assert answer == rest == rest.strip() != ""
        assert reasoning == reasoning.strip()
        assert prompts.ANSWER_SENTENCE not in reasoning
    assert prompts.final_answer(text, False) == (text.strip() or None)


@fuzz
@given(TEXTS, TEXTS)
def test_what_was_joined_is_split_again(reasoning, answer):
    output = prompts.join_output(reasoning, answer)
    if prompts.ANSWER_SENTENCE in reasoning or not answer.strip():
        return
    assert prompts.split_output(output) == (reasoning.strip(), answer.strip())


@fuzz
@given(TEXTS, TEXTS)
def test_a_text_is_filled_in_as_it_is(prompt, document):
    filled = prompts.personalized_prompt(prompt, [document], True)
    head, tail = prompts.REASONING_PROMPT.split("{prompt}")
    middle, end = tail.split("{documents}")
    assert filled == f"{head}{prompt}{middle}{document}{end}"
