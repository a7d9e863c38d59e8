"""A whole run in a tenth of a second: the model is eight numbers.

Everything of `RestPG` is real (data, prompts, retrieval, teacher, callback,
Algorithm 1, selection, batches, store, evaluation) but what costs time: a
model's forward pass, its gradients and the report's drawings are plain
arithmetic. What is written and sampled depends on all of the eight numbers
and on everything that a Gemma's outputs would depend on, so a file that is
mixed up changes the outcome.
"""

import contextlib
import hashlib
import os
import pathlib
import types
import unittest.mock

import numpy as np

from keras_restpg import prompts
from keras_restpg.model.engine import Generation
from keras_restpg.progress import Progress
from keras_restpg.reasoning import Teacher
from keras_restpg.records import Document, Example
from keras_restpg.run import rest_pg
from keras_restpg.run.recipe import from_dict
from keras_restpg.self_training import callback, e_step, steps

WORDS = "warm cold old new red blue tall small".split()


def draw(*parts):
    """A number generator that depends on all of its arguments."""
    text = repr(parts).encode("utf-8", "surrogatepass")
    return np.random.default_rng(list(hashlib.sha256(text).digest()))


class Variable:
    """As a `keras.Variable`, of NumPy's float32."""

    trainable = True
    dtype = "float32"

    def __init__(self, name, value):
        self.name = name
        self.value = np.array(value, "float32")
        self.shape = self.value.shape

    def assign(self, value):
        self.value = np.array(value, "float32").reshape(self.shape)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype)


class Momentum:
    """Gradient ascent with momentum; of a Keras optimizer, what is read."""

    built = True

    def __init__(self, rate=0.1):
        self.rate = rate
        self._iterations = Variable("iterations", 0.0)

    def build(self, variables):
        self._trainable_variables = variables
        moments = [Variable("momentum", np.zeros(v.shape)) for v in variables]
        self.variables = [self._iterations, *moments]

    def get_config(self):
        return {"rate": self.rate}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def apply(self, gradients):
        moments = self.variables[1:]
        for moment, gradient, variable in zip(
            moments, gradients, self._trainable_variables, strict=True
        ):
            moment.assign(0.5 * moment.value + gradient)
            variable.assign(variable.value + self.rate * moment.value)
        self._iterations.assign(self._iterations.value + 1)


class Tokenizer:
    """A token for each byte."""

    pad_token_id, end_token_id, start_token_id = 256, 257, 258

    def get_vocabulary(self):
        return [*map(chr, range(256)), "<pad>", "<eos>", "<bos>"]

    def __call__(self, text):
        return list(text.encode())

    def detokenize(self, token_ids):
        return bytes(token_ids)


class Numbers:
    """As a KerasHub causal LM, of eight numbers."""

    def __init__(self):
        self.preprocessor = types.SimpleNamespace(tokenizer=Tokenizer())
        self.weights = [
            Variable("first", np.linspace(-1, 1, 4)),
            Variable("second", np.ones(4)),
        ]
        self.trainable_weights = self.variables = self.weights
        self.dtype_policy = types.SimpleNamespace(name="float32")
        self.backbone = self

    def get_config(self):
        return {"size": 8}

    def save_to_preset(self, path):
        for variable in self.weights:
            flags = os.O_WRONLY | os.O_CREAT
            descriptor = os.open(os.path.join(path, variable.name), flags)
            os.write(descriptor, variable.value.tobytes())
            os.close(descriptor)


class Model:
    """As `RewardWeightedLM`, with a `fit` that calls what Keras would."""

    def __init__(self, causal_lm, normalization="token", recompute=False):
        self.causal_lm = causal_lm
        self.normalization = normalization
        self.trainable_variables = causal_lm.weights

    def compile(self, optimizer):
        self.optimizer = optimizer
        optimizer.build(self.trainable_variables)

    def fit(self, data, steps_per_epoch, epochs, initial_epoch, callbacks, **_):
        self.callbacks_of_fit = callbacks
        for each in callbacks:
            each.set_params({"steps": steps_per_epoch, "epochs": epochs})
            each.set_model(self)
            each.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            logs = {}
            for each in callbacks:
                each.on_epoch_begin(epoch)
            for step in range(steps_per_epoch):
                next(data)
                logs = self.train_step(self.source())
                for each in callbacks:
                    each.on_train_batch_end(step, logs)
            for each in callbacks:
                each.on_epoch_end(epoch, logs)
        for each in callbacks:
            each.on_train_end()

    def train_step(self, batch):
        """Moves the weights by what they and the whole batch say."""
        data = [batch[name].tobytes() for name in sorted(batch)]
        pull = draw(data).normal(size=(2, 4)) * (0.1 + batch["rewards"].mean())
        self.optimizer.apply(
            [
                p - 0.1 * v.value
                for p, v in zip(pull, self.trainable_variables, strict=True)
            ]
        )
        loss = float(np.square(self.trainable_variables[0].value).sum())
        return {"loss": loss, "reward": float(batch["rewards"].mean())}


