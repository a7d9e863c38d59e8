"""Text to arrays: prompts with their outputs, in batches of few fixed shapes.

A prompt of three tokens with two outputs becomes, with L = 4 and T = 3:

    prompt_ids        <bos> a  b  .      prompt_lengths    3
    response_ids      c <eos> .          response_lengths  2
                      d  e <eos>                           3

The last token of the prompt, `b`, predicts `c` and `d`; `c` predicts `<eos>`.
So an output of n tokens, its `<eos>` counted, has n places with a loss;
places marked `.` are padding and have none, and neither has any token of the
prompt. `<bos>` comes once, at the start of the prompt.

Deviation from the paper: it draws single (prompt, output) pairs; here all
outputs of a prompt are trained in the same step, so that the prompt is read
once. The batch size still counts outputs.
"""

import dataclasses

import numpy as np

from keras_restpg.errors import InputError

# Outputs of a prompt that go together, before filling up.
_WIDTHS = (1, 2, 4, 6, 8, 10)
# Shapes of batches, at most: each is compiled.
_SHAPES = 8


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A prompt and outputs as token ids, with the outputs' rewards."""

    prompt: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]
    rewards: tuple[float, ...]


def tokenize(examples, codec, max_prompt_tokens, max_new_tokens):
    """`TrainingExample`s as `Tokens`, with at most ten outputs each.

    Args:
        examples: `TrainingExample`s.
        codec: has `encode`, `encode_prompt` and `end_id`.
        max_prompt_tokens: longest prompt allowed.
        max_new_tokens: outputs are cut here, then without `<eos>`, so that
            the model does not learn to end where it was cut.

    Raises:
        InputError: a prompt is too long or an example has no output.
    """
    tokens = []
    for example in examples:
        prompt = codec.encode_prompt(example.prompt)
        if len(prompt) > max_prompt_tokens:
            raise InputError(
                f"The prompt of example {example.example_id!r} has "
                f"{len(prompt)} tokens; at most {max_prompt_tokens} are "
                "allowed. Make it with `prompts.fit_prompt`."
            )
        if not example.outputs:
            raise InputError(f"Example {example.example_id!r} has no output.")
        outputs = [
            tuple([*codec.encode(text), codec.end_id][:max_new_tokens])
            for text in example.outputs
        ]
        widest = _WIDTHS[-1]
        for first in range(0, len(outputs), widest):
            part = slice(first, first + widest)
            tokens.append(
                Tokens(
                    tuple(prompt),
                    tuple(outputs[part]),
                    tuple(example.rewards[part]),
                )
            )
    return tokens


class Batches:
    """Batches by number, the same for the same data and seed.

    Examples of like lengths share a batch. An epoch goes through all of them
    once, in a new order each time; a last batch that is not full is filled up
    with rows that train nothing.

    Args:
        tokens: a list of `Tokens`.
        batch_size: outputs of a batch, about.
        micro_batch_tokens: tokens of a micro-batch, at most; at least one
            prompt.
        seed: int.
    """

    def __init__(self, tokens, batch_size, micro_batch_tokens, seed=0):
        if not tokens:
            raise ValueError("There is nothing to train on.")
        self.tokens = tokens
        self.batch_size = batch_size
        self.micro_batch_tokens = micro_batch_tokens
        self.seed = seed
        self.shapes = _merged(
            {index: _shape(item) for index, item in enumerate(tokens)},
            -(-len(tokens) // _SHAPES),
        )
        self._epoch = None, None

    def __len__(self):
        """Batches of an epoch."""
        return sum(
            -(-len(members) // self._prompts(shape))
            for shape, members in self.shapes.items()
        )

    def batch(self, number):
        """Batch `number` of an endless row of epochs, a dict of arrays.

        See `training.model.RewardWeightedLM` for what it holds.
        """
        epoch, index = divmod(number, len(self))
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._order(epoch)
        return self._arrays(*self._epoch[1][index])

    def _prompts(self, shape):
        return max(1, round(self.batch_size / shape[1]))

    def _order(self, epoch):
        rng = np.random.default_rng([self.seed, epoch])
        batches = []
        for shape, members in sorted(self.shapes.items()):
            members = rng.permutation(members)
            size = self._prompts(shape)
            batches.extend(
                (shape, members[first : first + size])
                for first in range(0, len(members), size)
            )
        return [batches[index] for index in rng.permutation(len(batches))]

    def _arrays(self, shape, members):
        length, width, places = shape
        row = length + width * places
        whole = self._prompts(shape)
        prompts = min(whole, max(1, self.micro_batch_tokens // row))
        micros = -(-whole // prompts)
        count = micros * prompts
        batch = {
            "prompt_ids": np.zeros((count, length), "int32"),
            "prompt_lengths": np.ones(count, "int32"),
            "response_ids": np.zeros((count, width, places), "int32"),
            "response_lengths": np.zeros((count, width), "int32"),
            "rewards": np.zeros((count, width), "float32"),
        }
        for line, member in enumerate(members):
            item = self.tokens[member]
            batch["prompt_ids"][line, : len(item.prompt)] = item.prompt
            batch["prompt_lengths"][line] = len(item.prompt)
            for column, output in enumerate(item.outputs):
                batch["response_ids"][line, column, : len(output)] = output
                batch["response_lengths"][line, column] = len(output)
            batch["rewards"][line, : len(item.rewards)] = item.rewards
        return {
            name: array.reshape(micros, prompts, *array.shape[1:])
            for name, array in batch.items()
        }


def _shape(item):
    """The smallest of the few shapes (L, K, T) that holds an example."""
    width = next(w for w in _WIDTHS if w >= len(item.outputs))
    longest = max(len(output) for output in item.outputs)
    return _step(len(item.prompt)), width, _step(longest)


def _step(length):
    """The next of 16, 24, 32, 48, 64, 96, …: at most a third is padding."""
    base = 16
    while base < length:
        if base + base // 2 >= length:
            return base + base // 2
        base *= 2
    return base


def _merged(shapes, least):
    """Members of each shape, shapes of few members joined with larger ones.

    Args:
        shapes: a dict from example to its shape.
        least: a shape with fewer examples than this is joined.
    """
    groups = {}
    for index, shape in shapes.items():
        groups.setdefault(shape, []).append(index)
    while len(groups) > 1:
        shape = min(groups, key=lambda s: (len(groups[s]), _tokens(s), s))
        if len(groups[shape]) >= least:
            break
        members = groups.pop(shape)
        target = min(
            groups,
            key=lambda other: (
                _tokens(_cover(shape, other))
                * (len(groups[other]) + len(members))
                - _tokens(other) * len(groups[other])
            ),
        )
        members += groups.pop(target)
        groups.setdefault(_cover(shape, target), []).extend(members)
    return groups


def _cover(a, b):
    return tuple(max(pair) for pair in zip(a, b, strict=True))


def _tokens(shape):
    return shape[0] + shape[1] * shape[2]
