"""From examples to what the model reads and learns to write (Figure 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_restpg import prompts
from keras_restpg.records import (
    Document,
    Example,
    Reasoning,
    ScoredSample,
    TrainingExample,
)
from keras_restpg.self_training import selection

if TYPE_CHECKING:
    from keras_restpg.model.text import Codec
    from keras_restpg.retrieval.retriever import Retriever


def personalize(
    examples: Sequence[Example],
    documents: Sequence[Sequence[Document]],
    reasoning: bool,
    max_tokens: int,
    codec: Codec,
) -> list[str]:
    """The personalised prompt of each example.

    Args:
        examples: list of `Example`.
        documents: their retrieved documents, a list of tuples of `Document`.
        reasoning: whether the model is asked to summarise first.
        max_tokens: the longest prompt, `<bos>` included.
        codec: counts tokens; has `encode_prompt`.

    Raises:
        InputError: an instruction alone is too long.
    """

    def count(text):
        return len(codec.encode_prompt(text))

    return [
        prompts.fit_prompt(
            example.prompt,
            [document.text for document in found],
            reasoning,
            max_tokens,
            count,
            example.connector,
        )
        for example, found in zip(examples, documents, strict=True)
    ]


def read_and_personalize(
    examples: Sequence[Example],
    retriever: Retriever,
    k: int,
    reasoning: bool,
    limit: int,
    codec: Codec,
) -> tuple[list[str], list[tuple[Document, ...]]]:
    """The personalised prompts of examples, and the documents in them.

    Args:
        examples: list of `Example`.
        retriever: chooses the documents.
        k: documents in a prompt.
        reasoning: whether the model is asked to summarise first.
        limit: tokens of the longest prompt.
        codec: counts tokens.

    Returns:
        `(list of str, list of tuples of Document)`, aligned with `examples`.
    """
    documents = retriever.retrieve(examples, k)
    texts = personalize(examples, documents, reasoning, limit, codec)
    return texts, documents


def supervised(
    examples: Sequence[Example],
    texts: Sequence[str],
    reasoning: Sequence[Reasoning] | None = None,
) -> list[TrainingExample]:
    """Training on the expected outputs, each with the weight 1.

    Args:
        examples: list of `Example`.
        texts: their personalised prompts.
        reasoning: list of `Reasoning`, or None for outputs without; examples
            that have none are left out.

    Returns:
        list of `TrainingExample`.
    """
    explained = {each.example_id: each.text for each in reasoning or ()}
    data = []
    for example, text in zip(examples, texts, strict=True):
        output = example.expected
        if reasoning is not None:
            if example.id not in explained:
                continue
            output = prompts.join_output(explained[example.id], output)
        data.append(
            TrainingExample(example.id, example.task, text, (output,), (1.0,))
        )
    return data


def rewarded(
    examples: Sequence[Example],
    texts: Sequence[str],
    kept: Sequence[ScoredSample],
) -> list[TrainingExample]:
    """Training on the samples that were kept, weighted by their rewards.

    They keep the tokens they were sampled with, so that what is trained is
    what the model wrote, and a cut sample does not learn to end there.

    Args:
        examples: list of `Example`.
        texts: their personalised prompts.
        kept: list of `ScoredSample`.

    Returns:
        list of `TrainingExample`, one for each example with kept samples.
    """
    groups = selection.by_example(kept)
    return [
        TrainingExample(
            example.id,
            example.task,
            text,
            tuple(each.sample.text for each in groups[example.id]),
            tuple(each.score.reward for each in groups[example.id]),
            tuple(each.sample.token_ids for each in groups[example.id]),
        )
        for example, text in zip(examples, texts, strict=True)
        if example.id in groups
    ]
