"""TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import ops

from keras_restpg._types import Batch, Chunk, Logs, Tensor

if TYPE_CHECKING:
    import keras

    from keras_restpg.backend.weighted import Weighted
else:
    Weighted = object


def cache_compilations(folder: str) -> None:
    """Nothing: no such cache is at hand."""


def compiled(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable],
    donate: bool = False,
) -> Callable[..., Any]:
    """`function` compiled by XLA; `tf.function` reads variables when called."""
    del variables, donate
    return tf.function(function, jit_compile=True, reduce_retracing=False)


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`tf.recompute_grad` of `function`."""
    return tf.recompute_grad(function)


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """`tf.gather` with a batch dimension."""
    return tf.gather(rows, index, axis=1, batch_dims=1)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`tf.reshape`."""
    return tf.reshape(x, shape)


def shards() -> int:
    """One, always.

    Raises:
        ValueError: there is a distribution.
    """
    if tf.distribute.has_strategy() or keras.distribution.distribution():
        raise ValueError(
            "TensorFlow runs keras_restpg on one device. Use JAX "
            "(KERAS_BACKEND=jax) for several, or leave the distribution out."
        )
    return 1


def spread(array: Tensor, axis: int = 0) -> Tensor:
    """A tensor."""
    del axis
    return ops.convert_to_tensor(array)


def spread_zeros(shape: Sequence[int], dtype: str) -> Tensor:
    """Zeros."""
    return ops.zeros(shape, dtype=dtype)


def write_slice(buffer: Tensor, update: Tensor, start: Sequence[Any]) -> Tensor:
    """XLA updates the buffer in place inside a compiled loop."""
    return ops.slice_update(buffer, start, ops.cast(update, buffer.dtype))


def sum_over_chunks(
    chunk: Chunk, matrix: Tensor, arrays: Sequence[Tensor]
) -> Tensor:
    """A loop whose gradients are computed in its forward pass.

    Where nobody asks for them, XLA leaves them out of the compiled program.
    """
    rows, *constants = arrays
    count = rows.shape[0]

    @tf.custom_gradient
    def total(matrix, rows):
        def add(index, value, by_rows, *by_matrix):
            parts = [array[index] for array in (rows, *constants)]
            found, by_part, by_words = chunk.gradients(matrix, *parts)
            by_matrix = [each + by_words for each in by_matrix]
            by_rows = by_rows.write(index, by_part)
            return index + 1, value + found, by_rows, *by_matrix

        parts = tf.TensorArray(rows.dtype, count, element_shape=rows.shape[1:])
        learned = (tf.zeros(matrix.shape),) * chunk.learns
        _, value, by_rows, *by_matrix = tf.while_loop(
            lambda index, *_: index < count,
            add,
            (tf.constant(0), tf.zeros(2), parts, *learned),
            parallel_iterations=1,
            maximum_iterations=count,
        )

        def gradient(upstream):
            scale = upstream[0]
            learned = None
            if by_matrix:
                learned = tf.cast(by_matrix[0] * scale, matrix.dtype)
            by_all = by_rows.stack() * tf.cast(scale, rows.dtype)
            return learned, by_all

        return value, gradient

    return total(matrix, rows)


class StepsMixin(Weighted):
    """The steps of a `RewardWeightedLM`, compiled by XLA for each shape.

    `fit` itself runs eagerly, because it would compile for unknown shapes.
    """

    def train_step(self, batch: Batch) -> Logs:
        scale = self.loss_scale()
        # Scaled weights scale the loss, which is linear in them.
        weights = self.token_weights(batch) * scale
        loss, nll, gradients = self._value_and_gradients(batch, weights)
        loss, norm, finite = self.check(loss, gradients, scale)

        def update(gradients=gradients):
            self.optimizer.apply(gradients, self.trainable_variables)
            return True

        if self.optimizer_skips:
            update(self.marked(gradients, finite))
        else:
            tf.cond(finite, update, lambda: True)
        return self.track(batch, loss, nll, norm=norm, finite=finite)

    def test_step(self, batch: Batch) -> Logs:
        weights = self.token_weights(batch)
        losses = [self.micro_loss(*part) for part in _parts(batch, weights)]
        loss, nll = (sum(column) for column in zip(*losses, strict=True))
        return self.track(batch, loss, nll)

    def drawing(self, step: Callable, with_optimizer: bool) -> Callable:
        del with_optimizer
        if not self.run_eagerly:
            step = tf.function(step, jit_compile=True)

        def draw_and_step(batches):
            batch = self.draw(next(batches))
            return step(tf.nest.map_structure(tf.convert_to_tensor, batch))

        return draw_and_step

    def _value_and_gradients(self, batch, weights):
        """Sums over the micro-batches, which lie on the first axis."""
        variables = [v.value for v in self.trainable_variables]

        def one(index):
            part = tf.nest.map_structure(
                lambda array: tf.gather(array, index), (batch, weights)
            )
            part = _with_shapes(part, (batch, weights))
            with tf.GradientTape() as tape:
                loss, nll = self.micro_loss(*part)
            gradients = tape.gradient(
                loss,
                variables,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [loss, nll, *map(tf.convert_to_tensor, gradients)]

        count = weights.shape[0]
        if count == 1:
            totals = one(0)
        else:

            def add(index, *totals):
                sums = [a + b for a, b in zip(totals, one(index), strict=True)]
                return [index + 1, *sums]

            zeros = [tf.zeros([]), tf.zeros([])]
            zeros += [tf.zeros(v.shape, v.dtype) for v in variables]
            totals = tf.while_loop(
                lambda index, *totals: index < count,
                add,
                [tf.constant(0), *zeros],
                maximum_iterations=count,
            )[1:]
        return totals[0], totals[1], list(totals[2:])


def _with_shapes(part, whole):
    """`part` with the shapes of one micro-batch of `whole`."""
    return tf.nest.map_structure(
        lambda array, of: tf.ensure_shape(array, of.shape[1:]), part, whole
    )


def _parts(batch, weights):
    for index in range(weights.shape[0]):
        yield tf.nest.map_structure(
            lambda array, index=index: array[index], (batch, weights)
        )
