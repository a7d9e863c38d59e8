"""What each method wrote for the test users, and what that was worth."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_restpg import prompts
from keras_restpg.records import Document, Example, ScoredSample

# What a stage's model is called in the paper's tables.
NAMES = {
    "sft": "SFT",
    "sft-reasoning": "SFT w/ Reasoning-Enhancement",
    "rest-em": "ReST-EM",
    "rest-pg": "REST-PG",
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A model on the test split.

    Attributes:
        method: one of the four methods' names.
        iteration: 0 after supervised fine-tuning.
        outputs: `{example id: ScoredSample}`.
        documents: `{example id: the documents in its prompt}`; an example
            that is missing has documents that nobody noted.
    """

    method: str
    iteration: int
    outputs: dict[str, ScoredSample]
    documents: dict[str, tuple[Document, ...]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def title(self) -> str:
        """The method's name as people read it."""
        name = NAMES[self.method]
        return f"{name}, iteration {self.iteration}" if self.iteration else name

    @property
    def reasons(self) -> bool:
        return self.method in ("sft-reasoning", "rest-pg")

    def rewards(self, examples: Sequence[Example]) -> np.ndarray:
        """The reward of each example, float array (n,)."""
        return np.array([self.outputs[e.id].score.reward for e in examples])

    def answer(self, example: Example) -> str | None:
        """The final answer for an example, or None."""
        text = self.outputs[example.id].sample.text
        return prompts.final_answer(text, self.reasons)

    def reasoning(self, example: Example) -> str:
        """The reasoning before it; empty where there is none."""
        text = self.outputs[example.id].sample.text
        parts = prompts.split_output(text) if self.reasons else None
        return parts[0] if parts else ""


def method_of(reasons: bool, iteration: int) -> str:
    """The method whose model a stage is."""
    if iteration:
        return "rest-pg" if reasons else "rest-em"
    return "sft-reasoning" if reasons else "sft"


def tasks_of(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """`{task: [examples]}`, tasks in order of their names."""
    names = sorted({example.task for example in examples})
    return {
        name: [example for example in examples if example.task == name]
        for name in names
    }
