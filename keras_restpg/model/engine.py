"""The sampling engine: prompts in, samples out (the E-step, §3.2).

Prompts are grouped by length and read once; all samples of a group are
written together, each prompt's keys and values shared by its samples. Where
half of a group's rows have ended, the rest goes on in a smaller group.

A sample's random numbers come from (seed, key of the prompt, sample number)
alone, so what it becomes does not depend on the group it shared, to the
rounding of the matrix products.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_restpg import seeds
from keras_restpg.decoding import check, field
from keras_restpg.model import batching, nucleus, padding, prefix, stock
from keras_restpg.model.decode import Decoder
from keras_restpg.model.group import GroupRun
from keras_restpg.model.text import Codec


@dataclasses.dataclass(frozen=True)
class Generation:
    """One sampled output.

    Attributes:
        text: the output, without the token that ended it.
        token_ids: its tokens, the one that ended it included.
        finished: whether it ended, or was cut at the limit.
        log_prob: log-probability of the tokens at temperature 1.
    """

    text: str
    token_ids: tuple[int, ...]
    finished: bool
    log_prob: float


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How words are drawn.

    Attributes:
        num_samples: m, the samples for each prompt.
        temperature: 0 takes the most probable word.
        top_p: mass of the nucleus, above 0 and at most 1.
        top_k: if above 0, at most this many words are in question.
        seed: a string that names the run and iteration.

    Raises:
        InputError: a value of another type or out of its range.
    """

    num_samples: int = field(1, low=1)
    temperature: float = field(0.7, low=0.0)
    top_p: float = field(0.95, low=1e-6, high=1.0)
    top_k: int = field(0, low=0)
    seed: str = "0"

    def __post_init__(self) -> None:
        check(self)

    @property
    def rounds(self) -> int:
        return 0 if self.temperature == 0 else nucleus.rounds(self.top_p)


