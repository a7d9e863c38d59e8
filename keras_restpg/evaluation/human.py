"""Pairs of texts for people, and what people chose (Appendix A).

The pairs are blind: which model wrote what, and what the reward said, stands
in a key that people do not see.
"""

import random
from collections.abc import Sequence

from keras_restpg._types import Json, Path, Table
from keras_restpg.errors import InputError
from keras_restpg.evaluation.judge_validation import (
    agreement_of,
    cohens_kappa,
    read_choices,
)
from keras_restpg.evaluation.results import Result
from keras_restpg.records import Example

# How far the reward sets a pair apart, and how many the paper asks about.
APART, PAIRS = 0.5, 100
HEAD = ["id", "prompt", "expected", "answer_a", "answer_b", "choice"]


def draw_pairs(
    results: Sequence[Result],
    examples: Sequence[Example],
    seed: int = 0,
    count: int = PAIRS,
) -> tuple[Table, dict[str, Json]]:
    """Pairs of answers to one prompt that the reward sets far apart.

    Args:
        results: list of `Result`, whose answers are paired.
        examples: the examples that they are of.
        seed: of the examples, the models and the order.
        count: pairs at most, one of an example.

    Returns:
        `(rows, key)`: rows of a CSV file with the head `HEAD`, and `{id:
        {"a" or "b": {"model": title, "reward": reward}}}`.

    Raises:
        InputError: there are none.
    """
    draw = random.Random(seed)
    rows, key = [HEAD], {}
    for example in draw.sample(examples, len(examples)):
        pair = _pair(draw.sample(results, len(results)), example)
        if not pair or len(key) == count:
            continue
        answers = [result.answer(example) or "" for result in pair]
        rows.append(
            [example.id, example.prompt, example.expected, *answers, ""]
        )
        key[example.id] = {
            side: {"model": result.title, "reward": _reward(result, example)}
            for side, result in zip("ab", pair, strict=True)
        }
    if not key:
        raise InputError(
            f"No two outputs for a prompt lie {APART} apart in reward: there "
            "is nothing to ask people about."
        )
    return rows, key


def _pair(results, example):
    """The first two results that are far enough apart; else None."""
    answered = [r for r in results if r.answer(example)]
    for i, second in enumerate(answered):
        for first in answered[:i]:
            apart = _reward(first, example) - _reward(second, example)
            if abs(apart) >= APART - 1e-6:
                return first, second
    return None


def _reward(result, example):
    return result.outputs[example.id].score.reward


def told(paths: Sequence[Path], key: dict[str, Json]) -> Table:
    """Rows: how each file of choices agrees with the reward, and with others.

    Args:
        paths: of CSV files as `draw_pairs` made, filled in.
        key: as of `draw_pairs`.

    Raises:
        InputError: a file that does not fit, or rows of other pairs.
    """
    choices = {path: _choices(path, key) for path in paths}
    head = ["", "pairs", "compared", "agreement", "kappa"]
    rows = [[*head, "Pearson", "p", "Spearman", "p"]]
    for path, chosen in choices.items():
        apart = [key[k]["a"]["reward"] - key[k]["b"]["reward"] for k in chosen]
        found = agreement_of(apart, list(chosen.values()), APART)
        cells = [found.agreement, found.kappa, found.pearson, found.pearson_p]
        cells += [found.spearman, found.spearman_p]
        counts = [str(found.pairs), str(found.compared)]
        cells = [f"{each:.3g}" for each in cells]
        rows.append([f"reward and {path}", *counts, *cells])
    for i, second in enumerate(paths):
        for first in paths[:i]:
            a, b = choices[first], choices[second]
            both = [k for k in a if k in b]
            pair = [a[k] for k in both], [b[k] for k in both]
            same = sum(x == y for x, y in zip(*pair, strict=True))
            share = f"{same / len(both):.3g}" if both else "nan"
            cells = [share, f"{cohens_kappa(*pair):.3g}", "", "", "", ""]
            count = str(len(both))
            rows.append([f"{first} and {second}", count, count, *cells])
    return rows


def _choices(path, key):
    """`{id: 1 for a, -1 for b, 0 for a tie}`."""
    chosen = {}
    for example, _, _, choice in read_choices(path):
        if example.id not in key:
            raise InputError(
                f"{path}: no pair {example.id!r} was drawn. Give the file of "
                "these pairs, with its column `id`."
            )
        chosen[example.id] = choice
    return chosen
