"""JAX."""

import functools

import jax
import keras
from jax import lax


def compiled(function, variables):
    """`function` jitted, with the variables' values as its first argument.

    Values are arguments of the compiled program and not constants in it, so
    new weights of the same shapes need no new compilation.
    """

    @jax.jit
    def run(values, args):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*args)

    @functools.wraps(function)
    def call(*args):
        return run([variable.value for variable in variables], args)

    return call


def recomputed(function):
    """`jax.checkpoint` of `function`."""
    return jax.checkpoint(function)


def write_slice(buffer, update, start):
    """XLA updates the buffer in place inside a compiled loop."""
    return lax.dynamic_update_slice(buffer, update.astype(buffer.dtype), start)
