"""What each stage of a run depends on: exactly that, and nothing else.

    reasoning               examples, retriever, k, teacher
    sft's weights           these, base model, optimizer, loss, prompts' and
                            outputs' lengths, validation, steps, batches, seed
    iteration t's samples   the weights before it, m, γ, p, length, seed
    its scores              these samples, reward
    its weights             these scores, which of them, τ, limit, start, seed
    a test                  weights, test examples, temperature, p, length
    its scores              these outputs, reward

What says how a thing is computed and not what (memory, how many bad updates
are put up with, T) is no part of it.

Deviation: with validation examples the reward also chooses sft's best weights.
Another reward keeps them all the same, since nothing would be left of the
samples that they wrote; the run says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_restpg._types import Json, Say
from keras_restpg.identity import digest, digest_of
from keras_restpg.records import Example
from keras_restpg.store.stage import Stage, stage_name

if TYPE_CHECKING:
    from keras_restpg.settings import Settings
    from keras_restpg.store import RunDirectory

# Settings that a training depends on.
_TRAINING = (
    "seed",
    "steps",
    "batch_size",
    "micro_batch_tokens",
    "save_every",
    "max_prompt_tokens",
    "max_new_tokens",
)
_VALIDATION = ("validate_every", "inference_temperature", "top_p")
_SAMPLING = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed")
_SELECTION = ("tau", "max_per_input", "on_empty", "start", "seed")
_TEST = ("inference_temperature", "top_p", "max_new_tokens", "seed")


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the parts of a run are, JSON values each (`identity.describe`)."""

    examples: str
    validation: str
    retriever: object
    teacher: object
    reward: object
    generator: object
    optimizer: object
    loss: object


def reasoning_inputs(parts: Parts, settings: Settings) -> dict[str, Json]:
    """What the teacher's reasoning depends on."""
    return {
        "examples": parts.examples,
        "retriever": parts.retriever,
        "k": settings.k,
        "teacher": parts.teacher,
    }


def stages(
    run: RunDirectory, parts: Parts, settings: Settings, say: Say
) -> list[Stage]:
    """The stages of a run in their order, a list of `Stage`.

    Args:
        run: a `RunDirectory`.
        parts: a `Parts`.
        settings: a `Settings`.
        say: called with a sentence where something is computed again.
    """
    inputs = {
        **reasoning_inputs(parts, settings),
        "validation": parts.validation,
        "generator": parts.generator,
        "optimizer": parts.optimizer,
        "loss": parts.loss,
        **_of(settings, _TRAINING),
        **(_of(settings, _VALIDATION) if parts.validation else {}),
    }
    found = [Stage(run, stage_name(0), inputs, say=say)]
    for t in range(1, settings.iterations + 1):
        before = found[-1].fingerprint
        sampled = {"weights before": before, **_of(settings, _SAMPLING)}
        inputs = {
            "samples": digest(sampled),
            "reward": parts.reward,
            **_of(settings, _SELECTION),
            **_of(
                settings, ("first_samples",) if settings.first_samples else ()
            ),
        }
        found.append(Stage(run, stage_name(t), inputs, sampled, say))
    return found


def test_inputs(
    examples: Sequence[Example], settings: Settings
) -> dict[str, Json]:
    """What a test of a stage depends on besides its weights."""
    return {"examples": digest_of(examples), **_of(settings, _TEST)}


def _of(settings, names):
    return {name: getattr(settings, name) for name in names}
