"""The running Keras backend, behind one small interface.

Each of `jax.py`, `tensorflow.py` and `torch.py` has the same names:

- `cache_compilations(folder)`: compiled programs are kept in a folder and
  found there again, where the backend can.
- `compiled(function, variables, donate=False)`: `function` compiled by the
  backend, reading `variables` (a list of `keras.Variable`s) as they are at
  each call, with no new compilation when their values change. With `donate`,
  the last argument is not used after the call: its memory may be reused.
- `recomputed(function)`: `function` whose intermediate values are computed
  anew in the backward pass instead of being kept.
- `pick(rows, index)`: `rows[n, index[n]]` for each n. An eager step of
  sampling does this and the next often enough for `keras.ops`' own checks of
  their arguments to take a tenth of its time.
- `reshape(x, shape)`: the tensor in another shape.
- `shards()`: among how many devices, or groups of them, prompts are divided:
  those along the batch dimension of a `keras.distribution`, 1 without one.
  Raises a ValueError for what is not supported.
- `spread(array, axis=0)`: a tensor whose `axis`, the prompts, is divided among
  the shards. It must be a multiple of them.
- `spread_zeros(shape, dtype)`: zeros, their first axis divided so.
- `write_slice(buffer, update, start)`: `buffer` with `update` at `start`, in
  place where the backend can.
- `sum_over_chunks(chunk, matrix, arrays)`: the sum of `chunk.value(matrix,
  *parts)`, float32 (2,), where `parts` are the arrays' elements along their
  first axis, one at a time. Its first number can be differentiated by `matrix`
  and by the first array: `chunk.gradients(matrix, *parts)` gives the value,
  the gradient by the first part, and the one by the matrix (None where
  `chunk.learns` is false). They are computed in the forward pass, where the
  backend knows that they are wanted.
- `StepsMixin`: `train_step`, `test_step` and `drawing(step, with_optimizer)`,
  which makes of a step what `fit` and `evaluate` call, for
  `training.model.RewardWeightedLM`.
"""

import importlib
from typing import Any

import keras

_NAMES = (
    "StepsMixin",
    "cache_compilations",
    "compiled",
    "pick",
    "recomputed",
    "reshape",
    "shards",
    "spread",
    "spread_zeros",
    "sum_over_chunks",
    "write_slice",
)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"keras_restpg.backend has no attribute {name!r}")
    module = importlib.import_module(
        f"keras_restpg.backend.{keras.config.backend()}"
    )
    return getattr(module, name)
