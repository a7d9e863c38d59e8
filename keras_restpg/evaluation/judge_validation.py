"""Whether a judge can be trusted: the two experiments of Appendix A.

`agreement`: people chose the better of two answers; how often does the judge
choose alike? The paper: 73% of 100 pairs that its judge sets at least 0.5
apart, correlation 0.46.

`sensitivity` (Figure 5): a model writes with the profiles of other users for
0, 25, 50, 75 and 100% of the examples; a good judge's mean score falls in
proportion. The paper's falls from 0.398 to 0.320, almost on a line.
"""

from __future__ import annotations

import collections
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from keras_restpg._types import Path
from keras_restpg.data import csv_file
from keras_restpg.errors import InputError
from keras_restpg.records import Example
from keras_restpg.rewards import scoring
from keras_restpg.seeds import draw

if TYPE_CHECKING:
    from keras_restpg.rewards.reward import RewardLike

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_COLUMNS = ("prompt", "expected", "answer_a", "answer_b", "choice")
_CHOICES = {"a": 1.0, "b": -1.0, "tie": 0.0}


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How a judge's choices compare with people's.

    Attributes:
        pairs: rows of the file.
        unjudged: pairs that are left out, as the judge gave one of their
            answers no score.
        compared: pairs that the judge sets at least the asked difference
            apart and of which people chose one.
        agreement: share of the compared pairs with the same choice.
        kappa: Cohen's κ of the same: the agreement beyond that of chance;
            NaN where one of them always chooses the same side.
        pearson: correlation of the judge's difference with people's choice
            (1, 0 or -1), over the pairs that are far enough apart, ties of
            people included; NaN where one of them never varies.
        pearson_p: its two-tailed p-value.
        spearman: rank correlation of the same.
        spearman_p: its two-tailed p-value.
    """

    pairs: int
    unjudged: int
    compared: int
    agreement: float
    kappa: float
    pearson: float
    pearson_p: float
    spearman: float
    spearman_p: float


def agreement(
    path: Path, reward: RewardLike, min_difference: float = 0.5
) -> Agreement:
    """Compares a judge with people's choices between two answers.

    Args:
        path: of a CSV file with the columns `prompt`, `expected`,
            `answer_a`, `answer_b` and `choice`, which is a, b or tie.
        reward: the judge, or any reward.
        min_difference: pairs that the judge sets less apart are not
            compared (0.5 in the paper). With 0, its ties are compared too,
            and agree with neither choice.

    Returns:
        An `Agreement`.

    Raises:
        InputError: a file that does not fit.
    """
    rows = read_choices(path)
    examples = [example for example, *_ in rows]
    first = _scores(reward, examples, [row[1] for row in rows])
    second = _scores(reward, examples, [row[2] for row in rows])
    choice = np.array([row[3] for row in rows])
    return agreement_of(first - second, choice, min_difference)


def agreement_of(
    difference: ArrayLike, choice: ArrayLike, min_difference: float = 0.5
) -> Agreement:
    """As `agreement`, of numbers.

    Args:
        difference: the judge's score of a, less that of b (n,); NaN where it
            gave one of them no score.
        choice: what people chose (n,): 1 for a, -1 for b, 0 for a tie.
        min_difference: as for `agreement`.
    """
    difference, choice = np.asarray(difference), np.asarray(choice)
    # Differences of scores such as 0.7 - 0.2 are not exact. That of a pair
    # without both scores is NaN, which is not apart.
    apart = np.abs(difference) >= min_difference - 1e-6
    compared = apart & (choice != 0)
    said, chosen = np.sign(difference[compared]), choice[compared]
    pearson = _correlation(stats.pearsonr, difference[apart], choice[apart])
    spearman = _correlation(stats.spearmanr, difference[apart], choice[apart])
    return Agreement(
        pairs=len(choice),
        unjudged=int(np.isnan(difference).sum()),
        compared=int(compared.sum()),
        agreement=float((said == chosen).mean()) if len(said) else float("nan"),
        kappa=cohens_kappa(said, chosen),
        pearson=pearson[0],
        pearson_p=pearson[1],
        spearman=spearman[0],
        spearman_p=spearman[1],
    )


def cohens_kappa(first: ArrayLike, second: ArrayLike) -> float:
    """The agreement of two raters beyond that of chance.

    Args:
        first: labels (n,).
        second: labels of the same (n,).

    Returns:
        A float, at most 1; NaN where chance alone would agree always, or
        there is nothing.
    """
    first, second = np.asarray(first), np.asarray(second)
    if not len(first):
        return float("nan")
    labels = np.union1d(first, second)
    chance = sum((first == x).mean() * (second == x).mean() for x in labels)
    if chance == 1:
        return float("nan")
    return float(((first == second).mean() - chance) / (1 - chance))


def read_choices(path: Path) -> list[tuple[Example, str, str, float]]:
    """`(Example, answer a, answer b, choice)` of each row of a CSV file.

    `choice` is 1 for a, -1 for b, 0 for a tie. The example's id is that of
    the column `id`, where there is one, else file and line.

    Other columns may be there; they are not read.

    Raises:
        InputError: no such file, no CSV, a column or a choice that does not
            fit; with file and line.
    """
    return [_choice(row, where, path) for where, row in csv_file.rows(path)]


def _choice(row, where, path):
    missing = set(_COLUMNS) - set(row)
    if missing:
        raise InputError(
            f"{path}: the first line must name the columns "
            f"{', '.join(_COLUMNS)}. Missing: {', '.join(sorted(missing))}"
        )
    choice = row["choice"].strip().lower()
    if choice not in _CHOICES:
        raise InputError(
            f"{where}: `choice` must be a, b or tie. Received: "
            f"{row['choice']!r}"
        )
    example = Example(
        row.get("id", where), "", "", row["prompt"], row["expected"], ()
    )
    return example, row["answer_a"], row["answer_b"], _CHOICES[choice]


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """Mean scores as more and more profiles are swapped.

    Attributes:
        shares: of examples with another user's profile.
        means: mean score at each share.
        by_task: `{task: means}`.
        slope: of the straight line through them: the change of the mean
            score from no profile swapped to all.
        r_squared: how straight it is; NaN where the means do not vary, or
            are fewer than three.
        unjudged: examples that are left out, as the judge gave one of their
            answers no score.
    """

    shares: tuple[float, ...]
    means: tuple[float, ...]
    by_task: dict[str, tuple[float, ...]]
    slope: float
    r_squared: float
    unjudged: int


def sensitivity(
    examples: Sequence[Example],
    write: Callable[[Sequence[Example]], Sequence[str]],
    reward: RewardLike,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> Sensitivity:
    """Scores as profiles are swapped between users (Figure 5).

    An answer with the own and one with the other profile are written once
    for each example; a share says of how many examples the latter counts.
    Which ones is drawn by the seed within each task, those of a small share
    being among those of a larger one.

    Args:
        examples: list of `Example` of at least two users in each task.
        write: called with a list of `Example`s, returns their final answers,
            each a str; it retrieves from `example.documents`.
        reward: the judge, or any reward.
        shares: at least two different numbers from 0 to 1.
        seed: of the draw.

    Returns:
        A `Sensitivity`.

    Raises:
        ValueError: `shares` are others, a task has a single user
            (`InputError`), or the judge gave no example both scores.
    """
    if len(set(shares)) < 2 or min(shares) < 0 or max(shares) > 1:
        raise ValueError(
            "`shares` must be at least two different numbers from 0 to 1. "
            f"Received: {shares}"
        )
    own = _scores(reward, examples, write(examples))
    swapped = swap_profiles(examples, seed)
    other = _scores(reward, examples, write(swapped))
    judged = ~np.isnan(own + other)
    if not judged.any():
        raise ValueError(
            f"The judge gave none of {len(examples)} examples a score for "
            "both answers, so there is nothing to compare. Look at its "
            "replies: `reward.judge(examples, answers)`"
        )
    own, other = own[judged], other[judged]
    examples = [e for e, known in zip(examples, judged, strict=True) if known]
    scores = mixed(examples, own, other, shares, seed)
    means = tuple(float(each.mean()) for each in scores)
    tasks = np.array([example.task for example in examples])
    by_task = {
        task: tuple(float(each[tasks == task].mean()) for each in scores)
        for task in sorted(set(tasks.tolist()))
    }
    slope, _ = np.polyfit(shares, means, 1)
    r, _ = _correlation(stats.pearsonr, np.array(shares), np.array(means))
    unjudged = int((~judged).sum())
    return Sensitivity(
        tuple(shares), means, by_task, float(slope), r**2, unjudged
    )


def mixed(
    examples: Sequence[Example],
    own: np.ndarray,
    other: np.ndarray,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> list[np.ndarray]:
    """The scores where a share of the profiles is swapped.

    Args:
        examples: list of `Example`.
        own: scores with the own profiles (n,).
        other: scores with other users' (n,).
        shares: numbers from 0 to 1.
        seed: of the draw, as for `sensitivity`.

    Returns:
        An array (n,) for each share.
    """
    rank, size = _ranks(examples, seed)
    return [np.where(rank < np.round(s * size), other, own) for s in shares]


def _ranks(examples, seed):
    """Each example's place in the draw of its task, and the task's size."""
    seen = collections.Counter()
    rank = np.empty(len(examples))
    for i in sorted(
        range(len(examples)), key=lambda i: draw("order", seed, examples[i].id)
    ):
        rank[i] = seen[examples[i].task]
        seen[examples[i].task] += 1
    return rank, np.array([seen[example.task] for example in examples])


def swap_profiles(examples: Sequence[Example], seed: int = 0) -> list[Example]:
    """The examples, each with the documents of another user of its task.

    Prompt, query and expected output stay.

    Raises:
        InputError: a task with a single user.
    """
    by_task = {}
    for example in examples:
        by_task.setdefault(example.task, []).append(example)
    swapped = []
    for example in examples:
        others = [e for e in by_task[example.task] if e.user != example.user]
        if not others:
            raise InputError(
                "Profiles can be swapped only between users: task "
                f"{example.task!r} has one user, {example.user!r}"
            )
        number = int.from_bytes(draw("profile", seed, example.id)[:8], "big")
        documents = others[number % len(others)].documents
        swapped.append(dataclasses.replace(example, documents=documents))
    return swapped


def _scores(reward, examples, answers):
    """Float (n,), NaN where the judge gave an answer no score."""
    return np.array(
        [
            float("nan") if each.unjudged else each.score
            for each in scoring.judge(reward, examples, answers)
        ],
        "float64",
    )


def _correlation(test, x, y):
    """Coefficient and p-value; NaN where they are not defined."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = test(x, y)
    return float(found.statistic), float(found.pvalue)
