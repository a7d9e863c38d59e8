"""PyTorch."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import torch
import torch.utils.checkpoint

from keras_restpg._types import Batch, Logs, Tensor

if TYPE_CHECKING:
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
    """`function` run eagerly without gradients: PyTorch needs no tracing."""
    del variables, donate

    @functools.wraps(function)
    def call(*args):
        with torch.inference_mode():
            return function(*args)

    return call


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Activation checkpointing of `function`."""
    return functools.partial(
        torch.utils.checkpoint.checkpoint, function, use_reentrant=False
    )


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """Indexing by two vectors."""
    return rows[torch.arange(len(rows), device=rows.device), index.long()]


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`torch.reshape`."""
    return torch.reshape(x, shape)


def write_slice(buffer: Tensor, update: Tensor, start: Sequence[Any]) -> Tensor:
    """Writes into `buffer` itself."""
    region = tuple(
        slice(int(begin), int(begin) + size)
        for begin, size in zip(start, update.shape, strict=True)
    )
    buffer[region] = update
    return buffer


def sum_over_chunks(
    function: Callable[..., Tensor], arrays: Sequence[Tensor]
) -> Tensor:
    """A sum of chunks that are computed anew in the backward pass."""
    function = recomputed(function)
    return sum(
        function(*(array[chunk] for array in arrays))
        for chunk in range(arrays[0].shape[0])
    )


class StepsMixin(Weighted):
    """The steps of a `RewardWeightedLM`, run eagerly."""

    def train_step(self, batch: Batch) -> Logs:
        scale = self.loss_scale()
        # Scaled weights scale the loss, which is linear in them.
        weights = self.token_weights(batch) * scale
        self.zero_grad()
        loss, nll = 0.0, 0.0
        for part in _parts(batch, weights):
            part_loss, part_nll = self.micro_loss(*part)
            part_loss.backward()
            loss = loss + part_loss.detach()
            nll = nll + part_nll.detach()
        variables = self.trainable_variables
        gradients = [
            torch.zeros_like(v.value) if v.value.grad is None else v.value.grad
            for v in variables
        ]
        with torch.no_grad():
            loss, norm, finite = self.check(loss, gradients, scale)
            if self.optimizer_skips:
                gradients = self.marked(gradients, finite)
            if self.optimizer_skips or bool(finite):
                self.optimizer.apply(gradients, variables)
            return self.track(batch, loss, nll, norm=norm, finite=finite)

    def test_step(self, batch: Batch) -> Logs:
        weights = self.token_weights(batch)
        with torch.no_grad():
            losses = [self.micro_loss(*part) for part in _parts(batch, weights)]
            loss, nll = (sum(column) for column in zip(*losses, strict=True))
            return self.track(batch, loss, nll)

    def drawing(self, step: Callable) -> Callable:
        # Keras' PyTorch trainer passes the batches of one execution.
        def draw_and_step(batches):
            batch = self.draw(batches[0])
            batch = {
                name: keras.ops.convert_to_tensor(array)
                for name, array in batch.items()
            }
            return step(batch)

        return draw_and_step


def _parts(batch, weights):
    for index in range(weights.shape[0]):
        yield {name: a[index] for name, a in batch.items()}, weights[index]
