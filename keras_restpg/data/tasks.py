"""LongLaMP's tasks: their columns, what is searched, their own prompts."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Task:
    """What tells a task apart and how its documents are searched.

    Attributes:
        fields: fields of a profile item that make its text, in order.
        query: pattern of the input whose first group is the query; empty:
            the whole input is.
        user: columns that name the user, the first that is there.
        date: field of a profile item that dates it; empty: none.
        sentence: the benchmark's template: a document in the prompt.
        connector: the benchmark's template: what stands between the
            documents and the instruction.
    """

    fields: tuple[str, ...]
    sentence: str
    connector: str
    query: str = ""
    user: tuple[str, ...] = ()
    date: str = ""


TASKS = {
    "abstract": Task(
        ("title", "abstract"),
        '"{abstract}" is the abstract for the title "{title}"',
        ". Use the above abstracts as context to understand the style and "
        "language of the user and, ",
        r"\A.*following items:(.*)",
        ("name",),
        "year",
    ),
    "review": Task(
        ("overall", "summary", "description", "reviewText"),
        '"{overall}" is a rating for the product with description '
        '"{description}". "{summary}" is summary for "{reviewText}"',
        ". Following the given patterns ",
        user=("reviewerId",),
    ),
    "topic": Task(
        ("summary", "content"),
        '"{summary}" is a summary for "{content}"',
        ". Following the given patterns, ",
        user=("author",),
    ),
    "email": Task(
        ("text",),
        '"{title}" is the title for "{text}"',
        ". ",
        r":(.*)",
        ("user_id", "id"),
        "date",
    ),
}
