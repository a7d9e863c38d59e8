"""Reasoning in bullets: what is true of a user, and what a teacher guesses.

The teacher stands for a 7B model that explains users' texts: it reads the
documents as they are (wrong cues mislead it), takes some kinds of people for
others again and again, holds some false beliefs about who cares for what,
sees only at times what the expected output tells, and slips. Its mistakes are
mostly systematic, so a model trained on its words learns them.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence

from keras_restpg.demo.world import vocabulary as words
from keras_restpg.demo.world.facts import Facts
from keras_restpg.demo.world.people import Settings, other
from keras_restpg.seeds import generator


def _name_of(table):
    """From each word of a table to the name whose word it is."""
    return {word: name for name, pool in table.items() for word in pool}


_KIND_OF = _name_of(words.CUES)
_MANNER_OF = _name_of(words.MARKS)
_CONCERN_OF = _name_of(words.CONCERN_WORDS)
_BULLETS = re.compile(
    r"- seems a (\w+)\n- for a (\w+) the (\w+) means (\w+)\n- (\w+) tone"
)


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A reasoning taken apart; None where a bullet is missing."""

    kind: str | None
    concern: str | None
    manner: str | None


def write_bullets(kind: str, subject: str, concern: str, manner: str) -> str:
    """The reasoning in the world's words, one step of inference a bullet."""
    return (
        f"- seems a {kind}\n- for a {kind} the {subject} means {concern}\n"
        f"- {manner} tone"
    )


def read_bullets(text: str) -> Bullets:
    """The `Bullets` in a reasoning."""
    kind = re.search(r"- seems a (\w+)", text)
    concern = re.search(r" means (\w+)", text)
    manner = re.search(r"- (\w+) tone", text)
    return Bullets(*(m and m.group(1) for m in (kind, concern, manner)))


class Teacher:
    """Guesses the reasoning behind users' texts, imperfectly.

    Args:
        seed: the world's seed; it fixes the systematic mistakes.
        facts: the world's `Facts`.
        settings: the world's `Settings`.
    """

    def __init__(self, seed: int, facts: Facts, settings: Settings) -> None:
        rng = generator(seed, 2)
        self._facts, self._settings = facts, settings
        kinds = [str(k) for k in rng.permutation(list(words.CUES))]
        taken = kinds[: settings.misread_kinds]
        self._mistaken = {k: other(rng, words.CUES, k) for k in taken}
        self._beliefs = {
            key: other(rng, words.CONCERN_WORDS, concern)
            for key, concern in facts.concern.items()
            if rng.random() < settings.false_beliefs
        }
        self._seed = seed

    def explain(
        self,
        key: int,
        texts: Sequence[str],
        subject: str,
        expected: str,
        seed: int = 0,
    ) -> str:
        """A guess at one example.

        Args:
            key: an integer that tells examples apart.
            texts: the documents that the teacher sees.
            subject: what the prompt is about.
            expected: what the user wrote.
            seed: another seed gives another attempt.
        """
        rng = generator(self._seed, 3, seed, key)
        kind = self._guess(rng, texts, _KIND_OF)
        if kind in self._mistaken and rng.random() < self._settings.misread:
            kind = self._mistaken[kind]
        known = self._facts.concern[kind, subject]
        concern = self._beliefs.get((kind, subject), known)
        if rng.random() < self._settings.insight:
            concern = _most(expected, _CONCERN_OF)[0]
        if rng.random() < self._settings.slip:
            concern = other(rng, words.CONCERN_WORDS, concern)
        manner = self._guess(rng, texts, _MANNER_OF)
        return write_bullets(kind, subject, concern, manner)

    def _guess(self, rng, texts, kind_of):
        """What most cues point to; ties and slips at random."""
        guess = str(rng.choice(_most(" ".join(texts), kind_of)))
        slips = rng.random() < self._settings.slip
        names = sorted(set(kind_of.values()))
        return other(rng, names, guess) if slips else guess


def _most(text, name_of):
    """The names that most words of a text stand for; all where none does."""
    names = sorted(set(name_of.values()))
    found = re.findall(r"\w+", text)
    counts = Counter(name_of[word] for word in found if word in name_of)
    best = max(counts.values(), default=0)
    return [name for name in names if counts[name] == best]
