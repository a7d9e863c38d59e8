"""Run directories as tested runs leave them, without a model's work."""

import numpy as np

from keras_restpg.evaluation.results import save_examples
from keras_restpg.identity import digest
from keras_restpg.records import Document, Example, Sample, Score
from keras_restpg.store import RunDirectory
from keras_restpg.store.stage import stage_name
from keras_restpg.store.state import write_state


def examples(count=40):
    return [
        Example(
            f"e{i}",
            ("email", "review")[i % 2],
            f"u{i}",
            "write of it",
            "what was written",
            (Document(f"text {i}"),),
        )
        for i in range(count)
    ]


def finished_run(
    folder,
    method,
    rewards,
    seed=0,
    reward="rouge",
    split="test",
    found=None,
    mark="",
):
    """A run whose stages have these rewards.

    Args:
        folder: of the run.
        method: `"rest-em"` or `"rest-pg"`.
        rewards: of each stage, an array.
        seed: of the run.
        reward: what it is described as.
        split: of the outputs.
        found: list of `Example`.
        mark: what tells its iterations from those of other runs.
    """
    found = found or examples(len(rewards[0]))
    reasons = method == "rest-pg"
    with RunDirectory(folder).open() as run:
        parts = {"teacher": "t" if reasons else None, "reward": reward}
        settings = {"seed": seed, "iterations": len(rewards) - 1}
        run.write_json("run.json", {"parts": parts, "settings": settings})
        save_examples(run, split, found, [e.documents for e in found])
        stages = {}
        for number, values in enumerate(rewards):
            name = stage_name(number)
            inputs = [method, seed, name, mark if number else ""]
            stages[name] = digest(inputs)
            for kind in ("samples", f"scores-{digest(reward)}"):
                run.claim(f"{name}/{split}/{kind}", {"of": stages[name]})
            samples = run.shards(f"{name}/{split}/samples", Sample)
            scores = run.shards(
                f"{name}/{split}/scores-{digest(reward)}", Score
            )
            words = [f"{method} {name} {e.id}" for e in found]
            if reasons:
                from keras_restpg.prompts import join_output

                words = [join_output("- short", each) for each in words]
            samples.put(
                "00000",
                [
                    Sample(e.id, 0, text, (1, 2), True, -1.0)
                    for e, text in zip(found, words, strict=True)
                ],
            )
            scores.put(
                "00000",
                [
                    Score(e.id, 0, float(value))
                    for e, value in zip(found, values, strict=True)
                ],
            )
        write_state(
            run,
            {"stages": stages, "epoch": len(rewards), "epochs": len(rewards)},
        )
    return folder


def rising(seed=0, count=40, stages=2, step=0.1):
    """Rewards that rise by `step` with each stage, and a little noise."""
    random = np.random.default_rng(seed)
    first = random.random(count) * 0.5
    return [
        np.clip(first + step * t + 0.05 * random.random(count), 0, 1)
        for t in range(stages)
    ]
