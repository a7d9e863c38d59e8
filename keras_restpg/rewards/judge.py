"""The reward of the paper: an LLM judge (§4 and Appendix A, Figure 6).

The judge reads the instructions, the prompt, the expected output and one
answer, and the score that it gives the highest probability, of 1, 3, 5, 7 and
10, is the reward times 10. Reasoning is never shown to it.

The m answers of a prompt share instructions, prompt and expected output.
Token boundaries are those of tokenising each whole text; the tokens that all
of them begin with are computed once. Equal answers are judged once.

Choices that the paper leaves open: "10" counts as a whole string where a
tokenizer splits it (`judge_prompt.py`); of equal probabilities the lower
score wins; a blank answer gets 0; prompt, expected output and answer are cut
to `max_tokens` tokens each, so that no text can outgrow the judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import keras_hub

from keras_restpg._types import Path
from keras_restpg.model import prefix
from keras_restpg.model.scorers import SharedScorer, StockScorer
from keras_restpg.records import Example
from keras_restpg.rewards.judge_prompt import JudgePrompt
from keras_restpg.rewards.reward import (
    Judgement,
    Judging,
    check_aligned,
    judgement_of,
)

if TYPE_CHECKING:
    from keras_hub.models import CausalLM

# Examples whose token sequences are held at once.
_AT_ONCE = 256


class LLMJudge(Judging):
    """An LLM that scores answers against the expected outputs.

    Args:
        causal_lm: a KerasHub causal LM. Gemma 1, 2 and 3 compute the shared
            prefix once; other families run as they are.
        tokenizer: its tokenizer; None takes that of its preprocessor.
        chat_template: whether the prompt is a turn of Gemma's chat format;
            None: where the tokenizer has the tokens for it.
        max_tokens: prompt, expected output and answer are cut to this many
            tokens each.
        rows: how many answers are computed at once; more of them need more
            memory, and on a CPU do not gain speed.

    Raises:
        ValueError: no tokenizer, or one that does not fit, or a model of
            another family that needs more than a text.

    Example:
        ```python
        judge = LLMJudge.from_preset("gemma_1.1_instruct_7b_en")
        judge.score([example], ["An answer."])   # [0.7]
        judge.judge([example], ["An answer."])   # its five probabilities
        ```
    """

    def __init__(
        self,
        causal_lm: CausalLM,
        tokenizer: Any = None,
        chat_template: bool | None = None,
        max_tokens: int = 2048,
        rows: int = 8,
    ) -> None:
        if tokenizer is None:
            tokenizer = getattr(causal_lm.preprocessor, "tokenizer", None)
        if tokenizer is None:
            raise ValueError(
                "A judge needs a tokenizer: give a model with a preprocessor, "
                f"or `tokenizer`. Received: {type(causal_lm).__name__} with "
                f"preprocessor={causal_lm.preprocessor}"
            )
        self.causal_lm = causal_lm
        self.prompt = JudgePrompt(tokenizer, chat_template, max_tokens)
        self._fit(getattr(causal_lm.backbone, "max_sequence_length", None))
        criteria = self.prompt.criteria
        wanted, depth = criteria.wanted, len(criteria.chain) + 1
        if prefix.supports(causal_lm.backbone):
            scorer = SharedScorer(causal_lm, wanted, depth, rows=rows)
        else:
            scorer = StockScorer(causal_lm, wanted, depth, rows=min(rows, 4))
        self.scorer = scorer

    def _fit(self, longest):
        """Cuts texts shorter for a model with a last position."""
        if longest is None:
            return
        criteria = self.prompt.criteria
        fixed = len(self.prompt.tokens("", "", "")) + len(criteria.chain)
        room = (longest - fixed) // 3
        if room < 1:
            raise ValueError(
                f"A judge must read at least {fixed + 3} tokens. Received: a "
                f"model of at most {longest}"
            )
        self.prompt.max_tokens = min(self.prompt.max_tokens, room)

    @classmethod
    def from_preset(
        cls, preset: Path, dtype: str | None = None, **kwargs: Any
    ) -> Self:
        """A judge from a KerasHub preset, by name or folder.

        Args:
            preset: as `keras_hub.models.CausalLM.from_preset` takes it.
            dtype: of the model, such as `"bfloat16"`; None: Keras' default.
            **kwargs: as `LLMJudge` takes them.
        """
        options = {} if dtype is None else {"dtype": dtype}
        causal_lm = keras_hub.models.CausalLM.from_preset(preset, **options)
        return cls(causal_lm, **kwargs)

    def judge(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> list[Judgement]:
        """How the judge came to each score.

        Args:
            examples: list of `Example`, aligned with `answers`.
            answers: list of str, final answers only.

        Returns:
            list of `Judgement`; a blank answer has score 0 and no
            probabilities, and so has one that the model gives no score, as a
            model that thinks first does (`unjudged`).

        Raises:
            ValueError: lists of different lengths, or a model that gives
                numbers that are not finite.
        """
        check_aligned(examples, answers)
        groups = {}
        pairs = zip(examples, answers, strict=True)
        for index, (example, answer) in enumerate(pairs):
            if answer.strip():
                key = (example.prompt, example.expected)
                indices = groups.setdefault(key, {}).setdefault(answer, [])
                indices.append(index)
        judgements = [Judgement(0.0)] * len(answers)
        keys = list(groups)
        for begin in range(0, len(keys), _AT_ONCE):
            part = {key: groups[key] for key in keys[begin : begin + _AT_ONCE]}
            for index, judgement in self._judge(part):
                judgements[index] = judgement
        return judgements

    def get_config(self) -> dict[str, Any]:
        """What tells this judge from others: not `rows`.

        Returns:
            dict of the model, its tokenizer where it is not the model's own,
            and how the prompt is made.
        """
        own = getattr(self.causal_lm.preprocessor, "tokenizer", None)
        tokenizer = self.prompt.text.tokenizer
        return {
            "causal_lm": self.causal_lm,
            "tokenizer": None if tokenizer is own else tokenizer,
            "chat_template": self.prompt.chat_template,
            "max_tokens": self.prompt.max_tokens,
        }

    def _judge(self, groups):
        """`(index, Judgement)` of `{(prompt, expected): {answer: indices}}`."""
        tokens = [
            self._tokens(prompt, expected, list(answers))
            for (prompt, expected), answers in groups.items()
        ]
        tables = self.scorer.log_probs(tokens)
        for answers, table in zip(groups.values(), tables, strict=True):
            found = self.prompt.criteria.log_probs(table)
            for indices, log_probs in zip(answers.values(), found, strict=True):
                judgement = judgement_of(log_probs)
                yield from ((index, judgement) for index in indices)

    def _tokens(self, prompt, expected, answers):
        prompt, expected = self.prompt.fields(prompt, expected)
        chain = list(self.prompt.criteria.chain)
        return [
            self.prompt.tokens(prompt, expected, answer) + chain
            for answer in answers
        ]
