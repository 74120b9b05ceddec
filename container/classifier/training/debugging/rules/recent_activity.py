"""The activity of the units behind each ReLU in the last saved steps."""

from collections import defaultdict, deque
from collections.abc import Mapping

import numpy as np

# Saved steps that are looked at together: in one small batch a unit may be silent by chance.
STEPS_TOGETHER = 5


class RecentActivity:
    """Keeps the activity of each unit in each of these steps: the share of cases in which it was active."""

    def __init__(self) -> None:
        self.layers: dict[str, deque[np.ndarray]] = defaultdict(lambda: deque(maxlen=STEPS_TOGETHER))

    def add(self, activity: Mapping[str, np.ndarray]) -> None:
        """Add a saved step: the activity (units,) by layer."""
        for layer, units in activity.items():
            self.layers[layer].append(units)

    def dead_percent(self, threshold_inactivity: float, least_steps: int = 1) -> dict[str, float]:
        """Return by layer the percentage of units whose mean activity is below `threshold_inactivity` (a percentage).

        Layers with fewer than `least_steps` are left out.
        """
        return {
            layer: 100 * float(np.mean(100 * np.mean(steps, axis=0) < threshold_inactivity))
            for layer, steps in self.layers.items()
            if len(steps) >= least_steps
        }
