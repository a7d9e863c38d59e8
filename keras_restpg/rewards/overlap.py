"""ROUGE as a reward: fast, without a model, and easily fooled.

For dry runs, for tests and as a baseline. The paper's reward is the judge
(`judge.py`); ROUGE misses paraphrases (§4).
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from rouge_score import rouge_scorer, tokenizers

from keras_restpg.data.words import WordTokenizer
from keras_restpg.records import Example
from keras_restpg.rewards.reward import Reward, check_aligned

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
MEASURES = ("precision", "recall", "fmeasure")
TOKENIZERS = ("rouge", "words")


class RougeReward(Reward):
    """ROUGE between the answer and the expected output, from 0 to 1.

    Args:
        kind: `"rouge1"`, `"rouge2"`, `"rougeL"`, or `"rougeLsum"`, which
            takes each line as a sentence.
        measure: `"fmeasure"`, `"precision"` or `"recall"`.
        use_stemmer: whether words are stemmed (Porter) before they are
            compared, with the tokenizer `"rouge"` alone. LongLaMP does not.
        tokenizer: `"rouge"`, rouge-score's own, which knows lower-cased
            `a-z0-9` words and gives 0 for text without any; `"words"`, words
            of any script; or an object with `tokenize(text) -> list[str]`.

    Raises:
        ValueError: unknown `kind`, `measure` or `tokenizer`, or stems of a
            tokenizer that has none.

    Example:
        ```python
        reward = RougeReward("rougeL")
        reward.score([example], ["An answer."])
        ```
    """

    def __init__(
        self,
        kind: str = "rougeL",
        measure: str = "fmeasure",
        use_stemmer: bool = False,
        tokenizer: str | tokenizers.Tokenizer = "rouge",
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}. Received: {kind}")
        if measure not in MEASURES:
            raise ValueError(
                f"`measure` must be one of {MEASURES}. Received: {measure}"
            )
        self.kind = kind
        self.measure = measure
        self.use_stemmer = use_stemmer
        self.tokenizer = tokenizer
        self._tokenizer = _tokenizer(tokenizer, use_stemmer)
        self._scorer = rouge_scorer.RougeScorer(
            [kind], tokenizer=self._tokenizer
        )
        self._warned = False

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        check_aligned(examples, answers)
        return self.compare([e.expected for e in examples], answers)

    def compare(
        self, expected: Sequence[str], answers: Sequence[str]
    ) -> np.ndarray:
        """The value of each answer beside its expected output.

        Where the tokenizer finds no words in an expected output, the value
        is 0 whatever was written; a warning says so once.

        Args:
            expected: list of str.
            answers: list of str as long.

        Returns:
            float32 array (n,), from 0 to 1.
        """
        self._warn_of_no_words(set(expected))
        scores = [
            self._scorer.score(one, answer)[self.kind]
            for one, answer in zip(expected, answers, strict=True)
        ]
        return np.array([getattr(s, self.measure) for s in scores], "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "measure": self.measure,
            "use_stemmer": self.use_stemmer,
            "tokenizer": self.tokenizer,
        }

    def _warn_of_no_words(self, texts):
        if self._warned:
            return
        count = sum(not self._tokenizer.tokenize(text) for text in texts)
        if count:
            self._warned = True
            advice = (
                " It knows a-z and 0-9 alone: choose tokenizer='words', which "
                "knows every script."
                if self.tokenizer == "rouge"
                else ""
            )
            warnings.warn(
                f"In {count} of {len(texts)} expected outputs the tokenizer "
                f"{self.tokenizer!r} finds no words: their ROUGE is 0 whatever "
                f"was written.{advice}",
                stacklevel=4,
            )


def _tokenizer(tokenizer, use_stemmer) -> Any:
    """What a name stands for, or an object that can tokenize."""
    if tokenizer == "rouge":
        return tokenizers.DefaultTokenizer(use_stemmer)
    if use_stemmer:
        raise ValueError(
            "Only the tokenizer 'rouge' stems words: leave `use_stemmer` out. "
            f"Received: tokenizer={tokenizer!r}"
        )
    if tokenizer == "words":
        return WordTokenizer()
    if not hasattr(tokenizer, "tokenize"):
        raise ValueError(
            f"`tokenizer` must be one of {TOKENIZERS} or have the method "
            f"`tokenize`. Received: {tokenizer!r}"
        )
    return tokenizer
