"""Whether a reward deserves its name, measured before it is trained on.

For one example of each user, the reward scores four answers to the prompt:
what this user wrote and what another user of the task wrote; and a past
document of this user and one of another. The area under the curve is the
chance that a user's own text gets the higher score: 1 for a perfect judge, one
half for a coin. With the expected outputs it is the least that can be asked,
since the reward is shown the user's own text beside itself; with the documents
it asks for what a user's texts have in common. The latter is Figure 5 in
small: the mean score falls from own to other documents, on a straight line in
the share that is swapped.
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from keras_restpg._types import Json, Table
from keras_restpg.evaluation.metrics import overlap_metrics
from keras_restpg.evaluation.significance import bootstrap, interval, paired_p
from keras_restpg.rewards import scoring
from keras_restpg.seeds import draw
from keras_restpg.tables import as_text

if TYPE_CHECKING:
    from keras_restpg.records import Example
    from keras_restpg.rewards import EmbeddingReward
    from keras_restpg.rewards.reward import RewardLike

# Examples that are looked at; each takes four judgements.
EXAMPLES = 64
_PAIRS = ("written", "documents")


@dataclasses.dataclass(frozen=True)
class Separation:
    """How well a reward tells own texts from others'.

    Attributes:
        own: mean score of the user's own texts.
        other: of another user's.
        p: of their difference, two-tailed paired t-test.
        area: the area under the curve, from 0 to 1.
        low: of its 95% bootstrap interval.
        high: of the same.
    """

    own: float
    other: float
    p: float
    area: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class JudgeCheck:
    """What `check_judge` found.

    Attributes:
        examples: how many were looked at.
        answers: how many answers were scored.
        unjudged: of them, without a score.
        levels: different scores that were given.
        written: `Separation` of what users wrote; None where no task has two
            users.
        documents: of their past documents; None where users have none.
        correlations: Spearman's, of the reward with each other measure, over
            all answers that are not the expected output itself.
    """

    examples: int
    answers: int
    unjudged: int
    levels: int
    written: Separation | None
    documents: Separation | None
    correlations: dict[str, float]

    @property
    def doubt(self) -> str:
        """A sentence on why the reward is not to be trusted; else empty."""
        found = self.written
        if found is None:
            return (
                "The reward could not be checked: a task needs examples of "
                "two users that differ."
            )
        if found.low > 0.5:
            return ""
        return (
            "The reward does not tell a user's own text from another user's: "
            f"area under the curve {found.area:.2f}, with the interval from "
            f"{found.low:.2f} to {found.high:.2f} (one half is a coin), over "
            f"{self.examples} examples; {self.unjudged} of {self.answers} "
            "answers got no score."
        )

    def to_json(self) -> Json:
        """As JSON values; NaN as None."""
        found = dataclasses.asdict(self)
        found["correlations"] = {
            name: None if np.isnan(value) else value
            for name, value in self.correlations.items()
        }
        return found

    @classmethod
    def from_json(cls, found: Json) -> JudgeCheck:
        """What `to_json` wrote."""
        parts = {name: found[name] for name in _PAIRS}
        parts = {n: part and Separation(**part) for n, part in parts.items()}
        correlations = {
            name: float("nan") if value is None else value
            for name, value in found["correlations"].items()
        }
        return cls(**{**found, **parts, "correlations": correlations})

    def tables(self) -> tuple[Table, Table]:
        """Rows of what separates and what correlates, two tables."""
        head = ["own text against another user's", "own", "other", "p"]
        rows = [[*head, "area under the curve", "95% interval"]]
        for name in _PAIRS:
            part = getattr(self, name)
            if part:
                cells = [part.own, part.other, part.p, part.area]
                cells = [f"{value:.3g}" for value in cells]
                rows.append(
                    [name, *cells, f"{part.low:.3f} to {part.high:.3f}"]
                )
        names = [["rank correlation with", "Spearman"]]
        names += [[n, f"{v:.3f}"] for n, v in self.correlations.items()]
        return rows, names

    def text(self) -> str:
        """What is printed."""
        share = self.unjudged / max(self.answers, 1)
        return "\n\n".join(
            [
                *map(as_text, self.tables()),
                f"{self.examples} examples, {self.answers} answers, "
                f"{self.levels} different scores; without a score: {share:.1%}",
                self.doubt or "The reward tells own texts from others'.",
            ]
        )


def check_judge(
    reward: RewardLike,
    examples: Sequence[Example],
    embedding: EmbeddingReward | None = None,
    count: int = EXAMPLES,
    seed: int = 0,
) -> JudgeCheck:
    """Measures a reward on data before it is trusted.

    Args:
        reward: a `Reward`, or a callable `(example, answer) -> number`.
        examples: list of `Example`, of validation users.
        embedding: an `EmbeddingReward` to correlate with, or None.
        count: users looked at, at most, one example of each.
        seed: of the draws.

    Returns:
        A `JudgeCheck`.
    """
    pairs = _drawn(examples, count, seed)
    asked = [own for own, _ in pairs] * 4
    answers = [own.expected for own, _ in pairs]
    answers += [other.expected for _, other in pairs]
    answers += [_document(own, seed) for own, _ in pairs]
    answers += [_document(other, seed) for _, other in pairs]
    there = [i for i, answer in enumerate(answers) if answer.strip()]
    asked, found = [asked[i] for i in there], [answers[i] for i in there]
    judged = scoring.judge(reward, asked, found)
    scores = np.full(len(answers), np.nan)
    scores[there] = [each.score for each in judged]
    own, other, own_past, other_past = scores.reshape(4, -1)
    unlike = [a.expected != b.expected for a, b in pairs]
    free = np.array(there) >= len(pairs)
    return JudgeCheck(
        examples=len(pairs),
        answers=len(judged),
        unjudged=sum(bool(each.unjudged) for each in judged),
        levels=len(set(scores[there].tolist())),
        written=_separation(own[unlike], other[unlike]),
        documents=_separation(own_past, other_past),
        correlations=_correlations(
            list(itertools.compress(asked, free)),
            list(itertools.compress(found, free)),
            scores[there][free],
            embedding,
        ),
    )


def area(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The chance that an own text has the higher score, ties counting half.

    Args:
        own: scores (..., n).
        other: scores (..., m).

    Returns:
        float array (...,).
    """
    count = own.shape[-1]
    ranks = stats.rankdata(np.concatenate([own, other], -1), axis=-1)
    wins = ranks[..., :count].sum(-1) - count * (count + 1) / 2
    return wins / (count * other.shape[-1])


