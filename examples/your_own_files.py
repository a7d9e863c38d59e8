"""From users' documents in JSONL to a trained model and a written text.

    python examples/your_own_files.py [FOLDER]

Writes a folder of examples in LongLaMP's columns, runs REST-PG on it with a
small Gemma made for the run, and lets the trained model write. A real run
has more users, longer documents and a pretrained preset.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras_restpg as restpg  # noqa: E402

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own-files")
data = folder / "data"
data.mkdir(parents=True, exist_ok=True)
THINGS = "kettle lamp chair tent radio bicycle guitar blanket".split()


def row(user):
    """A user who finds everything good, or nothing."""
    word = "wonderful" if user % 2 else "useless"
    profile = [
        {
            "description": thing,
            "overall": "5.0" if user % 2 else "1.0",
            "reviewText": f"This {thing} is {word}, as I had hoped.",
            "summary": word,
        }
        for thing in THINGS[:4]
    ]
    thing = THINGS[4 + user % 4]
    return {
        "reviewerId": f"user-{user}",
        "input": f"Write a review of the {thing}",
        "output": f"This {thing} is {word}.",
        "profile": profile,
    }


for split, users in {
    "train": range(40),
    "val": range(40, 48),
    "test": range(48, 56),
}.items():
    lines = [json.dumps(row(user)) for user in users]
    (data / f"review_{split}.jsonl").write_text("\n".join(lines))

reasoning = folder / "reasoning.jsonl"
with open(reasoning, "w") as file:
    for user in range(40):
        text = "- finds things " + ("wonderful" if user % 2 else "useless")
        line = {"example_id": f"review-train-{user}", "text": text}
        file.write(json.dumps(line) + "\n")

recipe = restpg.Recipe().with_settings(
    [
        f"data.folder={json.dumps(str(data))}",
        "iterations=1",
        "model.preset=scratch",
        "model.vocabulary_size=600",
        "model.hidden_dim=64",
        "model.base_steps=50",
        "retrieval.method=bm25",
        "retrieval.k=2",
        f"reasoning.file={json.dumps(str(reasoning))}",
        "sampling.num_samples=4",
        "sampling.max_prompt_tokens=256",
        "sampling.max_new_tokens=80",
        "reward.kind=rouge1",
        "selection.tau=0.2",
        "selection.on_empty=lower_tau",
        "training.steps=80",
        "optimizer.warmup_steps=8",
        "training.batch_size=16",
        "optimizer.learning_rate=0.003",
        "evaluation.validate_every=40",
    ]
)
restpg.RestPG(recipe, folder / "run").run()
writer = restpg.PersonalizedWriter.from_run(folder / "run")
new = row(60)
documents = [
    " ".join(item[field] for field in ("overall", "summary", "description"))
    + f" {item['reviewText']}"
    for item in new["profile"]
]
written = writer.write(new["input"], documents)
print(written.reasoning)
print(written.answer or written.text)
