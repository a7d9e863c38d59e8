"""Answers of every quality with their scores, to train and test a judge on."""

import re

import numpy as np

from keras_restpg.demo.world import people
from keras_restpg.demo.world import vocabulary as words
from keras_restpg.demo.world.facts import Facts
from keras_restpg.records import Example


def draw_answer(
    rng: np.random.Generator, facts: Facts, example: Example, subject: str
) -> str:
    """An answer that may be right, wrong or anything between.

    Most of them are the user's own text with some telling words replaced,
    the others are what some person would write about the same.

    Args:
        rng: a NumPy generator.
        facts: the world's `Facts`.
        example: the `Example` to answer.
        subject: what its prompt is about.
    """
    if rng.random() < 0.75:
        return _changed(rng, example.expected)
    person = people.draw_person(rng)
    concern = facts.concern[person.kind, subject]
    return people.write_answer(
        facts, example.task, subject, concern, person.manner
    )


def _changed(rng, text):
    """`text` with a chance, itself drawn, that each telling word is another."""
    chance = rng.random()

    def other(match):
        word = match.group()
        if word in words.TELLING and rng.random() < chance:
            return str(rng.choice(words.TELLING))
        return word

    return re.sub(r"[a-z]+", other, text)
