"""The report's pictures, each a PNG in bytes."""

import io

import matplotlib
import numpy as np

matplotlib.use("Agg", force=False)
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

_COLORS = ("#4269d0", "#ff725c", "#3ca951", "#efb118", "#9c6b4e", "#6cc5b0")


def score_by_iteration(curves):
    """Mean reward after each iteration, as in Figure 3.

    Args:
        curves: `{label: [mean reward after 0, 1, … iterations]}`.
    """
    figure, axes = _axes("iteration", "mean reward, test users")
    for (label, values), color in zip(curves.items(), _COLORS, strict=False):
        axes.plot(range(len(values)), values, "o-", label=label, color=color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure)
    return _png(figure)


def reward_histogram(histograms):
    """The share of samples with each reward, iteration by iteration.

    Args:
        histograms: `{label: {reward as text: samples}}`.
    """
    figure, axes = _axes("reward of a sample", "share of samples")
    names = sorted({name for found in histograms.values() for name in found})
    width = 0.8 / max(len(histograms), 1)
    for number, (label, found) in enumerate(histograms.items()):
        total = max(sum(found.values()), 1)
        shares = [found.get(name, 0) / total for name in names]
        places = np.arange(len(names)) + (number + 0.5) * width - 0.4
        color = _COLORS[number % len(_COLORS)]
        axes.bar(places, shares, width, label=label, color=color)
    axes.set_xticks(range(len(names)), names)
    _legend(figure)
    return _png(figure)


def accept_rate(rates):
    """The share of samples at or above τ, by task and iteration.

    Args:
        rates: `{label: {task: rate}}`.
    """
    figure, axes = _axes("task", "accepted samples")
    tasks = sorted({task for found in rates.values() for task in found})
    width = 0.8 / max(len(rates), 1)
    for number, (label, found) in enumerate(rates.items()):
        places = np.arange(len(tasks)) + (number + 0.5) * width - 0.4
        values = [found.get(task, 0.0) for task in tasks]
        color = _COLORS[number % len(_COLORS)]
        axes.bar(places, values, width, label=label, color=color)
    axes.set_xticks(range(len(tasks)), tasks)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _legend(figure)
    return _png(figure)


def lengths(words):
    """The words of the final answers beside those of the expected outputs.

    Args:
        words: `{label: [words of each text]}`.
    """
    figure, axes = _axes("words", "")
    labels = list(words)
    axes.boxplot(
        [words[label] or [0] for label in labels],
        orientation="horizontal",
        tick_labels=labels,
        flierprops={"markersize": 2},
    )
    axes.invert_yaxis()
    return _png(figure)


def losses(curves):
    """Mean negative log-likelihood of a response token, by epoch.

    Args:
        curves: `{label: [nll of each epoch]}`.
    """
    figure, axes = _axes("epoch of the training", "nll of a token")
    for number, (label, values) in enumerate(curves.items()):
        color = _COLORS[number % len(_COLORS)]
        style = "o-" if number < len(_COLORS) else "s--"
        steps = range(1, len(values) + 1)
        axes.plot(steps, values, style, label=label, color=color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure)
    return _png(figure)


def _axes(x, y):
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure):
    """Beside the picture, where it hides nothing."""
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)


def _png(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    plt.close(figure)
    return out.getvalue()
