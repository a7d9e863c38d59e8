"""Self-training inside `model.fit`: Algorithm 1 between the epochs.

An epoch is the steps between two saves, a stage (supervised fine-tuning, then
each iteration) a fixed number of epochs. Where a stage begins, the callback
samples with the best weights so far, scores, selects, restores the weights
that the stage starts from and resets the optimizer and its schedule. Where an
epoch ends, it saves weights and optimizer, so that a run goes on from there;
after every few epochs it validates and keeps the best weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import keras

from keras_restpg import environment, identity
from keras_restpg._types import Batch, Logs
from keras_restpg.errors import InputError
from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.model.text import Codec
from keras_restpg.progress import Progress, Stopped
from keras_restpg.records import Example, Reasoning
from keras_restpg.retrieval.lexical import BM25
from keras_restpg.retrieval.retriever import as_retriever
from keras_restpg.self_training import border
from keras_restpg.self_training.algorithm import algorithm_1
from keras_restpg.self_training.e_step import Outputs
from keras_restpg.self_training.examples import read_and_personalize
from keras_restpg.self_training.m_step import Base, Trainer
from keras_restpg.self_training.stages import (
    Parts,
    reasoning_inputs,
    stages,
)
from keras_restpg.self_training.steps import Steps
from keras_restpg.self_training.validation import (
    first_of_each_task,
    mean_scores,
)
from keras_restpg.settings import Settings
from keras_restpg.store import RunDirectory
from keras_restpg.store.checkpoints import Checkpoints
from keras_restpg.store.stage import stage_name
from keras_restpg.store.state import read_state
from keras_restpg.tables import as_html
from keras_restpg.training.model import tickets

if TYPE_CHECKING:
    import numpy as np

    from keras_restpg.reasoning.teacher import Teacher
    from keras_restpg.retrieval.retriever import RetrieverLike
    from keras_restpg.rewards.reward import RewardLike
    from keras_restpg.store.stage import Stage
    from keras_restpg.training.model import RewardWeightedLM

# Batches between two looks at how many updates were skipped.
_LOOK = 20


class SelfTrainingCallback(keras.callbacks.Callback):
    """REST-PG, or ReST-EM without a teacher, in a plain `model.fit`.

    Learning rate, its schedule, weight decay and clipping are the optimizer's,
    as in all of Keras; it begins anew at each stage.

    Args:
        examples: list of `Example` to train on.
        reward: a `Reward`, or a callable `(example, answer) -> number from 0
            to 1`.
        retriever: chooses the documents of each prompt; None: BM25.
        validation: list of `Example` of other users; empty: the last weights
            of a stage count as its best.
        teacher: a `reasoning.Teacher`, or a list of `Reasoning`; None trains
            without reasoning.
        settings: a `Settings`; None: the paper's.
        run: a `RunDirectory` that is open, or None: nothing outlasts the
            process.
        progress: a `Progress`.
        allow_backend_change: whether a training may be continued in the
            middle under another backend.

    Raises:
        InputError: no examples, the same id twice, a prompt that does not
            fit, or a part that can't be told from others (see `identity`).

    Example:
    ```python
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=paper_optimizer())
    training = SelfTrainingCallback(examples, reward=LLMJudge(judge_lm))
    model.fit(
        training.stream(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=training.epochs,
        initial_epoch=training.initial_epoch,
        callbacks=[training],
    )
    ```

    A run directory knows each stage by the parts and settings that it depends
    on (`stages.py`): where one of these changes, what depends on it is
    computed again, the rest is kept, and the progress says which.

    Other callbacks may stand beside it. Those that read `val_reward` come
    after it in the list; it is in the logs of the epochs that end with a
    validation, every `epochs_per_validation`, and of those after them.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        reward: RewardLike,
        retriever: RetrieverLike | None = None,
        validation: Sequence[Example] = (),
        teacher: Teacher | list[Reasoning] | None = None,
        settings: Settings | None = None,
        run: RunDirectory | None = None,
        progress: Progress | None = None,
        allow_backend_change: bool = False,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.examples = list(examples)
        self.validation = first_of_each_task(
            validation, self.settings.max_validation
        )
        _check_ids([*self.examples, *self.validation])
        self.reward = reward
        self.retriever = as_retriever(retriever or BM25())
        self.teacher = teacher
        self.progress = progress or Progress()
        self.allow_backend_change = allow_backend_change
        self._folder = None
        if run is None:
            self._folder = tempfile.TemporaryDirectory(prefix="restpg-")
            run = RunDirectory(self._folder.name).open()
        self.run = run
        self.stages: list[Stage] = []
        self._lines = contextlib.ExitStack()

    @property
    def steps_per_epoch(self) -> int:
        """Steps between two saves."""
        return math.ceil(self._validate_every / self.epochs_per_validation)

    @property
    def epochs_per_validation(self) -> int:
        save_every = self.settings.save_every
        return math.ceil(self._validate_every / save_every)

    @property
    def epochs_per_stage(self) -> int:
        """A stage ends with a validation."""
        between = self.steps_per_epoch * self.epochs_per_validation
        validations = math.ceil(self.settings.steps / between)
        return validations * self.epochs_per_validation

    @property
    def _validate_every(self):
        return min(self.settings.steps, self.settings.validate_every)

    @property
    def epochs(self) -> int:
        """Epochs of all stages, for `fit`."""
        return self.epochs_per_stage * (1 + self.settings.iterations)

    @property
    def initial_epoch(self) -> int:
        """The epoch that a continued run begins with, for `fit`.

        Until the model is known (`set_model`, which `fit` calls), it is the
        one that the run directory names; `fit` then ends at once, with the
        reason, should the model be another one.
        """
        if not self.stages:
            return read_state(self.run).get("epoch", 0)
        return self.checkpoints.epoch

    def stream(self) -> Iterator[tuple[Batch]]:
        """What `fit` takes as its data: an endless stream of tickets.

        A batch is asked for in its step, since `fit` draws some ahead and
        each stage has other data. `batches` shows them.
        """
        return tickets()

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """The batches of the stage that is trained now, to be looked at.

        Yields:
            Dicts of arrays as `RewardWeightedLM` takes them, one epoch of the
            data.

        Raises:
            ValueError: no stage has begun.
        """
        trainer = getattr(self, "_trainer", None)
        batches = getattr(trainer, "batches", None)
        if batches is None:
            raise ValueError(
                "There are no batches before the first stage has begun: its "
                "data is made in `fit`. Give `fit` training.stream()."
            )
        return map(batches.batch, range(len(batches)))

    def set_model(self, model: RewardWeightedLM) -> None:
        """Takes a model and keeps its base weights, before they can change.

        Weights that an earlier callback trained are set back to the base that
        it began from.
        """
        super().set_model(model)
        _check_model(model)
        known = getattr(self, "_trainer", None)
        if known is not None and known.model is model:
            return
        self.codec = Codec(model.causal_lm.preprocessor.tokenizer)
        if getattr(model, "base", None) is None:
            model.base = Base(model)
        model.base.restore(model)
        self.parts = self._parts()
        self.stages = stages(
            self.run, self.parts, self.settings, self.progress.say
        )
        self.checkpoints = Checkpoints(
            self.run, self.stages, self.epochs_per_stage
        )
        self._trainer = Trainer(
            model, self.codec, self.settings, self.stages, self.checkpoints
        )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._check_steps()
        border.check(self.model, self._beside())
        self._note_parts()
        self.model.base.keep(self.run, self._folder, self.model)
        self.checkpoints.sweep()
        settings = self.settings
        self.engine = SamplingEngine(
            self.model.causal_lm,
            settings.max_prompt_tokens,
            settings.max_new_tokens,
            settings.memory_mib * 2**20,
            codec=self.codec,
        )
        outputs, documents = self._outputs(self.examples)
        if self.validation:
            self._validated, _ = self._outputs(self.validation)
        steps = Steps(
            outputs,
            documents,
            self.teacher,
            settings,
            self.run,
            self.stages,
            reasoning_inputs(self.parts, settings),
            self.parts.reward,
            lambda stage: self.checkpoints.load_best(stage, self.model),
        )
        self._algorithm = algorithm_1(steps, settings)
        self._entered = []
        self._shown = None
        self._val_reward = math.nan if self.validation else None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        number, inside = divmod(epoch, self.epochs_per_stage)
        if not self._entered:
            self._check_epoch(epoch)
        while len(self._entered) <= number:
            self._enter()
        m_step = self._entered[-1]
        if inside == 0:
            self._trainer.begin(m_step)
            self._show(0)
        elif self._shown is None:
            self._trainer.go_on(m_step, inside * self.steps_per_epoch)
            self._show(self._trainer.step)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.progress.stopping:
            raise Stopped
        values: Logs = {}
        if logs and batch % _LOOK == _LOOK - 1:
            values = {name: float(logs[name]) for name in ("loss", "reward")}
            self._check_skipped(logs)
        self._line.advance(1, **values)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs if logs is not None else {}
        self._check_skipped(logs)
        stage, done = self.stages[self._entered[-1].number], epoch + 1
        scores = None
        # Without validation the newest weights count as the best.
        score = None if self.validation else float(epoch)
        if self.validation and done % self.epochs_per_validation == 0:
            scores = self._validate(stage)
            score = self._val_reward = scores.average
        self.checkpoints.save(epoch, stage, self.model, score)
        self._log(epoch, stage, logs, scores)
        if self._val_reward is not None:
            # The newest one in every epoch: Keras' history is of one length.
            logs["val_reward"] = self._val_reward
        self.run.write_json("seconds.json", self.progress.times())
        if done % self.epochs_per_stage == 0:
            self._lines.close()
        self.progress.saved()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._lines.close()
        done = self.checkpoints.epoch
        if done:
            last = self.stages[(done - 1) // self.epochs_per_stage]
            self.checkpoints.load_best(last, self.model)

    def _repr_html_(self) -> str:
        """How far each stage is, and its last validation, for a notebook."""
        rewards = {
            line["stage"]: line["val_reward"]
            for line in self.run.read_log("metrics.jsonl")
            if line["kind"] == "epoch" and "val_reward" in line
        }
        rows = [["stage", "epochs done", "of", "val_reward"]]
        each = self.epochs_per_stage
        for number in range(1 + self.settings.iterations):
            name = stage_name(number)
            done = min(max(self.initial_epoch - number * each, 0), each)
            reward = f"{rewards[name]:.4f}" if done and name in rewards else ""
            rows.append([name, str(done), str(each), reward])
        return as_html(rows)

    def _parts(self):
        """What the parts are, as this run depends on them."""
        teacher = self.teacher
        if isinstance(teacher, list):
            teacher = identity.digest_of(teacher)
        model = self.model
        return Parts(
            examples=identity.digest_of(self.examples),
            validation=(
                identity.digest_of(self.validation) if self.validation else ""
            ),
            retriever=self._described(self.retriever),
            teacher=self._described(teacher),
            reward=self._described(self.reward),
            generator=model.base.description,
            optimizer=identity.describe_optimizer(model.optimizer),
            loss=model.normalization,
        )

    def _described(self, part):
        try:
            return identity.describe(part)
        except InputError:
            # Nothing outlasts the process: there is nothing to mix up.
            if self._folder is None:
                raise
            return f"a {type(part).__name__} of this process"

    def _note_parts(self):
        """Says what runs on what, and keeps it in the run directory."""
        old = self.run.noted()
        now = environment.environment()
        self.progress.say(environment.line(now, self.model.causal_lm))
        before = old.get("environment", {})
        changes = environment.changes(before, now)
        if changes:
            self.progress.say(
                f"Since this run began, these changed: {'; '.join(changes)}. "
                "What is computed from here on may differ in its last digits."
            )
        epoch = self.checkpoints.epoch
        other = any(each.startswith("backend ") for each in changes)
        if other and epoch % self.epochs_per_stage:
            if not self.allow_backend_change:
                raise InputError(
                    f"This run is in the middle of a training, under "
                    f"{before['backend']}. Go on with KERAS_BACKEND="
                    f"{before['backend']}, or allow the change: "
                    "--allow-backend-change."
                )
        parts = dataclasses.asdict(self.parts)
        known = old.get("parts")
        rewarded = known.get("reward") if isinstance(known, dict) else None
        if (
            epoch
            and self.validation
            and rewarded not in (None, parts["reward"])
        ):
            self.progress.say(
                "The reward is another one: samples are scored again. The "
                "weights of sft were chosen by the earlier reward and stay."
            )
        settings = dataclasses.asdict(self.settings)
        self.run.write_json(
            "run.json",
            {**old, "settings": settings, "parts": parts, "environment": now},
        )

    def _beside(self):
        """The callbacks of this `fit`."""
        return self.model.callbacks_of_fit

    def _outputs(self, examples):
        """`Outputs` of examples and the documents in their prompts."""
        settings, reasons = self.settings, self.teacher is not None
        with self.progress.stage("retrieval", len(examples), "examples"):
            texts, documents = read_and_personalize(
                examples,
                self.retriever,
                settings.k,
                reasons,
                settings.max_prompt_tokens,
                self.codec,
            )
        outputs = Outputs(
            self.engine,
            examples,
            texts,
            self.reward,
            reasons,
            settings,
            self.progress,
        )
        return outputs, documents

    def _enter(self):
        """Goes on in Algorithm 1 to its next training."""
        m_step = next(self._algorithm, None)
        if m_step is None:
            raise InputError(
                f"fit was given more epochs than {self.epochs}, those of "
                f"{self.settings.iterations} iterations. Give it "
                "`epochs=training.epochs`."
            )
        self._entered.append(m_step)

    def _show(self, done):
        self._lines.close()
        name = self.stages[self._entered[-1].number].name
        total = self.steps_per_epoch * self.epochs_per_stage
        line = self.progress.stage(f"{name}: training", total, "steps")
        self._line = self._lines.enter_context(line)
        self._line.advance(done, fresh=False)
        self._shown = name

    def _validate(self, stage):
        sampling = Sampling(
            1,
            self.settings.inference_temperature,
            self.settings.top_p,
            seed=f"{self.settings.seed}/validation",
        )
        scored = self._validated.scored(f"{stage.name}: validation", sampling)
        return mean_scores(self.validation, scored)

    def _check_skipped(self, logs):
        skipped = int(logs.get("skipped_in_row", 0))
        if skipped >= self.settings.max_skipped:
            raise InputError(
                f"The last {skipped} updates were skipped because loss or "
                "gradients were not finite. All samples and the weights of "
                "the last save are kept. Try a lower learning rate of the "
                "optimizer or model.dtype = 'float32'."
            )

    def _check_epoch(self, epoch):
        """Refuses to go on from weights of other parts."""
        reached = self.checkpoints.epoch
        if epoch > reached:
            raise InputError(
                f"This run has reached epoch {reached} with these parts, and "
                f"`fit` begins with {epoch}: model, optimizer, data or "
                "settings are not those that it was trained with. Call "
                "training.set_model(model) before `fit`, so that "
                "training.initial_epoch knows."
            )

    def _log(self, epoch, stage, logs, scores):
        values = {name: float(value) for name, value in logs.items()}
        if scores:
            values["val_reward"] = scores.average
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
