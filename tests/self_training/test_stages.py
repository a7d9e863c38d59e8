"""What a change of one part, alone, has done again."""

import dataclasses

import pytest

from keras_restpg.self_training.stages import (
    Parts,
    reasoning_inputs,
    stages,
)
from keras_restpg.self_training.stages import test_inputs as inputs_of_test
from keras_restpg.settings import Settings
from keras_restpg.store import RunDirectory

PARTS = Parts(
    examples="e",
    validation="v",
    retriever="bm25",
    teacher="teacher",
    reward="judge",
    generator="gemma",
    optimizer="adam",
    loss="tokens",
)
SETTINGS = Settings(iterations=2)
SFT = ["sft", "samples 1", "scores 1", "iteration-1"]
SFT += ["samples 2", "scores 2", "iteration-2"]
ALL = ["reasoning", *SFT]


def computed(run, parts, settings):
    """The fingerprint of everything that a run computes."""
    found = {"reasoning": reasoning_inputs(parts, settings)}
    for number, stage in enumerate(stages(run, parts, settings, print)):
        if number:
            found[f"samples {number}"] = stage.sampled
            found[f"scores {number}"] = [stage.sampled, parts.reward]
        found[stage.name] = stage.fingerprint
    return found


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"examples": "x"}, ALL),
        ({"retriever": "none"}, ALL),
        ({"teacher": "x"}, ALL),
        ({"k": 3}, ALL),
        ({"generator": "x"}, SFT),
        ({"optimizer": "sgd"}, SFT),
        ({"loss": "weight"}, SFT),
        ({"validation": "x"}, SFT),
        ({"steps": 7}, SFT),
        ({"batch_size": 7}, SFT),
        ({"micro_batch_tokens": 700}, SFT),
        ({"save_every": 7}, SFT),
        ({"validate_every": 7}, SFT),
        ({"max_prompt_tokens": 700}, SFT),
        ({"max_new_tokens": 700}, SFT),
        ({"seed": 7}, SFT),
        ({"inference_temperature": 0.3}, SFT),
        ({"num_samples": 7}, SFT[1:]),
        ({"temperature": 0.3}, SFT[1:]),
        ({"reward": "rouge"}, [*SFT[2:]]),
        ({"tau": 0.5}, SFT[3:]),
        ({"max_per_input": 3}, SFT[3:]),
        ({"on_empty": "lower_tau"}, SFT[3:]),
        ({"start": "sft"}, SFT[3:]),
        ({"memory_mib": 700}, []),
        ({"max_skipped": 7}, []),
        ({"max_unjudged": 0.5}, []),
        ({"iterations": 5}, []),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_change_redoes_what_depends_on_it(tmp_path, change, again):
    run = RunDirectory(tmp_path)
    names = {field.name for field in dataclasses.fields(Parts)}
    parts = {k: v for k, v in change.items() if k in names}
    settings = {k: v for k, v in change.items() if k not in names}
    before = computed(run, PARTS, SETTINGS)
    after = computed(
        run,
        dataclasses.replace(PARTS, **parts),
        dataclasses.replace(SETTINGS, **settings),
    )
    assert [name for name in before if before[name] != after[name]] == again


def test_a_run_says_what_is_computed_again_and_why(tmp_path):
    said = []
    with RunDirectory(tmp_path).open() as run:
        for parts in (PARTS, dataclasses.replace(PARTS, optimizer="sgd")):
            sft, first, _ = stages(run, parts, SETTINGS, said.append)
            sft.claim_weights()
            run.files.write(sft.weights("best", "a"), b"1")
            first.samples()
    assert said == [
        "sft/weights: computed again, as these changed: optimizer. What was "
        "there is kept beside it.",
        "iteration-1/samples: computed again, as these changed: weights "
        "before. What was there is kept beside it.",
    ]


def test_a_test_depends_on_its_examples():
    one = inputs_of_test([], SETTINGS)
    other = dataclasses.replace(SETTINGS, inference_temperature=0.5)
    assert one == inputs_of_test([], SETTINGS) != inputs_of_test([], other)
