"""A text as it was found in a file."""

import dataclasses

# Bytes of one text, unpacked: nobody writes longer ones.
LONGEST = 1 << 26


@dataclasses.dataclass(frozen=True)
class Piece:
    """One text of somebody's, and what its file says about it.

    Attributes:
        text: the writer's own words.
        where: file and place in it.
        title: empty where it has none.
        user: whose it is; empty where the file does not say.
        date: as `datetime.isoformat` writes it; empty where unknown.
        why: why it is left out; empty: it is not.
    """

    text: str
    where: str
    title: str = ""
    user: str = ""
    date: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a person wants files to be read.

    Attributes:
        split: `"whole"`, a text file is one text; `"paragraphs"`, each of
            its paragraphs is.
        columns: names of a table's columns by what they hold, such as
            `{"text": "body"}`.
        date_format: as of `strptime`, for dates that could mean two days.
        encoding: of text files; empty: UTF-8, or UTF-16 with its mark.
    """

    split: str = "whole"
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    date_format: str = ""
    encoding: str = ""
