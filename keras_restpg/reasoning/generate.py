"""The sampling engine as a teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_restpg.model.chat import ChatTurn

if TYPE_CHECKING:
    from keras_restpg.model.engine import Sampling, SamplingEngine


class EngineGenerate:
    """A sampling engine as the `generate` of a `Teacher`.

    Args:
        engine: a `SamplingEngine`.
        sampling: its `Sampling`: temperature, nucleus, seed.
        chat_template: whether to ask in a turn of Gemma's chat format; None:
            where the vocabulary has the tokens for it.
    """

    def __init__(
        self,
        engine: SamplingEngine,
        sampling: Sampling,
        chat_template: bool | None = None,
    ) -> None:
        self.engine = engine
        self.sampling = sampling
        self.max_prompt_tokens = engine.max_prompt_tokens
        self._turn = ChatTurn(engine.codec, chat_template)
        self.chat_template = self._turn.chat_template

    def __call__(
        self, prompts: Sequence[str], num_samples: int, keys: Sequence[str]
    ) -> list[list[str]]:
        sampling = dataclasses.replace(self.sampling, num_samples=num_samples)
        tokens = [self._turn.tokens(prompt) for prompt in prompts]
        rows = self.engine.sample(tokens, sampling, keys)
        return [[each.text for each in row] for row in rows]

    def get_config(self) -> dict[str, Any]:
        """What tells it from others: the model and how it samples.

        Returns:
            dict of JSON values and the model itself; not `num_samples`,
            which the teacher decides.
        """
        sampling = dataclasses.asdict(self.sampling)
        del sampling["num_samples"]
        own = getattr(self.engine.causal_lm.preprocessor, "tokenizer", None)
        tokenizer = self.engine.codec.tokenizer
        return {
            "causal_lm": self.engine.causal_lm,
            "tokenizer": None if tokenizer is own else tokenizer,
            "sampling": sampling,
            "chat_template": self.chat_template,
            "max_prompt_tokens": self.engine.max_prompt_tokens,
            "max_new_tokens": self.engine.max_new_tokens,
        }

    def count_tokens(self, prompt: str) -> int:
        """How many tokens the model reads for `prompt`."""
        return len(self._turn.tokens(prompt))
