import collections

import hypothesis
import numpy as np
from hypothesis import strategies as st

from keras_restpg.model import batching
from keras_restpg.model.group import Rows

COSTS = batching.Costs(read_token=1, prompt_token=10, row=1000)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(st.integers(1, 500), min_size=1, max_size=40),
    st.integers(1, 20),
    st.integers(5_000, 200_000),
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
        for part in group.parts
        for sample in part
    )
    assert set(drawn.values()) == {1} and len(drawn) == len(lengths) * samples
    for group in groups:
        most = max(map(len, group.parts))
        assert group.size * most <= max_rows or group.size == 1
        need = group.size * (
            group.length * COSTS.prompt_token + most * COSTS.row
        )
        need += 2048 * COSTS.read_token
        assert need <= budget or group.size == most == 1
        # A group is three quarters full at least.
        assert len(group.prompts) <= group.size
        assert 3 * group.size <= 4 * len(group.prompts)
        assert all(lengths[p] <= group.length for p in group.prompts)


def test_shapes_are_few():
    groups = batching.plan(range(1, 500), 8, 500, COSTS, 100_000, 64)
    assert len({(g.size, g.length) for g in groups}) <= 15


def test_groups_shrink_through_few_shapes():
    """Whatever ends first, rows go on in quarters of lines and columns."""
    rng = np.random.default_rng(0)
    group = batching.Group(tuple(range(8)), 8, 64, (range(32),))
    shapes = set()
    for _ in range(50):
        rows = Rows.of(group, group.parts[0])
        ended = np.zeros((8, 32), bool)
        while rows is not None:
            shapes.add(rows.real.shape)
            smaller = None
            while smaller is None and not ended.all():
                ended |= rng.random(ended.shape) < rng.random() ** 3
                smaller = rows.without(ended) if not ended.all() else None
            if smaller is None:
                break
            rows, lines, columns = smaller
            ended = ended[lines[:, None], columns] | ~rows.real
    assert len(shapes) <= 12
