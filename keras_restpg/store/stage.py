"""A stage of a run: its name, what it depends on, and its place on disk.

A stage is one training of Algorithm 1 (`sft`, `iteration-1`, …) with what led
to it and what came of it. Nobody else spells the names of its folders:

    samples                   m outputs for each training example
    scores-<reward>           their rewards
    weights                   the best weights, and the last
    test/samples, scores-…    outputs for the test examples, and their rewards
    validation/…, shuffled/…  the same of other examples, where asked for

Each folder is claimed for its inputs when it is asked for; where these have
changed, what it held is moved aside and the run says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from keras_restpg._types import Json, Say
from keras_restpg.identity import digest
from keras_restpg.records import Reasoning, Sample, Score

if TYPE_CHECKING:
    from keras_restpg.store import RunDirectory
    from keras_restpg.store.shards import Shards

# Folders of a stage's outputs for examples that it was not trained on.
SPLITS = ("test", "validation", "shuffled")
# The weights of a base that was made for the run.
BASE = "base/base.safetensors"


def stage_name(number: int) -> str:
    """`"sft"` for 0, then `"iteration-1"`, …"""
    return f"iteration-{number}" if number else "sft"


def shard_folders(
    run: RunDirectory, names: Iterable[str]
) -> Iterator[tuple[str, type]]:
    """The folders of shards that a run directory has.

    Args:
        run: a `RunDirectory`.
        names: of the stages that are looked at.

    Yields:
        `(folder, class of its records)`.
    """
    if run.files.names("reasoning"):
        yield "reasoning", Reasoning
    for stage in names:
        for above in (stage, *(f"{stage}/{split}" for split in SPLITS)):
            for name in run.files.names(above):
                if name == "samples":
                    yield f"{above}/{name}", Sample
                elif re.fullmatch(r"scores-[\w-]+", name, re.ASCII):
                    yield f"{above}/{name}", Score


def foreign_folders(
    run: RunDirectory, stages: Mapping[str, Json]
) -> Iterator[str]:
    """The folders that do not belong to a run's stages, whole or not.

    What one folder was computed from names the one before it, from the
    weights that `state.json` speaks of back to the reasoning.

    Args:
        run: a `RunDirectory`.
        stages: `{name: fingerprint}`, of `state.json`.

    Yields:
        Names of folders.
    """
    taught, known = run.inputs("reasoning"), run.inputs("sft/weights")
    if not taught.items() <= known.items():
        yield "reasoning"
    for name, fingerprint in stages.items():
        trained = run.inputs(f"{name}/weights")
        if digest(trained) != fingerprint:
            yield f"{name}/weights"
        for folder, _ in shard_folders(run, [name]):
            if folder != "reasoning" and not _belongs(run, folder, trained):
                yield folder


def _belongs(run, folder, trained):
    """Whether a folder of shards is of the stage that was `trained` so."""
    above, _, last = folder.rpartition("/")
    inputs = run.inputs(folder)
    tested = above.endswith("/test")
    if last != "samples":
        of_samples = run.claimed(f"{above}/samples") == inputs.get("samples")
        return of_samples and last == f"scores-{digest(inputs.get('reward'))}"
    if tested:
        return inputs.get("weights") == digest(trained)
    return digest(inputs) == trained.get("samples")


class Stage:
    """One training, its samples before it and its test after it.

    Args:
        run: a `RunDirectory`.
        name: `"sft"`, then `"iteration-1"`, …
        inputs: what its weights depend on, JSON values by name.
        sampled: what its samples depend on; None where it has none.
        say: called with a sentence where something is computed again.
    """

    def __init__(
        self,
        run: RunDirectory,
        name: str,
        inputs: Mapping[str, Json],
        sampled: Mapping[str, Json] | None = None,
        say: Say = print,
    ) -> None:
        self.run = run
        self.name = name
        self.inputs = inputs
        self.sampled = sampled
        self.say = say

    @property
    def fingerprint(self) -> str:
        """A short text that differs where the weights would."""
        return digest(self.inputs)

    def samples(self) -> Shards[Sample]:
        """The `Shards` of its samples."""
        return self._shards("samples", Sample, self.sampled)

    def scores(self, reward: Json) -> Shards[Score]:
        """The `Shards` of its samples' scores.

        Args:
            reward: the reward's description.
        """
        return self._scores("", reward, self.sampled)

    def outputs(
        self, split: str, inputs: Mapping[str, Json], reward: Json
    ) -> tuple[Shards[Sample], Shards[Score]]:
        """The `Shards` of its outputs for a split, and of their scores.

        Args:
            split: one of `SPLITS`.
            inputs: what they depend on besides the weights, JSON values.
            reward: the reward's description.
        """
        inputs = {"weights": self.fingerprint, **inputs}
        samples = self._shards(f"{split}/samples", Sample, inputs)
        return samples, self._scores(f"{split}/", reward, inputs)

    def claim_weights(self) -> None:
        """Makes the folder of its weights ready for what it depends on."""
        self._claim("weights", self.inputs)

    def weights(self, kind: str, place: str) -> str:
        """The name of a file of weights.

        Args:
            kind: `"best"` or `"last"`.
            place: `"a"` or `"b"`: the free one is written.
        """
        return f"{self.name}/weights/{kind}-{place}.safetensors"

    @property
    def is_selected(self) -> bool:
        """Whether its training data was chosen, so that it may train."""
        return self.run.claimed(f"{self.name}/weights") is not None

    @property
    def has_weights(self) -> bool:
        """Whether the weights on disk are of its present inputs."""
        claimed = self.run.claimed(f"{self.name}/weights")
        return claimed == self.fingerprint

    def _scores(self, where, reward, sampled):
        inputs = {"samples": digest(sampled), "reward": reward}
        return self._shards(f"{where}scores-{digest(reward)}", Score, inputs)

    def _shards(self, folder, cls, inputs):
        self._claim(folder, inputs)
        return self.run.shards(f"{self.name}/{folder}", cls)

    def _claim(self, folder, inputs):
        changed = self.run.claim(f"{self.name}/{folder}", inputs)
        if changed:
            self.say(
                f"{self.name}/{folder}: computed again, as these changed: "
                f"{', '.join(changed)}. What was there is kept beside it."
            )
