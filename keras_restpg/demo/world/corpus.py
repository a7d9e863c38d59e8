"""Texts on which the demo's base model is trained from scratch.

They hold what a pretrained model brings along: who cares for what, which
words go with a concern in a manner, which kind of person writes of toddlers,
and what an explanation looks like. Each text states single steps; none goes
from documents to an answer. Their people are drawn apart from the users of
all splits.
"""

import numpy as np

from keras_restpg.demo.world import people
from keras_restpg.demo.world import vocabulary as words
from keras_restpg.demo.world.bullets import write_bullets
from keras_restpg.demo.world.facts import Facts
from keras_restpg.demo.world.people import Settings

SEPARATOR = "|"


def corpus_text(
    rng: np.random.Generator, facts: Facts, settings: Settings, template: str
) -> str:
    """One text of about 60 words: a reading, some facts, or explanations.

    Args:
        rng: NumPy generator.
        facts: the world's `Facts`.
        settings: the world's `Settings`.
        template: of an explanation, with `{reasoning}` and `{answer}`.
    """
    kind = rng.random()
    if kind < 0.35:
        return _reading(rng, settings)
    if kind < 0.65:
        return _explanation(rng, facts, template)
    parts = []
    for _ in range(3):
        parts += [_belief(rng, facts), _saying(rng, facts)]
    return " ".join(parts)


def _reading(rng, settings):
    person = people.draw_person(rng)
    texts = people.draw_documents(rng, person, settings)
    return (
        f"{SEPARATOR.join(texts)} this seems a {person.kind} "
        f"with {person.manner} tone ."
    )


def _belief(rng, facts):
    kind, subject = list(facts.concern)[rng.integers(len(facts.concern))]
    return f"for a {kind} the {subject} means {facts.concern[kind, subject]} ."


def _saying(rng, facts):
    concern = str(rng.choice(list(words.CONCERN_WORDS)))
    manner = str(rng.choice(list(words.MARKS)))
    task = str(rng.choice(words.TASKS))
    subject = str(rng.choice(words.TASK_SUBJECTS[task]))
    text = people.write_answer(facts, task, subject, concern, manner)
    return f"{concern} in {manner} tone : {text}"


def _explanation(rng, facts, template):
    """Reasoning about some person, whose documents are not there."""
    person = people.draw_person(rng)
    task = str(rng.choice(words.TASKS))
    subject = str(rng.choice(words.TASK_SUBJECTS[task]))
    concern = facts.concern[person.kind, subject]
    reasoning = write_bullets(person.kind, subject, concern, person.manner)
    answer = people.write_answer(facts, task, subject, concern, person.manner)
    return template.replace("{reasoning}", reasoning).replace(
        "{answer}", answer
    )