class Engine:
    """Draws words by weights, prompt, key and sampling."""

    def __init__(self, causal_lm, *_, **__):
        self.causal_lm = causal_lm

    def sample(self, prompts, sampling, keys):
        return [
            [
                self._generation(prompt, sampling, key, index)
                for index in range(sampling.num_samples)
            ]
            for prompt, key in zip(prompts, keys, strict=True)
        ]

    def _generation(self, prompt, sampling, key, index):
        weights = [v.value.tobytes() for v in self.causal_lm.weights]
        how = (sampling.seed, sampling.temperature, sampling.top_p)
        rng = draw(weights, prompt, how, key, index)
        words = " ".join(rng.choice(WORDS, 3))
        text = prompts.join_output("plain words", words)
        ids = (*text.encode(), Tokenizer.end_token_id)
        return Generation(text, ids, True, -float(rng.random()))


def reward(example, answer):
    """From 0 to 1, in quarters, by example and answer."""
    return int(draw(example.id, answer).integers(5)) / 4


def another_reward(example, answer):
    return int(draw("another", example.id, answer).integers(5)) / 4


def explain(prompts, num_samples, keys):
    """A teacher that says something else of each prompt."""
    return [
        [f"- {WORDS[draw(prompt).integers(8)]} words"] * num_samples
        for prompt in prompts
    ]


def examples(split, count):
    return [
        Example(
            f"{split}-{i}",
            ("email", "review")[i % 2],
            f"user-{i}",
            "write",
            f"it is {WORDS[i % 8]}",
            (Document(f"{WORDS[i % 8]} again"), Document("a tall tree")),
        )
        for i in range(count)
    ]


SPLITS = {
    "train": examples("train", 6),
    "val": examples("val", 2),
    "test": examples("test", 2),
}
RECIPE = {
    "iterations": 2,
    "retrieval": {"method": "bm25", "k": 1},
    "sampling": {
        "num_samples": 4,
        "max_prompt_tokens": 1024,
        "max_new_tokens": 256,
    },
    "selection": {"tau": 0.5, "on_empty": "lower_tau"},
    "training": {"steps": 4, "batch_size": 8, "save_every": 1},
    "optimizer": {"warmup_steps": 0},
    "evaluation": {"validate_every": 2},
}


def report(run, examples, results):
    """In the report's place: the last file of a run."""
    run.files.write("report.html", repr(len(results)).encode())


@contextlib.contextmanager
def arithmetic():
    """Everything costly of the package is arithmetic in this block."""
    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (rest_pg, "RewardWeightedLM", Model),
            (rest_pg, "write_report", report),
            (rest_pg.backend, "cache_compilations", lambda folder: None),
            (callback, "SamplingEngine", Engine),
            # Several shards for each stage.
            (e_step, "SHARD", 12),
            (steps, "_TAUGHT", 4),
        ):
            patch = unittest.mock.patch.object(
                module, name, value, create=module is rest_pg.backend
            )
            stack.enter_context(patch)
        yield


def run(out, reward=reward, rate=0.1, **changes):
    """A whole run: reasoning, supervised fine-tuning, iterations, test.

    Args:
        out: the run directory, a path or a URL.
        reward: `reward`, or another one.
        rate: of the optimizer.
        changes: sections of the recipe, by name, such as
            `selection={"tau": 0.25}`, or `seed=1`.

    Returns:
        The run's list of `Result`.
    """
    values = dict(RECIPE)
    for name, change in changes.items():
        section = isinstance(change, dict)
        values[name] = {**values.get(name, {}), **change} if section else change
    with arithmetic():
        return rest_pg.RestPG(
            from_dict(values),
            out,
            SPLITS,
            causal_lm=Numbers(),
            reward=reward,
            teacher=Teacher(explain),
            optimizer=Momentum(rate),
            progress=Progress(quiet=True),
        ).run()


def outcome(folder):
    """What a run came to, `{name: bytes}`: all but notes and moved folders."""
    folder = pathlib.Path(folder)
    notes = ("metrics.jsonl", "seconds.json", "run.json", "manifest.jsonl")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in notes
        and ".old-" not in str(path.relative_to(folder))
        and path.parent.name != "lock"
    }
