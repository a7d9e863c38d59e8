"""A sum over chunks has the value and the gradients of the plain sum."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_restpg import backend
from tests.backend.gradients import gradients_of

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(3, 4)).astype("float32")


class Squares:
    """Of scores, times a constant each; and the sum of the scores."""

    learns = True

    def value(self, matrix, rows, constants):
        scores = ops.matmul(rows, matrix)
        squares = ops.square(scores) * constants[:, None]
        return ops.stack([ops.sum(squares), ops.sum(scores)])

    def gradients(self, matrix, rows, constants):
        by_scores = 2.0 * ops.matmul(rows, matrix) * constants[:, None]
        by_rows = ops.matmul(by_scores, ops.transpose(matrix))
        by_matrix = ops.matmul(ops.transpose(rows), by_scores)
        if not self.learns:
            by_matrix = None
        return self.value(matrix, rows, constants), by_rows, by_matrix


@pytest.mark.parametrize("count", [1, 2, 5])
def test_value_and_gradients(count):
    matrix = keras.Variable(MATRIX)
    array = RNG.normal(size=(count, 6, 3)).astype("float32")
    constants = RNG.normal(size=(count, 6)).astype("float32")

    def by_chunks(array):
        # The matrix and the array are used outside of the chunks as well.
        arrays = [array, ops.convert_to_tensor(constants)]
        words = ops.convert_to_tensor(matrix)
        sums = backend.sum_over_chunks(Squares(), words, arrays)
        return 3.0 * sums[0] + ops.sum(ops.matmul(array, matrix))

    def plain(array):
        rows = ops.reshape(array, (-1, 3))
        each = ops.convert_to_tensor(constants.reshape(-1))
        value = Squares().value(matrix, rows, each)[0]
        return 3.0 * value + ops.sum(ops.matmul(array, matrix))

    found = gradients_of(by_chunks, array, [matrix])
    expected = gradients_of(plain, array, [matrix])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("learns", [True, False])
def test_without_gradients(learns):
    chunk = Squares()
    chunk.learns = learns
    array = RNG.normal(size=(3, 2, 3)).astype("float32")
    constants = np.ones((3, 2), "float32")
    arrays = [ops.convert_to_tensor(each) for each in (array, constants)]
    matrix = ops.convert_to_tensor(MATRIX)
    sums = ops.stop_gradient(backend.sum_over_chunks(chunk, matrix, arrays))
    scores = array @ MATRIX
    np.testing.assert_allclose(
        ops.convert_to_numpy(sums),
        [(scores**2).sum(), scores.sum()],
        rtol=1e-5,
    )
