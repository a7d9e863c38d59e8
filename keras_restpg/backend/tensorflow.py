"""TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from keras import ops

from keras_restpg._types import Batch, Logs, Tensor

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


def write_slice(buffer: Tensor, update: Tensor, start: Sequence[Any]) -> Tensor:
    """XLA updates the buffer in place inside a compiled loop."""
    return ops.slice_update(buffer, start, ops.cast(update, buffer.dtype))


def sum_over_chunks(
    function: Callable[..., Tensor], arrays: Sequence[Tensor]
) -> Tensor:
    """Two loops over the chunks, the one backward computing them anew.

    XLA would keep the chunks of an unrolled sum in memory together, and
    TensorFlow's gradient of a loop what each of its turns has computed.
    """
    if arrays[0].shape[0] == 1:
        return function(*_chunk(arrays, 0))

    @tf.custom_gradient
    def total(*arrays):
        def gradient(upstream, variables=()):
            return _chunk_gradients(function, arrays, variables, upstream)

        return _chunk_sum(function, arrays), gradient

    return total(*arrays)


def _chunk(arrays, index):
    return [array[index] for array in arrays]


def _chunk_sum(function, arrays):
    count = arrays[0].shape[0]
    return tf.while_loop(
        lambda index, total: index < count,
        lambda index, total: (
            index + 1,
            total + function(*_chunk(arrays, index)),
        ),
        (tf.constant(1), function(*_chunk(arrays, 0))),
        parallel_iterations=1,
        maximum_iterations=count,
    )[1]


def _chunk_gradients(function, arrays, variables, upstream):
    """Gradients of the sum, as `tf.custom_gradient` wants them returned."""
    count = arrays[0].shape[0]

    def add(index, parts, sums):
        chunk = _chunk(arrays, index)
        floats = [array for array in chunk if array.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            value = function(*chunk)
        # Nested as the sources are; the stub knows no nesting.
        gradients: Any = tape.gradient(
            value,
            [floats, list(variables)],
            upstream,
            tf.UnconnectedGradients.ZERO,
        )
        pairs = zip(parts, gradients[0], strict=True)
        parts = [part.write(index, gradient) for part, gradient in pairs]
        pairs = zip(sums, gradients[1], strict=True)
        return index + 1, parts, [a + b for a, b in pairs]

    parts = [
        tf.TensorArray(array.dtype, count, element_shape=array.shape[1:])
        for array in arrays
        if array.dtype.is_floating
    ]
    sums = [tf.zeros(v.shape, v.dtype) for v in variables]
    _, parts, sums = tf.while_loop(
        lambda index, parts, sums: index < count,
        add,
        (tf.constant(0), parts, sums),
        parallel_iterations=1,
        maximum_iterations=count,
    )
    parts = iter(parts)
    gradients = [
        next(parts).stack() if array.dtype.is_floating else None
        for array in arrays
    ]
    return (gradients, sums) if variables else gradients


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

    def drawing(self, step: Callable) -> Callable:
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
