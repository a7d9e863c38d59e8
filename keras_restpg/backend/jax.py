"""JAX."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import keras
from jax import lax

from keras_restpg._types import Batch, Logs, Tensor

if TYPE_CHECKING:
    from keras_restpg.backend.weighted import Weighted
else:
    Weighted = object

# What a step changes: lists of arrays, in Keras' order.
State = tuple[list[Tensor], ...]


def cache_compilations(folder: str) -> None:
    """JAX's persistent compilation cache; one that is set already stays."""
    # JAX adds its options to the class when it is imported.
    known = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if known is None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def compiled(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable],
    donate: bool = False,
) -> Callable[..., Any]:
    """`function` jitted, with the variables' values as its first argument.

    Values are arguments of the compiled program and not constants in it, so
    new weights of the same shapes need no new compilation.
    """

    def run(values, first, last):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*first, last)

    run = jax.jit(run, donate_argnums=(2,) if donate else ())

    @functools.wraps(function)
    def call(*args):
        *first, last = args
        return run([variable.value for variable in variables], first, last)

    return call


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.checkpoint` of `function`."""
    return jax.checkpoint(function)


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """One gather along the second axis."""
    index = index.reshape(-1, *(1,) * (rows.ndim - 1))
    return jax.numpy.take_along_axis(rows, index, axis=1)[:, 0]


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`jax.numpy.reshape`."""
    return jax.numpy.reshape(x, shape)


def write_slice(buffer: Tensor, update: Tensor, start: Sequence[Any]) -> Tensor:
    """XLA updates the buffer in place inside a compiled loop."""
    return lax.dynamic_update_slice(buffer, update.astype(buffer.dtype), start)


def sum_over_chunks(
    function: Callable[..., Tensor], arrays: Sequence[Tensor]
) -> Tensor:
    """A scan whose body is computed anew in the backward pass."""
    if arrays[0].shape[0] == 1:
        return function(*(array[0] for array in arrays))

    @jax.checkpoint
    def add(total, chunk):
        return total + function(*chunk), None

    shape = jax.eval_shape(function, *(array[0] for array in arrays))
    start = jax.numpy.zeros(shape.shape, shape.dtype)
    return lax.scan(add, start, tuple(arrays))[0]


class StepsMixin(Weighted):
    """The steps of a `RewardWeightedLM`, with the state passed through."""

    def train_step(self, state: State, batch: Batch) -> tuple[Logs, State]:
        trained, fixed, optimizer, metrics = state
        scale = self._stateless_scale(optimizer)
        # Scaled weights scale the loss, which is linear in them.
        weights = self.token_weights(batch) * scale
        (loss, nll), gradients = self._value_and_gradients(
            trained, fixed, batch, weights
        )
        loss, norm, finite = self.check(loss, gradients, scale)
        trained, optimizer = self._updated(
            list(optimizer), gradients, list(trained), finite
        )
        logs, metrics = self._tracked(
            metrics, batch, loss, nll, norm=norm, finite=finite
        )
        return logs, (trained, fixed, optimizer, metrics)

    def _stateless_scale(self, optimizer):
        mapping = list(zip(self.optimizer.variables, optimizer, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self.loss_scale()

    def _updated(self, optimizer, gradients, trained, finite):
        """Weights and optimizer after a step, or as they were."""
        apply = self.optimizer.stateless_apply
        if self.optimizer_skips:
            return apply(optimizer, self.marked(gradients, finite), trained)
        return lax.cond(
            finite,
            lambda optimizer, trained: apply(optimizer, gradients, trained),
            lambda optimizer, trained: (trained, optimizer),
            optimizer,
            trained,
        )

    def test_step(self, state: State, batch: Batch) -> tuple[Logs, State]:
        trained, fixed, metrics = state
        weights = self.token_weights(batch)

        def add(total, part):
            return total + jax.numpy.stack(
                self._stateless_loss(trained, fixed, *part)
            ), None

        (loss, nll), _ = lax.scan(add, jax.numpy.zeros(2), (batch, weights))
        logs, metrics = self._tracked(metrics, batch, loss, nll)
        return logs, (trained, fixed, metrics)

    def drawing(self, step: Callable) -> Callable:
        if not self.run_eagerly:
            step = jax.jit(step, donate_argnums=0)
        return lambda state, batches: step(state, self.draw(next(batches)))

    def _stateless_loss(self, trained, fixed, micro, weights):
        variables = self.trainable_variables + self.non_trainable_variables
        mapping = list(zip(variables, [*trained, *fixed], strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self.micro_loss(micro, weights)

    def _value_and_gradients(self, trained, fixed, batch, weights):
        """Sums over the micro-batches, which lie on the first axis."""
        function = jax.value_and_grad(self._stateless_loss, has_aux=True)

        def one(part):
            return function(trained, fixed, *part)

        parts = (batch, weights)
        if weights.shape[0] == 1:
            return one(jax.tree.map(lambda array: array[0], parts))

        def add(total, part):
            return jax.tree.map(jax.numpy.add, total, one(part)), None

        first = jax.tree.map(lambda array: array[0], parts)
        zeros = jax.tree.map(
            lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype),
            jax.eval_shape(one, first),
        )
        return lax.scan(add, zeros, parts)[0]

    def _tracked(self, metrics, batch, loss, nll, **checks):
        mapping = list(zip(self.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = self.track(batch, loss, nll, **checks)
        return logs, [
            scope.get_current_value(variable)
            for variable in self.metrics_variables
        ]
