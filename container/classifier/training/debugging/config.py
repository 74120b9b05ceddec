"""What the hook saves and how often: SageMaker's debughookconfig.json, or the same thing made from our defaults."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# A rule needs a few dozen looks at a run; more cost time and tell little.
SAVED_STEPS = 30
LONGEST_INTERVAL = 500
# To save everything costs some 30 ms, the losses 1 ms: in a short run they are saved more often than the rest, so that
# both together keep under 2 % of steps of 100 ms (benchmarks/debugger.py).
STEPS_FOR_ALL = 30
NEVER = {"eval.end_step": "0"}
# What each saved step holds. Norms are not finite where any element is not; training does not change in evaluation.
COLLECTIONS = {
    "losses": {},
    "weights": {"reductions": "l2_norm"} | NEVER,
    "biases": {"reductions": "l2_norm"} | NEVER,
    "gradients": {"reductions": "l2_norm,abs_mean"} | NEVER,
    "relu_input": {"include_regex": ".*relu_input", "reductions": "mean,std"},
    # Not smdebug's own: how active each unit behind a ReLU is, and how far a step moved each layer's weights.
    "relu_activity": {"include_regex": "^relu_activity/"} | NEVER,
    "update_ratio": {"include_regex": "^update_ratio/"} | NEVER,
}


class Intervals(NamedTuple):
    """Steps from one saved to the next, of the losses and of all other collections."""

    losses: int
    rest: int


def save_intervals(steps: int) -> Intervals:
    """At least SAVED_STEPS of `steps` are saved, or all of a shorter run; the rest only together with losses."""
    losses = max(1, min(LONGEST_INTERVAL, steps // SAVED_STEPS))
    rest = steps / max(1, steps // STEPS_FOR_ALL)
    return Intervals(losses, losses * math.ceil(rest / losses))


def write_config(path: Path, tensors: Path, modes: Mapping[str, Intervals]) -> None:
    """Write our configuration, in SageMaker's format, to `path`; the hook will write to `tensors`.

    `modes` are train and eval.
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


def tensors_folder(path: Path) -> Path:
    """Where the configuration at `path` lets the hook write; where SageMaker's says nothing, its documented default.

    Raises ValueError where it is not a JSON object.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{path.name} holds a JSON {type(config).__name__}; accepted: an object")
    return Path(config.get("LocalPath") or "/opt/ml/output/tensors")
