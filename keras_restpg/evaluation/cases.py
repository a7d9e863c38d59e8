"""Two models side by side, user by user (Figures 12 to 15)."""

import random
from collections.abc import Sequence

from keras_restpg.evaluation.results import Result, tasks_of
from keras_restpg.records import Example, Reasoning

# Users of a task that are shown of each kind.
SHOWN = 3


def chosen(
    ours: Result, theirs: Result, examples: Sequence[Example], seed: int = 0
) -> dict[str, list[Example]]:
    """The examples that are worth a look.

    Args:
        ours: a `Result`.
        theirs: the `Result` that it is compared with.
        examples: list of `Example`.
        seed: of those that are drawn.

    Returns:
        `{kind: list of Example}`: where `ours` gains most, where it loses
        most, and at random; of each, `SHOWN` a task at most.
    """
    found = {"Most gained": [], "Most lost": [], "At random": []}

    def gain(example):
        pair = (r.outputs[example.id].score.reward for r in (ours, theirs))
        return next(pair) - next(pair)

    for part in tasks_of(examples).values():
        part = sorted(part, key=gain)
        lost = [each for each in part[:SHOWN] if gain(each) < 0]
        gained = [each for each in part[: -SHOWN - 1 : -1] if gain(each) > 0]
        drawn = random.Random(seed).sample(part, min(SHOWN, len(part)))
        for kind, each in zip(found, (gained, lost, drawn), strict=True):
            found[kind] += each
    return found


def as_markdown(
    ours: Result,
    theirs: Result,
    examples: Sequence[Example],
    reasoning: Sequence[Reasoning] = (),
    seed: int = 0,
) -> str:
    """The cases as a page of Markdown.

    Args:
        ours: a `Result`.
        theirs: the `Result` that it is compared with.
        examples: list of `Example`.
        reasoning: list of `Reasoning` of the teacher, to begin with.
        seed: of those that are drawn.
    """
    lines = [f"# {ours.title} beside {theirs.title}", ""]
    if reasoning:
        lines += ["## The teacher's reasoning", ""]
    for each in reasoning:
        lines += [f"Example {each.example_id}:", "", _quoted(each.text), ""]
    for kind, part in chosen(ours, theirs, examples, seed).items():
        lines += [f"## {kind}", ""]
        for example in part:
            lines += [f"### {example.task}, {example.id}", ""]
            lines += [_quoted(example.prompt), ""]
            lines += ["The user wrote:", "", _quoted(example.expected), ""]
            for result in (theirs, ours):
                output = result.outputs[example.id]
                reward = f"{output.score.reward:.2f}"
                lines += [f"{result.title}, reward {reward}:", ""]
                lines += [_quoted(output.sample.text), ""]
    return "\n".join(lines)


def _quoted(text):
    """A text as an indented block, in which nothing is markup."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])
