"""The report's charts, as SVG that is legible on light and on dark pages."""

import io
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType

logger = logging.getLogger(__name__)
# The middle grey is legible on white and on black; colour-blind readers can tell the colours apart.
GRAY, TRAIN, VALIDATION = "#888888", "#e69f00", "#3a8fd0"
STYLE: dict[RcKeyType, Any] = {
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
# More class names than this do not fit beside the matrix.
MOST_NAMED_CLASSES = 40
MOST_LETTERS = 30
# For text that has users' names: matplotlib reads what is between dollar signs as a formula, and fails if it is none.
PLAIN_TEXT: dict[RcKeyType, Any] = {"text.parse_math": False}
# Text stays text in an SVG, and the browser has fonts of its own: those that are missing here do not belong in a log.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def curve(epochs: list[dict[str, float]], metric: str, best_epoch: int) -> str:
    """Draw `metric` (loss or accuracy) over the epochs, for training and validation, with the best epoch marked."""
    with rc_context(STYLE):
        figure, axes = make_figure()
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
    """Draw `confusion` (k, k), a row of counts per true class; the colours are shares of the row's total."""
    shares = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    named = len(classes) <= MOST_NAMED_CLASSES
    names = [name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…" for name in classes]
    side = 2.2 + 0.32 * len(names) + 0.14 * max(0, max(map(len, names)) - 12) if named else 9.0
    with rc_context(STYLE | PLAIN_TEXT):
        figure, axes = make_figure(max(4.5, side), max(4.0, side))
        axes.grid(False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
        axes.set(xlabel="predicted class", ylabel="true class")
        if named:
            axes.set_xticks(range(len(classes)), names, rotation=90)
            axes.set_yticks(range(len(classes)), names)
            for row, column in zip(*confusion.nonzero(), strict=True):
                colour = "white" if shares[row, column] > 0.5 else "#222222"
                axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour, fontsize=8)
        return svg(figure)


def draw_or_warn(draw: Callable[..., str], *arguments: object) -> str:
    """Return the chart, or no text and a warning if it cannot be drawn: the rest of the report is worth having."""
    try:
        return draw(*arguments)
    except Exception as error:
        logger.warning("the report lacks its %s: %s", draw.__name__.replace("_", " "), error)
        return ""


def make_figure(width: float = 5.4, height: float = 3.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The SVG keeps text as text: the browser has the glyphs that matplotlib's font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
