"""Self-training inside `model.fit`: Algorithm 1 between the epochs.

An epoch is the steps between two saves, a stage (supervised fine-tuning, then
each iteration) a fixed number of epochs. Where a stage begins, the callback
samples with the best weights so far, scores, selects, restores the weights
that the stage starts from and resets the optimiser and its schedule. Where an
epoch ends, it saves weights and optimiser, so that a run goes on from there;
after every few epochs it validates and keeps the best weights.
"""

import contextlib
import math
import tempfile

import keras

from keras_restpg.errors import InputError
from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.model.text import Codec
from keras_restpg.progress import Progress, Stopped
from keras_restpg.retrieval.lexical import BM25
from keras_restpg.retrieval.retriever import as_retriever
from keras_restpg.run.recipe import Recipe
from keras_restpg.self_training.algorithm import algorithm_1
from keras_restpg.self_training.examples import personalize
from keras_restpg.self_training.m_step import Maximization
from keras_restpg.self_training.outputs import Outputs
from keras_restpg.self_training.steps import (
    Steps,
    fingerprints,
    reward_name,
    short,
)
from keras_restpg.self_training.validation import (
    first_of_each_task,
    mean_scores,
)
from keras_restpg.store import RunDirectory
from keras_restpg.store.checkpoints import Checkpoints
from keras_restpg.training.model import tickets

# Batches between two looks at how many updates were skipped.
_LOOK = 20