def _separation(own, other):
    there = ~(np.isnan(own) | np.isnan(other))
    own, other = own[there], other[there]
    if not len(own):
        return None
    low, high = interval(bootstrap(area, own, other))
    means = float(own.mean()), float(other.mean())
    value = float(area(own, other))
    return Separation(*means, paired_p(own, other), value, low, high)


def _drawn(examples, count, seed):
    """`(example, one of another user of its task)`, one of each user."""
    by_task, chosen = {}, {}
    for each in sorted(examples, key=lambda each: draw("own", seed, each.id)):
        by_task.setdefault(each.task, []).append(each)
        chosen.setdefault((each.task, each.user), each)
    pairs = []
    for own in chosen.values():
        others = [e for e in by_task[own.task] if e.user != own.user]
        if others:
            place = int.from_bytes(draw("other", seed, own.id)[:8], "big")
            pairs.append((own, others[place % len(others)]))
    return pairs[:count]


def _document(example, seed):
    """A past document that is not the expected output; empty: none."""
    texts = [d.text for d in example.documents if d.text != example.expected]
    place = int.from_bytes(draw("document", seed, example.id)[:8], "big")
    return texts[place % len(texts)] if texts else ""


def _correlations(examples, answers, scores, embedding):
    if not answers:
        return {}
    expected = [example.expected for example in examples]
    with warnings.catch_warnings():
        # Scripts that ROUGE does not read show as no correlation.
        warnings.simplefilter("ignore", UserWarning)
        measures = overlap_metrics(expected, answers)
    if embedding is not None:
        measures["embedding"] = embedding.score(examples, answers)
    return {
        name: float(stats.spearmanr(scores, values).statistic)
        if np.ptp(scores) and np.ptp(values)
        else float("nan")
        for name, values in measures.items()
    }
