"""A whole small run in a process of its own: `python -m tests.small_run OUT`.

All stages: base, the teacher's reasoning, supervised fine-tuning, sampling,
judging, two iterations, evaluation, report.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

from keras_restpg.progress import Progress, Stopped  # noqa: E402
from keras_restpg.reasoning import Teacher  # noqa: E402
from keras_restpg.records import Document, Example  # noqa: E402
from keras_restpg.run.recipe import from_dict  # noqa: E402
from keras_restpg.run.rest_pg import RestPG  # noqa: E402

RECIPE = from_dict(
    {
        "iterations": 2,
        "model": {
            "preset": "scratch",
            "vocabulary_size": 500,
            "num_layers": 1,
            "hidden_dim": 32,
            "intermediate_dim": 32,
            "num_heads": 1,
            "head_dim": 8,
            "base_steps": 10,
        },
        "retrieval": {"method": "bm25", "k": 1},
        "sampling": {
            "num_samples": 2,
            "max_prompt_tokens": 192,
            "max_new_tokens": 64,
        },
        "reward": {"kind": "rouge1"},
        "selection": {"tau": 0.5, "on_empty": "lower_tau"},
        "training": {
            "steps": 120,
            "batch_size": 16,
            "save_every": 10,
        },
        "optimizer": {"warmup_steps": 2, "learning_rate": 0.01},
        "evaluation": {"validate_every": 40},
    }
)
WORDS = "warm cold old new red blue tall small".split()


def examples(split, count):
    return [
        Example(
            f"{split}-{i}",
            "review",
            f"user-{i}",
            "write",
            f"it is {WORDS[i % 8]}",
            (Document(f"{WORDS[i % 8]} again"),),
        )
        for i in range(count)
    ]


def explain(prompts, num_samples, keys):
    """A teacher with one thing to say."""
    return [["- plain words"] * num_samples for _ in prompts]


def main(out):
    splits = {
        "train": examples("train", 16),
        "val": examples("val", 4),
        "test": examples("test", 4),
    }
    progress = Progress(quiet=True)
    try:
        RestPG(
            RECIPE, out, splits, teacher=Teacher(explain), progress=progress
        ).run()
    except Stopped:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
