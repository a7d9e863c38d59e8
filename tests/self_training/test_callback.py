"""Self-training in a plain `fit`, on a tiny Gemma."""

import hashlib
import json
import re

import keras
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.progress import Progress, Stopped
from keras_restpg.records import Document, Example, Reasoning, Sample, Score
from keras_restpg.self_training.callback import SelfTrainingCallback
from keras_restpg.settings import Settings
from keras_restpg.store import RunDirectory
from keras_restpg.store.checkpoints import host
from keras_restpg.training.model import RewardWeightedLM
from keras_restpg.training.optimizer import paper_optimizer
from tests.model import vocabulary


def small(**changes):
    found = {
        "iterations": 2,
        "k": 1,
        "num_samples": 4,
        "max_prompt_tokens": 320,
        "max_new_tokens": 12,
        "tau": 0.5,
        "steps": 4,
        "batch_size": 4,
        "validate_every": 2,
    }
    return Settings(**{**found, **changes})


def examples(split, count):
    return [
        Example(
            f"{split}-{i}",
            ("email", "review")[i % 2],
            f"user-{i}",
            "write",
            "the old garden",
            (Document("my small river"), Document("your warm train")),
        )
        for i in range(count)
    ]


def reward(example, answer):
    """Anything from 0 to 1 that depends on the answer alone."""
    return hashlib.sha256(answer.encode()).digest()[0] / 255


class Watch(keras.callbacks.Callback):
    """Notes weights and optimiser where an epoch begins, beside ours."""

    def __init__(self):
        super().__init__()
        self.weights, self.steps, self.batches = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.weights.append(weights_of(self.model))
        self.steps.append(int(self.model.optimizer.iterations))
        source = self.model.source
        self.batches.append([source()])
        training = source.__self__
        training.step -= 1


class StopAt(keras.callbacks.Callback):
    """Asks to stop in the middle of an epoch."""

    def __init__(self, progress, epoch, batch=1):
        super().__init__()
        self.progress, self.epoch, self.now = progress, epoch, None
        self.batch = batch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.progress.stopping = self.now >= self.epoch and batch >= self.batch


def weights_of(model):
    return host(model.weights)


def make_model(lora=0):
    causal_lm = vocabulary.causal_lm()
    if lora:
        causal_lm.backbone.enable_lora(lora)
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=paper_optimizer(1e-2, 1, 4))
    return model


def make_training(run, settings=None, progress=None):
    return SelfTrainingCallback(
        examples("train", 6),
        reward=reward,
        validation=examples("val", 4),
        settings=settings or small(),
        run=run,
        progress=progress or Progress(quiet=True),
    )


def fit(run, settings=None, progress=None, beside=(), lora=0):
    model = make_model(lora)
    training = make_training(run, settings, progress)
    go_on(model, training, [training, *beside])
    return model


