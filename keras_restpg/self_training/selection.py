"""Which samples are learned from: line 9 of Algorithm 1.

Exact duplicates are dropped first; then the highest rewards win, and a
seeded draw decides between equal ones. The draw depends on the seed, the
example and the sample's number alone, so the outcome is the same however
the work was split or ordered.
"""

from collections.abc import Iterable, Sequence

from keras_restpg import prompts
from keras_restpg.records import Sample, ScoredSample
from keras_restpg.seeds import draw


def select(
    scored: Iterable[ScoredSample],
    tau: float = 1.0,
    limit: int = 10,
    seed: int = 0,
) -> list[ScoredSample]:
    """The samples that pass, at most `limit` for an example.

    Args:
        scored: iterable of `ScoredSample`, in any order.
        tau: the least reward that passes (τ of the paper, 1.0).
        limit: how many samples of one example are kept (10).
        seed: decides between samples of equal reward.

    Returns:
        list of `ScoredSample`: examples in the order of their first
        appearance, within an example the best first. Samples without a
        judged answer are never among them.

    Raises:
        ValueError: `limit` below 1.
    """
    if limit < 1:
        raise ValueError(f"`limit` must be at least 1. Received: {limit}")
    kept = []
    for group in by_example(scored).values():
        passed = [each for each in group if passes(each, tau)]
        unique = drop_duplicates(passed)
        unique.sort(
            key=lambda each: (
                -each.score.reward,
                draw(seed, each.sample.index, each.sample.example_id),
            )
        )
        kept.extend(unique[:limit])
    return kept


def first_of_each(
    scored: Sequence[ScoredSample], count: int = 0
) -> Sequence[ScoredSample]:
    """The first `count` samples of each example; 0: all of them.

    Samples of an example do not depend on each other, so these are what an
    exploration budget of `count` would have brought (Figure 2).
    """
    if not count:
        return scored
    return [each for each in scored if each.sample.index < count]


def threshold(
    scored: Sequence[ScoredSample], tau: float, on_empty: str = "stop"
) -> float:
    """The threshold that is used: τ, or lower where nothing reaches it.

    Args:
        scored: list of `ScoredSample`.
        tau: the threshold asked for.
        on_empty: `"lower_tau"` goes down to the highest reward above 0 that
            was seen; `"stop"` never.
    """
    if on_empty != "lower_tau" or any(passes(each, tau) for each in scored):
        return tau
    highest = max(
        (e.score.reward for e in scored if not e.score.reason), default=0
    )
    return highest or tau


def passes(scored: ScoredSample, tau: float) -> bool:
    """Whether a sample has a judged answer and reaches the threshold."""
    return not scored.score.reason and scored.score.reward >= tau - 1e-6


def by_example(scored: Iterable[ScoredSample]) -> dict[str, list[ScoredSample]]:
    """`{example id: [its samples]}` in the order of first appearance."""
    groups = {}
    for each in scored:
        groups.setdefault(each.sample.example_id, []).append(each)
    return groups


def drop_duplicates(scored: Iterable[ScoredSample]) -> list[ScoredSample]:
    """One of each group with the same reasoning and the same answer.

    A finished one is kept before one that was cut, then the lowest number.
    """
    first = {}
    ordered = sorted(
        scored, key=lambda each: (not each.sample.finished, each.sample.index)
    )
    for each in ordered:
        first.setdefault(content(each.sample), each)
    return list(first.values())


def content(sample: Sample) -> tuple[str, str] | str:
    """What makes two samples of an example duplicates."""
    return prompts.split_output(sample.text) or sample.text.strip()
