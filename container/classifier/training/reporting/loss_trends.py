"""The trend in the losses of single steps, and how much of their scatter is noise."""

from dataclasses import dataclass

import numpy as np

from classifier.words import percent, plural

# Report the recurring part of the scatter only from this share on.
RECURRING = 0.3


@dataclass(frozen=True)
class TrainingTrend:
    """The smoothed training loss, its first and last values, and how much single steps scatter around it."""

    smoothed: np.ndarray
    noise: float
    first: float
    last: float
    late_change: float  # in the last quarter of the steps, as a share of the whole fall; 0 if the loss rose

    def sentences(self, batch_size: int) -> str:
        way = "fell" if self.last < self.first else "rose"
        if self.last >= self.first:
            late = "More epochs with the same settings will not help."
        elif self.late_change > 0.05:
            share = percent(self.late_change)
            late = f"{share} of that fall is in the last quarter of the steps, so more epochs may help."
        else:
            late = "It hardly changed in the last quarter of the steps, so more epochs will not help much."
        return (
            f"Single steps scatter by ±{self.noise:.2g} around the line, because each sees "
            f"{plural(batch_size, 'different image')}; this is noise. "
            f"The line is the trend: it {way} from {self.first:.3g} to {self.last:.3g}. {late}"
        )


@dataclass(frozen=True)
class ValidationTrend:
    """Each epoch's mean validation loss, how much its steps scatter, and which share of that recurs every epoch."""

    means: np.ndarray
    scatter: float
    recurring: float | None

    def sentences(self) -> str:
        best = int(self.means.argmin())
        text = f"Within an epoch, steps scatter by ±{self.scatter:.2g} around the mean. "
        if self.recurring is not None and self.recurring < RECURRING:
            text += "The pattern hardly recurs from epoch to epoch, so it is mostly noise. "
        elif self.recurring is not None:
            text += (
                f"{percent(self.recurring)} of that recurs at the same steps of every epoch: the images are read class "
                "by class, and some classes are harder. This pattern says nothing about the progress of training. "
            )
        return text + (
            f"The line, the mean of each epoch, shows the progress: it is lowest in epoch {best + 1} "
            f"({self.means[best]:.3g}) and ends at {self.means[-1]:.3g}."
        )


def training_trend(losses: list[float]) -> TrainingTrend | None:
    """Return the trend of the steps with a finite loss; None if they are fewer than four."""
    values = np.array([loss for loss in losses if np.isfinite(loss)])
    if len(values) < 4:
        return None
    line = smooth(values)
    fall = line[0] - line[-1]
    late = (line[-1 - len(line) // 4] - line[-1]) / fall if fall > 0 else 0.0
    return TrainingTrend(line, float(np.std(values - line)), float(line[0]), float(line[-1]), float(late))


def validation_trend(epochs: list[list[float]], means: list[float]) -> ValidationTrend | None:
    """Return the trend of the `epochs`, the losses of each one's steps, and of their `means` over the images.

    An epoch counts if its losses are all finite; None if there is none.
    """
    finite = [np.isfinite(row).all() for row in epochs]
    rows = [np.array(row) for row, good in zip(epochs, finite, strict=True) if good]
    if not rows:
        return None
    scatter = float(np.sqrt(np.mean([row.var() for row in rows])))
    recurring = None
    if len(rows) > 1 and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
        # Divide each epoch's deviations by their scatter; otherwise the first epochs, which scatter most, dominate.
        table = np.stack([(row - row.mean()) / (row.std() or 1) for row in rows])
        recurring = float(max(0.0, np.mean((table @ table.T / table.shape[1])[np.triu_indices(len(rows), 1)])))
    return ValidationTrend(np.array(means)[finite], scatter, recurring)


def smooth(values: np.ndarray) -> np.ndarray:
    """Return the running mean over a twentieth of the series, at least five values, and fewer at the ends."""
    width = min(len(values), max(5, len(values) // 20))
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
