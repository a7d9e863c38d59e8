"""LongLaMP's overlap metrics: ROUGE-1, ROUGE-L and METEOR.

METEOR is that of nltk with exact and stem matches. Synonyms need WordNet,
which nltk downloads apart: `synonyms=True` uses it where it is there. Without
them scores are a little lower than METEOR elsewhere, alike for all methods
compared. Words are split without a download too, punctuation marks apart.
"""

from collections.abc import Sequence

import nltk
import numpy as np
from nltk.translate.meteor_score import single_meteor_score
from rouge_score.tokenizers import Tokenizer

from keras_restpg.data.words import words_and_marks
from keras_restpg.errors import InputError
from keras_restpg.rewards.overlap import RougeReward


class _NoWordNet:
    """Stands in for WordNet where synonyms are not asked for."""

    @staticmethod
    def synsets(word):
        del word
        return []


def rouge(
    expected: Sequence[str],
    answers: Sequence[str],
    kind: str = "rougeL",
    tokenizer: str | Tokenizer = "rouge",
) -> np.ndarray:
    """ROUGE F-measure of each answer, float32 (n,); as `RougeReward`."""
    return RougeReward(kind, tokenizer=tokenizer).compare(expected, answers)


def meteor(
    expected: Sequence[str], answers: Sequence[str], synonyms: bool = False
) -> np.ndarray:
    """METEOR of each answer against its expected output.

    Args:
        expected: list of str.
        answers: list of str as long.
        synonyms: whether WordNet's synonyms match.

    Returns:
        float32 array (n,), from 0 to 1.

    Raises:
        InputError: `synonyms` without WordNet.
    """
    wordnet = _wordnet() if synonyms else _NoWordNet
    values = [
        single_meteor_score(
            words_and_marks(e), words_and_marks(a), wordnet=wordnet
        )
        for e, a in zip(expected, answers, strict=True)
    ]
    return np.array(values, "float32")


def overlap_metrics(
    expected: Sequence[str],
    answers: Sequence[str],
    synonyms: bool = False,
    tokenizer: str | Tokenizer = "rouge",
) -> dict[str, np.ndarray]:
    """The three metrics as `{"rouge1", "rougeL", "meteor": float32 (n,)}`.

    Args:
        expected: list of str.
        answers: list of str as long.
        synonyms: as for `meteor`.
        tokenizer: of ROUGE, as for `RougeReward`. METEOR has words of any
            script.

    Raises:
        InputError: `synonyms` without WordNet.
    """
    return {
        "rouge1": rouge(expected, answers, "rouge1", tokenizer),
        "rougeL": rouge(expected, answers, "rougeL", tokenizer),
        "meteor": meteor(expected, answers, synonyms),
    }


def _wordnet():
    try:
        nltk.corpus.wordnet.ensure_loaded()
    except LookupError as error:
        raise InputError(
            "METEOR with synonyms needs WordNet, which is not on this "
            "machine. Run `python -m nltk.downloader wordnet`, or leave "
            "synonyms out"
        ) from error
    return nltk.corpus.wordnet
