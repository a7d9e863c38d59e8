"""The E-step: what the model writes now, what that is worth, what is kept."""

import dataclasses

from keras_restpg.errors import InputError
from keras_restpg.records import ALL
from keras_restpg.self_training.diagnostics import diagnose
from keras_restpg.self_training.examples import rewarded
from keras_restpg.self_training.selection import select


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which samples are kept (§3.2).

    Attributes:
        tau: τ, the least reward.
        limit: samples kept for an example.
        on_empty: where nothing reaches τ: `"stop"`, or `"lower_tau"` to the
            highest reward that was seen.
        seed: decides between samples of equal reward.
    """

    tau: float = 1.0
    limit: int = 10
    on_empty: str = "stop"
    seed: int = 0


def keep(outputs, scored, rule, name):
    """The training data of an iteration.

    Args:
        outputs: the `Outputs` that the samples come from.
        scored: list of `ScoredSample`.
        rule: a `Rule`.
        name: of the iteration, for messages.

    Returns:
        `(list of TrainingExample, Diagnostics by task)`.

    Raises:
        InputError: nothing is kept; with the rewards' histogram and advice.
    """
    tau = rule.tau
    kept = select(scored, tau, rule.limit, rule.seed)
    if not kept and rule.on_empty == "lower_tau":
        tau = max(each.score.reward for each in scored)
        if tau > 0:
            kept = select(scored, tau, rule.limit, rule.seed)
    tasks = {example.id: example.task for example in outputs.examples}
    diagnostics = diagnose(scored, kept, tasks, tau)
    if not kept:
        raise InputError(_nothing(diagnostics[ALL], rule.tau, name))
    return rewarded(outputs.examples, outputs.prompts, kept), diagnostics


def _nothing(found, tau, name):
    histogram = ", ".join(
        f"{reward}: {count}" for reward, count in found.histogram.items()
    )
    return (
        f"{name}: none of {found.samples} samples reaches the threshold "
        f"{tau}. Samples by reward: {histogram}; without an answer "
        f"{found.unparsable}, cut {found.unfinished}. The samples are kept: "
        "lower selection.tau, set selection.on_empty to 'lower_tau', or train "
        "the first model longer (training.steps), and run again."
    )
