"""A whole run: data, base, the method's trainings, evaluation, report."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras

from keras_restpg import backend
from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.evaluation.judge_validation import swap_profiles
from keras_restpg.evaluation.report import write_report
from keras_restpg.evaluation.results import Result, method_of, save_examples
from keras_restpg.evaluation.reward_check import JudgeCheck, check_judge
from keras_restpg.evaluation.tables import main_table
from keras_restpg.identity import describe, digest_of
from keras_restpg.model.engine import Sampling
from keras_restpg.model.text import Codec
from keras_restpg.progress import Progress
from keras_restpg.records import Example, Reasoning
from keras_restpg.retrieval.retriever import as_retriever
from keras_restpg.run import build
from keras_restpg.self_training.callback import SelfTrainingCallback
from keras_restpg.self_training.e_step import Outputs
from keras_restpg.self_training.examples import read_and_personalize
from keras_restpg.self_training.stages import test_inputs
from keras_restpg.store import RunDirectory
from keras_restpg.training.model import RewardWeightedLM
from keras_restpg.training.optimizer import paper_optimizer

if TYPE_CHECKING:
    from keras_hub.models import CausalLM

    from keras_restpg.reasoning.teacher import Teacher
    from keras_restpg.retrieval.retriever import RetrieverLike
    from keras_restpg.rewards.reward import RewardLike
    from keras_restpg.run.recipe import Recipe


class RestPG:
    """Algorithm 1 in one call, by the recipe's method.

    What is not given is made as the recipe says.

    Args:
        recipe: a `Recipe`.
        out: the run directory, a path or URL; one that holds the same recipe
            is continued.
        splits: `{"train", "val", "test"}`, each a list of `Example`.
        causal_lm: the LLM to train, with the base weights.
        reward: as for `SelfTrainingCallback`.
        retriever: as for `SelfTrainingCallback`.
        teacher: as for `SelfTrainingCallback`.
        optimizer: a Keras optimiser; None: the paper's.
        progress: a `Progress`.
        tensorboard: folder for TensorBoard's logs, or None.
        allow_backend_change: as for `SelfTrainingCallback`.
        also: what else than the test users each stage's model writes for at
            the end: `"validation"`, its users (Table 3), and `"shuffled"`,
            the test users with each other's profiles (Figure 5).

    Raises:
        InputError: settings or data that do not fit, before any training.

    Example:
    ```python
    recipe = keras_restpg.Recipe().with_settings(["data.folder=data"])
    results = RestPG(recipe, "runs/first").run()
    ```
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        splits: Mapping[str, Sequence[Example]] | None = None,
        causal_lm: CausalLM | None = None,
        reward: RewardLike | None = None,
        retriever: RetrieverLike | None = None,
        teacher: Teacher | list[Reasoning] | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
        progress: Progress | None = None,
        tensorboard: Path | None = None,
        allow_backend_change: bool = False,
        also: Sequence[str] = (),
    ) -> None:
        build.check_writable(out)
        _check_steps(recipe)
        _check_tensorboard(tensorboard)
        self.recipe = recipe
        self.settings = recipe.settings
        # `recipe.toml` tells what the recipe made, and of no other part.
        given = {
            "data": splits,
            "model": causal_lm,
            "reward": reward,
            "retrieval": retriever,
            "reasoning": teacher,
            "optimizer": optimizer,
        }
        self._handed_in = [n for n, part in given.items() if part is not None]
        self.progress = progress or Progress()
        self.splits = splits or build.load_splits(recipe, self.progress)
        if teacher is None:
            teacher = build.own_reasoning(recipe, self.splits["train"])
        self.retriever = retriever
        self.reward = reward
        self.run_directory = RunDirectory(out)
        self.causal_lm = causal_lm
        self.teacher = teacher
        self.optimizer = optimizer
        self.tensorboard = tensorboard
        self.allow_backend_change = allow_backend_change
        self.also = {split: self._split(split) for split in also}

    def run(self) -> list[Result]:
        """Runs, or continues, to the end.

        Returns:
            list of `Result` on the test split, one for each stage.
        """
        run = self.run_directory
        with run.open(), self.progress.stoppable():
            recipe = self.recipe.to_toml(self._handed_in)
            run.files.write("recipe.toml", recipe.encode())
            run.write_json(
                "run.json",
                {**run.noted(), "handed_in": self._handed_in},
            )
            # It tells of what is done anew from here on.
            run.files.remove("report.html")
            self.progress.seconds = _seconds(run)
            backend.cache_compilations(_compiled())
            # Both may keep files in the run directory, which is ours by now.
            url = run.files.url
            self.retriever = as_retriever(
                self.retriever or build.make_retriever(self.recipe, url)
            )
            self.reward = self.reward or build.make_reward(self.recipe, url)
            try:
                self._check_reward(self.reward)
                training = self._train(self.reward, self.retriever)
                results = self._evaluate(training)
                self._finish(training, results)
            finally:
                run.write_json("seconds.json", self.progress.times())
            write_report(run, self.splits["test"], results)
        return results

    def _split(self, name):
        if name == "validation":
            return self.splits["val"]
        return swap_profiles(self.splits["test"], self.recipe.seed)

    def _check_reward(self, reward):
        """Stops, or warns, where the reward tells no user from another.

        A reward that was handed in may be meant to do something else: of it
        is warned alone.
        """
        wish, val = self.recipe.reward.on_doubt, self.splits["val"]
        if wish == "unchecked" or not val:
            return
        check = checked_reward(self.run_directory, reward, val, self.progress)
        insists = wish == "stop" and "reward" not in self._handed_in
        if check.doubt and check.written and insists:
            raise InputError(
                f"{check.doubt} Take another reward, or train on it all the "
                "same with reward.on_doubt = 'warn'."
            )
        if check.doubt:
            self.progress.say(check.doubt)

    def _train(self, reward, retriever):
        recipe, train = self.recipe, self.splits["train"]
        causal_lm = self.causal_lm = self.causal_lm or build.load_generator(
            recipe, train, self.run_directory, self.progress
        )
        # Before training: a prompt that does not fit ends the run here.
        self.prompts, self.documents = self._read(
            self.splits["test"], retriever, causal_lm
        )
        teacher = self.teacher
        if teacher is None:
            teacher = build.make_teacher(recipe, causal_lm)
        model = RewardWeightedLM(
            causal_lm, recipe.training.normalization, recipe.training.recompute
        )
        model.compile(optimizer=self.optimizer or make_optimizer(recipe))
        training = SelfTrainingCallback(
            train,
            reward,
            retriever,
            self.splits["val"],
            teacher if recipe.reasons else None,
            self.settings,
            self.run_directory,
            self.progress,
            self.allow_backend_change,
        )
        training.set_model(model)
        callbacks = [training]
        if self.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(self.tensorboard))
        model.fit(
            training.stream(),
            steps_per_epoch=training.steps_per_epoch,
            epochs=training.epochs,
            initial_epoch=training.initial_epoch,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
        return training

    def _read(self, examples, retriever, causal_lm):
        """The personalised prompts of examples, and their documents."""
        return read_and_personalize(
            examples,
            retriever,
            self.settings.k,
            self.recipe.reasons,
            self.settings.max_prompt_tokens,
            Codec(causal_lm.preprocessor.tokenizer),
        )

    def _evaluate(self, training):
        """The outputs of test users, and of others, under each stage."""
        test = self.splits["test"]
        results = self._written(
            training, "test", test, self.prompts, self.documents
        )
        model = training.model.causal_lm
        for split, examples in self.also.items():
            read = self._read(examples, training.retriever, model)
            self._written(training, split, examples, *read)
        return results

    def _written(self, training, split, examples, prompts, documents):
        """A split's outputs under each stage's best weights."""
        if not examples:
            return []
        save_examples(self.run_directory, split, examples, documents)
        outputs = Outputs(
            training.engine,
            examples,
            prompts,
            training.reward,
            self.recipe.reasons,
            self.settings,
            self.progress,
        )
        ids = [example.id for example in examples]
        read = dict(zip(ids, documents, strict=True))
        return [
            self._result(outputs, training, split, number, read)
            for number in range(len(training.stages))
        ]

    def _result(self, outputs, training, split, number, documents):
        stage, settings = training.stages[number], self.settings
        samples, scores = stage.outputs(
            split,
            test_inputs(outputs.examples, settings),
            training.parts.reward,
        )
        scored = outputs.scored(
            f"{stage.name}: {split}",
            Sampling(
                1,
                settings.inference_temperature,
                settings.top_p,
                seed=f"{settings.seed}/{split}",
            ),
            samples,
            scores,
            lambda: training.checkpoints.load_best(stage, training.model),
        )
        found = {each.sample.example_id: each for each in scored}
        method = method_of(self.recipe.reasons, number)
        return Result(method, number, found, documents)

    def _finish(self, training, results):
        if results:
            table = main_table(results, self.splits["test"]).rows()
            self.run_directory.write_json("table.json", table)
        # An earlier stage may have been tested last.
        training.checkpoints.load_best(training.stages[-1], training.model)
        save = training.model.causal_lm.save_to_preset
        self.run_directory.save_folder("model", save)


def checked_reward(
    run: RunDirectory,
    reward: RewardLike,
    examples: Sequence[Example],
    progress: Progress,
) -> JudgeCheck:
    """The `JudgeCheck` of a reward, made once for a run directory."""
    file = "reward-check/check.json"
    run.claim(
        "reward-check",
        {"examples": digest_of(examples), "reward": describe(reward)},
    )
    found = run.read_json(file)
    if found is None:
        with progress.waiting("checking the reward"):
            found = check_judge(reward, examples).to_json()
        run.write_json(file, found)
    return JudgeCheck.from_json(found)


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """The paper's optimiser with the recipe's values."""
    optimizer = recipe.optimizer
    return paper_optimizer(
        optimizer.learning_rate,
        optimizer.warmup_steps,
        recipe.training.steps,
        optimizer.final_fraction,
        optimizer.weight_decay,
        optimizer.global_clipnorm or None,
    )


def _seconds(run):
    """What the stages took in earlier sessions, `{stage: seconds}`."""
    try:
        found = run.read_json("seconds.json", {})
    except InputError:  # Nothing depends on it.
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {name: s for name, s in items if isinstance(s, int | float)}


def _compiled():
    """The user's own folder of compiled programs.

    Never one in the run directory: these are loaded and executed, and a run
    directory may come from elsewhere.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "keras-restpg", "compiled")


def _check_tensorboard(folder):
    if folder and importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "TensorBoard's logs need tensorboard: "
            "pip install keras-restpg[tensorboard]"
        )


def _check_steps(recipe):
    warmup, steps = recipe.optimizer.warmup_steps, recipe.training.steps
    if warmup >= steps:
        raise InputError(
            "optimizer.warmup_steps must be below training.steps. Received: "
            f"{warmup} and {steps}"
        )
    if keras.config.backend() not in ("jax", "tensorflow", "torch"):
        raise InputError(
            "The Keras backend must be jax, tensorflow or torch. Received: "
            f"{keras.config.backend()}. Set KERAS_BACKEND."
        )
