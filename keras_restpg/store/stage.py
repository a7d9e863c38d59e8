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
                elif name.startswith("scores-"):
                    yield f"{above}/{name}", Score


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
