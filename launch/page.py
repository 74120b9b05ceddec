"""tuning.html: a tuning on one self-contained page."""

from collections.abc import Callable
from pathlib import Path

import jinja2
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from classifier.training.charts import GRAY, STYLE, TRAIN, VALIDATION, svg
from classifier.training.hyperparameters import FIELDS, Real
from classifier.training.metrics import better
from trials import STOPPED, Trial, Tuning, short

# The figures that are told over time, in the order of the table of metrics.
OVER_TIME = ("validation:loss", "validation:accuracy")
HOLLOW = {STOPPED: "none"}


def write_page(tuning: Tuning, path: Path) -> Path:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["short"] = short
    measured = [trial for trial in tuning.trials if trial.value is not None]
    page = environment.get_template("tuning.html").render(
        tuning=tuning,
        best=tuning.best,
        history=best_so_far(tuning, measured) if measured else "",
        against=[against(tuning, measured, name) for name in tuning.tuned] if measured else [],
        over_time=[over_time(tuning, name) for name in dict.fromkeys((tuning.objective, *OVER_TIME))],
    )
    path.write_text(page, encoding="utf-8")
    return path


def draw(plot: Callable[[Axes], None], **labels: str) -> str:
    """A chart as SVG; `plot` draws on its axes."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.subplots()
        plot(axes)
        axes.set(**labels)
        return svg(figure)


def best_so_far(tuning: Tuning, measured: list[Trial]) -> str:
    """The objective of every trial in order, and the best until then."""
    steps: list[float] = []
    for trial in measured:
        is_better = not steps or better(tuning.objective, trial.value, steps[-1])
        steps.append(trial.value if is_better else steps[-1])

    def plot(axes: Axes) -> None:
        numbers = list(range(1, len(measured) + 1))
        axes.step(numbers, steps, where="post", color=VALIDATION, label="best so far")
        dots(axes, numbers, measured, tuning.best)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()

    return draw(plot, xlabel="trial", ylabel=tuning.objective)


def against(tuning: Tuning, measured: list[Trial], name: str) -> str:
    """A hyperparameter against the objective: a real number on a logarithmic axis, others side by side."""
    values = [trial.hyperparameters[name] for trial in measured]

    def plot(axes: Axes) -> None:
        if isinstance(FIELDS[name].metadata["accepted"], Real):
            axes.set_xscale("log")
            numbers = list(map(float, values))
            dots(axes, numbers, measured, tuning.best)
            decades = max(numbers) / min(numbers) >= 10
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if decades else MaxNLocator(4))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            options = sorted(set(values), key=lambda value: (len(value), value))
            dots(axes, [options.index(value) for value in values], measured, tuning.best)
            axes.set_xticks(range(len(options)), options)
            axes.set_xlim(-0.5, len(options) - 0.5)

    return draw(plot, xlabel=name, ylabel=tuning.objective)


def dots(axes: Axes, positions: list, measured: list[Trial], best: Trial | None) -> None:
    """The trials' objectives: the best in the colour of the best, hollow where a trial ended early."""
    for position, trial in zip(positions, measured, strict=True):
        colour = VALIDATION if trial is best else TRAIN
        axes.plot([position], [trial.value], "o", color=colour, markerfacecolor=HOLLOW.get(trial.status, colour))


def over_time(tuning: Tuning, metric: str) -> str:
    """A metric of every trial over its epochs; the best trial's stands out."""

    def plot(axes: Axes) -> None:
        for trial in sorted(tuning.trials, key=lambda trial: trial is tuning.best):
            values = trial.metrics.get(metric, ())
            style = {"color": VALIDATION, "linewidth": 2} if trial is tuning.best else {"color": GRAY, "alpha": 0.6}
            axes.plot(range(1, len(values) + 1), values, "o-", markersize=3, **style)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if metric.endswith("loss"):
            axes.set_yscale("log")  # a learning rate far too high ends in thousands

    return draw(plot, xlabel="epoch", ylabel=metric)
