"""What everybody in one world knows: who cares for what, and how it is said.

Three tables, drawn from the world's seed. None of their columns tells
anything alone: over all kinds of people every concern about a subject is
equally frequent, and over all subjects every concern of a kind is.
"""

import dataclasses

from keras_restpg.demo.world import vocabulary as words
from keras_restpg.seeds import generator


@dataclasses.dataclass(frozen=True)
class Facts:
    """The tables of one world.

    Attributes:
        concern: (kind, subject) → concern.
        task_words: (concern, task) → two words.
        manner_words: (concern, manner) → two words.
    """

    concern: dict[tuple[str, str], str]
    task_words: dict[tuple[str, str], tuple[str, str]]
    manner_words: dict[tuple[str, str], tuple[str, str]]


def draw_facts(seed: int) -> Facts:
    """The `Facts` of the world with this seed (an integer)."""
    rng = generator(seed, 1)
    task_words, manner_words = {}, {}
    for concern in words.CONCERN_WORDS:
        pool = list(rng.permutation(words.CONCERN_WORDS[concern]))
        task_words |= _pairs(rng, concern, words.TASKS, pool[:4])
        manner_words |= _pairs(rng, concern, words.MARKS, pool[4:])
    return Facts(_concerns(rng), task_words, manner_words)


def _concerns(rng):
    """A Latin rectangle with shuffled rows and columns for every task."""
    kinds, concerns = list(words.CUES), list(words.CONCERN_WORDS)
    table = {}
    for subjects in words.TASK_SUBJECTS.values():
        rows, names = rng.permutation(kinds), rng.permutation(concerns)
        columns = rng.permutation(len(concerns))
        for i, kind in enumerate(rows):
            for subject, column in zip(subjects, columns, strict=False):
                name = names[(i + column) % len(names)]
                table[str(kind), subject] = str(name)
    return table


def _pairs(rng, concern, keys, pool):
    """Neighbours on a ring of four words: wrong keys share a word or none."""
    turn = rng.permutation(len(pool))
    return {
        (concern, key): (str(pool[i]), str(pool[(i + 1) % len(pool)]))
        for key, i in zip(keys, turn, strict=True)
    }
