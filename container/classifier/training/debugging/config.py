"""What the hook saves and how often: SageMaker's debughookconfig.json, or our defaults in the same format."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from classifier import files
from classifier.training.debugging.names import RELU_ACTIVITY, RELU_INPUTS, UPDATE_RATIO

# A rule needs a few dozen saved steps of a run; more cost time and tell little.
SAVED_STEPS = 30
LONGEST_INTERVAL = 500
# Saving everything costs some 30 ms, the losses 1 ms. So a short run saves the losses more often than the rest, and
# both together stay under 2 % of steps of 100 ms (benchmarks/debugger.py).
STEPS_FOR_ALL = 30
# Evaluation does not change weights, and has no gradients.
NEVER = {"eval.end_step": "0"}
# The tensors of each saved step. A norm is not finite if any element is not.
COLLECTIONS = {
    "losses": {},
    "weights": {"reductions": "l2_norm"} | NEVER,
    "biases": {"reductions": "l2_norm"} | NEVER,
    "gradients": {"reductions": "l2_norm,abs_mean"} | NEVER,
    "relu_input": {"include_regex": RELU_INPUTS, "reductions": "mean,std"},
    # The hook's own, which smdebug lacks.
    RELU_ACTIVITY: {"include_regex": f"^{RELU_ACTIVITY}/"} | NEVER,
    UPDATE_RATIO: {"include_regex": f"^{UPDATE_RATIO}/"} | NEVER,
}
# In the folder of the job's outputs.
TENSORS, CONFIG = "tensors", "debughookconfig.json"


class Intervals(NamedTuple):
    """Save intervals in steps: of the losses, and of all other collections."""

    losses: int
    rest: int


def save_intervals(steps: int) -> Intervals:
    """Return the intervals for a run of `steps`.

    They save the losses of at least SAVED_STEPS steps, or of all in a shorter run, and the rest only with the losses.
    """
    losses = max(1, min(LONGEST_INTERVAL, steps // SAVED_STEPS))
    rest = steps / max(1, steps // STEPS_FOR_ALL)
    return Intervals(losses, losses * math.ceil(rest / losses))


def write_config(path: Path, tensors: Path, modes: Mapping[str, Intervals]) -> None:
    """Write our configuration, in SageMaker's format, to `path`; the hook will write to the folder `tensors`.

    `modes` has the intervals of smdebug's modes train and eval.
    """
    of_losses = {f"{mode}.save_interval": str(each.losses) for mode, each in modes.items()}
    collections = COLLECTIONS | {"losses": of_losses}
    config = {
        "LocalPath": str(tensors),
        "HookParameters": {f"{mode}.save_interval": str(each.rest) for mode, each in modes.items()},
        "CollectionConfigurations": [
            {"CollectionName": name, "CollectionParameters": parameters} for name, parameters in collections.items()
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def copy_config(path: Path, copy: Path) -> None:
    """Copy the user's configuration from `path` to `copy` in UTF-8, which is all that smdebug reads.

    Raises UserError if it is not a JSON object.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(files.read_json(path), indent=2) + "\n", encoding="utf-8")


def tensors_folder(path: Path) -> Path:
    """Return the folder that the configuration at `path` has the hook write to, SageMaker's default if it names none.

    Raises UserError if the file is not a JSON object.
    """
    config = files.read_json(path)
    return Path(config.get("LocalPath") or "/opt/ml/output/tensors")
