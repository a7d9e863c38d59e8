"""The synthetic world of the demo, a miniature of LongLaMP."""

import numpy as np

from keras_restpg.demo.world import (
    bullets,
    content_overlap,
    corpus,
    pairs,
    people,
)
from keras_restpg.demo.world import vocabulary as words
from keras_restpg.demo.world.facts import draw_facts
from keras_restpg.records import Example, Reasoning
from keras_restpg.seeds import generator

SPLITS = {"train": 11, "validation": 12, "test": 13}


class World:
    """People, their texts and what is known in one world.

    Everything follows from the seed: two worlds of one seed are equal.

    Args:
        seed: a non-negative integer.
        users: users of the splits `train`, `validation` and `test`; every
            user has one example, the four tasks take turns.
        settings: the world's noise.
    """

    def __init__(
        self,
        seed: int = 0,
        users: tuple[int, int, int] = (2400, 400, 800),
        settings: people.Settings | None = None,
    ) -> None:
        self.seed = seed
        self.settings = settings or people.Settings()
        self.facts = draw_facts(seed)
        self.reward = content_overlap.ContentOverlap()
        self._teacher = bullets.Teacher(seed, self.facts, self.settings)
        self._users = dict(zip(SPLITS, users, strict=True))
        self._truth, self._splits = {}, {}
        for split in SPLITS:
            self._splits[split] = self._draw(split)

    def _draw(self, split):
        examples = []
        for i in range(self._users[split]):
            rng = generator(self.seed, SPLITS[split], i)
            example, person, subject = people.draw_example(
                rng,
                self.facts,
                self.settings,
                f"{split}-{i}",
                words.TASKS[i % len(words.TASKS)],
            )
            key = SPLITS[split] * 1_000_000 + i
            self._truth[example.id] = (person, subject, key)
            examples.append(example)
        return examples

    def examples(self, split: str) -> list[Example]:
        """The `Example`s of `"train"`, `"validation"` or `"test"`.

        Raises:
            ValueError: there is no such split.
        """
        if split not in self._splits:
            raise ValueError(
                f"split must be one of {list(SPLITS)}. Received: {split!r}"
            )
        return list(self._splits[split])

    def truth(self, example: Example) -> bullets.Bullets:
        """The `Bullets` that are true of an example's user."""
        person, subject, _ = self._truth[example.id]
        concern = self.facts.concern[person.kind, subject]
        return bullets.Bullets(person.kind, concern, person.manner)

    def teacher(self, example: Example, seed: int = 0) -> Reasoning:
        """The teacher's imperfect `Reasoning` for an example."""
        _, subject, key = self._truth[example.id]
        texts = [document.text for document in example.documents]
        text = self._teacher.explain(
            key, texts, subject, example.expected, seed
        )
        return Reasoning(example.id, text)

    def right(self, example: Example, text: str) -> tuple[bool, bool, bool]:
        """Which bullets of a reasoning are true: (kind, concern, manner)."""
        said, truth = bullets.read_bullets(text), self.truth(example)
        return (
            said.kind == truth.kind,
            said.concern == truth.concern,
            said.manner == truth.manner,
        )

    def bullets_right(self, example: Example, text: str) -> float:
        """The share of a reasoning's bullets that are true, 0 to 1."""
        return sum(self.right(example, text)) / 3

    def scored_answers(
        self, split: str, count: int
    ) -> tuple[list[Example], list[str], np.ndarray]:
        """Answers of every quality to prompts of a split's users.

        Returns:
            `count` `Example`s, which come round again where the split has
            fewer, as many answers, and the answers' rewards, float32
            (count,).
        """
        rng = generator(self.seed, 5, SPLITS[split])
        every = self.examples(split)
        examples = [every[i % len(every)] for i in range(count)]
        answers = [
            pairs.draw_answer(rng, self.facts, e, self._truth[e.id][1])
            for e in examples
        ]
        return examples, answers, self.reward.score(examples, answers)

    def base_corpus(
        self,
        size: int,
        seed: int = 0,
        template: str = "{reasoning}\n\n{answer}",
    ) -> list[str]:
        """`size` texts to train a base model on (see corpus.py)."""
        rng = generator(self.seed, 4, seed)
        return [
            corpus.corpus_text(rng, self.facts, self.settings, template)
            for _ in range(size)
        ]
