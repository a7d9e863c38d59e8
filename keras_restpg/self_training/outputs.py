"""Samples and their scores for many examples, shard by shard.

Examples go in the order of their prompts' lengths, in shards of a fixed
number, so that a run which is continued groups its prompts as before and
ends with the same bytes. Scores lie apart from samples: another judge needs
no new sampling.
"""

from keras_restpg.records import Sample, Score, ScoredSample
from keras_restpg.rewards.scoring import score_samples

# Samples of a shard, about: what is lost where a run is killed.
SHARD = 2048


class Outputs:
    """What a model writes for examples, and what that is worth.

    Args:
        engine: a `SamplingEngine`.
        examples: list of `Example`.
        prompts: their personalised prompts, aligned with `examples`.
        reward: as for `rewards.scoring.score_samples`.
        reasoning: whether outputs have Figure 8's form.
        progress: a `Progress`.
        run: a `RunDirectory` that keeps the shards; None keeps nothing.
        judge: short text that tells the reward from others; scores of
            another one are left aside.
    """

    def __init__(
        self,
        engine,
        examples,
        prompts,
        reward,
        reasoning,
        progress,
        run=None,
        judge="",
    ):
        self.engine = engine
        self.examples = examples
        self.prompts = prompts
        self.reward = reward
        self.reasoning = reasoning
        self.progress = progress
        self.run = run
        self.judge = judge
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        self._order = order

    def scored(self, title, sampling, folder=None, tau=1.0):
        """A `ScoredSample` of each sample of each example.

        Args:
            title: what the progress line says.
            sampling: a `model.engine.Sampling`.
            folder: of the shards, in the run directory; None keeps nothing.
            tau: the threshold of the accept rate that progress shows.

        Returns:
            list of `ScoredSample`, shard after shard.
        """
        size = max(1, SHARD // sampling.num_samples)
        first = range(0, len(self._order), size)
        shards = [self._order[start : start + size] for start in first]
        samples = self._shards(folder, "samples", Sample)
        judged = self._shards(folder, f"scores-{self.judge}", Score)
        found, accepted = [], 0
        total = len(self.examples) * sampling.num_samples
        with self.progress.stage(title, total, "samples") as line:
            for number, members in enumerate(shards):
                key = f"{number:05d}"
                part = _get(samples, key)
                # Scores of samples that are lost are not those of new ones.
                marks = None if part is None else _get(judged, key)
                fresh = marks is None
                if part is None:
                    part = self._sample(members, sampling)
                    _keep(samples, key, part)
                if fresh:
                    marks = self._score(members, part)
                    _keep(judged, key, marks)
                pairs = zip(part, marks, strict=True)
                found += [ScoredSample(*pair) for pair in pairs]
                accepted += sum(mark.reward >= tau - 1e-6 for mark in marks)
                share = accepted / len(found)
                line.advance(len(part), fresh, accepted=share)
                if folder is not None:
                    self.progress.saved()
        return found

    def _shards(self, folder, name, cls):
        if folder is None or self.run is None:
            return None
        return self.run.shards(f"{folder}/{name}", cls)

    def _sample(self, members, sampling):
        rows = self.engine.sample(
            [self.prompts[i] for i in members],
            sampling,
            [self.examples[i].id for i in members],
        )
        return [
            Sample(
                self.examples[i].id,
                index,
                each.text,
                each.token_ids,
                each.finished,
                float(each.log_prob),
            )
            for i, row in zip(members, rows, strict=True)
            for index, each in enumerate(row)
        ]

    def _score(self, members, samples):
        by_id = {self.examples[i].id: self.examples[i] for i in members}
        asked = [by_id[sample.example_id] for sample in samples]
        return score_samples(self.reward, asked, samples, self.reasoning)


def _get(shards, key):
    return None if shards is None else shards.get(key)


def _keep(shards, key, records):
    if shards is not None:
        shards.put(key, records)