class SamplingEngine:
    """Samples many outputs for each prompt from a KerasHub causal LM.

    Gemma 1, 2 and 3 share each prompt's prefix; other families go through
    their own `generate`, with a warning.

    Args:
        causal_lm: a KerasHub `CausalLM` with a tokenizer in its preprocessor.
        max_prompt_tokens: the longest prompt, `<bos>` included.
        max_new_tokens: where an output is cut.
        memory_budget: bytes that decide how many rows go together.
        max_rows: rows that go together at most.
        codec: a `Codec` to use instead of the preprocessor's tokenizer.

    Example:
    ```python
    engine = SamplingEngine(causal_lm, max_new_tokens=256)
    outputs = engine.sample(["Dear Ann,"], Sampling(num_samples=8))
    print(outputs[0][0].text)
    ```
    """

    def __init__(
        self,
        causal_lm: Any,
        max_prompt_tokens: int = 5120,
        max_new_tokens: int = 1536,
        memory_budget: int = 2**31,
        max_rows: int = 256,
        codec: Codec | None = None,
    ) -> None:
        self.causal_lm = causal_lm
        self.codec = codec or Codec(causal_lm.preprocessor.tokenizer)
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens
        self.memory_budget = memory_budget
        self.max_rows = max_rows
        self.shares_prefix = prefix.supports(causal_lm.backbone)
        self._decoders = {}
        if not self.shares_prefix:
            warnings.warn(
                f"{type(causal_lm.backbone).__name__} is no Gemma 1, 2 or 3: "
                "sampling goes through its own, slower `generate`.",
                stacklevel=2,
            )

    def get_config(self) -> dict[str, Any]:
        """What tells its samples from another engine's; not the memory."""
        return {
            "causal_lm": self.causal_lm,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_new_tokens": self.max_new_tokens,
        }

    def sample(
        self,
        prompts: Sequence[str | Sequence[int]],
        sampling: Sampling | None = None,
        keys: Sequence[str] | None = None,
    ) -> list[list[Generation]]:
        """Samples for each prompt, in the prompts' order.

        Args:
            prompts: texts, or lists of token ids.
            sampling: a `Sampling`.
            keys: a string for each prompt that names its random numbers; by
                default its place in the list.

        Returns:
            For each prompt a list of `sampling.num_samples` `Generation`s.

        Raises:
            ValueError: a prompt is empty or longer than `max_prompt_tokens`.
        """
        sampling = sampling or Sampling()
        done: list[list[Any]] = [[None] * sampling.num_samples for _ in prompts]
        for prompt, index, generation in self.stream(prompts, sampling, keys):
            done[prompt][index] = generation
        return done

    def stream(
        self,
        prompts: Sequence[str | Sequence[int]],
        sampling: Sampling,
        keys: Sequence[str] | None = None,
    ) -> Iterator[tuple[int, int, Generation]]:
        """Like `sample`, group by group as they are ready.

        Yields:
            `(prompt index, sample number, Generation)`.
        """
        token_ids = [self._token_ids(i, p) for i, p in enumerate(prompts)]
        keys = keys or [str(index) for index in range(len(prompts))]
        if not self.shares_prefix:
            yield from self._stock(token_ids, sampling, keys)
            return
        costs = batching.Costs.of(self.causal_lm.backbone, self.max_new_tokens)
        groups = batching.plan(
            [len(ids) for ids in token_ids],
            sampling.num_samples,
            self.max_prompt_tokens,
            costs,
            self.memory_budget,
            self.max_rows,
        )
        for group in groups:
            rows = self._run_group(group, token_ids, sampling, keys)
            yield from sorted(rows, key=lambda row: row[:2])

    def _token_ids(self, index, prompt):
        if isinstance(prompt, str):
            prompt = self.codec.encode_prompt(prompt)
        if not 0 < len(prompt) <= self.max_prompt_tokens:
            raise ValueError(
                f"A prompt must have 1 to {self.max_prompt_tokens} tokens. "
                f"Received: {len(prompt)} tokens in prompt {index}. Shorten "
                "it with `prompts.fit_prompt`."
            )
        return list(prompt)

    def _decoder(self, top_k):
        # LoRA and quantisation replace variables: what was compiled before
        # would go on with the old ones.
        key = (top_k, *map(id, self.causal_lm.backbone.variables))
        if key not in self._decoders:
            self._decoders = {
                key: Decoder(
                    self.causal_lm.backbone, self.codec.stop_ids, top_k
                )
            }
        return self._decoders[key]

    def _run_group(self, group, token_ids, sampling, keys):
        run = GroupRun(
            self._decoder(sampling.top_k),
            group,
            [token_ids[prompt] for prompt in group.prompts],
            lambda samples: self._uniforms(group, samples, sampling, keys),
            (sampling.temperature or 1.0, sampling.top_p),
            padding.stages(self.max_new_tokens),
        )
        for prompt, sample, tokens, log_prob in run:
            yield prompt, sample, self._generation(tokens, log_prob)

    def _uniforms(self, group, samples, sampling, keys):
        """Random numbers (P, R, new tokens, rounds) of a group's rows."""
        shape = (self.max_new_tokens, sampling.rounds)
        found = np.zeros((group.size, len(samples), *shape), "float32")
        for line, prompt in enumerate(group.prompts):
            for column, sample in enumerate(samples):
                random = seeds.generator(sampling.seed, keys[prompt], sample)
                found[line, column] = random.random(shape, dtype="float32")
        return found

    def _generation(self, token_ids, log_prob):
        stops = self.codec.stop_ids
        ends = [i for i, token in enumerate(token_ids) if token in stops]
        if ends:
            token_ids = token_ids[: ends[0] + 1]
        return Generation(
            self.codec.decode(token_ids), tuple(token_ids), bool(ends), log_prob
        )

    def _stock(self, token_ids, sampling, keys):
        for prompt, ids in enumerate(token_ids):
            seed = seeds.generator(sampling.seed, keys[prompt], 0).integers(
                2**31
            )
            rows = stock.generate(
                self.causal_lm,
                ids,
                sampling,
                int(seed),
                self.max_new_tokens,
                self.codec,
            )
            for sample, (tokens, log_prob) in enumerate(rows):
                yield prompt, sample, self._generation(tokens, log_prob)
