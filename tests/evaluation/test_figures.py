"""The report's pictures bear any label and any number."""

import math
import warnings

import pytest
from matplotlib import pyplot as plt

from keras_restpg.evaluation import figures

LABELS = [
    "",
    " ",
    "plain",
    "$",
    "$x^{2$",
    "\\$a$ \\frac{$",
    "_left out",
    "a\nb\tc",
    "\x00\x1b\u200f",
    "\ud800",
    "漢字🖋",
    "long " * 100,
    "x" * 500,
]


@pytest.fixture(autouse=True)
def nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    left = plt.get_fignums()
    plt.close("all")
    assert not left


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_any_text_is_a_label(label):
    for png in (
        figures.curves(
            {label: {label: {0: (0.1, 0.0, 0.2)}}},
            "x",
            "y",
            {label: {0: 0.3}},
        )[0],
        figures.reward_histogram({label: {label: 3}}),
        figures.accept_rate({label: {label: 0.5}}),
        figures.lengths({label: [1, 2], f"{label}2": []}),
        figures.losses({label: {1: 2.0, 3: 1.5}}),
        figures.validations({label: {2: 0.5}}),
    ):
        assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "label, drawn",
    [
        ("plain", "plain"),
        ("$x$", "$x$"),
        ("\\$a$", "\\$a$"),
        (" a\n b ", "a b"),
        ("_a", " _a"),
        (" ", "(empty)"),
        ("\ud800", "\ufffd"),
    ],
)
def test_what_is_drawn_of_a_label(label, drawn):
    figure = plt.figure()
    text = figure.text(0, 0, figures._label(label))
    found, is_markup = text._preprocess_math(text.get_text())
    plt.close(figure)
    assert (found, bool(is_markup)) == (drawn, False)


def test_a_long_label_is_cut():
    label = figures._label("word " * 100)
    assert len(label) == 40 and label.endswith("…")


@pytest.mark.parametrize("value", [0.0, 1e14, -1e14, math.nan])
def test_any_number_has_a_picture(value):
    for png in (
        figures.curves({"a": {"b": {1: (value, 0.5, 0.6)}}}, "x", "y")[0],
        figures.losses({"a": {1: value, 2: 0.5}}),
        figures.accept_rate({"a": {"t": value}}),
    ):
        assert png.startswith(b"\x89PNG")


def test_nothing_has_a_picture():
    for draw in (
        figures.reward_histogram,
        figures.accept_rate,
        figures.losses,
        figures.validations,
    ):
        assert draw({}).startswith(b"\x89PNG")


def test_many_curves_and_tasks_fit():
    names = [f"a task of a long name, number {i}" for i in range(12)]
    curves = {name: {1: 1.0} for name in names}
    rates = {name: dict.fromkeys(names, 0.5) for name in names}
    for png in (figures.losses(curves), figures.accept_rate(rates)):
        assert png.startswith(b"\x89PNG")
