"""An LLM judge for the demo: a tiny Gemma that learns to score.

The paper's judge is an instruction-tuned 7B model that nobody had to train.
Here one is trained to say the overlap score of answers to training users'
prompts, in the words of Figure 6, and judges through `LLMJudge` from then on.
What it has not learned it gets wrong, as a real judge does; `agreement` tells
how often, on answers to validation users' prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from keras_restpg import prompts
from keras_restpg._types import Table
from keras_restpg.demo.world.tokenizer import tokenizer_proto
from keras_restpg.model.scratch import make_gemma
from keras_restpg.rewards.judge import LLMJudge
from keras_restpg.rewards.reward import SCORES
from keras_restpg.training.base import fit_tokens
from keras_restpg.training.features import Tokens

if TYPE_CHECKING:
    from keras_restpg.demo.world import World
    from keras_restpg.progress import Progress
    from keras_restpg.rewards.reward import Scorer
    from keras_restpg.run.recipe import Recipe
    from keras_restpg.store import RunDirectory

_WEIGHTS = "judge/judge.safetensors"
# Answers at once: the tiny model's memory is small.
_ROWS = 64


def train_or_load_judge(
    world: World,
    recipe: Recipe,
    steps: int,
    run: RunDirectory,
    progress: Progress,
) -> LLMJudge:
    """The world's judge, made once for a run directory.

    Args:
        world: a `World`.
        recipe: a `Recipe`, for the model's size and the seed.
        steps: training steps, of 64 answers each.
        run: a `RunDirectory`.
        progress: a `Progress`.
    """
    vocabulary = tokenizer_proto((prompts.JUDGE_PROMPT,))
    causal_lm = make_gemma(vocabulary, recipe.model, recipe.seed + 1)
    judge = LLMJudge(causal_lm, rows=_ROWS)
    if not run.load_weights(_WEIGHTS, causal_lm):
        end = causal_lm.preprocessor.tokenizer.end_token_id
        answers = world.scored_answers("train", 64 * steps)
        tokens = _lessons(judge.prompt, end, *answers)
        rate = recipe.model.base_learning_rate
        fit_tokens(
            causal_lm, tokens, steps, rate, recipe.seed, progress, "judge"
        )
        run.save_weights(_WEIGHTS, causal_lm)
    return judge


def agreement(judge: Scorer, world: World, count: int = 1000) -> Table:
    """Rows: how the judge's scores compare with the overlap scores.

    Args:
        judge: a `Reward`.
        world: a `World`; the answers are to its validation users' prompts.
        count: answers compared.
    """
    examples, answers, wanted = world.scored_answers("validation", count)
    said = judge.score(examples, answers)
    steps = np.abs(_step(said) - _step(wanted))
    # No judgement is no score, not the lowest one.
    steps[said == 0] = len(SCORES)
    alike = stats.spearmanr(said, wanted) if np.ptp(said) else None
    return [
        ["judge on held-out answers", "same score", "one apart", "rank corr."],
        [
            str(count),
            f"{(steps == 0).mean():.3f}",
            f"{(steps == 1).mean():.3f}",
            f"{alike.statistic:.3f}" if alike else "none",
        ],
    ]


def _lessons(prompt, end, examples, answers, scores):
    """The judge's prompts, each with its right score as the output.

    Every score ends with `<eos>`, or "1" would seem to go on as "10" always.
    """
    tails = [(*tail, end) for tail in prompt.criteria.tails]
    return [
        Tokens(
            tuple(prompt.tokens(example.prompt, example.expected, answer)),
            (tails[step],),
            (1.0,),
        )
        for example, answer, step in zip(
            examples, answers, _step(scores), strict=True
        )
    ]


def _step(scores):
    """The place of each of the five scores, an int array."""
    return np.searchsorted(SCORES, np.asarray(scores) - 1e-3)
