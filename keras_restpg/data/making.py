"""From people's own writing to the three files of a data set."""

import dataclasses
import json
import os
import pathlib
import warnings

from keras_restpg.data.longlamp import SPLITS
from keras_restpg.data.own import hold_out, split_by_time, split_by_user
from keras_restpg.data.writing import Writing
from keras_restpg.errors import InputError
from keras_restpg.records import Example
from keras_restpg.tables import as_text

# From so many users on, those who are tested are others than those who train.
ENOUGH_USERS = 10
WAYS = ("auto", "user", "time")


@dataclasses.dataclass(frozen=True)
class Made:
    """What `make_splits` made.

    Attributes:
        splits: `{"train", "val", "test"}` to lists of `Example`.
        way: `"user"`, no user in two splits; `"time"`, each user's newest
            texts are for testing.
    """

    splits: dict[str, list[Example]]
    way: str

    def table(self) -> str:
        """Sizes of the splits, and an example, as text."""
        rows = [["split", "examples", "users", "words", "past texts"]]
        for name, examples in self.splits.items():
            rows.append(
                [
                    name,
                    str(len(examples)),
                    str(len({each.user for each in examples})),
                    _mean(len(each.expected.split()) for each in examples),
                    _mean(len(each.documents) for each in examples),
                ]
            )
        first = next(each for part in self.splits.values() for each in part)
        return "\n".join(
            [
                as_text(rows),
                f"Split by {self.way}. The first prompt:",
                f"  {first.prompt}",
            ]
        )

    def warnings(self) -> list[str]:
        """A sentence for each split that is empty."""
        needed = {
            "user": "3 users are needed for three splits, 10 or more are "
            "better",
            "time": "3 texts that are worth an example are needed of somebody",
        }
        return [
            f"{name} is empty: {needed[self.way]}."
            for name, examples in self.splits.items()
            if not examples
        ]


def make_splits(
    writing: Writing,
    task: str = "own",
    way: str = "auto",
    words: int = 20,
    past: int = 64,
    seed: int = 0,
) -> Made:
    """Examples of all texts that are worth one, in three splits.

    Args:
        writing: of `load_writing`.
        task: the task's name.
        way: `"user"` or `"time"`, as of `Made`; `"auto"`: by user where
            there are at least 10.
        words: words that a text needs to be worth an example.
        past: the most texts of a profile.
        seed: of the draw of users.

    Raises:
        InputError: nobody has two texts of which the later has as many words.
    """
    examples = hold_out(
        writing.users, writing.prompt, task, most=0, words=words, past=past
    )
    if not examples:
        raise InputError(
            "There is nothing to learn from: a person needs at least two "
            f"texts, of which a later one has {words} words or more."
        )
    users = {example.user for example in examples}
    if way == "auto":
        way = "user" if len(users) >= ENOUGH_USERS else "time"
    with warnings.catch_warnings():
        # `Made.warnings` tells of empty splits.
        warnings.simplefilter("ignore", UserWarning)
        if way == "user":
            return Made(split_by_user(examples, seed=seed), way)
        return Made(split_by_time(examples), way)


def write_examples(
    splits: dict[str, list[Example]], folder: str | os.PathLike
) -> list[pathlib.Path]:
    """Writes splits as `<task>_<split>.jsonl`, which `load_folder` reads.

    Args:
        splits: `{"train", "val", "test"}` to lists of `Example`.
        folder: made where it is missing.

    Returns:
        The files' paths; none for an empty split.

    Raises:
        InputError: one of the files is there already, or none can be written.
    """
    folder = pathlib.Path(folder).expanduser()
    parts = {}
    for split in SPLITS:
        for example in splits.get(split, ()):
            path = folder / f"{example.task}_{split}.jsonl"
            parts.setdefault(path, []).append(example)
    for path in parts:
        if path.exists():
            raise InputError(f"{path} is there already. Give another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, examples in parts.items():
            with open(path, "x", encoding="utf-8") as file:
                file.writelines(json.dumps(_row(e)) + "\n" for e in examples)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}.") from None
    return list(parts)


def _row(example):
    """An example in the columns of LongLaMP's mails."""
    return {
        "id": example.id,
        "user_id": example.user,
        "input": example.prompt,
        "output": example.expected,
        "profile": [
            {"id": each.id, "text": each.text, "date": each.date}
            for each in example.documents
        ],
    }


def _mean(numbers):
    numbers = list(numbers)
    return f"{sum(numbers) / len(numbers):.1f}" if numbers else "-"
