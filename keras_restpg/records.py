"""The records that pass between the stages.

Plain frozen dataclasses: every stage takes some and returns others, and each
can be written to disk as JSON and read back (`to_json`, `from_json`).
"""

import dataclasses
import functools
import reprlib
import types
import typing

from keras_restpg._types import Json
from keras_restpg.errors import InputError


class _Dataclass(typing.Protocol):
    __dataclass_fields__: typing.ClassVar[dict[str, typing.Any]]


# Any class of records.
Record = typing.TypeVar("Record", bound=_Dataclass)
# What the totals over all tasks are called where numbers stand by task.
ALL = "all"
# The reason of a score where a judge gave none.
NO_JUDGEMENT = "no judgement"


def _within(low, high=None):
    """The metadata of a field whose range `from_json` checks, inclusive."""
    return {"low": low, "high": high}


@dataclasses.dataclass(frozen=True)
class Document:
    """One past document of a user, an item of the profile P.

    Attributes:
        text: the original text, as it goes into prompts.
        id: a name within the profile, for people to read.
        search_text: what retrieval indexes; empty means `text`.
        date: ISO date or timestamp; empty where unknown.
    """

    text: str
    id: str = ""
    search_text: str = ""
    date: str = ""


@dataclasses.dataclass(frozen=True)
class Example:
    """One (x, y, P): a user's prompt, expected output and documents (§2).

    Attributes:
        id: unique in a run.
        task: the task's name; results are reported by task, and `"all"` names
            their totals.
        user: whose documents these are.
        prompt: the instruction x.
        expected: the expected output y.
        documents: the user's profile P.
        query: what retrieval searches for; empty means `prompt`.
        connector: in LongLaMP's own prompts, what stands between documents
            and instruction; empty: the prompt is the paper's.

    Raises:
        InputError: a task of the name `"all"`.
    """

    id: str
    task: str
    user: str
    prompt: str
    expected: str
    documents: tuple[Document, ...]
    query: str = ""
    connector: str = ""

    def __post_init__(self) -> None:
        if self.task == ALL:
            raise InputError(
                f"example {self.id!r}: no task can have the name {ALL!r}, "
                "which names the totals of all tasks. Choose another name."
            )


@dataclasses.dataclass(frozen=True)
class Reasoning:
    """The teacher's summary of a user's style for one example (§3.1).

    Attributes:
        example_id: the example that it explains.
        text: the summary.
        copied: share of the expected output's 5-grams that `text` repeats
            and the documents do not contain, from 0 to 1.
        attempts: how many summaries were generated until this one.
    """

    example_id: str
    text: str
    copied: float = 0.0
    attempts: int = 1


@dataclasses.dataclass(frozen=True)
class Sample:
    """One output that the model generated for an example (E-step).

    Attributes:
        example_id: the example it answers.
        index: its number among the m samples of that example.
        text: the whole output, reasoning included.
        token_ids: its tokens, the end token included where it was reached.
        finished: whether the model ended it; False where it was cut.
        log_prob: log-probability of the tokens under the untempered model.
    """

    example_id: str
    index: int = dataclasses.field(metadata=_within(0))
    text: str
    token_ids: tuple[int, ...]
    finished: bool
    log_prob: float


@dataclasses.dataclass(frozen=True)
class Score:
    """The reward of one sample. Kept apart from it, so that another judge or
    threshold needs no new sampling.

    Attributes:
        example_id: the example of the sample.
        index: the sample's number.
        reward: from 0 to 1.
        reason: why the reward is 0 without a judgement, else empty.
        probabilities: a judge's probability of each score, else None.
        expected_score: a judge's mean score, from 0 to 1, else None.
        reply: where a judge was asked and gave no judgement, why or what it
            said instead; at most 200 characters.
    """

    example_id: str
    index: int = dataclasses.field(metadata=_within(0))
    reward: float = dataclasses.field(metadata=_within(0, 1))
    reason: str = ""
    probabilities: tuple[float, ...] | None = None
    expected_score: float | None = None
    reply: str = ""


@dataclasses.dataclass(frozen=True)
class ScoredSample:
    """A sample beside its score."""

    sample: Sample
    score: Score


@dataclasses.dataclass(frozen=True)
class TrainingExample:
    """A prompt with the outputs to learn for it (M-step).

    Attributes:
        example_id: the example it was made from.
        task: the example's task.
        prompt: the whole personalised prompt.
        outputs: what to generate after the prompt.
        rewards: the weight of each output, as long as `outputs`.
        token_ids: the outputs' tokens where a model sampled them, the token
            that ended one included; empty: the outputs are tokenised.
    """

    example_id: str
    task: str
    prompt: str
    outputs: tuple[str, ...]
    rewards: tuple[float, ...]
    token_ids: tuple[tuple[int, ...], ...] = ()


def to_json(record: _Dataclass) -> dict[str, Json]:
    """A record as a dict of JSON values."""
    return dataclasses.asdict(record)


def from_json(cls: type[Record], values: Json) -> Record:
    """The record of class `cls` that `to_json` made `values` from.

    Raises:
        ValueError: a field is missing, unknown, of the wrong type or out of
            its range; the message names it.
    """
    if not isinstance(values, dict):
        raise ValueError(
            f"{cls.__name__} must be an object. "
            f"Received: {reprlib.repr(values)}"
        )
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {unknown[0]!r}")
    hints = _hints(cls)
    missing = object()
    kwargs = {}
    for name, field in fields.items():
        value = values.get(name, missing)
        if value is missing:
            if field.default is dataclasses.MISSING:
                raise ValueError(f"{cls.__name__} lacks the field {name!r}")
            continue
        where = f"{cls.__name__}.{name}"
        kwargs[name] = _convert(hints[name], value, where)
        _check_range(field.metadata, kwargs[name], where)
    return cls(**kwargs)


_hints = functools.cache(typing.get_type_hints)


def _convert(hint, value, name):
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        inner = next(a for a in typing.get_args(hint) if a is not type(None))
        return _convert(inner, value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(
                f"{name} must be a list. Received: {reprlib.repr(value)}"
            )
        inner = typing.get_args(hint)[0]
        # Samples have thousands of tokens.
        if all(type(item) is inner for item in value):
            return tuple(value)
        return tuple(_convert(inner, item, name) for item in value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_json(hint, value)
    if hint is float and type(value) is int:
        return _as_float(value, name)
    if type(value) is not hint:
        raise ValueError(
            f"{name} must be of type {hint.__name__}. "
            f"Received: {reprlib.repr(value)}"
        )
    return value


def _as_float(value, name):
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"{name} must be a number that a float holds. "
            f"Received: {reprlib.repr(value)}"
        ) from None


def _check_range(rule, value, name):
    if not rule:
        return
    low, high = rule["low"], rule["high"]
    # Written so that NaN is refused too.
    if not value >= low or (high is not None and not value <= high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(
            f"{name} must be {bound}. Received: {reprlib.repr(value)}"
        )
