"""Users of the world, the documents that they wrote and their answers."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_restpg.demo.world import vocabulary as words
from keras_restpg.demo.world.facts import Facts
from keras_restpg.records import Document, Example


@dataclasses.dataclass(frozen=True)
class Settings:
    """How noisy the world is.

    Attributes:
        documents: past documents of a user.
        wrong_cue: chance that a cue points to another kind or manner.
        silent: chance that a document shows no manner.
        whim: chance that a telling word of the answer is replaced by any.
        off_day: chance that the answer serves another concern altogether.
        misread_kinds: kinds of people that the teacher takes for another.
        misread: how often it does so.
        false_beliefs: share of (kind, subject) about which the teacher
            believes another concern.
        insight: chance that the teacher, which knows the expected output,
            sees the concern that it serves.
        slip: chance that a bullet of the teacher is just wrong.
    """

    documents: int = 4
    wrong_cue: float = 0.12
    silent: float = 0.25
    whim: float = 0.1
    off_day: float = 0.04
    misread_kinds: int = 3
    misread: float = 0.5
    false_beliefs: float = 0.2
    insight: float = 0.5
    slip: float = 0.03


@dataclasses.dataclass(frozen=True)
class Person:
    """What a user is, shown in documents by cues alone."""

    kind: str
    manner: str


def other(rng: np.random.Generator, names: Iterable[str], name: str) -> str:
    """One of `names` that is not `name`."""
    return str(rng.choice([n for n in names if n != name]))


def draw_person(rng: np.random.Generator) -> Person:
    """A person of any kind and manner."""
    return Person(
        str(rng.choice(list(words.CUES))), str(rng.choice(list(words.MARKS)))
    )


def draw_documents(
    rng: np.random.Generator, person: Person, settings: Settings
) -> list[str]:
    """The texts of a person's past documents."""
    subjects = rng.choice(words.ALL_SUBJECTS, settings.documents, replace=False)
    return [_document(rng, person, settings, s) for s in subjects]


def _document(rng, person, settings, subject):
    cue = _cue(rng, words.CUES, person.kind, settings.wrong_cue)
    mark = _cue(rng, words.MARKS, person.manner, settings.wrong_cue)
    fillers = [str(f) for f in rng.choice(words.FILLERS, 2, replace=False)]
    if rng.random() < settings.silent:
        mark = fillers[1]
    middle = [f"my {cue}", fillers[0], f"the {subject}"]
    parts = [middle[i] for i in rng.permutation(3)]
    opener = rng.choice(words.OPENERS)
    return f"{opener} {' '.join(parts)} , {mark} ."


def _cue(rng, table, name, wrong):
    name = other(rng, table, name) if rng.random() < wrong else name
    return str(rng.choice(table[name]))


def write_answer(
    facts: Facts, task: str, subject: str, concern: str, manner: str
) -> str:
    """What a person without whims writes, four telling words in it."""
    chosen = (
        facts.task_words[concern, task] + facts.manner_words[concern, manner]
    )
    return words.ANSWERS[task].replace("{subject}", subject).format(*chosen)


def draw_answer(
    rng: np.random.Generator,
    facts: Facts,
    settings: Settings,
    task: str,
    subject: str,
    person: Person,
) -> str:
    """What this noisy person writes today."""
    concern = facts.concern[person.kind, subject]
    if rng.random() < settings.off_day:
        concern = other(rng, words.CONCERN_WORDS, concern)
    chosen = (
        facts.task_words[concern, task]
        + facts.manner_words[concern, person.manner]
    )
    chosen = [
        str(rng.choice(words.TELLING)) if rng.random() < settings.whim else w
        for w in chosen
    ]
    return words.ANSWERS[task].replace("{subject}", subject).format(*chosen)


def draw_example(
    rng: np.random.Generator,
    facts: Facts,
    settings: Settings,
    name: str,
    task: str,
) -> tuple[Example, Person, str]:
    """A user with one prompt: `(Example, Person, subject)`."""
    person = draw_person(rng)
    texts = draw_documents(rng, person, settings)
    subject = str(rng.choice(words.TASK_SUBJECTS[task]))
    documents = tuple(Document(t, str(i)) for i, t in enumerate(texts))
    example = Example(
        id=name,
        task=task,
        user=f"user-{name}",
        prompt=words.PROMPTS[task].format(subject=subject),
        expected=draw_answer(rng, facts, settings, task, subject, person),
        documents=documents,
    )
    return example, person, subject
