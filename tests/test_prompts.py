import pytest

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


def test_the_answer_is_what_follows_the_first_sentence():
    output = prompts.join_output("- warm", "Dear Ann")
    assert prompts.split_output(output) == ("- warm", "Dear Ann")
    twice = prompts.join_output("a", prompts.join_output("b", "c"))
    assert prompts.split_output(twice)[0] == "a"
    assert prompts.split_output("no answer here") is None
    assert prompts.final_answer(prompts.join_output("a", " "), True) is None
    assert prompts.final_answer(" plain ", False) == "plain"
