"""From a recipe's settings to the parts of a run.

Whatever is missing or does not fit is refused here, before anything is
computed.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras

from keras_restpg import prompts
from keras_restpg._types import Path
from keras_restpg.data import drop_near_copies, hub, scrub
from keras_restpg.data.longlamp import load_folder
from keras_restpg.errors import InputError
from keras_restpg.identity import digest
from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.model.scratch import make_gemma, make_vocabulary
from keras_restpg.model.text import Codec
from keras_restpg.records import Example, Reasoning
from keras_restpg.store.files import Files
from keras_restpg.store.stage import BASE
from keras_restpg.training.base import train_base

if TYPE_CHECKING:
    from keras_hub.models import CausalLM

    from keras_restpg.progress import Progress
    from keras_restpg.reasoning.teacher import Teacher
    from keras_restpg.retrieval.retriever import Retriever
    from keras_restpg.rewards import EmbeddingReward
    from keras_restpg.rewards.reward import Scorer
    from keras_restpg.run.recipe import Recipe
    from keras_restpg.store import RunDirectory

SCRATCH = "scratch"


def data_folder(recipe: Recipe) -> str:
    """The folder of the recipe's data, on this machine.

    Raises:
        InputError: the recipe names none.
    """
    data = recipe.data
    if data.source == "hub":
        return hub.download(data.folder, data.tasks)
    if not data.folder:
        raise InputError(
            "data.folder is not set: the folder of <task>_train.jsonl, "
            "<task>_val.jsonl and <task>_test.jsonl. Set it in the recipe or "
            "with --set data.folder=PATH."
        )
    return data.folder


def load_splits(recipe: Recipe, progress: Progress) -> dict[str, list[Example]]:
    """The examples of the three splits, `{"train", "val", "test"}`.

    Args:
        recipe: a `Recipe`.
        progress: a `Progress`, told how many near copies were taken out.

    Raises:
        InputError: no folder in the recipe, or files that do not fit.
    """
    data = recipe.data
    folder = data_folder(recipe)
    limits = {
        "train": data.max_train,
        "val": recipe.evaluation.max_validation,
        "test": data.max_test,
    }
    splits = {
        split: load_folder(
            folder,
            split,
            data.tasks,
            limit,
            data.template,
            data.date_format,
        )
        for split, limit in limits.items()
    }
    if data.scrub:
        splits = {name: scrub(examples) for name, examples in splits.items()}
    if data.drop_near_copies:
        for name, examples in splits.items():
            splits[name], count = drop_near_copies(examples)
            left_out = len(examples) - len(splits[name])
            progress.say(
                f"{name}: {count} documents nearly repeat their target and "
                f"were taken out, {left_out} examples with them."
            )
    return splits


def load_generator(
    recipe: Recipe,
    examples: Sequence[Example],
    run: RunDirectory,
    progress: Progress,
) -> CausalLM:
    """The LLM that is trained, a KerasHub `CausalLM`.

    Args:
        recipe: a `Recipe`.
        examples: training examples, for a model from scratch.
        run: a `RunDirectory`, where such a model's base is kept.
        progress: a `Progress`.
    """
    settings = recipe.model
    if settings.preset == SCRATCH:
        causal_lm = _scratch(recipe, examples, run, progress)
    else:
        causal_lm = load_preset(settings.preset, settings.dtype)
    if settings.lora_rank:
        keras.utils.set_random_seed(recipe.seed)
        causal_lm.backbone.enable_lora(settings.lora_rank)
    if settings.freeze_embeddings:
        causal_lm.backbone.token_embedding.trainable = False
    return causal_lm


def load_preset(preset: str, dtype: str = "float32") -> CausalLM:
    """A KerasHub causal LM by name or folder.

    Args:
        preset: a name that KerasHub knows, or a folder.
        dtype: of weights and arithmetic; a quantized preset keeps its own.

    Raises:
        InputError: there is none, or it needs credentials; with the reason.
    """
    import keras_hub

    options = {} if _quantized(preset) else {"dtype": dtype}
    try:
        causal_lm = keras_hub.models.CausalLM.from_preset(preset, **options)
    # Hubs raise errors of many kinds; each is an answer to the setting.
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise InputError(
            f"The preset {preset!r} can't be loaded ({reason}). "
            f"{_advice(preset)}"
        ) from error
    _own_policies(causal_lm.backbone)
    return causal_lm


def _quantized(preset):
    """Whether a preset's own config has quantized layers."""
    from keras_hub.src.utils.preset_utils import get_preset_loader

    try:
        config = get_preset_loader(preset).config
    except Exception:
        return False  # Loading it says what is wrong, and better.
    policy = config.get("config", {}).get("dtype")
    return "int" in json.dumps(policy)


