"""The teacher's reasoning data (§3.1, Figure 7).

A teacher LLM reads a user's retrieved documents, the prompt and the expected
output, and writes what the documents show of the user's style. This summary
is what the model learns to write before its answer.

The teacher sees the expected output, so it can leak it. The guard: of the
expected output's distinct 5-grams, the share that the summary repeats and no
document contains. Above the limit the summary is generated again, and after
the last attempt the example is left out: a leaked answer would teach copying
from what is not there at inference. The paper has no such guard; a limit of
1 switches it off.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.reasoning.leaks import clean, copied_share
from keras_restpg.records import Document, Example, Reasoning

# From prompts, the number of texts for each, and names of their random
# numbers, to those texts.
Generate = Callable[[list[str], int, list[str]], list[list[str]]]


@dataclasses.dataclass(frozen=True)
class TeacherReport:
    """What generating the reasoning came to.

    Attributes:
        examples: examples asked for.
        kept: examples with a summary.
        generated: summaries generated, all attempts counted.
        leaked: of these, refused for copying the expected output.
        empty: of these, refused for having no text.
        too_long: examples that were not asked about, because prompt and
            expected output alone are longer than the teacher's input.
        left_out: ids of the examples without a summary.
        mean_copied: mean `copied` of those kept.
    """

    examples: int
    kept: int
    generated: int
    leaked: int
    empty: int
    too_long: int
    left_out: tuple[str, ...]
    mean_copied: float


class Teacher:
    """Writes the reasoning for examples.

    Args:
        generate: called as `generate(prompts, num_samples, keys)`, with a
            list of str, an int and a list of str that name the random
            numbers of each prompt; returns for each prompt a list of
            `num_samples` texts. `EngineGenerate` is one.
        max_copied: the largest `copied_share` that is kept.
        attempts: how often a summary is generated at most.
        max_prompt_tokens: the longest prompt; longer ones lose the ends of
            their longest documents. None takes `generate.max_prompt_tokens`;
            where there is none, there is no limit.
        count_tokens: from a prompt to its number of tokens; None takes
            `generate.count_tokens`.

    Raises:
        ValueError: settings out of their range.

    Example:
        ```python
        teacher = Teacher(EngineGenerate(engine, Sampling(temperature=0.7)))
        reasoning, report = teacher.explain(
            examples, retriever.retrieve(examples, k=5)
        )
        ```
    """

    def __init__(
        self,
        generate: Generate,
        max_copied: float = 0.2,
        attempts: int = 4,
        max_prompt_tokens: int | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> None:
        if not 0 <= max_copied <= 1 or attempts < 1:
            raise ValueError(
                "`max_copied` must be from 0 to 1 and `attempts` at least 1. "
                f"Received: max_copied={max_copied}, attempts={attempts}"
            )
        self.generate = generate
        self.max_copied = max_copied
        self.attempts = attempts
        if max_prompt_tokens is None:
            max_prompt_tokens = getattr(generate, "max_prompt_tokens", None)
        self.max_prompt_tokens = max_prompt_tokens
        self._own_count = count_tokens
        self.count_tokens = count_tokens or getattr(
            generate, "count_tokens", None
        )
        if max_prompt_tokens is not None and self.count_tokens is None:
            raise ValueError("`max_prompt_tokens` needs `count_tokens`")

    def get_config(self) -> dict[str, Any]:
        """What tells this teacher from others, and so its reasoning.

        Returns:
            dict of its settings and, as they are, what generates and, where
            it was given apart, what counts tokens.
        """
        return {
            "generate": self.generate,
            "max_copied": self.max_copied,
            "attempts": self.attempts,
            "max_prompt_tokens": self.max_prompt_tokens,
            "count_tokens": self._own_count,
        }

    def explain(
        self,
        examples: Sequence[Example],
        documents: Sequence[Sequence[Document]],
    ) -> tuple[list[Reasoning], TeacherReport]:
        """The reasoning of each example.

        Args:
            examples: list of `Example` with different ids.
            documents: their retrieved documents, a list of tuples of
                `Document`, best first.

        Returns:
            `(list of Reasoning, TeacherReport)`; examples in their order,
            those left out missing.
        """
        retrieved = {
            example.id: (example, found)
            for example, found in zip(examples, documents, strict=True)
        }
        asked = {}
        for key, pair in retrieved.items():
            with contextlib.suppress(InputError):
                asked[key] = self.prompt(*pair)
        kept, counts = {}, collections.Counter()
        counts["too_long"] = len(retrieved) - len(asked)
        for attempt in range(1, self.attempts + 1):
            missing = [key for key in asked if key not in kept]
            texts = self._generate(missing, asked, attempt)
            for key, text in zip(missing, texts, strict=True):
                counts["generated"] += 1
                copied = copied_share(text, *retrieved[key])
                if not text:
                    counts["empty"] += 1
                elif copied > self.max_copied:
                    counts["leaked"] += 1
                else:
                    kept[key] = Reasoning(key, text, copied, attempt)
        found = [kept[key] for key in asked if key in kept]
        left_out = tuple(key for key in retrieved if key not in kept)
        return found, _report(found, left_out, counts)

    def prompt(self, example: Example, documents: Sequence[Document]) -> str:
        """The teacher's input of Figure 7 for one example.

        Raises:
            InputError: it does not fit `max_prompt_tokens` even without
                documents.
        """
        texts = [document.text for document in documents]
        limit, count = self.max_prompt_tokens, self.count_tokens
        while True:
            text = prompts.fill(
                prompts.TEACHER_PROMPT,
                documents=prompts.SEPARATOR.join(texts),
                prompt=example.prompt,
                expected=example.expected,
            )
            if limit is None or count is None or count(text) <= limit:
                return text
            if not any(texts):
                raise InputError(
                    f"Example {example.id}: prompt and expected output alone "
                    f"make the teacher's input longer than {limit} tokens. "
                    "Raise the limit, or leave the example out"
                )
            longest = max(range(len(texts)), key=lambda i: len(texts[i]))
            texts[longest] = texts[longest][: len(texts[longest]) * 3 // 4]

    def _generate(self, missing, asked, attempt):
        if not missing:
            return []
        rows = self.generate(
            [asked[key] for key in missing],
            1,
            [f"teacher/{key}/{attempt}" for key in missing],
        )
        return [clean(row[0]) for row in rows]


def _report(found, left_out, counts):
    return TeacherReport(
        examples=len(found) + len(left_out),
        kept=len(found),
        generated=counts["generated"],
        leaked=counts["leaked"],
        empty=counts["empty"],
        too_long=counts["too_long"],
        left_out=left_out,
        mean_copied=sum(r.copied for r in found) / max(len(found), 1),
    )
