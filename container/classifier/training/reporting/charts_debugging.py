"""The charts of the report's debugging part: the loss of each step, and what happens in each layer."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from classifier.layers import HEAD, STAGES, STEM
from classifier.training.reporting.charts import GRAY, STYLE, TRAIN, VALIDATION, make_figure, svg
from classifier.training.reporting.loss_trends import TrainingTrend, ValidationTrend

# From input to output. Legible on white and on black; colour-blind readers can tell the colours apart.
COLOURS = ("#56b4e9", "#3a8fd0", "#009e73", "#e69f00", "#d55e00", "#cc79a7")
PARTS: dict[str, str] = dict(zip((STEM, *STAGES, HEAD), COLOURS, strict=True))
# Below this range a layer hardly learns; above it, each step undoes what earlier steps learnt.
USUAL_UPDATE = (1e-4, 1e-1)
MOST_DOTS = 2000


def training_losses(losses: list[float], trend: TrainingTrend) -> str:
    """Draw the loss of each training step, and the smoothed line through them."""
    values = np.array([loss for loss in losses if np.isfinite(loss)])
    steps = np.arange(1, len(values) + 1)
    every = -(-len(values) // MOST_DOTS)
    with rc_context(STYLE):
        figure, axes = make_figure()
        axes.plot(steps[::every], values[::every], ".", color=TRAIN, alpha=0.35, markersize=4, label="each step")
        axes.plot(steps[::every], trend.smoothed[::every], color=TRAIN, linewidth=2, label="smoothed")
        _clip_outliers(axes, values)
        axes.set(xlabel="training step", ylabel="loss", title="Training")
        axes.legend()
        return svg(figure)


def validation_losses(epochs: list[list[float]], trend: ValidationTrend) -> str:
    """Draw the loss of each validation step, and each epoch's mean."""
    rows = [row for row in epochs if np.isfinite(row).all()]
    values = np.concatenate(rows)
    ends = np.cumsum([len(row) for row in rows])
    every = -(-len(values) // MOST_DOTS)
    with rc_context(STYLE):
        figure, axes = make_figure()
        steps = np.arange(1, len(values) + 1)
        axes.plot(steps[::every], values[::every], "-", color=VALIDATION, alpha=0.4, linewidth=1, label="each step")
        middles = ends - np.array([len(row) for row in rows]) / 2 + 0.5
        axes.plot(middles, trend.means, "o-", color=VALIDATION, linewidth=2, markersize=4, label="mean of each epoch")
        if len(rows) <= 60:
            for end in ends[:-1]:
                axes.axvline(end + 0.5, color=GRAY, alpha=0.3, linewidth=0.7)
        _clip_outliers(axes, values)
        axes.set(xlabel="validation step (vertical lines separate epochs)", ylabel="loss", title="Validation")
        axes.legend()
        return svg(figure)


def gradients(steps: list[int], layers: dict[str, list[float | None]]) -> str:
    """Draw a row per layer, from input to output, coloured by the norm of its gradient."""
    layers = in_order(layers)
    table = np.array([[np.nan if value is None else value for value in column] for column in layers.values()])
    table = np.where(table > 0, table, np.nan)
    known = table[np.isfinite(table)]
    with rc_context(STYLE):
        figure, axes = make_figure(height=1.2 + 0.24 * len(layers))
        axes.grid(False)
        norm = LogNorm(known.min(), max(known.max(), known.min() * 1.01)) if known.size else None
        extent = (steps[0] - 0.5, steps[-1] + 0.5, len(layers) - 0.5, -0.5)
        image = axes.imshow(table, aspect="auto", norm=norm, cmap="viridis", extent=extent, interpolation="nearest")
        axes.set_yticks(range(len(layers)), layers, fontsize=7)
        axes.set(xlabel="training step", title="Gradient norm of each layer")
        bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        return svg(figure)


def updates(steps: list[int], layers: dict[str, list[float | None]]) -> str:
    """Draw how far a step moves the weights, relative to their size: a line per part of the network."""
    with rc_context(STYLE):
        figure, axes = make_figure()
        axes.axhspan(*USUAL_UPDATE, color=GRAY, alpha=0.12, linewidth=0, label="usual")
        for part, rows in _by_part(layers).items():
            axes.plot(steps, over_layers(np.median, rows), color=PARTS.get(part, GRAY), label=part)
        axes.set(xlabel="training step", ylabel="update / weight", title="Update-to-weight ratio", yscale="log")
        axes.legend(ncols=2, fontsize=8)
        return svg(figure)


def dead_units(steps: list[int], layers: dict[str, list[float | None]]) -> str:
    """Draw the percentage of dead units in the worst layer of each part of the network."""
    with rc_context(STYLE):
        figure, axes = make_figure()
        for part, rows in _by_part(layers).items():
            axes.plot(steps, over_layers(np.max, rows), color=PARTS.get(part, GRAY), label=part)
        axes.axhline(50, color=GRAY, linestyle=":", linewidth=1)
        axes.set(xlabel="training step", ylabel="%", title="Dead units, worst layer of each part", ylim=(-2, 102))
        axes.legend(ncols=2, fontsize=8)
        return svg(figure)


def part_of(layer: str) -> str:
    """Return the part of the network that a layer, or a call of a ReLU, belongs to."""
    part = layer.partition(".")[0].partition("_")[0]
    return STEM if part == "relu" else part


def in_order(layers: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    """Return the layers sorted from input to output; smdebug lists them alphabetically."""
    order = list(PARTS)
    return dict(
        sorted(layers.items(), key=lambda item: order.index(part) if (part := part_of(item[0])) in order else -1)
    )


def over_layers(reduce: Callable, rows: np.ndarray) -> np.ndarray:
    """Return `reduce` of the finite values of each column; nan for a column without any."""
    columns = (column[np.isfinite(column)] for column in rows.T)
    return np.array([reduce(column) if column.size else np.nan for column in columns])


def _by_part(layers: dict[str, list[float | None]]) -> dict[str, np.ndarray]:
    parts = defaultdict(list)
    for name, column in in_order(layers).items():
        parts[part_of(name)].append([np.nan if value is None else value for value in column])
    return {part: np.array(rows) for part, rows in parts.items()}


def _clip_outliers(axes: Axes, values: np.ndarray) -> None:
    """Clip the y-axis so that outliers do not flatten the rest."""
    top = np.quantile(values, 0.98) * 1.3
    if values.max() > 2 * top > 0:
        axes.set_ylim(0, top)
        axes.annotate(
            f"outliers up to {values.max():.3g}",
            (0.99, 0.98),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
        )
