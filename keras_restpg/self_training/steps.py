"""The lines of Algorithm 1 over real examples, each kept in the run directory.

`algorithm.algorithm_1` calls these in its order.
"""

import dataclasses
import hashlib
import json

from keras_restpg.errors import InputError
from keras_restpg.model.engine import Sampling
from keras_restpg.records import Reasoning
from keras_restpg.rewards.reward import description
from keras_restpg.self_training.e_step import Rule, keep
from keras_restpg.self_training.examples import supervised

# Examples whose reasoning makes a shard.
_TAUGHT = 64


class Steps:
    """Reasoning, supervised data, sampling and selection.

    Args:
        outputs: the training examples' `Outputs`, with reward and engine.
        documents: their retrieved documents.
        teacher: a `reasoning.Teacher`, a list of `Reasoning`, or None for
            the methods without reasoning.
        recipe: a `Recipe`.
        run: a `RunDirectory`.
        fingerprints: what each stage's outcome depends on, a dict.
    """

    def __init__(self, outputs, documents, teacher, recipe, run, fingerprints):
        self.outputs = outputs
        self.documents = documents
        self.teacher = teacher
        self.recipe = recipe
        self.run = run
        self.fingerprints = fingerprints

    def reasoning(self):
        """Lines 1 to 3: list of `Reasoning`, or None."""
        if self.teacher is None or isinstance(self.teacher, list):
            return self.teacher
        examples = self.outputs.examples
        self.run.stage("reasoning", digest_of(examples))
        shards = self.run.shards("reasoning", Reasoning)
        found = []
        progress = self.outputs.progress
        with progress.stage("reasoning", len(examples), "examples") as line:
            for first in range(0, len(examples), _TAUGHT):
                part = slice(first, first + _TAUGHT)
                key = f"{first // _TAUGHT:05d}"
                made = shards.get(key)
                fresh = made is None
                if fresh:
                    made, report = self.teacher.explain(
                        examples[part], self.documents[part]
                    )
                    shards.put(key, made)
                    self.run.log(
                        "metrics.jsonl",
                        {
                            "kind": "reasoning",
                            "shard": key,
                            **dataclasses.asdict(report),
                        },
                    )
                found += made
                count = len(examples[part])
                line.advance(count, fresh, explained=len(found))
                progress.saved()
        return found

    def supervised(self, reasoning):
        """Lines 4 and 5: what is learned first."""
        self.run.stage("sft/weights", self.fingerprints["sft"])
        data = supervised(
            self.outputs.examples, self.outputs.prompts, reasoning
        )
        if not data:
            raise InputError(
                "No example has reasoning: the teacher's summaries were all "
                "refused. See metrics.jsonl for the counts, and raise "
                "reasoning.max_copied, reasoning.max_prompt_tokens or "
                "reasoning.attempts."
            )
        return data

    def sample(self, t):
        """Line 9, first half: m outputs for each input, with rewards."""
        settings = self.recipe.sampling
        folder = f"iteration-{t}"
        before = list(self.fingerprints)[t - 1]
        # Scores belong to these samples, whatever they were given to before.
        for name in ("samples", f"scores-{self.outputs.judge}"):
            self.run.stage(f"{folder}/{name}", self.fingerprints[before])
        return self.outputs.scored(
            f"iteration {t}: sampling",
            Sampling(
                settings.num_samples,
                settings.temperature,
                settings.top_p,
                seed=f"{self.recipe.seed}/{t}",
            ),
            folder,
            self.recipe.selection.tau,
        )

    def keep(self, t, scored):
        """Line 9, second half: the rewarded outputs of at least τ."""
        settings = self.recipe.selection
        rule = Rule(
            settings.tau,
            settings.max_per_input,
            settings.on_empty,
            self.recipe.seed,
        )
        data, diagnostics = keep(self.outputs, scored, rule, f"Iteration {t}")
        name = f"iteration-{t}"
        self.run.stage(f"{name}/weights", self.fingerprints[name])
        self.run.log(
            "metrics.jsonl",
            {
                "kind": "expectation",
                "iteration": t,
                "tasks": {
                    task: dataclasses.asdict(each)
                    for task, each in diagnostics.items()
                },
            },
        )
        return data


def fingerprints(recipe, examples, validation=(), reasoning=None, judge=None):
    """What the outcome of each stage depends on, as `{stage: short text}`.

    Supervised fine-tuning depends on the examples, those of the validation,
    reasoning of one's own, and all settings but where the data lies and those
    of reward and selection; each iteration on the stage before it, and on
    these.
    """
    frozen = dataclasses.replace(
        recipe,
        iterations=0,
        data=dataclasses.replace(recipe.data, folder=""),
        reward=type(recipe.reward)(),
        selection=type(recipe.selection)(),
    )
    own = reasoning if isinstance(reasoning, list) else ()
    parts = [frozen.to_toml(), *map(digest_of, (examples, validation, own))]
    found = {"sft": short(parts)}
    rewarding = [reward_name(recipe, judge), _flat(recipe.selection)]
    for t in range(1, recipe.iterations + 1):
        before = list(found.values())[-1]
        found[f"iteration-{t}"] = short([before, rewarding])
    return found


def reward_name(recipe, judge):
    """What tells a reward from another, JSON values.

    How a server is reached does not: a longer timeout is no other judge.
    """
    settings = _flat(recipe.reward)
    for name in ("url", "timeout", "retries"):
        del settings[name]
    return [settings, description(judge)]


def digest_of(records):
    """A short text that differs where records do."""
    digest = hashlib.sha256()
    for record in records:
        line = json.dumps(dataclasses.asdict(record)) + "\n"
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def _flat(section):
    return dataclasses.asdict(section)


def short(value):
    """A short text that differs where JSON values do."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
