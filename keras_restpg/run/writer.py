"""Inference: text for one user, with the reasoning that led to it (§4.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from keras_restpg import prompts
from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.records import Document, Example
from keras_restpg.retrieval.lexical import BM25
from keras_restpg.retrieval.retriever import as_retriever
from keras_restpg.run import recipe as recipes
from keras_restpg.run.build import load_preset, make_retriever
from keras_restpg.self_training.examples import read_and_personalize
from keras_restpg.settings import Settings
from keras_restpg.store import RunDirectory
from keras_restpg.tables import as_html

if TYPE_CHECKING:
    from keras_hub.models import CausalLM

    from keras_restpg.retrieval.retriever import RetrieverLike


@dataclasses.dataclass(frozen=True)
class Written:
    """What a model wrote for a user.

    Attributes:
        reasoning: its summary of the user's style; empty where there is none.
        answer: the text for the user; empty where the model gave none.
        text: its whole output.
        finished: whether it ended by itself.
    """

    reasoning: str
    answer: str
    text: str
    finished: bool

    def _repr_html_(self) -> str:
        rows = [["reasoning", "answer"], [self.reasoning, self.answer]]
        # Without an answer, what there is in its place.
        return as_html(rows if self.answer else [["no answer"], [self.text]])


class PersonalizedWriter:
    """Writes for a user, from the user's documents.

    Args:
        model: a trained KerasHub causal LM with its preprocessor.
        retriever: chooses k of the documents; None: BM25.
        reasoning: whether the model was trained to reason first.
        k: documents in a prompt.
        temperature: 0.1 in the paper; 0 always takes the likeliest word.
        top_p: mass of the nucleus.
        max_prompt_tokens: the longest prompt.
        max_new_tokens: the longest output.

    Example:
    ```python
    writer = PersonalizedWriter.from_run("runs/first")
    print(writer.write("Write a review of the kettle", documents).answer)
    ```
    """

    def __init__(
        self,
        model: CausalLM,
        retriever: RetrieverLike | None = None,
        reasoning: bool = True,
        k: int = 5,
        temperature: float = 0.1,
        top_p: float = 0.95,
        max_prompt_tokens: int = 5120,
        max_new_tokens: int = 1536,
    ) -> None:
        self.engine = SamplingEngine(model, max_prompt_tokens, max_new_tokens)
        self.retriever = as_retriever(retriever or BM25())
        self.reasoning = reasoning
        self.k = k
        self.temperature = temperature
        self.top_p = top_p

    @classmethod
    def from_run(
        cls, folder: Path, retriever: RetrieverLike | None = None, **kwargs: Any
    ) -> Self:
        """The writer that a finished run trained.

        Args:
            folder: the run directory.
            retriever: None: the run's own.
            **kwargs: override the run's settings.

        Raises:
            InputError: there is no finished run in the folder.
        """
        run = RunDirectory(folder)
        recipe, model = recipes.of_run(run), run.folder("model")
        found = run.noted()
        if recipe is None or model is None or not found:
            raise InputError(
                f"{folder} holds no finished run: recipe.toml, run.json or "
                "model/ is missing. Finish it with `keras-restpg run`."
            )
        if recipe.data.template != "paper":
            raise InputError(
                f"{folder} was trained on LongLaMP's own prompts, which are "
                "made of its columns and not of plain documents. Train with "
                "data.template = 'paper' to write for other users."
            )
        if retriever is None and "retrieval" in found.get("handed_in", ()):
            raise InputError(
                f"{folder} was trained with a retriever that was handed in. "
                "Give it to PersonalizedWriter.from_run(folder, retriever)."
            )
        settings = {
            "reasoning": recipe.reasons,
            **_settings(found, f"{folder}/run.json"),
        }
        causal_lm = load_preset(str(model))
        retriever = retriever or make_retriever(recipe, folder)
        return cls(causal_lm, retriever, **{**settings, **kwargs})

    def write(
        self, prompt: str, documents: Iterable[str | Document], seed: int = 0
    ) -> Written:
        """One text for one user.

        Args:
            prompt: the instruction x.
            documents: the user's documents: texts or `Document`s.
            seed: another seed gives another draft.

        Returns:
            A `Written`.

        Raises:
            InputError: an empty prompt, no documents, or a prompt that is
                too long.
        """
        return self.drafts(prompt, documents, 1, seed)[0]

    def drafts(
        self,
        prompt: str,
        documents: Iterable[str | Document],
        count: int,
        seed: int = 0,
    ) -> list[Written]:
        """Several texts for one user; the prompt is read once for them."""
        documents = tuple(
            each if isinstance(each, Document) else Document(each)
            for each in documents
        )
        if not prompt.strip():
            raise InputError("The prompt is empty.")
        if not any(document.text.strip() for document in documents):
            raise InputError("There are no documents of the user.")
        example = Example("user", "task", "user", prompt, "", documents)
        text, _ = read_and_personalize(
            [example],
            self.retriever,
            self.k,
            self.reasoning,
            self.engine.max_prompt_tokens,
            self.engine.codec,
        )
        sampling = Sampling(
            count, self.temperature, self.top_p, seed=f"write/{seed}"
        )
        return [
            self._written(each)
            for each in self.engine.sample(text, sampling)[0]
        ]

    def _written(self, generation):
        text = generation.text
        answer = prompts.final_answer(text, self.reasoning) or ""
        parts = prompts.split_output(text) if self.reasoning else None
        reasoning = parts[0] if parts else ""
        return Written(reasoning, answer, text, generation.finished)


def _settings(found, where):
    """What of a run's settings a writer takes.

    Raises:
        InputError: they are damaged.
    """
    try:
        settings = Settings(**found["settings"])
    except (KeyError, TypeError):
        raise InputError(
            f"{where} is damaged. Run the same command again: it is written "
            "when the run goes on."
        ) from None
    return {
        "k": settings.k,
        "temperature": settings.inference_temperature,
        "top_p": settings.top_p,
        "max_prompt_tokens": settings.max_prompt_tokens,
        "max_new_tokens": settings.max_new_tokens,
    }
