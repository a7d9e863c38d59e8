"""Samples and scores belong together by what they say, not by their places."""

import json

import pytest

from keras_restpg.errors import InputError
from keras_restpg.model.engine import Generation, Sampling
from keras_restpg.progress import Progress
from keras_restpg.records import NO_JUDGEMENT, Document, Example, Sample, Score
from keras_restpg.rewards.reward import Judgement, Judging
from keras_restpg.self_training.e_step import Outputs
from keras_restpg.settings import Settings
from keras_restpg.store import RunDirectory, Shards
from keras_restpg.store.files import digest


class Engine:
    """Writes the example's name and the sample's number."""

    def sample(self, prompts, sampling, keys):
        return [
            [
                Generation(f"{key} {i}", (i,), True, -1.0)
                for i in range(sampling.num_samples)
            ]
            for key in keys
        ]


class Silent(Judging):
    """A judge that gives no score to some answers."""

    def __init__(self, words):
        self.words = words

    def judge(self, examples, answers):
        return [
            Judgement(0.0, unjudged="<think>")
            if any(word in answer for word in self.words)
            else Judgement(1.0)
            for answer in answers
        ]


def by_name(example, answer):
    """A reward that each (example, sample) has for itself."""
    return (len(example.prompt) * 10 + int(answer.split()[-1])) / 100


def outputs(reward, **settings):
    examples = [
        Example(f"e{i}", "t", "u", "p" * (i + 1), "y", (Document("d"),))
        for i in range(4)
    ]
    prompts = [example.prompt for example in examples]
    settings = Settings(**settings)
    progress = Progress(quiet=True)
    return Outputs(
        Engine(), examples, prompts, reward, False, settings, progress
    )


def kept(run):
    return (
        Shards(run.files, "samples", Sample, "a"),
        Shards(run.files, "scores", Score, "a"),
    )


def rewards(scored):
    return {
        (e.sample.example_id, e.sample.index): (
            e.sample.text,
            round(e.score.reward, 6),
        )
        for e in scored
    }


@pytest.mark.parametrize("name", ["samples", "scores"])
def test_rows_in_another_order_change_nothing(tmp_path, name):
    with RunDirectory(tmp_path).open() as run:
        first = outputs(by_name).scored("x", Sampling(3), *kept(run))
        path = tmp_path / name / "00000.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        data = b"".join(reversed(lines))
        path.write_bytes(data)
        # As somebody who knows how checksums are made would leave it.
        entry = {
            "shard": "00000",
            "sha256": digest(data, name, "a", "00000"),
            "rows": len(lines),
        }
        manifest = tmp_path / name / "manifest.jsonl"
        manifest.write_text(json.dumps(entry) + "\n")
        again = outputs(by_name).scored("x", Sampling(3), *kept(run))
    assert rewards(again) == rewards(first)


def test_a_shard_of_another_stage_is_made_anew(tmp_path):
    with RunDirectory(tmp_path).open() as run:
        first = outputs(by_name).scored("x", Sampling(3), *kept(run))
        others = Shards(run.files, "samples", Sample, "b")
        with pytest.warns(UserWarning, match="not of this stage"):
            again = outputs(by_name).scored(
                "x", Sampling(3), others, kept(run)[1]
            )
    assert rewards(again) == rewards(first)


def test_nothing_is_loaded_for_what_is_on_disk(tmp_path):
    loaded = []
    with RunDirectory(tmp_path).open() as run:
        for _ in range(2):
            outputs(by_name).scored(
                "x", Sampling(2), *kept(run), lambda: loaded.append(1)
            )
    assert loaded == [1]


def test_a_judge_that_gives_no_score_stops_the_run():
    with pytest.raises(InputError, match="no score to 2 of 8") as error:
        outputs(Silent(["e0"])).scored("iteration 1", Sampling(2))
    assert "<think>" in str(error.value)
    scored = outputs(Silent(["e0"]), max_unjudged=0.25).scored("x", Sampling(2))
    reasons = [each.score.reason for each in scored]
    assert reasons.count(NO_JUDGEMENT) == 2
