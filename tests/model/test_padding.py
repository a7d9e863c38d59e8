import numpy as np
import pytest

from keras_restpg.model import padding


def rungs(*ladder, upto=6144, **rest):
    lengths = [padding.padded(n, *ladder, **rest) for n in range(1, upto + 1)]
    assert all(rung >= n for n, rung in enumerate(lengths, 1))
    return sorted(set(lengths))


def test_an_octave_has_as_many_rungs_as_are_asked_for():
    assert rungs(64, 32, upto=400) == [64, 96, 128, 192, 256, 384, 512]
    assert rungs(16, 8, upto=50) == [16, 24, 32, 48, 64]
    assert rungs(32, 32, 4, upto=300) == [*range(32, 257, 32), 320]
    assert rungs(1, 1, 1, upto=9) == [1, 2, 4, 8, 16]
    assert rungs(16, 32, 16, 512, upto=512) == [16, *range(32, 513, 32)]


@pytest.mark.parametrize("parts, share, most", [(2, 1.5, 16), (4, 1.25, 32)])
def test_few_rungs_waste_little(parts, share, most):
    assert len(rungs(32, 32, parts)) <= most
    lengths = range(129, 5000)
    waste = [padding.padded(n, 32, 32, parts) / n for n in lengths]
    assert max(waste) <= share


@pytest.mark.parametrize("limit", [16, 64, 100, 5120])
def test_ladders_end_at_the_limit(limit):
    assert rungs(64, 32, upto=limit, limit=limit)[-1] == limit
    assert padding.stages(limit)[-1] == limit


def test_a_grid_has_zeros_behind_and_where_nothing_is():
    token_ids, lengths = padding.grid([[5, 6], [7]], (3,), 4)
    expected = [[5, 6, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(token_ids, expected)
    np.testing.assert_array_equal(lengths, [2, 1, 1])
    token_ids, lengths = padding.grid({(0, 1): [5]}, (1, 2), 2, empty=0)
    np.testing.assert_array_equal(token_ids, [[[0, 0], [5, 0]]])
    np.testing.assert_array_equal(lengths, [[0, 1]])
    assert token_ids.dtype == lengths.dtype == np.int32
