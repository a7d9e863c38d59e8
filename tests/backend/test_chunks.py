"""A sum over chunks has the value and the gradients of the plain sum."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_restpg import backend

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(3, 4)).astype("float32")


def gradients_of(function, array, matrix):
    """`function(array)` and its gradients by both, compiled where it can be."""
    if keras.config.backend() == "jax":
        return _jax(function, array, matrix)
    if keras.config.backend() == "tensorflow":
        return _tensorflow(function, array, matrix)
    tensor = ops.convert_to_tensor(array)
    tensor.requires_grad_()
    matrix.value.grad = None
    value = function(tensor)
    value.backward()
    values = (value, tensor.grad, matrix.value.grad)
    return [v.detach().cpu().numpy() for v in values]


def _jax(function, array, matrix):
    import jax

    @jax.jit
    def run(array, value):
        def stateless(array, value):
            with keras.StatelessScope(state_mapping=[(matrix, value)]):
                return function(array)

        return jax.value_and_grad(stateless, (0, 1))(array, value)

    value, gradients = run(array, matrix.value)
    return [np.asarray(v) for v in (value, *gradients)]


def _tensorflow(function, array, matrix):
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def run(array):
        with tf.GradientTape() as tape:
            tape.watch(array)
            value = function(array)
        return value, *tape.gradient(value, [array, matrix.value])

    return [v.numpy() for v in run(tf.convert_to_tensor(array))]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_value_and_gradients(count):
    matrix = keras.Variable(MATRIX)
    array = RNG.normal(size=(count, 6, 3)).astype("float32")
    labels = RNG.integers(0, 4, (count, 6)).astype("int32")

    def part(rows, labels):
        scores = ops.matmul(rows, matrix)
        chosen = ops.take_along_axis(scores, labels[:, None], axis=1)
        return ops.stack(
            [ops.sum(ops.tanh(scores)), ops.sum(ops.square(chosen))]
        )

    def by_chunks(array):
        # The variable and the array are used outside of the chunks as well.
        sums = backend.sum_over_chunks(part, [array, labels_tensor()])
        return sums[0] + 2.0 * sums[1] + ops.sum(ops.matmul(array, matrix))

    def plain(array):
        rows = ops.reshape(array, (-1, 3))
        sums = part(rows, ops.reshape(labels_tensor(), (-1,)))
        return sums[0] + 2.0 * sums[1] + ops.sum(ops.matmul(array, matrix))

    def labels_tensor():
        return ops.convert_to_tensor(labels)

    found = gradients_of(by_chunks, array, matrix)
    expected = gradients_of(plain, array, matrix)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_without_variables():
    array = RNG.normal(size=(3, 2)).astype("float32")
    total = backend.sum_over_chunks(
        lambda rows: ops.sum(ops.square(rows)), [ops.convert_to_tensor(array)]
    )
    assert float(total) == pytest.approx((array**2).sum(), rel=1e-5)