def _own_policies(backbone):
    """Gives each quantized layer the policy that the map has for it.

    Keras 3.15 saves a quantized layer that was loaded without its scales,
    because it asks the map for them and not the layer's own policy.
    """
    for layer in backbone._flatten_layers():
        policies = layer.dtype_policy
        is_map = isinstance(policies, keras.dtype_policies.DTypePolicyMap)
        if is_map and getattr(layer, "quantization_mode", None):
            layer._dtype_policy = policies[layer.path]


def _advice(preset):
    """What to do about a preset that can't be loaded."""
    folder = pathlib.Path(preset)
    if folder.is_dir():
        if not (folder / "config.json").exists():
            return (
                "The folder has no config.json: give one that "
                "`save_to_preset` or Hugging Face's `save_pretrained` wrote."
            )
        return (
            "Its files do not fit each other or this KerasHub: save or "
            "download it again."
        )
    if folder.is_absolute() or preset.startswith("."):
        return "There is no such folder."
    return (
        "Give a KerasHub preset or a local folder of one. Weights under a "
        "licence, as Gemma's, need an account that has accepted it "
        "(kagglehub.login())."
    )


def make_retriever(recipe: Recipe, folder: Path | None = None) -> Retriever:
    """The retriever that `retrieval.method` names.

    Args:
        recipe: a `Recipe`.
        folder: the run directory, where vectors are kept; None, or one that
            is not local: in memory.

    Raises:
        InputError: a method that embeds, without its preset.
    """
    from keras_restpg import retrieval

    settings = recipe.retrieval
    if settings.method in ("contriever", "dense"):
        if not settings.preset:
            raise InputError(
                f"retrieval.method '{settings.method}' needs "
                "retrieval.preset: for contriever a folder made by "
                "`keras-restpg contriever convert`, for dense a KerasHub text "
                "embedder. Or set retrieval.method to 'bm25'."
            )
        cache = _local(folder, "vectors")
        if settings.method == "contriever":
            return retrieval.Contriever.from_preset(settings.preset, cache)
        return retrieval.DenseRetriever.from_preset(settings.preset, cache)
    if settings.method == "random":
        return retrieval.Random(recipe.seed)
    if settings.method == "most_recent":
        return retrieval.MostRecent(recipe.data.date_format)
    return retrieval.BM25()


def _local(folder, name):
    """A path in a run directory, None where that is not on this machine."""
    files = None if folder is None else Files(folder)
    return files.path(name) if files and files.local else None


def make_reward(recipe: Recipe, folder: Path | None = None) -> Scorer:
    """The reward that `reward.kind` names.

    Args:
        recipe: a `Recipe`.
        folder: as for `make_retriever`, for a server's replies.

    Raises:
        InputError: a setting that it needs is missing.
    """
    from keras_restpg import rewards

    settings = recipe.reward
    if settings.kind == "judge":
        return rewards.LLMJudge(load_preset(settings.preset, "bfloat16"))
    if settings.kind == "http":
        from keras_restpg.run.server import http_judge

        return http_judge(settings, _local(folder, "replies.sqlite3"))
    reward = rewards.RougeReward(settings.kind, tokenizer=settings.tokenizer)
    if not settings.cutoffs:
        return reward
    try:
        return rewards.SteppedReward(reward, settings.cutoffs)
    except ValueError as error:
        raise InputError(f"reward.cutoffs: {error}") from None


