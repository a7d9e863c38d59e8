"""What each method wrote for the test users, and what that was worth."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_restpg import prompts
from keras_restpg.decoding import decode
from keras_restpg.errors import InputError
from keras_restpg.identity import digest
from keras_restpg.records import (
    Document,
    Example,
    Sample,
    Score,
    ScoredSample,
)
from keras_restpg.self_training.e_step import joined
from keras_restpg.store.stage import stage_name

if TYPE_CHECKING:
    from keras_restpg.store import RunDirectory

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
        name: what it is called; empty: by its method and iteration.
    """

    method: str
    iteration: int
    outputs: dict[str, ScoredSample]
    documents: dict[str, tuple[Document, ...]] = dataclasses.field(
        default_factory=dict
    )
    name: str = ""

    @property
    def title(self) -> str:
        """The method's name as people read it."""
        if self.name:
            return self.name
        name = NAMES[self.method]
        return f"{name}, iteration {self.iteration}" if self.iteration else name

    @property
    def stage(self) -> str:
        """The name of the stage that trained it."""
        return stage_name(self.iteration)

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


def save_examples(
    run: RunDirectory,
    split: str,
    examples: Sequence[Example],
    documents: Sequence[Iterable[Document]],
) -> None:
    """Keeps what a split's outputs are read with: `<split>.jsonl`.

    So results are there without the data that the run was made from.

    Args:
        run: a `RunDirectory`.
        split: such as `"test"`.
        examples: list of `Example`.
        documents: the documents in each prompt; they take the place of the
            profile.
    """
    lines = [
        json.dumps(
            dataclasses.asdict(dataclasses.replace(e, documents=tuple(read)))
        )
        for e, read in zip(examples, documents, strict=True)
    ]
    run.files.write(f"{split}.jsonl", "\n".join([*lines, ""]).encode())


def load_examples(run: RunDirectory, split: str = "test") -> list[Example]:
    """What `save_examples` kept, a list of `Example`; empty where nothing.

    Raises:
        InputError: the file is damaged.
    """
    data = run.files.read(f"{split}.jsonl") or b""
    try:
        return [
            decode(Example, json.loads(line))
            for line in data.decode().split("\n")[:-1]
        ]
    except (ValueError, RecursionError):
        raise InputError(
            f"{run.files.url}/{split}.jsonl is damaged. Run the same command "
            "again: it is written when the run ends."
        ) from None


def load_results(
    run: RunDirectory, split: str = "test"
) -> tuple[list[Example], list[Result]]:
    """The results of a run, read from its directory alone.

    Args:
        run: a `RunDirectory`.
        split: such as `"test"`.

    Returns:
        `(list of Example, list of Result)`; a stage of which outputs or
        scores are missing has no `Result`.

    Raises:
        InputError: files of the run are damaged.
    """
    examples = load_examples(run, split)
    parts = run.noted().get("parts")
    if not examples or not isinstance(parts, dict):
        return examples, []
    reads = {example.id: example.documents for example in examples}
    reasons = parts.get("teacher") is not None
    scores = f"scores-{digest(parts.get('reward'))}"
    results, number = [], 0
    while run.files.exists(f"{stage_name(number)}/{split}"):
        folder = f"{stage_name(number)}/{split}"
        outputs = _outputs(run, f"{folder}/samples", f"{folder}/{scores}")
        if reads.keys() <= outputs.keys():
            method = method_of(reasons, number)
            results.append(Result(method, number, outputs, reads))
        number += 1
    return examples, results


def _outputs(run, samples, scores):
    """`{example id: ScoredSample}` of what is there with its score."""
    with warnings.catch_warnings():
        # What is damaged is missing here, as what was never there.
        warnings.simplefilter("ignore", UserWarning)
        found, judged = (
            [
                record
                for key in shards.keys()
                for record in shards.get(key) or ()
            ]
            for shards in (
                run.shards(samples, Sample),
                run.shards(scores, Score),
            )
        )
    known = {each.example_id for each in judged}
    found = [each for each in found if each.example_id in known]
    return {each.sample.example_id: each for each in joined(found, judged)}


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
