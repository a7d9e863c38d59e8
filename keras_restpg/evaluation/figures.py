"""The pictures, each a file in bytes, PNG where nothing else is said.

Their labels may be any text: names of tasks come from data.
"""

import io
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg", force=False)
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import MaxNLocator, PercentFormatter  # noqa: E402

# A curve, `{x: (mean, low, high)}`, and plots of some, `{title: {label: it}}`.
Points = Mapping[Any, tuple[float, float, float]]
Panels = Mapping[str, Mapping[str, Points]]

_COLORS = ("#4269d0", "#ff725c", "#3ca951", "#efb118", "#9c6b4e", "#6cc5b0")
# Characters of a label.
_LONGEST = 40


def curves(
    panels: Panels,
    x: str,
    y: str,
    reference: Mapping[str, Mapping[Any, float]] | None = None,
    forms: Sequence[str] = ("png",),
) -> list[bytes]:
    """Small plots side by side, with 95% intervals, as Figures 2 to 5, 9 to 11.

    Args:
        panels: `{title: {label: {x: (mean, low, high)}}}`.
        x: what the horizontal axis is.
        y: what the vertical one is.
        reference: `{label: {x: value}}` of the paper, dashed in the last
            panel; None: nothing.
        forms: of `"png"` and `"svg"`.

    Returns:
        The bytes of a file of each form, a list.
    """
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(3.6 * columns + 1.4, 2.8 * rows),
        layout="constrained",
        squeeze=False,
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    labels = list(dict.fromkeys(n for lines in panels.values() for n in lines))
    colors = dict(zip(labels, itertools.cycle(_COLORS), strict=False))
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(_label(title), fontsize=9)
        axes.set_xlabel(x)
        axes.spines[["top", "right"]].set_visible(False)
        for label, points in lines.items():
            at = sorted(points)
            mean, low, high = zip(*map(points.get, at), strict=True)
            color = colors[label]
            axes.fill_between(at, low, high, color=color, alpha=0.15, lw=0)
            axes.plot(at, mean, "o-", color=color, label=_label(label))
            if not any(isinstance(each, float) for each in at):
                axes.set_xticks(at)
    for label, points in (reference or {}).items():
        values = sorted(points), [points[each] for each in sorted(points)]
        color = colors.get(label, "#888888")
        name = _label(f"the paper's {label}")
        axes.plot(*values, "--", color=color, alpha=0.6, label=name)
    figure.supylabel(y, fontsize=9)
    handles = {
        name: handle
        for each in figure.axes
        for handle, name in zip(*each.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    return _files(figure, forms)


def reward_histogram(histograms: Mapping[str, Mapping[str, int]]) -> bytes:
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
        axes.bar(places, shares, width, label=_label(label), color=color)
    axes.set_xticks(range(len(names)), [_label(name) for name in names])
    _legend(figure)
    return _file(figure)


def accept_rate(rates: Mapping[str, Mapping[str, float]]) -> bytes:
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
        axes.bar(places, values, width, label=_label(label), color=color)
    labels = [_label(task) for task in tasks]
    # Side by side they would run into each other.
    slope = 25 if sum(map(len, labels)) > _LONGEST else 0
    side = "right" if slope else "center"
    axes.set_xticks(range(len(tasks)), labels, rotation=slope, ha=side)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _legend(figure)
    return _file(figure)


def lengths(words: Mapping[str, Sequence[int]]) -> bytes:
    """The words of the final answers beside those of the expected outputs.

    Args:
        words: `{label: [words of each text]}`.
    """
    figure, axes = _axes("words", "")
    labels = list(words)
    axes.boxplot(
        [words[label] or [0] for label in labels],
        orientation="horizontal",
        tick_labels=[_label(label) for label in labels],
        flierprops={"markersize": 2},
    )
    axes.invert_yaxis()
    return _file(figure)


def losses(curves: Mapping[str, Mapping[int, float]]) -> bytes:
    """Mean negative log-likelihood of a response token, by epoch.

    Args:
        curves: `{label: {epoch: nll}}`.
    """
    return _by_epoch(curves, "nll of a token")


def validations(curves: Mapping[str, Mapping[int, float]]) -> bytes:
    """Mean reward of validation users, by epoch.

    Args:
        curves: `{label: {epoch: mean reward}}`.
    """
    return _by_epoch(curves, "mean reward, validation users")


def _by_epoch(curves, y):
    figure, axes = _axes("epoch of the training", y)
    for number, (label, values) in enumerate(curves.items()):
        color = _COLORS[number % len(_COLORS)]
        style = "o-" if number < len(_COLORS) else "s--"
        points = values.keys(), values.values()
        axes.plot(*map(list, points), style, label=_label(label), color=color)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend(figure)
    return _file(figure)


def _label(text):
    """A text as a label: one line, not long, and nothing read as markup.

    Matplotlib sets what stands between dollar signs as mathematics, leaves
    empty labels and those with `_` in front out of legends, and refuses lone
    surrogates.
    """
    text = " ".join(text.split()) or "(empty)"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    if text.startswith("_"):
        text = f" {text}"
    return text.replace("$", r"\$")


def _axes(x, y):
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure):
    """Beside the picture, where it hides nothing."""
    if figure.axes[0].get_legend_handles_labels()[1]:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)


def _file(figure):
    return _files(figure, ("png",))[0]


def _files(figure, forms):
    found = []
    with warnings.catch_warnings():
        # A character that the font lacks is drawn as a box: no news.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        for form in forms:
            out = io.BytesIO()
            figure.savefig(out, format=form, dpi=130)
            found.append(out.getvalue())
    plt.close(figure)
    return found
