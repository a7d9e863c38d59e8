"""ROUGE as a reward: fast, without a model, and easily fooled.

For dry runs, for tests and as a baseline. The paper's reward is the judge
(`judge.py`); ROUGE misses paraphrases (§4).
"""

import numpy as np
from rouge_score import rouge_scorer

from keras_restpg.rewards.reward import Reward, check_aligned

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
MEASURES = ("precision", "recall", "fmeasure")


class RougeReward(Reward):
    """ROUGE between the answer and the expected output, from 0 to 1.

    Args:
        kind: `"rouge1"`, `"rouge2"`, `"rougeL"`, or `"rougeLsum"`, which
            takes each line as a sentence.
        measure: `"fmeasure"`, `"precision"` or `"recall"`.
        use_stemmer: whether words are stemmed (Porter) before they are
            compared. LongLaMP does not.
        tokenizer: object with `tokenize(text) -> list[str]`, or None for
            rouge-score's own, which keeps lower-cased `a-z0-9` words and so
            gives 0 for text without any.
            `keras_restpg.data.words.WordTokenizer` knows every script.

    Raises:
        ValueError: unknown `kind` or `measure`.

    Example:
        ```python
        reward = RougeReward("rougeL")
        reward.score([example], ["An answer."])
        ```
    """

    def __init__(
        self,
        kind="rougeL",
        measure="fmeasure",
        use_stemmer=False,
        tokenizer=None,
    ):
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}. Received: {kind}")
        if measure not in MEASURES:
            raise ValueError(
                f"`measure` must be one of {MEASURES}. Received: {measure}"
            )
        self.kind = kind
        self.measure = measure
        self.settings = [kind, measure, use_stemmer]
        self._scorer = rouge_scorer.RougeScorer(
            [kind], use_stemmer=use_stemmer, tokenizer=tokenizer
        )

    def score(self, examples, answers):
        check_aligned(examples, answers)
        pairs = zip(examples, answers, strict=True)
        values = [self.compare(example.expected, a) for example, a in pairs]
        return np.array(values, "float32")

    def compare(self, expected, answer):
        """The value of one answer, a float."""
        scores = self._scorer.score(expected, answer)
        return getattr(scores[self.kind], self.measure)
