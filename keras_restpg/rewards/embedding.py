"""Embedding similarity as a reward: cheap, and blind to style."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_restpg.records import Example
from keras_restpg.rewards.reward import Reward, check_aligned


class EmbeddingReward(Reward):
    """Cosine similarity of answer and expected output, cut at 0.

    Args:
        embedder: a KerasHub text embedder with a preprocessor (its
            `sequence_length` is where longer texts are cut), or any object
            with `encode_text(list of str, batch_size=..., verbose=...) ->
            array (n, width)`. Whether it normalises does not matter.
        batch_size: texts embedded at once.

    Example:
        ```python
        embedder = keras_hub.models.TextEmbedder.from_preset(
            "all_minilm_l6_v2_en"
        )
        EmbeddingReward(embedder).score([example], ["An answer."])
        ```
    """

    def __init__(self, embedder: Any, batch_size: int = 32) -> None:
        self.embedder = embedder
        self.batch_size = batch_size

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        """Rewards float32 (n,), from 0 to 1; blank answers get 0."""
        check_aligned(examples, answers)
        if not answers:
            return np.zeros(0, "float32")
        expected = [example.expected for example in examples]
        unique = list(dict.fromkeys([*expected, *answers]))
        place = {text: i for i, text in enumerate(unique)}
        vectors = self._embed(unique)
        left = vectors[[place[text] for text in expected]]
        right = vectors[[place[text] for text in answers]]
        blank = [not answer.strip() for answer in answers]
        similarity = np.where(blank, 0.0, (left * right).sum(-1))
        return np.clip(similarity, 0.0, 1.0).astype("float32")

    def get_config(self) -> dict[str, Any]:
        return {"embedder": self.embedder}

    def _embed(self, texts):
        """Unit vectors float64 (n, width); a zero vector stays zero."""
        texts = [t.encode("utf-8", "replace").decode("utf-8") for t in texts]
        # Whole batches only: another shape would be another compilation.
        padding = [""] * (-len(texts) % self.batch_size)
        vectors = self.embedder.encode_text(
            texts + padding, batch_size=self.batch_size, verbose=0
        )
        vectors = np.asarray(vectors, "float64")[: len(texts)]
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return vectors / np.maximum(norms, 1e-12)
