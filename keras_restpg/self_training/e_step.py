"""The E-step: what a model writes for examples, and what that is worth.

Examples go in the order of their prompts' lengths, in shards of a fixed
number, so that a run which is continued groups its prompts as before and
ends with the same bytes. Scores lie apart from samples, so another reward
needs no new sampling; the two are joined by example and number, never by
their places in files.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from keras_restpg.errors import InputError
from keras_restpg.records import (
    NO_JUDGEMENT,
    Example,
    Sample,
    Score,
    ScoredSample,
)
from keras_restpg.rewards.scoring import score_samples
from keras_restpg.settings import Settings
from keras_restpg.store.shards import parts

if TYPE_CHECKING:
    from keras_restpg.model.engine import Sampling, SamplingEngine
    from keras_restpg.progress import Progress
    from keras_restpg.rewards.reward import RewardLike
    from keras_restpg.settings import Settings
    from keras_restpg.store.shards import Shards

# Samples of a shard, about: what is lost where a run is killed.
SHARD = 2048


@dataclasses.dataclass
class Outputs:
    """Samples of a model for examples, with their rewards.

    Args:
        engine: a `SamplingEngine`.
        examples: list of `Example`.
        prompts: their personalised prompts, aligned with `examples`.
        reward: as for `rewards.scoring.score_samples`.
        reasoning: whether outputs have Figure 8's form.
        settings: a `Settings`: `tau` for the accept rate that progress shows,
            and `max_unjudged`.
        progress: a `Progress`.
    """

    engine: SamplingEngine
    examples: Sequence[Example]
    prompts: Sequence[str]
    reward: RewardLike
    reasoning: bool
    settings: Settings
    progress: Progress

    def __post_init__(self) -> None:
        self._by_id = {example.id: example for example in self.examples}
        # Python sorts stably: equal lengths keep the examples' order.
        pairs = zip(self.examples, self.prompts, strict=True)
        self._order = sorted(pairs, key=lambda pair: len(pair[1]))

    def scored(
        self,
        title: str,
        sampling: Sampling,
        samples: Shards | None = None,
        scores: Shards | None = None,
        load: Callable[[], None] | None = None,
    ) -> list[ScoredSample]:
        """A `ScoredSample` of each sample of each example.

        Args:
            title: what the progress line says.
            sampling: a `model.engine.Sampling`.
            samples: `Shards` that keep the samples; None keeps nothing.
            scores: `Shards` that keep their scores.
            load: called once before anything is sampled: puts the weights
                into the model. Nothing is loaded for what is on disk.

        Returns:
            list of `ScoredSample`, shard after shard.

        Raises:
            InputError: the judge gave no score to more than `max_unjudged` of
                the samples; with one of its replies.
        """
        found, count = [], sampling.num_samples
        size = max(1, SHARD // count)
        total = len(self.examples) * count
        with self.progress.stage(title, total, "samples") as line:
            for key, place in parts(len(self._order), size):
                members = self._order[place]
                wanted = [(e.id, i) for e, _ in members for i in range(count)]
                part = _kept(samples, key, wanted)
                # Scores of samples that are lost are not those of new ones.
                judged = _kept(scores, key, wanted) if part else None
                fresh = not judged
                if not part:
                    if load is not None:
                        load, _ = None, load()
                    part = self._sample(members, sampling)
                    _keep(samples, key, part)
                if not judged:
                    judged = self._score(part)
                    _keep(scores, key, judged)
                found += joined(part, judged)
                accepted = _share(found, self.settings.tau)
                line.advance(len(part), fresh, accepted=accepted)
                if samples is not None:
                    self.progress.saved()
        _check_judged(found, self.settings.max_unjudged, title)
        return found

    def _sample(self, members, sampling):
        rows = self.engine.sample(
            [prompt for _, prompt in members],
            sampling,
            [example.id for example, _ in members],
        )
        return [
            Sample(
                example.id,
                index,
                each.text,
                each.token_ids,
                each.finished,
                float(each.log_prob),
            )
            for (example, _), row in zip(members, rows, strict=True)
            for index, each in enumerate(row)
        ]

    def _score(self, samples):
        asked = [self._by_id[sample.example_id] for sample in samples]
        return score_samples(self.reward, asked, samples, self.reasoning)


def joined(
    samples: Sequence[Sample], scores: Sequence[Score]
) -> list[ScoredSample]:
    """`ScoredSample`s of samples and the scores of the same ones.

    Raises:
        KeyError: a sample without a score.
    """
    by_key = {_key(score): score for score in scores}
    return [ScoredSample(each, by_key[_key(each)]) for each in samples]


def _key(record):
    return record.example_id, record.index


def _kept(shards, key, wanted):
    """The records of a shard where they are those that are wanted.

    Whatever stands in a file, a sample belongs to the example that it names.
    """
    if shards is None or (records := shards.get(key)) is None:
        return None
    by_key = {_key(record): record for record in records}
    if set(by_key) != set(wanted) or len(records) != len(wanted):
        return shards.lost(key, "does not hold the records of this stage")
    return [by_key[each] for each in wanted]


def _keep(shards, key, records):
    if shards is not None:
        shards.put(key, records)


def _share(scored, tau):
    passed = sum(each.score.reward >= tau - 1e-6 for each in scored)
    return passed / max(len(scored), 1)


def _check_judged(scored, limit, title):
    """Refuses to go on with rewards that the judge did not give."""
    missing = [e.score for e in scored if e.score.reason == NO_JUDGEMENT]
    answered = [e for e in scored if e.score.reason in ("", NO_JUDGEMENT)]
    if len(missing) <= limit * len(answered):
        return
    replies = (score.reply for score in missing if score.reply)
    quoted = "".join(
        f" It said: {each!r}." for each in itertools.islice(replies, 1)
    )
    raise InputError(
        f"{title}: the judge gave no score to {len(missing)} of "
        f"{len(answered)} answers.{quoted} Nothing was trained on them. A "
        "judge that thinks before it answers needs more tokens or its "
        "thinking switched off; a base model does not judge: take an "
        "instruction-tuned one. Samples are kept. max_unjudged is the share "
        "that is put up with."
    )
