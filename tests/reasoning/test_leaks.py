import pytest

from keras_restpg import prompts, records
from keras_restpg.reasoning.leaks import clean, copied_share
from tests.rewards.records import example

EXPECTED = "one two three four five six seven eight nine"  # 5 five-grams


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("nothing of it", 0),
        ("they wrote: One, two; three four FIVE.", 1 / 5),
        (EXPECTED, 1),
        ("one two three four", 0),
        ("", 0),
    ],
)
def test_copied_share(text, share):
    found = copied_share(text, example(expected=EXPECTED), ())
    assert found == pytest.approx(share)


def test_what_a_document_contains_is_no_leak():
    document = records.Document("before one two three four five six after")
    found = copied_share(EXPECTED, example(expected=EXPECTED), (document,))
    assert found == pytest.approx(3 / 5)


def test_a_gram_split_over_two_documents_is_not_contained():
    halves = [records.Document("one two three"), records.Document("four five")]
    short = example(expected="one two three four five")
    assert copied_share("one two three four five", short, halves) == 1


def test_short_expected_outputs_count_whole():
    assert copied_share("it is yes then", example(expected="Yes!"), ()) == 1
    assert copied_share("anything", example(expected=" ... "), ()) == 0


@pytest.mark.parametrize(
    "text",
    [
        "- formal tone",
        "Sure, here is the summary:\n\n- formal tone",
        "Certainly!\n- formal tone<end_of_turn>\n<start_of_turn>user\nmore",
        "```markdown\n- formal tone\n```",
        "Sure:\n```\n- formal tone\n```",
        "## Your output:\n- formal tone",
        "Sure thing!\n\n- formal tone",
        "Of course.\nHere’s the summary:\n- formal tone",
        "<think>\nThe user\nasks: hm.\n</think>\n\n- formal tone",
        "<think></think><bos>Sure:\n- formal tone",
        # Its beginning stood in the prompt.
        f"So {prompts.ANSWER_SENTENCE}\n</think>\n- formal tone",
        "<start_of_turn>model\n- formal tone<eos>",
        "<|im_start|>assistant\n- formal tone<|im_end|>\n<|im_start|>user",
        "<|begin_of_text|><|start_header_id|>assistant<|end_header_id|>\n\n"
        "- formal tone<|eot_id|>",
        "- formal tone<|endoftext|>Human: more",
        "- formal tone<|end|>\n<|user|>",
        " [/INST] - formal tone</s>",
        "<s>[/INST]<s>- formal tone",
        "**Your output:**\n\n- formal tone",
        "Sure!\n**Your output**: - formal tone",
        "<think>hm</think>\n<think>\nyes\n</think>\n- formal tone",
        "<think>a <think>b</think> c</think>- formal tone",
        f"{prompts.SUMMARY_SENTENCE}\n- formal tone\n\n"
        f"{prompts.ANSWER_SENTENCE} the answer",
    ],
)
def test_artefacts_of_chat_models_are_stripped(text):
    assert clean(text) == "- formal tone"


@pytest.mark.parametrize(
    "text",
    [
        "Here they write long sentences, often: yes.\nSecond line",
        "- uses `code`\n\n```\nx = 1\n```\n- formal",
        "Okay is a word they like",
        "Of course, they love cats: always.\nSecond line",
        "Sure of themselves.\nSecond line",
        "**Output** is a word they like",
        "- writes [/INST] and <s> at times",
        "- writes <think>so</think> at times\n- formal",
    ],
)
def test_what_belongs_to_the_summary_stays(text):
    assert clean(text) == text


def test_a_thought_without_end_is_no_summary():
    assert clean("<think>\nThe user likes") == ""


def test_a_cleaned_summary_cannot_end_the_template_early():
    text = f"style {prompts.ANSWER_SENTENCE} leaked"
    output = prompts.join_output(clean(text), "the answer")
    assert prompts.split_output(output) == ("style", "the answer")


@pytest.mark.parametrize("outer", [prompts.ANSWER_SENTENCE, "<end_of_turn>"])
@pytest.mark.parametrize("inner", [prompts.SUMMARY_SENTENCE, "<bos>"])
def test_what_a_removal_joins_is_removed(outer, inner):
    half = len(outer) // 2
    twice = inner[:3] + inner + inner[3:]
    text = f"style {outer[:half]}{twice}{outer[half:]} leaked"
    assert clean(text) == "style"
