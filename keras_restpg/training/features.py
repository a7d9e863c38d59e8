"""Text to tokens: prompts with their outputs, and what of them is trained.

A prompt of three tokens with two outputs becomes, with L = 4 and T = 3
(`data.batches` makes the arrays):

    prompt_ids        <bos> a  b  .      prompt_lengths    3
    response_ids      c <eos> .          response_lengths  2
                      d  e <eos>                           3

The last token of the prompt, `b`, predicts `c` and `d`; `c` predicts `<eos>`.
So an output of n tokens, its `<eos>` counted, has n places with a loss;
places marked `.` are padding and have none, and neither has any token of the
prompt. `<bos>` comes once, at the start of the prompt. An output that the
model sampled keeps the tokens it was sampled with: its text may have other,
fewer ones, and an output that was cut has no `<eos>` to learn.

Deviation from the paper: it draws single (prompt, output) pairs; here the
outputs of a prompt are trained in the same step, as far as they fit, so that
the prompt is read once. The batch size still counts outputs.
"""

import dataclasses
from collections.abc import Iterable

from keras_restpg.errors import InputError
from keras_restpg.model.text import Codec
from keras_restpg.records import TrainingExample


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A prompt and outputs as token ids, with the outputs' rewards."""

    prompt: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]
    rewards: tuple[float, ...]

    def parts(self, most: int) -> list["Tokens"]:
        """The same outputs in `Tokens` of at most `most`, evenly."""
        count = len(self.outputs)
        size = -(-count // -(-count // most))
        cuts = [slice(i, i + size) for i in range(0, count, size)]
        return [
            Tokens(self.prompt, self.outputs[cut], self.rewards[cut])
            for cut in cuts
        ]


def tokenize(
    examples: Iterable[TrainingExample],
    codec: Codec,
    max_prompt_tokens: int,
    max_new_tokens: int,
) -> list[Tokens]:
    """`TrainingExample`s as `Tokens`.

    Args:
        examples: `TrainingExample`s.
        codec: the model's; its `encode`, `encode_prompt` and `end_id` are used.
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
        outputs = _outputs(example, codec, max_new_tokens)
        tokens.append(Tokens(tuple(prompt), outputs, tuple(example.rewards)))
    return tokens


def _outputs(
    example: TrainingExample, codec: Codec, limit: int
) -> tuple[tuple[int, ...], ...]:
    """Each output's tokens: as sampled, else those of its text and `<eos>`."""
    sampled = example.token_ids or ((),) * len(example.outputs)
    return tuple(
        tuple((ids or (*codec.encode(text), codec.end_id))[:limit])
        for text, ids in zip(example.outputs, sampled, strict=True)
    )