class SelfTrainingCallback(keras.callbacks.Callback):
    """REST-PG, or ReST-EM without `reasoning`, in a plain `model.fit`.

    Args:
        examples: list of `Example` to train on.
        judge: the reward: a `Reward`, or a callable
            `(example, answer) -> number from 0 to 1`. A run directory knows
            it by `recipe.reward`, its class or name, and its `settings`: what
            is scored already is not scored again by another that shares these.
        retriever: chooses the documents of each prompt; None: BM25.
        validation: list of `Example` of other users; empty: the last weights
            of a stage count as its best.
        reasoning: a `reasoning.Teacher`, or a list of `Reasoning`; None
            trains without reasoning.
        recipe: a `Recipe`; of it count `iterations`, `seed` and the sections
            `retrieval.k`, `sampling`, `selection`, `training`, `evaluation`.
        run: a `RunDirectory` that is open, or None: nothing outlasts the
            process.
        progress: a `Progress`.

    Raises:
        InputError: no examples, the same id twice, or a prompt that does not
            fit.

    Example:
    ```python
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=paper_optimizer())
    training = SelfTrainingCallback(examples, judge=LLMJudge(judge_lm))
    model.fit(
        training.batches(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=training.epochs,
        initial_epoch=training.initial_epoch,
        callbacks=[training],
    )
    ```

    Other callbacks may stand beside it. Those that read `val_reward` come
    after it in the list; it is in the logs of the epochs that end with a
    validation, every `epochs_per_validation`.
    """

    def __init__(
        self,
        examples,
        judge,
        retriever=None,
        validation=(),
        reasoning=None,
        recipe=None,
        run=None,
        progress=None,
    ):
        super().__init__()
        self.recipe = recipe or Recipe()
        self.examples = list(examples)
        self.validation = first_of_each_task(
            validation, self.recipe.evaluation.max_validation
        )
        _check_ids([*self.examples, *self.validation])
        self.judge = judge
        self.judge_name = short(reward_name(self.recipe, judge))
        self.retriever = as_retriever(retriever or BM25())
        self.reasoning = reasoning
        self.progress = progress or Progress()
        self._folder = None
        if run is None:
            self._folder = tempfile.TemporaryDirectory(prefix="restpg-")
            run = RunDirectory(self._folder.name).open(self.recipe)
        self.run = run
        self._fingerprints = fingerprints(
            self.recipe, self.examples, self.validation, reasoning, judge
        )
        self.checkpoints = Checkpoints(
            run, self._fingerprints, self.epochs_per_stage
        )
        self._lines = contextlib.ExitStack()
        self._maximization = None

    @property
    def steps_per_epoch(self):
        """Steps between two saves."""
        return math.ceil(self._validate_every / self.epochs_per_validation)

    @property
    def epochs_per_validation(self):
        save_every = self.recipe.training.save_every
        return math.ceil(self._validate_every / save_every)

    @property
    def epochs_per_stage(self):
        """A stage ends with a validation."""
        between = self.steps_per_epoch * self.epochs_per_validation
        validations = math.ceil(self.recipe.training.steps / between)
        return validations * self.epochs_per_validation

    @property
    def _validate_every(self):
        training, evaluation = self.recipe.training, self.recipe.evaluation
        return min(training.steps, evaluation.validate_every)

    @property
    def epochs(self):
        """Epochs of all stages, for `fit`."""
        return self.epochs_per_stage * (1 + self.recipe.iterations)

    @property
    def initial_epoch(self):
        """The epoch that a continued run begins with, for `fit`."""
        return self.checkpoints.epoch

    def batches(self):
        """An endless stream for `fit`: each batch is asked for in its step."""
        return tickets()

    def set_model(self, model):
        """Keeps the base weights, before any callback can change them."""
        super().set_model(model)
        _check_model(model)
        known = self._maximization
        if known is None or known.model is not model:
            self.codec = Codec(model.causal_lm.preprocessor.tokenizer)
            self._maximization = Maximization(
                model, self.codec, self.recipe, self.checkpoints
            )

    def on_train_begin(self, logs=None):
        self._check_steps()
        self.checkpoints.sweep()
        causal_lm = self.model.causal_lm
        sampling = self.recipe.sampling
        self.engine = SamplingEngine(
            causal_lm,
            sampling.max_prompt_tokens,
            sampling.max_new_tokens,
            sampling.memory_mib * 2**20,
            codec=self.codec,
        )
        outputs, documents = self._outputs(self.examples)
        self._validated = self.validation and self._outputs(self.validation)[0]
        steps = Steps(
            outputs,
            documents,
            self.reasoning,
            self.recipe,
            self.run,
            self._fingerprints,
        )
        self._stages = algorithm_1(
            steps, self.recipe.iterations, self.recipe.training.start
        )
        self._entered = []
        self._shown = None

    def on_epoch_begin(self, epoch, logs=None):
        number, inside = divmod(epoch, self.epochs_per_stage)
        while len(self._entered) <= number:
            self._enter()
        if inside == 0:
            self._begin()
        elif self._shown is None:
            self._go_on(inside)

    def on_train_batch_end(self, batch, logs=None):
        if self.progress.stopping:
            raise Stopped
        values = {}
        if batch % _LOOK == _LOOK - 1:
            values = {name: float(logs[name]) for name in ("loss", "reward")}
            self._check_skipped(logs)
        self._line.advance(1, **values)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs if logs is not None else {}
        self._check_skipped(logs)
        stage, done = self._entered[-1], epoch + 1
        scores = None
        # Without validation the newest weights count as the best.
        score = None if self.validation else float(epoch)
        if self.validation and done % self.epochs_per_validation == 0:
            scores = self._validate(stage)
            score = logs["val_reward"] = scores.average
        self.checkpoints.save(epoch, stage.name, self.model, score)
        self._log(epoch, stage, logs, scores)
        self.run.write_json("seconds.json", self.progress.times())
        if done % self.epochs_per_stage == 0:
            self._lines.close()
        self.progress.saved()

    def on_train_end(self, logs=None):
        self._lines.close()
        name = self.checkpoints.state().get("stage")
        if name:
            self.checkpoints.load_best(name, self.model)

    def _outputs(self, examples):
        """`Outputs` of examples and the documents in their prompts."""
        documents = self.retriever.retrieve(examples, self.recipe.retrieval.k)
        reasons = self.reasoning is not None
        texts = personalize(
            examples,
            documents,
            reasons,
            self.recipe.sampling.max_prompt_tokens,
            self.codec,
        )
        outputs = Outputs(
            self.engine,
            examples,
            texts,
            self.judge,
            reasons,
            self.progress,
            self.run,
            self.judge_name,
        )
        return outputs, documents

    def _enter(self):
        """Goes on in Algorithm 1 to its next training."""
        if self._entered:
            self._load_best(-1)
        stage = next(self._stages, None)
        if stage is None:
            raise InputError(
                f"fit was given more epochs than {self.epochs}, those of "
                f"{self.recipe.iterations} iterations. Give it "
                "`epochs=training.epochs`."
            )
        self._entered.append(stage)

    def _begin(self):
        stage = self._entered[-1]
        if stage.start == "sft":
            self._load_best(0)
        elif stage.start == "base":
            self._maximization.restore_base()
        self._maximization.begin(stage)
        self._show(stage, 0)

    def _go_on(self, inside):
        """Takes up a stage after its last whole epoch."""
        stage = self._entered[-1]
        self._maximization.begin(stage)
        self.checkpoints.load_last(self.model)
        self._maximization.step = inside * self.steps_per_epoch
        self._show(stage, self._maximization.step)

    def _show(self, stage, done):
        self._lines.close()
        total = self.steps_per_epoch * self.epochs_per_stage
        line = self.progress.stage(f"{stage.name}: training", total, "steps")
        self._line = self._lines.enter_context(line)
        self._line.advance(done, fresh=False)
        self._shown = stage.name

    def _validate(self, stage):
        sampling = Sampling(
            1,
            self.recipe.evaluation.temperature,
            self.recipe.sampling.top_p,
            seed=f"{self.recipe.seed}/validation",
        )
        scored = self._validated.scored(
            f"{stage.name}: validation", sampling, tau=self.recipe.selection.tau
        )
        return mean_scores(self.validation, scored)

    def _check_skipped(self, logs):
        skipped = int(logs.get("skipped_in_row", 0))
        if skipped >= self.recipe.training.max_skipped:
            raise InputError(
                f"The last {skipped} updates were skipped because loss or "
                "gradients were not finite. All samples and the weights of "
                "the last save are kept. Try a lower learning rate "
                "(training.learning_rate) or model.dtype = 'float32'."
            )

    def _load_best(self, index):
        name = self._entered[index].name
        self.checkpoints.load_best(name, self.model)

    def _log(self, epoch, stage, logs, scores):
        values = {name: float(value) for name, value in logs.items()}
        if scores:
            values["validation"] = scores.tasks | {"average": scores.average}
        self.run.log(
            "metrics.jsonl",
            {"kind": "epoch", "stage": stage.name, "epoch": epoch, **values},
        )

    def _check_steps(self):
        steps = self.params.get("steps")
        if steps != self.steps_per_epoch:
            raise ValueError(
                "Give `fit` steps_per_epoch=training.steps_per_epoch, here "
                f"{self.steps_per_epoch}. Received: {steps}"
            )


def _check_model(model):
    if not hasattr(model, "causal_lm"):
        raise ValueError(
            "SelfTrainingCallback trains a RewardWeightedLM. Received: "
            f"{type(model).__name__}"
        )


def _check_ids(examples):
    if not examples:
        raise InputError("There are no examples to train on.")
    seen = set()
    for example in examples:
        if example.id in seen:
            raise InputError(
                f"The id {example.id!r} is there twice among training and "
                "validation examples. Give each its own."
            )
        seen.add(example.id)
