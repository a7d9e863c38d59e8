import collections

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.model import batching

COSTS = batching.Costs(prompt_token=10, row=1000)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(st.integers(1, 500), min_size=1, max_size=40),
    st.integers(1, 20),
    st.integers(3_000, 200_000),
    st.sampled_from([1, 8, 64]),
)
def test_every_sample_is_drawn_once_within_budget(
    lengths, samples, budget, max_rows
):
    groups = batching.plan(lengths, samples, 500, COSTS, budget, max_rows)
    drawn = collections.Counter(
        (prompt, sample)
        for group in groups
        for prompt in group.prompts
        for sample in group.samples
    )
    assert set(drawn.values()) == {1} and len(drawn) == len(lengths) * samples
    for group in groups:
        rows = len(group.prompts) * len(group.samples)
        assert rows <= max_rows or len(group.prompts) == 1
        need = len(group.prompts) * (
            group.length * COSTS.prompt_token + len(group.samples) * COSTS.row
        )
        alone = len(group.prompts) == len(group.samples) == 1
        assert need <= budget or alone
        assert all(lengths[p] <= group.length for p in group.prompts)


def test_shapes_are_few():
    groups = batching.plan(range(1, 500), 8, 500, COSTS, 100_000, 64)
    assert len({(len(g.prompts), g.length) for g in groups}) <= 30


@pytest.mark.parametrize("limit", [16, 64, 100, 5120])
def test_ladders_end_at_the_limit(limit):
    assert batching.ladder(limit)[-1] == limit
    assert batching.stages(limit)[-1] == limit
    assert batching.ladder(limit) == sorted(batching.ladder(limit))
