"""What the losses of single steps say: how much of them is noise, and where the trend goes."""

from dataclasses import dataclass

import numpy as np

# A share of the scatter that is worth to be told of.
RECURRING = 0.3


@dataclass(frozen=True)
class TrainingTrend:
    """The smoothed loss at the first and last steps, its change over the last quarter, and how much steps scatter."""

    smoothed: np.ndarray
    noise: float
    first: float
    last: float
    late_change: float  # of the last quarter, as a share of the whole fall or rise

    def sentences(self, batch_size: int) -> str:
        way = "fell" if self.last < self.first else "rose"
        if self.last >= self.first:
            late = "There is nothing that more epochs of the same would mend."
        elif self.late_change > 0.05:
            late = f"{self.late_change:.0%} of that fall came in the last quarter, so more epochs may help."
        else:
            late = "In the last quarter it has hardly changed, so more epochs of the same will not help much."
        return (
            f"Single steps scatter by ±{self.noise:.2g} around the line, since each sees {batch_size} other images: "
            f"that is noise. The line is the trend: it {way} from {self.first:.3g} to {self.last:.3g}. {late}"
        )


@dataclass(frozen=True)
class ValidationTrend:
    """Each epoch's mean, how far its steps scatter, and how much of that comes back at the same place each epoch."""

    means: np.ndarray
    scatter: float
    recurring: float | None

    def sentences(self) -> str:
        best = int(self.means.argmin())
        text = f"Within an epoch the steps scatter by ±{self.scatter:.2g}. "
        if self.recurring is not None and self.recurring < RECURRING:
            text += "That hardly repeats from epoch to epoch, so it is mostly chance: that is noise. "
        elif self.recurring is not None:
            text += (
                f"{self.recurring:.0%} of that comes back at the same place in every epoch: the images are read class "
                "by class, and some classes are harder. That wave tells nothing about the progress of training. "
            )
        return text + (
            f"The line, each epoch's mean, tells how training goes: it is lowest in epoch {best + 1} "
            f"({self.means[best]:.3g}) and ends at {self.means[-1]:.3g}."
        )


def training_trend(losses: list[float]) -> TrainingTrend | None:
    """None for fewer than four steps with a finite loss."""
    values = np.array([loss for loss in losses if np.isfinite(loss)])
    if len(values) < 4:
        return None
    line = smooth(values)
    fall = line[0] - line[-1]
    late = (line[-1 - len(line) // 4] - line[-1]) / fall if fall > 0 else 0.0
    return TrainingTrend(line, float(np.std(values - line)), float(line[0]), float(line[-1]), float(late))


def validation_trend(epochs: list[list[float]]) -> ValidationTrend | None:
    """None without a whole epoch whose losses are finite."""
    rows = [np.array(row) for row in epochs if np.isfinite(row).all()]
    if not rows:
        return None
    means = np.array([row.mean() for row in rows])
    scatter = float(np.sqrt(np.mean([row.var() for row in rows])))
    recurring = None
    if len(rows) > 1 and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
        # Each epoch's deviations in units of its own scatter, or the first, wild epochs would decide alone.
        table = np.stack([(row - row.mean()) / (row.std() or 1) for row in rows])
        recurring = float(max(0.0, np.mean((table @ table.T / table.shape[1])[np.triu_indices(len(rows), 1)])))
    return ValidationTrend(means, scatter, recurring)


def smooth(values: np.ndarray) -> np.ndarray:
    """The running mean over a twentieth of the series, at least five values, shorter at the ends."""
    width = min(len(values), max(5, len(values) // 20))
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
