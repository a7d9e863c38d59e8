"""Reasoning in bullets: what is true of a user, and what a teacher guesses.

The teacher stands for a 7B model that explains users' texts: it reads the
documents as they are (wrong cues mislead it), takes some kinds of people for
others again and again, holds some false beliefs about who cares for what,
and slips at times. Its mistakes are mostly systematic, so a model trained on
its words learns them.
"""

import dataclasses
import re
from collections import Counter

from keras_restpg.data.world import vocabulary as words
from keras_restpg.data.world.people import generator, other

_KIND_OF = {cue: kind for kind, cues in words.CUES.items() for cue in cues}
_MANNER_OF = {mark: m for m, marks in words.MARKS.items() for mark in marks}
_BULLETS = re.compile(
    r"- seems a (\w+)\n- for a (\w+) the (\w+) means (\w+)\n- (\w+) tone"
)


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A reasoning taken apart; None where a bullet is missing."""

    kind: str | None
    concern: str | None
    manner: str | None


def write_bullets(kind, subject, concern, manner):
    """The reasoning in the world's words, one step of inference a bullet."""
    return (
        f"- seems a {kind}\n- for a {kind} the {subject} means {concern}\n"
        f"- {manner} tone"
    )


def read_bullets(text):
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

    def __init__(self, seed, facts, settings):
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

    def explain(self, key, texts, subject, seed=0):
        """A guess at one example.

        Args:
            key: an integer that tells examples apart.
            texts: the documents that the teacher sees.
            subject: what the prompt is about.
            seed: another seed gives another attempt.
        """
        rng = generator(self._seed, 3, seed, key)
        kind = self._guess(rng, texts, _KIND_OF)
        if kind in self._mistaken and rng.random() < self._settings.misread:
            kind = self._mistaken[kind]
        known = self._facts.concern[kind, subject]
        concern = self._beliefs.get((kind, subject), known)
        if rng.random() < self._settings.slip:
            concern = other(rng, words.CONCERN_WORDS, concern)
        manner = self._guess(rng, texts, _MANNER_OF)
        return write_bullets(kind, subject, concern, manner)

    def _guess(self, rng, texts, kind_of):
        """What most cues point to; ties and slips at random."""
        found = re.findall(r"\w+", " ".join(texts))
        counts = Counter(kind_of[w] for w in found if w in kind_of)
        names = sorted(set(kind_of.values()))
        best = max(counts.values(), default=0)
        guess = str(rng.choice([n for n in names if counts[n] == best]))
        slips = rng.random() < self._settings.slip
        return other(rng, names, guess) if slips else guess
