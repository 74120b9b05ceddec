"""The report's charts, as SVG that reads on light and dark paper."""

import io
import warnings

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# The middle gray is legible on white and on the dark page; the colours are told apart by the colour-blind.
GRAY, TRAIN, VALIDATION = "#888888", "#e69f00", "#3a8fd0"
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": GRAY,
    "axes.labelcolor": GRAY,
    "axes.edgecolor": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRAY,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "legend.frameon": False,
}
# More class names than this do not fit beside a matrix.
MOST_NAMED_CLASSES = 40


def curve(epochs: list[dict[str, float]], metric: str, best_epoch: int) -> str:
    """`metric` (loss or accuracy) over the epochs, in training and validation; the best epoch is marked."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.subplots()
        numbers = [row["epoch"] for row in epochs]
        for phase, colour in (("train", TRAIN), ("validation", VALIDATION)):
            values = [row[f"{phase}:{metric}"] for row in epochs]
            axes.plot(numbers, values, "o-", color=colour, label=phase, markersize=3.5)
        axes.axvline(best_epoch, color=GRAY, linestyle=":", label=f"best epoch ({best_epoch})")
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if metric == "accuracy":
            axes.set_ylim(0, 1.02)
        axes.legend()
        return svg(figure)


def confusion_matrix(confusion: np.ndarray, classes: tuple[str, ...]) -> str:
    """Each row is a true class and adds up to 1; `confusion` has the counts (k, k)."""
    shares = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    named = len(classes) <= MOST_NAMED_CLASSES
    side = 2.2 + 0.32 * len(classes) if named else 9.0
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(max(4.5, side), max(4.0, side)), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
        axes.set(xlabel="predicted class", ylabel="true class")
        if named:
            axes.set_xticks(range(len(classes)), classes, rotation=90)
            axes.set_yticks(range(len(classes)), classes)
            for row, column in zip(*confusion.nonzero(), strict=True):
                colour = "white" if shares[row, column] > 0.5 else "#222222"
                axes.text(column, row, confusion[row, column], ha="center", va="center", color=colour, fontsize=8)
        return svg(figure)


def svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text in the SVG: the browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
