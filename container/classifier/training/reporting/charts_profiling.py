"""The charts of the report's profiling part."""

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from classifier.training.profiling.system import Sample
from classifier.training.reporting.charts import GRAY, STYLE, make_figure, svg

PHASES = {
    "data wait": "#d55e00",
    "copy": "#f0e442",
    "forward": "#56b4e9",
    "backward": "#3a6fb0",
    "optimizer": "#009e73",
    "hook": "#cc79a7",
    "other": GRAY,
}
MOST_SAMPLES = 600


def steps(rows: list[dict[str, float]]) -> str:
    """Draw a bar per timed step, stacked by phase."""
    with rc_context(STYLE):
        figure, axes = make_figure()
        axes.grid(False)
        bottom = np.zeros(len(rows))
        numbers = np.arange(1, len(rows) + 1)
        for phase, colour in PHASES.items():
            values = np.array([row.get(phase, 0.0) for row in rows])
            if values.any():
                axes.bar(numbers, values, 0.85, bottom=bottom, color=colour, label=phase)
                bottom += values
        axes.set(xlabel="timed step", ylabel="milliseconds", title="Time of each step", ylim=(0, bottom.max() * 1.28))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(ncols=4, fontsize=8, loc="upper center")
        return svg(figure)


def utilisation(samples: list[Sample]) -> str:
    """Draw how busy CPU, memory and GPU were over the whole job."""
    shown = samples[:: -(-len(samples) // MOST_SAMPLES)]
    lines = {"CPU": "cpu", "memory": "memory", "GPU": "gpu", "GPU memory": "gpu_memory"}
    colours = ("#3a8fd0", "#e69f00", "#009e73", "#cc79a7")
    with rc_context(STYLE):
        figure, axes = make_figure()
        for (label, name), colour in zip(lines.items(), colours, strict=True):
            values = [getattr(sample, name) for sample in shown]
            if values[0] is not None:
                axes.plot([sample.seconds for sample in shown], np.array(values) * 100, color=colour, label=label)
        axes.set(xlabel="seconds", ylabel="%", title="Utilisation", ylim=(0, 118), yticks=range(0, 101, 20))
        axes.legend(ncols=4, fontsize=8, loc="upper center")
        return svg(figure)
