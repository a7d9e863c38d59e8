"""What Algorithm 1 itself reads, with the paper's values (§4.1, §B).

Everything else belongs to a part: the learning rate to the optimizer, the
judge's model to the reward. A recipe's sections take these with their
defaults and ranges, so that they are written once.

Deviation: the paper leaves p of the nucleus open; it is 0.95 here.
"""

import dataclasses
import functools

from keras_restpg.decoding import check, field

# Settings are written to TOML, and some are paths.
setting = functools.partial(field, plain=True)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """The E-step's samples."""

    num_samples: int = setting(32, "m, outputs for a prompt (E-step)", low=1)
    temperature: float = setting(0.7, "γ of the E-step", low=0.0)
    top_p: float = setting(0.95, "mass of the nucleus", low=1e-6, high=1.0)
    max_prompt_tokens: int = setting(5120, "longest input", low=16)
    max_new_tokens: int = setting(1536, "longest output", low=1)
    memory_mib: int = setting(2048, "memory of a group of rows", low=16)


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which of them are learned from."""

    tau: float = setting(1.0, "τ, the least reward kept", low=0.0, high=1.0)
    first_samples: int = setting(
        0, "samples of a prompt that are selected from; 0: all", low=0
    )
    max_per_input: int = setting(10, "outputs kept for a prompt", low=1)
    on_empty: str = setting(
        "stop", "where nothing reaches τ", choices=("stop", "lower_tau")
    )
    max_unjudged: float = setting(
        0.05,
        "stop above this share of samples without a judgement",
        low=0.0,
        high=1.0,
    )


@dataclasses.dataclass(frozen=True)
class Training:
    """Each M-step."""

    start: str = setting(
        "base",
        "weights that each M-step starts from (Figure 4)",
        choices=("base", "sft", "previous"),
    )
    steps: int = setting(10_000, "steps of each training", low=1)
    batch_size: int = setting(64, "outputs of a batch", low=1)
    micro_batch_tokens: int = setting(
        16_384, "tokens that go through the model at once", low=16
    )
    save_every: int = setting(
        250, "steps after which a run that stops can go on, at most", low=1
    )
    max_skipped: int = setting(
        100, "stop after this many updates that are not finite", low=1
    )


@dataclasses.dataclass(frozen=True)
class Settings(Training, Selection, Sampling):
    """The settings of Algorithm 1; each field's metadata says what it is.

    Raises:
        InputError: a value of another type or out of its range.

    Example:
    ```python
    Settings(iterations=2, num_samples=8, tau=0.7, steps=500)
    ```
    """

    iterations: int = setting(3, "T, rounds of self-training", low=0)
    # Keras takes no larger seed.
    seed: int = setting(0, "fixes all random numbers", low=0, high=2**32 - 1)
    k: int = setting(5, "documents in a prompt", low=1)
    inference_temperature: float = setting(0.1, "γ at inference", low=0.0)
    validate_every: int = setting(1000, "steps between validations", low=1)
    max_validation: int = setting(
        1024, "validation examples a task; 0: no validation", low=0
    )

    def __post_init__(self) -> None:
        check(self)
