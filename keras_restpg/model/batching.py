"""Which prompts and rows go through the model together.

Prompt lengths are rounded up to the ladder 64, 96, 128, 192, …; numbers of
prompts and rows are the most that fit and its quarters.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from keras_restpg.model.padding import padded, power_of_two, quarters

# Tokens of prompts that are read at once: activations of more leave a CPU's
# caches, and a prompt takes twice the time.
_READ = 2048


def read_together(size: int, length: int) -> int:
    """How many of `size` prompts of a length are read at once."""
    return min(size, power_of_two(_READ // length))


@dataclasses.dataclass(frozen=True)
class Group:
    """Prompts that are sampled together.

    Attributes:
        prompts: indices of the prompts.
        size: how many prompts the group has room for.
        length: the padded length of each.
        parts: the numbers of the samples that are drawn for each, part by
            part where not all of them fit.
    """

    prompts: tuple[int, ...]
    size: int
    length: int
    parts: tuple[range, ...]


@dataclasses.dataclass(frozen=True)
class Costs:
    """Bytes that sampling needs, to keep groups within a budget.

    Attributes:
        read_token: of a token while its prompt is read: activations.
        prompt_token: of a prompt's token from then on: keys and values, twice
            where they are put together.
        row: of a row: its cache, twice where it grows, logits and the weights
            made of them.
    """

    read_token: int
    prompt_token: int
    row: int

    @classmethod
    def of(cls, backbone: Any, new_tokens: int) -> "Costs":
        size = 2 if "16" in str(backbone.compute_dtype) else 4
        layers = backbone.num_layers
        kept = 2 * layers * backbone.num_key_value_heads * backbone.head_dim
        feed_forward = backbone.intermediate_dim
        scores = backbone.num_query_heads * 512 * 8
        active = (8 * backbone.hidden_dim + 3 * feed_forward) * size + scores
        return cls(
            read_token=active,
            prompt_token=2 * kept * size,
            row=2 * kept * size * new_tokens + 12 * backbone.vocabulary_size,
        )


def plan(
    lengths: Sequence[int],
    num_samples: int,
    limit: int,
    costs: Costs,
    budget: int,
    max_rows: int,
) -> list[Group]:
    """Groups that cover `num_samples` samples of every prompt.

    Args:
        lengths: tokens of each prompt.
        num_samples: samples drawn for each prompt.
        limit: the longest prompt allowed.
        costs: a `Costs`.
        budget: bytes a group may need.
        max_rows: rows a group may have.

    Returns:
        A list of `Group`s, shortest prompts first.
    """
    buckets = {}
    for index, length in enumerate(lengths):
        rung = padded(length, least=64, step=32, limit=limit)
        buckets.setdefault(rung, []).append(index)
    groups = []
    for length in sorted(buckets):
        left = budget - max(length, _READ) * costs.read_token
        prompt = length * costs.prompt_token
        fitting = max((left - prompt) // costs.row, 1)
        rows = min(num_samples, fitting, max_rows)
        if rows < num_samples:
            rows = power_of_two(rows)
        parts = tuple(
            range(first, min(first + rows, num_samples))
            for first in range(0, num_samples, rows)
        )
        both = prompt + rows * costs.row
        most = power_of_two(min(left // both, max_rows // rows))
        groups += [
            Group(tuple(members), size, length, parts)
            for members, size in _chunks(buckets[length], most)
        ]
    return groups


def _chunks(items: list[int], most: int) -> Iterator[tuple[list[int], int]]:
    """Runs of `most` items, the rest in quarters, each three quarters full.

    Yields:
        `(items, size)`.
    """
    while items:
        size = next(n for n in quarters(most) if 4 * len(items) >= 3 * n)
        yield items[:size], size
        items = items[size:]
