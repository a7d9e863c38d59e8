"""The records that pass between the stages.

Plain frozen dataclasses: every stage takes some and returns others, and each
can be written to disk as JSON and read back (`dataclasses.asdict`,
`decoding.decode`).
"""

import dataclasses
import typing

from keras_restpg.decoding import rules
from keras_restpg.errors import InputError
from keras_restpg.tables import as_html


class _Dataclass(typing.Protocol):
    __dataclass_fields__: typing.ClassVar[dict[str, typing.Any]]


# Any class of records.
Record = typing.TypeVar("Record", bound=_Dataclass)
# What the totals over all tasks are called where numbers stand by task.
ALL = "all"
# The reason of a score where a judge gave none.
NO_JUDGEMENT = "no judgement"


@dataclasses.dataclass(frozen=True)
class Document:
    """One past document of a user, an item of the profile P.

    Attributes:
        text: the original text, as it goes into prompts.
        id: a name within the profile, for people to read.
        search_text: what retrieval indexes; empty means `text`.
        date: when it was written, in any form that `data.dates.parse` reads;
            empty where unknown.
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

    def _repr_html_(self) -> str:
        rows = [["example", self.id], ["task", self.task], ["user", self.user]]
        rows += [["document", document.text] for document in self.documents]
        rows += [["prompt", self.prompt], ["expected", self.expected]]
        return as_html(rows)


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
    index: int = dataclasses.field(metadata=rules(low=0))
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
    index: int = dataclasses.field(metadata=rules(low=0))
    reward: float = dataclasses.field(metadata=rules(low=0, high=1))
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
