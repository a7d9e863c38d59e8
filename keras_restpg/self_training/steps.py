"""The lines of Algorithm 1 over real examples, each kept in the run directory.

`algorithm.algorithm_1` calls these in its order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from keras_restpg._types import Json
from keras_restpg.errors import InputError
from keras_restpg.model.engine import Sampling
from keras_restpg.records import (
    ALL,
    Document,
    Reasoning,
    ScoredSample,
    TrainingExample,
)
from keras_restpg.self_training import examples as training_data
from keras_restpg.self_training.diagnostics import diagnose
from keras_restpg.self_training.e_step import Outputs
from keras_restpg.settings import Settings
from keras_restpg.store.run_directory import RunDirectory
from keras_restpg.store.shards import parts
from keras_restpg.store.stage import Stage

if TYPE_CHECKING:
    from keras_restpg.reasoning.teacher import Teacher
    from keras_restpg.self_training.e_step import Outputs
    from keras_restpg.settings import Settings
    from keras_restpg.store import RunDirectory
    from keras_restpg.store.stage import Stage

# Examples whose reasoning makes a shard.
_TAUGHT = 64


@dataclasses.dataclass
class Steps:
    """Reasoning, supervised data, sampling and what is learned from it.

    Args:
        outputs: the training examples' `Outputs`, with reward and engine.
        documents: their retrieved documents.
        teacher: a `reasoning.Teacher`, a list of `Reasoning`, or None for
            the methods without reasoning.
        settings: a `Settings`.
        run: a `RunDirectory`.
        stages: list of `Stage`.
        taught: what the reasoning depends on, JSON values.
        reward: the reward's description.
        load: called with a `Stage`: puts its best weights into the model.
    """

    outputs: Outputs
    documents: Sequence[Sequence[Document]]
    teacher: Teacher | list[Reasoning] | None
    settings: Settings
    run: RunDirectory
    stages: Sequence[Stage]
    taught: Mapping[str, Json]
    reward: Json
    load: Callable[[Stage], None]

    def reasoning(self) -> list[Reasoning] | None:
        """Lines 1 to 3: list of `Reasoning`, or None."""
        teacher = self.teacher
        if teacher is None or isinstance(teacher, list):
            return teacher
        examples = self.outputs.examples
        if self.run.claim("reasoning", self.taught):
            self.stages[0].say(
                "reasoning: computed again, as examples, retriever or teacher "
                "changed. What was there is kept beside it."
            )
        shards = self.run.shards("reasoning", Reasoning)
        found = []
        progress = self.outputs.progress
        with progress.stage("reasoning", len(examples), "examples") as line:
            for key, part in parts(len(examples), _TAUGHT):
                made = self._known(shards, key, examples[part])
                fresh = made is None
                if made is None:
                    made = self._explain(teacher, shards, key, part)
                found += made
                count = len(examples[part])
                line.advance(count, fresh, explained=len(found))
                progress.saved()
        return found

    def _known(self, shards, key, examples):
        """The reasoning of a shard, which is of these examples alone."""
        made = shards.get(key)
        ids = {example.id for example in examples}
        if made is not None and not {r.example_id for r in made} <= ids:
            return shards.lost(key, "does not hold the records of this stage")
        return made

    def _explain(self, teacher, shards, key, part):
        made, report = teacher.explain(
            self.outputs.examples[part], self.documents[part]
        )
        shards.put(key, made)
        report = dataclasses.asdict(report)
        line = {"kind": "reasoning", "shard": key, **report}
        self.run.log("metrics.jsonl", line)
        return made

    def supervised(
        self, reasoning: list[Reasoning] | None
    ) -> list[TrainingExample]:
        """Lines 4 and 5: what is learned first."""
        self.stages[0].claim_weights()
        data = training_data.supervised(
            self.outputs.examples, self.outputs.prompts, reasoning
        )
        if not data:
            raise InputError(
                "No example has reasoning: the teacher's summaries were all "
                "refused. See metrics.jsonl for the counts, and raise "
                "reasoning.max_copied, reasoning.max_prompt_tokens or "
                "reasoning.attempts."
            )
        return data

    def sample(self, t: int) -> list[ScoredSample]:
        """Lines 8 and 9: m outputs for each input, with their rewards."""
        settings, stage = self.settings, self.stages[t]
        return self.outputs.scored(
            f"iteration {t}: sampling",
            Sampling(
                settings.num_samples,
                settings.temperature,
                settings.top_p,
                seed=f"{settings.seed}/{t}",
            ),
            stage.samples(),
            stage.scores(self.reward),
            lambda: self.load(self.stages[t - 1]),
        )

    def note(
        self,
        t: int,
        scored: Sequence[ScoredSample],
        kept: Sequence[ScoredSample],
        tau: float,
    ) -> None:
        """Notes what an iteration sampled and kept.

        Raises:
            InputError: nothing is kept; with the rewards' histogram and
                advice.
        """
        tasks = {example.id: example.task for example in self.outputs.examples}
        asked = self.settings.tau
        found = diagnose(scored, kept, tasks, tau, asked)
        if not kept:
            raise InputError(_nothing(found[ALL], f"Iteration {t}"))
        if tau < asked:
            self.stages[t].say(
                f"iteration {t}: no sample reaches {asked}; the threshold was "
                f"lowered to {tau} (on_empty = 'lower_tau')."
            )
        self.stages[t].claim_weights()
        self.run.log(
            "metrics.jsonl",
            {
                "kind": "expectation",
                "iteration": t,
                "tasks": {n: dataclasses.asdict(d) for n, d in found.items()},
            },
        )

    def rewarded(self, kept: Sequence[ScoredSample]) -> list[TrainingExample]:
        """What is learned from kept samples."""
        return training_data.rewarded(
            self.outputs.examples, self.outputs.prompts, kept
        )


def _nothing(found, name):
    histogram = ", ".join(
        f"{reward}: {count}" for reward, count in found.histogram.items()
    )
    why = f" {found.why}" if found.why else ""
    return (
        f"{name}: none of {found.samples} samples reaches the threshold "
        f"{found.asked_tau}. Samples by reward: {histogram}; without an answer "
        f"{found.unparsable}, cut {found.unfinished}, without a judgement "
        f"{found.unjudged}.{why} The samples are kept: lower selection.tau, "
        "set selection.on_empty to 'lower_tau', or train the first model "
        "longer (training.steps), and run again."
    )
