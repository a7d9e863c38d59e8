import re

import pytest

from keras_restpg import records
from keras_restpg.errors import InputError
from keras_restpg.reasoning.teacher import Teacher
from tests.rewards.records import example

LEAK = "one two three four five six seven"
DOCUMENTS = (records.Document("first doc"), records.Document("second doc"))


class Script:
    """Answers from a list, and keeps what it was asked."""

    def __init__(self, *rounds):
        self.rounds = list(rounds)
        self.prompts, self.keys = [], []

    def __call__(self, prompts, num_samples, keys):
        assert num_samples == 1
        self.prompts.append(prompts)
        self.keys.append(keys)
        return [[text] for text in self.rounds.pop(0)]


def explain(script, count, **options):
    examples = [example(f"e{i}", expected=LEAK) for i in range(count)]
    return Teacher(script, **options).explain(examples, [DOCUMENTS] * count)


def test_the_prompt_is_figure_7():
    script = Script(["fine"])
    explain(script, 1)
    prompt = script.prompts[0][0]
    assert prompt.startswith("# Your role:\nYou are a professional writing")
    assert prompt.endswith(
        "# Examples\n\n## profile:\nfirst doc|second doc\n\n"
        f"## subject:\nWrite.\n\n## expected output:\n{LEAK}\n\n"
        "## Your output:\n"
    )


def test_leaks_and_blanks_are_generated_again():
    script = Script(["fine", LEAK, " "], ["better", LEAK], ["at last"])
    found, report = explain(script, 3)
    assert [r.example_id for r in found] == ["e0", "e1", "e2"]
    assert [r.text for r in found] == ["fine", "better", "at last"]
    assert [r.attempts for r in found] == [1, 2, 3]
    assert (report.generated, report.leaked, report.empty) == (6, 2, 1)
    assert report.left_out == ()
    # Another attempt has other random numbers.
    keys = [key for keys in script.keys for key in keys]
    assert len(set(keys)) == 6


def test_who_never_stops_leaking_is_left_out():
    script = Script(["fine", LEAK], [LEAK])
    found, report = explain(script, 2, attempts=2)
    assert [r.example_id for r in found] == ["e0"]
    assert report.left_out == ("e1",)
    assert (report.examples, report.kept) == (2, 1)


def test_the_limit_can_be_switched_off():
    found, report = explain(Script([LEAK]), 1, max_copied=1.0)
    assert found[0].copied == 1.0
    assert report.mean_copied == 1.0


def test_nothing_in_nothing_out():
    found, report = Teacher(Script()).explain([], [])
    assert found == []
    assert report.examples == 0


def test_what_a_teacher_is():
    script = Script()
    limited = Teacher(
        script, attempts=2, max_prompt_tokens=9, count_tokens=count_words
    )
    assert limited.get_config() == {
        "generate": script,
        "max_copied": 0.2,
        "attempts": 2,
        "max_prompt_tokens": 9,
        "count_tokens": count_words,
    }
    assert Teacher(script).get_config()["count_tokens"] is None


def count_words(text):
    return len(re.findall(r"\w+", text))


def test_long_documents_lose_their_ends():
    script = Script(["fine"])
    teacher = Teacher(script, max_prompt_tokens=400, count_tokens=count_words)
    long = records.Document("start " + "word " * 1000)
    teacher.explain([example()], [(long, records.Document("short one"))])
    prompt = script.prompts[0][0]
    assert count_words(prompt) <= 400
    assert "start word" in prompt
    assert "|short one\n" in prompt


def test_a_prompt_that_cannot_fit_is_left_out_and_counted():
    teacher = Teacher(Script(), max_prompt_tokens=10, count_tokens=count_words)
    with pytest.raises(InputError, match="Example e: .* than 10 tokens"):
        teacher.prompt(example(), DOCUMENTS)
    found, report = teacher.explain([example()], [DOCUMENTS])
    assert found == [] and report.left_out == ("e",)
    assert (report.too_long, report.generated) == (1, 0)


@pytest.mark.parametrize(
    "options", [{"max_copied": 2}, {"attempts": 0}, {"max_prompt_tokens": 9}]
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be|needs"):
        Teacher(Script(), **options)