def load_embedding(preset: str) -> EmbeddingReward:
    """The `EmbeddingReward` of a KerasHub text embedder, by name or folder.

    Raises:
        InputError: there is none, or it needs credentials.
    """
    import keras_hub

    from keras_restpg.rewards import EmbeddingReward

    try:
        return EmbeddingReward(
            keras_hub.models.TextEmbedder.from_preset(preset, dtype="float32")
        )
    except Exception as error:
        raise InputError(
            f"The preset {preset!r} can't be loaded as a text embedder "
            f"({type(error).__name__}: {_first_line(error)})."
        ) from error


def own_reasoning(
    recipe: Recipe, examples: Sequence[Example]
) -> list[Reasoning] | None:
    """The `Reasoning`s of `reasoning.file`; None where it is not set."""
    if not recipe.reasons or not recipe.reasoning.file:
        return None
    from keras_restpg import reasoning

    return reasoning.load_reasoning(recipe.reasoning.file, examples)


def make_teacher(recipe: Recipe, causal_lm: CausalLM) -> Teacher | None:
    """A `Teacher`; None for the methods without reasoning."""
    if not recipe.reasons:
        return None
    from keras_restpg import reasoning

    settings = recipe.reasoning
    teacher = causal_lm
    if settings.teacher != "self":
        teacher = load_preset(settings.teacher, "bfloat16")
    engine = SamplingEngine(
        teacher,
        settings.max_prompt_tokens,
        settings.max_new_tokens,
        recipe.sampling.memory_mib * 2**20,
    )
    sampling = Sampling(
        1,
        settings.temperature,
        recipe.sampling.top_p,
        seed=f"{recipe.seed}/teacher",
    )
    return reasoning.Teacher(
        reasoning.EngineGenerate(engine, sampling),
        settings.max_copied,
        settings.attempts,
    )


def _scratch(recipe, examples, run, progress):
    texts = [document.text for e in examples for document in e.documents]
    texts += [f"{e.prompt}\n{e.expected}" for e in examples]
    claim_base(recipe, texts, run)
    vocabulary = run.load_bytes("base/vocabulary.spm")
    if vocabulary is None:
        # Every prompt and output holds the templates' words.
        fixed = [prompts.REASONING_PROMPT, prompts.REASONING_OUTPUT]
        vocabulary = make_vocabulary(
            texts + fixed * len(examples), recipe.model.vocabulary_size
        )
        run.save_bytes("base/vocabulary.spm", vocabulary)
    causal_lm = make_gemma(vocabulary, recipe.model, recipe.seed)
    train_or_load_base(causal_lm, texts, recipe, run, progress)
    return causal_lm


def claim_base(recipe: Recipe, texts: Sequence[str], run: RunDirectory) -> None:
    """Moves a base of other texts or sizes aside."""
    run.claim(
        "base",
        {
            "model": dataclasses.asdict(recipe.model),
            "seed": recipe.seed,
            "texts": digest(texts),
        },
    )


def train_or_load_base(
    causal_lm: CausalLM,
    texts: Sequence[str],
    recipe: Recipe,
    run: RunDirectory,
    progress: Progress,
) -> None:
    """A base for a model from scratch, made once for a run directory."""
    name = BASE
    if run.load_weights(name, causal_lm):
        return
    codec = Codec(causal_lm.preprocessor.tokenizer)
    nll = train_base(
        causal_lm,
        codec,
        texts,
        recipe.model.base_steps,
        recipe.model.base_learning_rate,
        recipe.seed,
        progress,
    )
    run.log("metrics.jsonl", {"kind": "base", "nll": nll})
    run.save_weights(name, causal_lm)


def check_writable(folder: Path) -> None:
    """Raises InputError where a run directory can't be made."""
    path = pathlib.Path(folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"{folder} is a file; a run needs a folder.")


def _first_line(error):
    return (str(error).strip() or "no message").splitlines()[0][:300]
