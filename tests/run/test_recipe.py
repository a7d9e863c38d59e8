"""Recipes: TOML there and back, and what is refused."""

import dataclasses
import os
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_restpg import decoding
from keras_restpg.errors import InputError
from keras_restpg.run import recipe

fuzz = settings(
    max_examples=int(os.environ.get("KERAS_RESTPG_FUZZ", 100)), deadline=None
)
# Lone surrogates too, which `st.text()` alone leaves out.
TEXT = st.text(st.characters())


def test_defaults_are_the_papers():
    default = recipe.Recipe()
    assert (default.iterations, default.retrieval.k) == (3, 5)
    sampling, training = default.sampling, default.training
    assert (sampling.num_samples, sampling.temperature) == (32, 0.7)
    assert (sampling.max_prompt_tokens, sampling.max_new_tokens) == (5120, 1536)
    optimizer = default.optimizer
    assert (optimizer.learning_rate, optimizer.warmup_steps) == (5e-6, 250)
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


def test_control_characters_are_escaped():
    text = "\x01\t\n\r\x1f\x7f\x85\u2028\\u007f🖋"
    changed = recipe.from_dict({"data": {"folder": text}})
    assert recipe.loads(changed.to_toml().encode(), "here") == changed


MANY = "1" + "0" * 5000


@pytest.mark.parametrize(
    "assignment, message",
    [
        (
            "training.step=1",
            "no 'training.step'. In its place are known: start",
        ),
        ("training.steps=0", "training.steps must be at least 1"),
        ("training.steps=1.5", "training.steps must be of type int"),
        ("training.steps=true", "training.steps must be of type int"),
        ("method=ppo", "method must be one of sft, sft-reasoning"),
        ("selection.tau=nan", "selection.tau must be from 0.0 to 1.0"),
        ("data.tasks=a", "data.tasks must be a list"),
        ("training=1", "training must hold named values"),
        ("seed.x=1", "seed has no settings in it"),
        ("seed", "name=value"),
        ("seed=1\nx=2", "seed must be of type int"),
        (f"seed={MANY}", "seed must be of type int"),
        (f"seed=0x{MANY}", "seed must be from 0 to 4294967295"),
        ("seed=4294967296", "seed must be from 0 to 4294967295"),
        (f"training.steps={2**63}", r"training.steps must be below 2\*\*63"),
        (
            f"optimizer.learning_rate={MANY[:400]}",
            "learning_rate must be a fin",
        ),
        ("reward.timeout=inf", "reward.timeout must be a finite number"),
        ("reward.cutoffs=[0.1, nan]", "reward.cutoffs must be a finite number"),
        ("data.tasks=" + "[" * 100_000, "data.tasks must be a list"),
        ("data.tasks=" + "[" * 99 + "]" * 99, "data.tasks must be of type str"),
        ('data.tasks=["\\u0000"]', "data.tasks must be text without null"),
        ("data.folder=\ud800", "data.folder must be text without null"),
        ("model.head_dim=33", "model.head_dim must be even"),
    ],
)
def test_refused(assignment, message):
    with pytest.raises(InputError, match=message) as caught:
        recipe.Recipe().with_settings([assignment])
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["2024", "1e3", "true", "2024-01-01", "[1]"])
def test_text_that_looks_like_another_value_is_text(text):
    changed = recipe.Recipe().with_settings([f"data.folder={text}"])
    assert changed.data.folder == text


def accepted(cls):
    """A strategy of all that the settings of a class may be."""
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    return st.fixed_dictionaries(
        {field.name: setting(hints[field.name], field) for field in fields}
    )


def setting(hint, field):
    if dataclasses.is_dataclass(hint):
        return accepted(hint)
    rule = field.metadata
    if rule["choices"]:
        return st.sampled_from(rule["choices"])
    if typing.get_origin(hint) is tuple:
        return st.lists(KINDS[typing.get_args(hint)[0]]({}), max_size=3)
    return KINDS[hint](rule)


def integers(rule):
    high = rule.get("high") or 2**63 - 1
    step = 2 if rule.get("even") else 1
    numbers = st.integers(-(-rule["low"] // step), high // step)
    return numbers.map(lambda number: number * step)


KINDS = {
    bool: lambda rule: st.booleans(),
    int: integers,
    str: lambda rule: TEXT.filter(lambda text: decoding._PLAIN.fullmatch(text)),
    float: lambda rule: st.floats(
        rule.get("low"),
        rule.get("high"),
        allow_nan=False,
        allow_infinity=False,
    ),
}


@fuzz
@given(accepted(recipe.Recipe))
def test_all_that_is_accepted_is_read_back_from_toml(tree):
    made = recipe.from_dict(tree)
    assert recipe.loads(made.to_toml().encode(), "here") == made


NAMES = st.sampled_from(
    ["method", "seed", "data", "folder", "tasks", "training", "steps"]
    + ["reward", "timeout", "cutoffs", "model", "head_dim"]
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([10**400, -(10**400)]),
        st.floats(),
        TEXT,
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | TEXT, inner, max_size=3)
    ),
    max_leaves=10,
)


@fuzz
@given(st.dictionaries(NAMES | TEXT, VALUES, max_size=3))
def test_any_tree_is_accepted_or_refused(tree):
    try:
        made = recipe.from_dict(tree)
    except InputError:
        return
    assert recipe.loads(made.to_toml().encode(), "here") == made


@fuzz
@given(NAMES, NAMES, TEXT | st.text("[]{}'\"#\n=.,0123456789einf_x"))
def test_any_assignment_is_accepted_or_refused(section, name, text):
    for assignment in (f"{name}={text}", f"{section}.{name}={text}", text):
        try:
            made = recipe.Recipe().with_settings([assignment])
        except InputError:
            continue
        assert recipe.loads(made.to_toml().encode(), "here") == made


@fuzz
@given(st.binary(max_size=200) | TEXT.map(lambda t: t.encode(errors="replace")))
def test_any_bytes_are_read_or_refused(content):
    try:
        recipe.loads(content, "here")
    except InputError:
        pass
