"""TensorFlow."""

import tensorflow as tf
from keras import ops


def compiled(function, variables):
    """`function` compiled by XLA; `tf.function` reads variables when called."""
    del variables
    return tf.function(function, jit_compile=True, reduce_retracing=False)


def recomputed(function):
    """`tf.recompute_grad` of `function`."""
    return tf.recompute_grad(function)


def write_slice(buffer, update, start):
    """XLA updates the buffer in place inside a compiled loop."""
    return ops.slice_update(buffer, start, ops.cast(update, buffer.dtype))
