"""PyTorch."""

import functools

import torch
import torch.utils.checkpoint


def compiled(function, variables):
    """`function` run eagerly without gradients: PyTorch needs no tracing."""
    del variables

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


def write_slice(buffer, update, start):
    """Writes into `buffer` itself."""
    region = tuple(
        slice(int(begin), int(begin) + size)
        for begin, size in zip(start, update.shape, strict=True)
    )
    buffer[region] = update
    return buffer