def go_on(model, training, callbacks, epochs=None):
    training.set_model(model)
    model.fit(
        training.stream(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=epochs or training.epochs,
        initial_epoch=training.initial_epoch,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from end to end: its directory, its watcher and its model."""
    folder, watch = tmp_path_factory.mktemp("whole"), Watch()
    with RunDirectory(folder).open() as run:
        before = weights_of(RewardWeightedLM(vocabulary.causal_lm()))
        model = fit(run, beside=[watch])
    return folder, watch, model, before


@pytest.mark.backend
def test_each_iteration_starts_from_the_base_bit_for_bit(whole):
    _, watch, _, before = whole
    assert len(watch.weights) == 6
    for begin in (0, 2, 4):
        for ours, base in zip(watch.weights[begin], before, strict=False):
            np.testing.assert_array_equal(ours, base)
        assert watch.steps[begin] == 0
        assert watch.steps[begin + 1] == 2


@pytest.mark.backend
def test_each_iteration_trains_on_its_own_samples(whole):
    folder, watch, _, _ = whole
    run = RunDirectory(folder)
    for t, begin in ((1, 2), (2, 4)):
        samples = run.shards(f"iteration-{t}/samples", Sample).get("00000")
        assert len(samples) == 6 * 4
        known = {sample.token_ids for sample in samples}
        batch = watch.batches[begin][0]
        rows = batch["response_ids"].reshape(
            -1, batch["response_ids"].shape[-1]
        )
        lengths = batch["response_lengths"].reshape(-1)
        for row, length in zip(
            rows[lengths > 0], lengths[lengths > 0], strict=True
        ):
            assert tuple(row[:length].tolist()) in known


@pytest.mark.backend
def test_only_samples_of_at_least_tau_are_trained_on(whole):
    folder, watch, _, _ = whole
    run = RunDirectory(folder)
    name = next(p.name for p in (folder / "iteration-1").glob("scores-*"))
    scores = run.shards(f"iteration-1/{name}", Score).get("00000")
    passed = np.array([s.reward for s in scores if s.reward >= 0.5 - 1e-6])
    batch = watch.batches[2][0]
    used = batch["rewards"][batch["response_lengths"] > 0]
    assert len(used) and len(passed) < len(scores)
    assert all(np.isclose(passed, each, atol=1e-5).any() for each in used)


@pytest.mark.backend
def test_metrics_are_kept_and_the_best_weights_are_left_in_the_model(whole):
    folder, _, model, _ = whole
    run = RunDirectory(folder)
    kinds = [line["kind"] for line in run.read_log("metrics.jsonl")]
    assert kinds.count("epoch") == 6 and kinds.count("expectation") == 2
    best = best_arrays(run, "iteration-2")
    ours = host(model.trainable_variables)
    for mine, kept in zip(ours, best, strict=True):
        np.testing.assert_array_equal(mine, kept)


def test_a_notebook_shows_how_far_each_stage_is(whole):
    run = RunDirectory(whole[0])
    rewards = {
        line["stage"]: f"{line['val_reward']:.4f}"
        for line in run.read_log("metrics.jsonl")
        if line["kind"] == "epoch"
    }

    shown = make_training(run)._repr_html_()

    cells = re.findall(r"<td[^>]*>([^<]*)</td>", shown)
    assert len(rewards) == 3
    assert cells == [
        cell
        for stage, reward in rewards.items()
        for cell in (stage, "2", "2", reward)
    ]


def best_of(folder):
    """The files of the best weights, by stage."""
    return json.loads((folder / "state.json").read_text())["best"]


def best_arrays(run, stage):
    """The best weights of a stage, with the checksum that `state.json` has."""
    state = run.read_json("state.json")
    name = state["best"][stage]
    return run.load_arrays(name, state["weights"][name])


def outcome(folder):
    """Everything that a run came to: bytes of files, arrays of weights."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found[name] = path.read_bytes()
        elif path.name == "state.json" or (
            path.suffix == ".jsonl" and path.name != "metrics.jsonl"
        ):
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("epoch", [0, 1, 2, 5])
def test_a_stopped_run_goes_on_to_the_same_bytes(whole, tmp_path, epoch):
    progress = Progress(quiet=True)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(Stopped):
            fit(run, progress=progress, beside=[StopAt(progress, epoch)])
    state = tmp_path / "state.json"
    done = json.loads(state.read_text())["epoch"] if state.exists() else 0
    assert done == epoch
    with RunDirectory(tmp_path).open() as run:
        fit(run)
    assert outcome(tmp_path) == outcome(whole[0])


def test_a_run_goes_on_between_validations_with_the_same_bytes(whole, tmp_path):
    settings = small(save_every=1)
    progress = Progress(quiet=True)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(Stopped):
            fit(run, settings, progress, [StopAt(progress, 5, batch=0)])
    state = json.loads((tmp_path / "state.json").read_text())
    assert (state["epoch"], state["stage"]) == (5, "iteration-1")
    with RunDirectory(tmp_path).open() as run:
        fit(run, settings)
    ours, theirs = outcome(tmp_path), outcome(whole[0])
    best = best_of(whole[0])
    assert len(best) == 3 and best_of(tmp_path) == best
    assert all(ours[name] == theirs[name] for name in best.values())


def test_another_threshold_uses_the_samples_again(whole, tmp_path):
    settings = small(tau=0.8)
    with RunDirectory(tmp_path).open() as run:
        fit(run)
    before, best = outcome(tmp_path), best_of(tmp_path)["iteration-1"]
    with RunDirectory(tmp_path).open() as run:
        fit(run, settings)
    after = outcome(tmp_path)
    same = "iteration-1/samples/00000.jsonl"
    assert after[same] == before[same]
    assert after[best_of(tmp_path)["iteration-1"]] != before[best]
    assert after[best.replace("weights", "weights.old-1")] == before[best]


def test_a_threshold_that_is_taken_back_does_not_lose_what_was_before(
    tmp_path,
):
    """A stop while the stage of the other threshold has no weights yet."""
    with RunDirectory(tmp_path).open() as run:
        fit(run)
    first = outcome(tmp_path)
    settings, progress = small(tau=0.8), Progress(quiet=True)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(Stopped):
            stop = StopAt(progress, 2, batch=0)
            fit(run, settings, progress, [stop])
    assert (tmp_path / "iteration-1/weights.old-1").exists()
    with RunDirectory(tmp_path).open() as run:
        fit(run)
    again = outcome(tmp_path)
    assert {name: again[name] for name in first} == first


@pytest.mark.parametrize(
    "left", ["best-a.safetensors", "best-b.safetensors", "last-a.safetensors"]
)
def test_a_kill_between_two_writes_leaves_the_state_before(
    whole, tmp_path, left
):
    """Weights written after `state.json` are as if they were not there."""
    progress = Progress(quiet=True)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(Stopped):
            fit(run, progress=progress, beside=[StopAt(progress, 3)])
    state = json.loads((tmp_path / "state.json").read_text())
    named = {state["last"], *state["best"].values()}
    name = f"iteration-1/weights/{left}"
    if name not in named:
        (tmp_path / name).write_bytes(b"half")
    with RunDirectory(tmp_path).open() as run:
        fit(run)
    assert outcome(tmp_path) == outcome(whole[0])


@pytest.mark.parametrize("start", ["sft", "previous"])
def test_an_iteration_may_start_elsewhere(tmp_path, start):
    watch = Watch()
    settings = small(start=start)
    with RunDirectory(tmp_path).open() as run:
        fit(run, settings, beside=[watch])
        stages = ["sft", "sft" if start == "sft" else "iteration-1"]
        for epoch, stage in zip((2, 4), stages, strict=True):
            weights = best_arrays(run, stage)
            for ours, theirs in zip(watch.weights[epoch], weights, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_a_threshold_that_nothing_reaches_is_lowered_where_asked(tmp_path):
    settings = small(tau=1.0, on_empty="lower_tau")
    with RunDirectory(tmp_path).open() as run:
        fit(run, settings)
        lines = run.read_log("metrics.jsonl")
        found = [x for x in lines if x["kind"] == "expectation"][0]
        name = next(p.name for p in (tmp_path / "iteration-1").glob("scores-*"))
        scores = run.shards(f"iteration-1/{name}", Score).get("00000")
    best = max(score.reward for score in scores)
    assert best < 1 and found["tasks"]["all"]["kept"] > 0
    assert found["tasks"]["all"]["accepted"] == sum(
        score.reward >= best - 1e-6 for score in scores
    )


class Broken(keras.callbacks.Callback):
    """Weights that are no numbers, from an epoch on."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            table = self.model.causal_lm.backbone.token_embedding.embeddings
            table.assign(table * float("nan"))


def test_updates_that_are_not_finite_stop_a_run_after_some_in_a_row(tmp_path):
    # An epoch has two steps: the row goes over three of them.
    settings = small(max_skipped=5, steps=8)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(InputError, match="last 6 updates were skipped"):
            fit(run, settings, beside=[Broken(1)])
    assert json.loads((tmp_path / "state.json").read_text())["epoch"] == 3


def test_nothing_kept_stops_before_training_with_the_histogram(tmp_path):
    settings = small(tau=1.0)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(InputError, match="Samples by reward") as error:
            fit(run, settings)
    assert "lower selection.tau" in str(error.value)
    assert (tmp_path / "iteration-1/samples/00000.jsonl").exists()


@pytest.mark.backend
def test_reasoning_is_learned_before_the_answer():
    taught = [Reasoning(e.id, "likes letter") for e in examples("train", 6)]
    watch = Watch()
    model = RewardWeightedLM(vocabulary.causal_lm())
    model.compile(optimizer=paper_optimizer(1e-2, 1, 4))
    settings = small(iterations=0, max_new_tokens=200, max_prompt_tokens=600)
    training = SelfTrainingCallback(
        examples("train", 6),
        reward=reward,
        teacher=taught,
        settings=settings,
        progress=Progress(quiet=True),
    )
    model.fit(
        training.stream(),
        steps_per_epoch=2,
        epochs=2,
        callbacks=[training, watch],
        shuffle=False,
        verbose=0,
    )
    codec = training.codec
    batch = watch.batches[0][0]
    length = batch["response_lengths"].reshape(-1)[0]
    ids = batch["response_ids"].reshape(-1, batch["response_ids"].shape[-1])[0]
    text = codec.decode(ids[:length])
    assert "likes letter" in text and text.endswith("the old garden")
    prompt = codec.decode(
        batch["prompt_ids"].reshape(-1, batch["prompt_ids"].shape[-1])[0]
    )
    assert "first summarize" in prompt


@pytest.mark.backend
def test_a_second_fit_of_the_same_model_goes_on_as_one(whole, tmp_path):
    """As in a notebook: the base is what it was, the optimizer begins anew."""
    model = make_model()
    with RunDirectory(tmp_path).open() as run:
        training = make_training(run)
        go_on(model, training, [training], epochs=2)
        go_on(model, training, [training])
    assert outcome(tmp_path) == outcome(whole[0])


@pytest.mark.backend
def test_a_new_callback_starts_from_the_true_base(whole, tmp_path):
    """As in a notebook, after the interrupt that everybody makes."""
    model, progress = make_model(), Progress(quiet=True)
    with RunDirectory(tmp_path / "first").open() as run:
        training = make_training(run, progress=progress)
        with pytest.raises(Stopped):
            go_on(model, training, [training, StopAt(progress, 3)])
    trained = weights_of(model)
    with RunDirectory(tmp_path / "again").open() as run:
        again = make_training(run)
        go_on(model, again, [again])
    assert outcome(tmp_path / "again") == outcome(whole[0])
    before = whole[3]
    assert any((a != b).any() for a, b in zip(trained, before, strict=False))


def test_a_callback_with_no_directory_keeps_the_base_for_the_next(tmp_path):
    model = make_model()
    before = host(model.trainable_variables)
    go_on(model, training := make_training(None), [training], epochs=2)
    watch = Watch()
    go_on(model, training := make_training(None), [training, watch], epochs=1)
    for ours, base in zip(watch.weights[0], before, strict=False):
        np.testing.assert_array_equal(ours, base)


def test_lora_after_the_first_fit_needs_a_word(tmp_path):
    model = make_model()
    go_on(model, training := make_training(None), [training], epochs=1)
    model.causal_lm.backbone.enable_lora(2)
    model.compile(optimizer=paper_optimizer(1e-2, 1, 4))
    again = make_training(None)
    with pytest.raises(ValueError, match="model.base = None"):
        go_on(model, again, [again], epochs=1)
    model.base = None
    go_on(model, again, [again], epochs=1)


def test_batches_can_be_looked_at(whole):
    model = make_model()
    training = make_training(None)
    with pytest.raises(ValueError, match="no batches before"):
        training.batches()
    go_on(model, training, [training], epochs=1)
    batches = list(training.batches())
    assert batches[0]["prompt_ids"].ndim == 3
    text = training.codec.decode(batches[0]["prompt_ids"][0, 0].tolist())
    assert "write" in text


def test_the_history_is_of_equal_lengths(tmp_path):
    model = make_model()
    training = make_training(None, small(save_every=1, iterations=0))
    history = model.fit(
        training.stream(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=training.epochs,
        callbacks=[training],
        verbose=0,
    ).history
    assert len(history["val_reward"]) == len(history["loss"]) == 4
    assert np.isnan(history["val_reward"][0])
    assert np.isfinite(history["val_reward"][1:]).all()


def test_other_callbacks_see_the_validation_and_save_the_model(tmp_path):
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "x.keras"))
    with RunDirectory(tmp_path / "run").open() as run:
        model = fit(run, beside=[save])
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    text = "the old garden"
    tokens = [m.causal_lm.preprocessor.tokenizer for m in (loaded, model)]
    assert [int(i) for i in tokens[0](text)] == [
        int(i) for i in tokens[1](text)
    ]
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


def test_wrong_steps_and_doubled_ids_are_refused_at_once(tmp_path):
    twice = [*examples("train", 2), *examples("train", 1)]
    with pytest.raises(InputError, match="'train-0' is there twice"):
        SelfTrainingCallback(twice, reward=reward, settings=small())
    with pytest.raises(InputError, match="no examples"):
        SelfTrainingCallback([], reward=reward, settings=small())
    model = RewardWeightedLM(vocabulary.causal_lm())
    model.compile(optimizer=paper_optimizer(1e-2, 1, 4))
    training = SelfTrainingCallback(
        examples("train", 2), reward=reward, settings=small()
    )
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(training.stream(), steps_per_epoch=3, callbacks=[training])


def test_lora_goes_on_and_starts_anew_with_its_own_factors(tmp_path):
    """Keras' weights files merge LoRA's factors into the frozen weights."""
    watch, progress = Watch(), Progress(quiet=True)
    with RunDirectory(tmp_path).open() as run:
        with pytest.raises(Stopped):
            beside = [watch, StopAt(progress, 3)]
            fit(run, progress=progress, beside=beside, lora=2)
    for ours, base in zip(watch.weights[2], watch.weights[0], strict=True):
        np.testing.assert_array_equal(ours, base)
    again = Watch()
    with RunDirectory(tmp_path).open() as run:
        fit(run, beside=[again], lora=2)
    for ours, theirs in zip(again.weights[0], watch.weights[3], strict=True):
        np.testing.assert_array_equal(ours, theirs)
