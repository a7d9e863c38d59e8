"""What must not reach a model: copies of the target, addresses and numbers."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence

from keras_restpg.data.words import ngrams, words
from keras_restpg.records import Example

# Possessive, and only from where a run begins: linear in the text's length.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+")
# What stands between a number's groups, never a line's end.
_SIGN = r"[ \xa0\u2009\u202f./()\u2010-\u2015\u2212-]"
# Years, prices, dates, pages and lists of numbers are digits too: what counts
# is a country's code, an area's in brackets or with a 0, or America's 3-3-4.
_PHONE = re.compile(
    rf"""
    (?<![\w+])(?<!\d[.,/-])
    (?:
        # +44 (0)20 7946 0018, +442079460018, 0044 20 7946 0018
        (?:\+|00)[1-9](?:{_SIGN}{{0,2}}\d){{6,14}}
        # (020) 7946 0018
      | \(0\d{{1,4}}\)(?:{_SIGN}?\d){{5,9}}
        # 020 7946 0018, but not 01.02.2020 10
      | (?!\d\d?[./-]\d\d?[./-]\d{{4}}(?!\d))0\d(?:{_SIGN}?\d){{7,9}}
        # (555) 123-4567, 1-555-123-4567, but not 150 250 350 4500
      | (?!(?<=\d[ ])\d{{3}}[ ])(?:1{_SIGN})?
        (?:\(\d{{3}}\){_SIGN}?|[2-9]\d\d{_SIGN})\d{{3}}{_SIGN}\d{{4}}
    )
    (?![^\Wx])(?![./-]\d)  # 555-123-4567x89 has an extension.
    """,
    re.VERBOSE,
)


def drop_near_copies(
    examples: Sequence[Example], limit: float = 0.5
) -> tuple[list[Example], int]:
    """Takes documents that nearly repeat the expected output out of profiles.

    Where the target stands in its own profile, a model learns to copy.

    Args:
        examples: list of `Example`.
        limit: the largest share of the target's distinct 5-grams of words
            that a document may contain; a target of fewer words counts
            whole. The same text is always taken out.

    Returns:
        `(examples, count)`: those that still have documents, and how many
        documents were taken out.
    """
    kept, dropped = [], 0
    for example in examples:
        repeats = _repeats(example.expected, limit)
        documents = tuple(d for d in example.documents if not repeats(d.text))
        dropped += len(example.documents) - len(documents)
        if documents:
            kept.append(dataclasses.replace(example, documents=documents))
    return kept, dropped


def _repeats(target, limit):
    """Whether a text repeats `target`, as a function."""
    tokens = words(target)
    n = min(5, len(tokens))
    wanted = ngrams(tokens, n) if n else set()

    def repeats(text):
        if text.strip() == target.strip():
            return True
        if not wanted:
            return False
        return len(wanted & ngrams(words(text), n)) > limit * len(wanted)

    return repeats


def scrub(examples: Sequence[Example]) -> list[Example]:
    """The examples with e-mail addresses and phone numbers replaced.

    They become `<email>` and `<phone>` in prompts, outputs and documents.
    In ids and users' names an address becomes `email-` and twelve letters of
    its SHA-256, so that two users stay two. Phone numbers are known by a
    country's code, an area's code in brackets or with a 0, or groups of 3, 3
    and 4 digits; others stay.
    """
    return [
        dataclasses.replace(
            example,
            id=_renamed(example.id),
            user=_renamed(example.user),
            prompt=_scrubbed(example.prompt),
            expected=_scrubbed(example.expected),
            query=_scrubbed(example.query),
            documents=tuple(
                dataclasses.replace(
                    document,
                    id=_renamed(document.id),
                    text=_scrubbed(document.text),
                    search_text=_scrubbed(document.search_text),
                )
                for document in example.documents
            ),
        )
        for example in examples
    ]


def _scrubbed(text):
    return _PHONE.sub("<phone>", _EMAIL.sub("<email>", text))


def _renamed(name):
    return _EMAIL.sub(_hashed, name)


def _hashed(match):
    data = match.group().encode("utf-8", "surrogatepass")
    return f"email-{hashlib.sha256(data).hexdigest()[:12]}"
