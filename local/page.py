"""Write tuning.html: a tuning on one self-contained page."""

import importlib.util
import math
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from classifier.training.accepted_values import Real
from classifier.training.hyperparameters import FIELDS
from classifier.training.reporting import pages
from classifier.training.reporting.charts import GRAY, STYLE, TRAIN, VALIDATION, svg
from local.trials import Tuning, short
from local.tuning_fields import STOPPED

# Measured trials: with fewer a chart says little, and Optuna's estimate is noise.
FEWEST_FOR_CHARTS, FEWEST_FOR_IMPORTANCES = 5, 10
# Metrics that are charted over the epochs, besides the objective.
OVER_TIME = ("validation:loss", "validation:accuracy")


def write_page(tuning: Tuning, path: Path) -> None:
    drawn = {}
    charted = len(tuning.measured) >= FEWEST_FOR_CHARTS
    if charted:
        metrics = dict.fromkeys((tuning.objective, *OVER_TIME))
        drawn = {
            "history": draw(best_so_far, tuning, xlabel="trial", ylabel=tuning.objective),
            "against": [draw(against, tuning, name, xlabel=name, ylabel=tuning.objective) for name in tuning.tuned],
            "over_time": [draw(over_time, tuning, metric, xlabel="epoch", ylabel=metric) for metric in metrics],
        }
    measured = len(tuning.measured) >= FEWEST_FOR_IMPORTANCES and len(tuning.tuned) > 1
    shares = importances_of(tuning) if measured else {}
    if shares:
        drawn["coordinates"] = draw(parallel_coordinates, tuning)
        drawn["importances"] = draw(bars, shares, xlabel="importance")
    values = {"tuning": tuning, "best": tuning.best, "charted": charted, "fewest": FEWEST_FOR_CHARTS}
    page = pages.fill_in("tuning.html", values | {"short": short, "importances": ""} | drawn, Path(__file__).parent)
    path.write_text(page, encoding="utf-8")


def draw(plot: Callable[..., None], *what: object, **labels: str) -> str:
    """Return a chart as SVG; `plot` draws `what` on its axes."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        plot(axes, *what)
        axes.set(**labels)
        return svg(figure)


def draw_dots(axes: Axes, tuning: Tuning, positions: Iterable[float | str]) -> None:
    """Draw each measured trial's objective: the best in its own colour, trials that were stopped early hollow."""
    for position, trial, value in zip(positions, tuning.measured, tuning.values, strict=True):
        colour, layer = (VALIDATION, 3) if trial is tuning.best else (TRAIN, 2)
        filling = "none" if trial.status == STOPPED else colour
        axes.plot([position], [value], "o", color=colour, markerfacecolor=filling, zorder=layer)


def best_so_far(axes: Axes, tuning: Tuning) -> None:
    """Draw the objective of every trial in order, and the best so far."""
    numbers = range(1, len(tuning.measured) + 1)
    best = list(accumulate(tuning.values, tuning.better))
    axes.step(numbers, best, where="post", color=VALIDATION, label="best so far")
    draw_dots(axes, tuning, numbers)
    axes.legend()


def against(axes: Axes, tuning: Tuning, name: str) -> None:
    """Draw a hyperparameter against the objective: real numbers on a logarithmic axis, other values side by side."""
    values = [trial.hyperparameters[name] for trial in tuning.measured]
    if is_number(name) and all(map(float, values)):
        values = list(map(float, values))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)) if max(values) > 9 * min(values) else MaxNLocator(3))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.update_units(sorted(set(values), key=lambda value: (len(value), value)))
        axes.margins(x=0.4)
    draw_dots(axes, tuning, values)


def over_time(axes: Axes, tuning: Tuning, metric: str) -> None:
    """Draw a metric of every trial over its epochs; the best trial stands out."""
    for trial in sorted(tuning.trials, key=lambda trial: trial is tuning.best):
        values = trial.metrics.get(metric, ())
        style = {"color": VALIDATION, "linewidth": 2} if trial is tuning.best else {"color": GRAY, "alpha": 0.6}
        axes.plot(range(1, len(values) + 1), values, "o-", markersize=3, **style)
    if metric.endswith("loss"):
        axes.set_yscale("log")  # much too high a learning rate ends with losses in the thousands


def importances_of(tuning: Tuning) -> dict[str, float]:
    """Return each tuned hyperparameter's importance, the largest first; {} without Optuna, which AWS does not need."""
    if importlib.util.find_spec("optuna") is None:
        return {}
    from local.importances import importances

    return importances(tuning)


def bars(axes: Axes, shares: dict[str, float]) -> None:
    """Draw a bar for each share, the first at the top."""
    axes.barh(list(shares)[::-1], list(shares.values())[::-1], color=TRAIN)
    axes.set_xlim(0, 1)


def parallel_coordinates(axes: Axes, tuning: Tuning) -> None:
    """Draw a line for each measured trial through its values, each axis from its lowest value to its highest."""
    names = [*tuning.tuned, tuning.objective]
    columns = [positions([trial.hyperparameters[name] for trial in tuning.measured], name) for name in tuning.tuned]
    columns.append(scaled(tuning.values))
    for trial, *line in sorted(zip(tuning.measured, *columns, strict=True), key=lambda row: row[0] is tuning.best):
        style = {"color": VALIDATION, "linewidth": 2} if trial is tuning.best else {"color": GRAY, "alpha": 0.6}
        axes.plot(range(len(names)), line, "o-", markersize=3, **style)
    axes.set_xticks(range(len(names)), [name.replace(":", "\n") for name in names], fontsize=8)
    axes.set_yticks((0, 1), ("lowest", "highest"))


def positions(texts: list[str], name: str) -> list[float]:
    """Return where the values of a hyperparameter lie between 0 and 1: numbers on a logarithmic scale."""
    if is_number(name) and all(map(float, texts)):
        return scaled([math.log(float(text)) for text in texts])
    order = sorted(set(texts), key=lambda text: (len(text), text))
    return scaled([float(order.index(text)) for text in texts])


def scaled(values: list[float]) -> list[float]:
    """Return the values moved and stretched to 0 to 1; 0.5 for all if they are alike."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


def is_number(name: str) -> bool:
    """Return whether this hyperparameter is a real number."""
    return isinstance(FIELDS[name].metadata["accepted"], Real)
