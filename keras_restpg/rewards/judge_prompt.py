"""The judge's prompt as tokens, and where its scores are read.

The prompt is Figure 6, in a chat turn for instruct models (`model/chat.py`).

How a score follows. In a chat turn it follows the line break at once. After
the bare Figure 6, which ends with `[Score]:`, a space comes between, as text
has it. The five strings context + score are tokenised whole; the tokens that
all five begin with belong to the prompt (for Gemma the token of that space),
what remains of each is what is scored: for Gemma "1", "3", "5", "7", and
"1" "0".
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_restpg import prompts
from keras_restpg.model.chat import ChatTurn
from keras_restpg.model.scorers import common_length
from keras_restpg.model.text import Codec
from keras_restpg.rewards.reward import CRITERIA


@dataclasses.dataclass(frozen=True)
class Criteria:
    """The tokens of the five scores after a fixed end of the prompt.

    A score may begin another ("1" begins "10"). Its probability is then that
    the other does not follow: P(1) = P("1") * (1 - P("0" given "1")).

    Attributes:
        dropped: how many last tokens of the context the scores replace (0
            unless the tokenizer merges across).
        forced: the tokens that all scores begin with.
        tails: the rest of each score's tokens, in the order of `CRITERIA`.
        chain: the longest beginning shared by a score and a longer one; the
            model reads it after the prompt, and next tokens are scored
            before it and after each of its tokens.
    """

    dropped: int
    forced: tuple[int, ...]
    tails: tuple[tuple[int, ...], ...]
    chain: tuple[int, ...]

    @property
    def wanted(self) -> tuple[int, ...]:
        """The token ids whose log-probabilities are needed, increasing."""
        return tuple(sorted({token for tail in self.tails for token in tail}))

    def log_probs(self, table: np.ndarray) -> np.ndarray:
        """Log-probability of each whole score.

        Args:
            table: (n, len(chain) + 1, len(wanted)) log-probabilities of the
                wanted tokens at each scored place.

        Returns:
            float64 (n, 5).
        """
        table = np.asarray(table, "float64")
        return np.stack([self._one(tail, table) for tail in self.tails], -1)

    def _one(self, tail, table):
        column = {token: i for i, token in enumerate(self.wanted)}
        places = enumerate(tail)
        total = sum(table[:, d, column[token]] for d, token in places)
        depth = len(tail)
        longer = {
            other[depth]
            for other in self.tails
            if len(other) > depth and other[:depth] == tail
        }
        if longer:
            columns = [column[token] for token in sorted(longer)]
            follows = np.exp(table[:, depth, columns]).sum(-1)
            with np.errstate(divide="ignore"):
                total = total + np.log(np.clip(1.0 - follows, 0.0, 1.0))
        return total


def criteria_after(
    encode: Callable[[str], list[int]], context: str, separator: str
) -> Criteria:
    """The `Criteria` after a context that always ends the same way.

    Args:
        encode: from text to a list of token ids.
        context: any text with that end.
        separator: what stands between it and the score.

    Raises:
        ValueError: a tokenizer that cannot tell the scores apart.
    """
    base = encode(context)
    whole = [encode(context + separator + score) for score in CRITERIA]
    common = common_length(whole)
    kept = common_length([base, whole[0][:common]])
    tails = tuple(tuple(tokens[common:]) for tokens in whole)
    inner = {tail[:i] for tail in tails for i in range(len(tail))}
    chain = max(inner, key=len, default=())
    on_chain = all(chain[: len(node)] == node for node in inner)
    if not all(tails) or len(set(tails)) < len(tails) or not on_chain:
        raise ValueError(
            "This tokenizer cannot tell the scores apart: "
            f"{dict(zip(CRITERIA, tails, strict=True))} after the text "
            f"{context[-20:]!r}. Use a judge whose tokenizer knows digits"
        )
    return Criteria(
        dropped=len(base) - kept,
        forced=tuple(whole[0][kept:common]),
        tails=tails,
        chain=chain,
    )


class JudgePrompt:
    """Turns an example and an answer into the tokens that the judge reads.

    Args:
        tokenizer: a KerasHub tokenizer.
        chat_template: whether to write a Gemma chat turn; None: where the
            tokenizer has `<start_of_turn>` and `<end_of_turn>`.
        max_tokens: prompt, expected output and answer are cut to this many
            tokens each.

    Raises:
        ValueError: a chat template without these tokens, or a tokenizer that
            cannot tell the scores apart.
    """

    def __init__(
        self,
        tokenizer: Any,
        chat_template: bool | None = None,
        max_tokens: int = 2048,
    ) -> None:
        self.text = Codec(tokenizer)
        self.max_tokens = max_tokens
        self._turn = ChatTurn(self.text, chat_template)
        self.chat_template = self._turn.chat_template
        context, separator = ("model\n", "")
        if not self.chat_template:
            context, separator = (prompts.JUDGE_PROMPT, " ")
        self.criteria = criteria_after(self.text.encode, context, separator)

    def fields(self, prompt: str, expected: str) -> tuple[str, ...]:
        """Both texts cut to `max_tokens`."""
        return tuple(
            self.text.cut(each, self.max_tokens) for each in (prompt, expected)
        )

    def tokens(self, prompt: str, expected: str, answer: str) -> list[int]:
        """All that stands before the score: list of int.

        Args:
            prompt: the input prompt x, as `fields` gives it.
            expected: the expected output y, as `fields` gives it.
            answer: the generated answer, any text.
        """
        text = prompts.fill(
            prompts.JUDGE_PROMPT,
            prompt=prompt,
            expected=expected,
            answer=self.text.cut(answer, self.max_tokens),
        )
        ids = self._turn.tokens(text)
        ids = ids[: len(ids) - self.criteria.dropped]
        return ids + list(self.criteria.forced)
