"""Gradients by each backend's own means."""

import keras
import numpy as np
from keras import ops


def gradients_of(function, array, variables):
    """`function(array)` and its gradients by the array and by variables.

    Compiled where the backend compiles.
    """
    if keras.config.backend() == "jax":
        return _jax(function, array, variables)
    if keras.config.backend() == "tensorflow":
        return _tensorflow(function, array, variables)
    tensor = ops.convert_to_tensor(array)
    tensor.requires_grad_()
    for variable in variables:
        variable.value.grad = None
    value = function(tensor)
    value.backward()
    values = (value, tensor.grad, *(v.value.grad for v in variables))
    return [v.detach().cpu().numpy() for v in values]


def _jax(function, array, variables):
    import jax

    @jax.jit
    def run(array, values):
        def stateless(array, values):
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return function(array)

        return jax.value_and_grad(stateless, (0, 1))(array, values)

    value, (first, others) = run(array, [v.value for v in variables])
    return [np.asarray(v) for v in (value, first, *others)]


def _tensorflow(function, array, variables):
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def run(array):
        with tf.GradientTape() as tape:
            tape.watch(array)
            value = function(array)
        variables_ = [v.value for v in variables]
        return value, *tape.gradient(value, [array, *variables_])

    return [v.numpy() for v in run(tf.convert_to_tensor(array))]
