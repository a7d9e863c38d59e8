"""PyTorch."""

import functools

import keras
import torch
import torch.utils.checkpoint


def cache_compilations(folder):
    """Nothing: no such cache is at hand."""


def compiled(function, variables, donate=False):
    """`function` run eagerly without gradients: PyTorch needs no tracing."""
    del variables, donate

    @functools.wraps(function)
    def call(*args):
        with torch.inference_mode():
            return function(*args)

    return call


def recomputed(function):
    """Activation checkpointing of `function`."""
    return functools.partial(
        torch.utils.checkpoint.checkpoint, function, use_reentrant=False
    )


def pick(rows, index):
    """Indexing by two vectors."""
    return rows[torch.arange(len(rows), device=rows.device), index.long()]


def reshape(x, shape):
    """`torch.reshape`."""
    return torch.reshape(x, shape)


def write_slice(buffer, update, start):
    """Writes into `buffer` itself."""
    region = tuple(
        slice(int(begin), int(begin) + size)
        for begin, size in zip(start, update.shape, strict=True)
    )
    buffer[region] = update
    return buffer


def sum_over_chunks(function, arrays):
    """A sum of chunks that are computed anew in the backward pass."""
    function = recomputed(function)
    return sum(
        function(*(array[chunk] for array in arrays))
        for chunk in range(arrays[0].shape[0])
    )


class StepsMixin:
    """The steps of a `RewardWeightedLM`, run eagerly."""

    def train_step(self, batch):
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

    def test_step(self, batch):
        weights = self.token_weights(batch)
        with torch.no_grad():
            losses = [self.micro_loss(*part) for part in _parts(batch, weights)]
            loss, nll = (sum(column) for column in zip(*losses, strict=True))
            return self.track(batch, loss, nll)

    def drawing(self, step):
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
