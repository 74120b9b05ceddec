"""The report's charts, as SVG that is legible on light and on dark pages."""

import io
import logging
import warnings
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

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
MOST_CELLS = 2500
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
    """Return `confusion` (k, k), a row of counts per true class, as SVG; the colours are shares of the row's total.

    Each cell names its classes when the pointer is over it; those of 0 are left out, and beyond MOST_CELLS the palest.
    """
    totals = np.maximum(1, confusion.sum(1))
    named = len(classes) <= MOST_NAMED_CLASSES
    names = [name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…" for name in classes]
    side = 24 if named else max(1, 800 // len(classes))
    margin = 30 + (7 * max(map(len, names)) if named else 0)
    size = margin + max(100, side * len(classes))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" viewBox="0 0 {size} {size}" font-size="12"']
    parts.append(' font-family="sans-serif" fill="currentColor" role="img" aria-label="confusion matrix">')
    parts.append(f'<text x="{margin}" y="12">predicted class</text>')
    parts.append(f'<text transform="translate(12 {size}) rotate(-90)">true class</text>')
    for number, name in enumerate(map(escape, names) if named else ()):
        middle = margin + side * number + side / 2 + 4
        parts.append(f'<text x="{margin - 6}" y="{middle}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({middle} {margin - 6}) rotate(-90)">{name}</text>')
    cells = np.argwhere(confusion)
    largest = np.argsort(-confusion[tuple(cells.T)] / totals[cells[:, 0]], kind="stable")[:MOST_CELLS]
    for row, column in cells[np.sort(largest)]:
        x, y, count = margin + side * column, margin + side * row, confusion[row, column]
        title = escape(f"{names[row]}, predicted {names[column]}: {count} of {totals[row]}")
        # At most half of the colour, so that the count is legible on it on light and on dark pages.
        opacity = f"{0.08 + 0.47 * count / totals[row]:.2f}"
        cell = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{VALIDATION}" fill-opacity="{opacity}">'
        parts.append(f"{cell}<title>{title}</title></rect>")
        if named:
            parts.append(f'<text x="{x + side / 2}" y="{y + side / 2 + 4}" text-anchor="middle">{count}</text>')
    whole = side * len(classes)
    frame = f'<rect x="{margin}" y="{margin}" width="{whole}" height="{whole}" fill="none"'
    return "".join([*parts, f'{frame} stroke="{GRAY}"/></svg>'])


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
