"""Recipes: TOML there and back, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_restpg import recipe
from keras_restpg.errors import InputError


def test_defaults_are_the_papers():
    default = recipe.Recipe()
    assert (default.iterations, default.retrieval.k) == (3, 5)
    sampling, training = default.sampling, default.training
    assert (sampling.num_samples, sampling.temperature) == (32, 0.7)
    assert (sampling.max_prompt_tokens, sampling.max_new_tokens) == (5120, 1536)
    assert (training.learning_rate, training.warmup_steps) == (5e-6, 250)
    assert (training.steps, training.batch_size) == (10_000, 64)
    assert (default.selection.tau, default.selection.max_per_input) == (1, 10)
    assert default.evaluation.temperature == 0.1


def test_toml_there_and_back(tmp_path):
    changed = recipe.Recipe().with_settings(
        ["method=rest-em", "training.steps=7", 'data.tasks=["a", "b\\"c"]']
    )
    path = tmp_path / "recipe.toml"
    path.write_text(changed.to_toml(), encoding="utf-8")
    assert recipe.load(path) == changed
    assert changed.difference(recipe.Recipe()) == [
        "method",
        "data.tasks",
        "training.steps",
    ]


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("training.step=1", "no setting 'training.step'"),
        ("training.steps=0", "training.steps must be at least 1"),
        ("training.steps=1.5", "training.steps must be of type int"),
        ("training.steps=true", "training.steps must be of type int"),
        ("method=ppo", "method must be one of sft, sft-reasoning"),
        ("selection.tau=nan", "selection.tau must be from 0.0 to 1.0"),
        ("data.tasks=a", "data.tasks must be a list"),
        ("training=1", "training must be a section"),
        ("seed.x=1", "seed has no settings in it"),
        ("seed", "name=value"),
    ],
)
def test_refused(assignment, message):
    with pytest.raises(InputError, match=message):
        recipe.Recipe().with_settings([assignment])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("recipes") / "recipe.toml"
    path.write_bytes(content)
    try:
        recipe.load(path)
    except InputError:
        pass
