"""Write tuning.html: a tuning on one self-contained page."""

from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path

import jinja2
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from classifier.training.hyperparameters import FIELDS, Real
from classifier.training.reporting.charts import GRAY, STYLE, TRAIN, VALIDATION, svg
from local.trials import Tuning, short
from local.tuning_fields import STOPPED

# Metrics that are charted over the epochs, besides the objective.
OVER_TIME = ("validation:loss", "validation:accuracy")


def write_page(tuning: Tuning, path: Path) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["short"] = short
    charts = {}
    if tuning.measured:
        metrics = dict.fromkeys((tuning.objective, *OVER_TIME))
        charts = {
            "history": draw(best_so_far, tuning, xlabel="trial", ylabel=tuning.objective),
            "against": [draw(against, tuning, name, xlabel=name, ylabel=tuning.objective) for name in tuning.tuned],
            "over_time": [draw(over_time, tuning, metric, xlabel="epoch", ylabel=metric) for metric in metrics],
        }
    page = environment.get_template("tuning.html").render(tuning=tuning, best=tuning.best, **charts)
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
    if isinstance(FIELDS[name].metadata["accepted"], Real) and all(map(float, values)):
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
