"""The values that settings accept, and their contradictions: every script checks both before it does anything."""

from argparse import Namespace
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from classifier.contract import INPUT_MODES
from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.accepted_values import Choice, Flag, Real, Whole
from classifier.words import plural
from local.accepted import MOST, Accepted, Hyperparameters, Prices, Scalar, Tags, Text, Texts, parse_values
from local.places import PREFIX
from local.search import as_texts, search_space
from local.tuning_fields import SETTINGS


class Steps(Whole):
    """A multiple of `low`."""

    def __str__(self) -> str:
        return f"{super().__str__()} in steps of {self.low}"

    def parse(self, text: str) -> int:
        value = super().parse(text)
        if value % self.low:
            raise ValueError
        return value


# The last is SageMaker's tracking server or MLflow app.
MLFLOW = Text(
    r"|https?://\S+|sqlite:///\S+|arn:[^:\s]+:sagemaker:[^:\s]+:[^:\s]+:mlflow-[^:/\s]+/[^:\s]+",
    "a URL of http or https, sqlite:///FILE, the ARN of a tracking server of SageMaker's, or none",
)
TEXT, TEXTS, FLAG, COUNT = Text(), Texts(), Scalar(Flag()), Scalar(Whole(1, MOST))
# Each section's settings. Limits are SageMaker's own where there are others than MOST.
SECTIONS: dict[str, dict[str, Accepted]] = {
    "aws": {
        **dict.fromkeys(("region", "profile", "role", "bucket"), TEXT),
        "prefix": PREFIX,
        **dict.fromkeys(("image", "kms_key"), TEXT),
        **dict.fromkeys(("subnets", "security_groups"), TEXTS),
        "network_isolation": FLAG,
        "tags": Tags(),
        "notify": Text(r"|[^@\s]+@[^@\s]+", "an e-mail address, or none"),
    },
    "cost": {"currency": TEXT, "prices": Prices(), "budget": Scalar(Real(0, MOST))},
    "training": {
        "data": TEXT,
        "hyperparameters": Hyperparameters(),
        "instance_type": TEXT,
        "more_instance_types": TEXTS,
        **dict.fromkeys(("instance_count", "volume_gb", "max_minutes"), COUNT),
        "spot": FLAG,
        "max_wait_minutes": COUNT,
        "checkpoints": FLAG,
        "input_mode": Scalar(Choice(INPUT_MODES)),
        "mlflow_uri": MLFLOW,
    },
    "tuning": {
        **{name: kind for name, kind in SETTINGS.items() if name not in ("data", "image", "hyperparameters")},
        "max_parallel_jobs": COUNT,
    },
    "hosting": {
        "instance_type": TEXT,
        "more_instance_types": TEXTS,
        **dict.fromkeys(("instance_count", "max_instances", "requests_per_instance", "backlog_per_instance"), COUNT),
        "inference_ami": TEXT,
        "shift": Scalar(Choice(("AllAtOnce", "Canary", "Linear"))),
        "watch_minutes": Scalar(Whole(0, 60)),
        "max_latency_ms": COUNT,
        "capture_percent": Scalar(Whole(0, 100)),
        "startup_seconds": Scalar(Whole(60, 3600)),
        "memory_mb": Scalar(Steps(1024, 6144)),
        "max_concurrency": Scalar(Whole(1, 200)),
    },
    "transform": {
        "instance_type": TEXT,
        **dict.fromkeys(("instance_count", "max_minutes", "max_concurrent", "max_payload_mb"), COUNT),
        "transform_ami": TEXT,
    },
}
MOST_MB_AT_A_TIME = 100  # of a batch transform job
# docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html
LEARNING, MOST_EARLIER = ("Bayesian", "Random"), 5
# A setting, another one that must not be less, and which of the two follows a flag of the other.
ORDERED = (
    ("max_parallel_jobs", "max_jobs", "max_parallel_jobs"),
    ("max_minutes", "max_wait_minutes", "max_wait_minutes"),
    ("instance_count", "max_instances", "max_instances"),
)


def check_file(values: Mapping[str, object], path: object) -> dict[str, dict[str, object]]:
    """Return the sections of settings.toml, which has `values`, with every setting parsed.

    Raises UserError, with the file's `path`, if one is missing, not known or not accepted.
    """
    check_known(values, SECTIONS, f"{path} has ")
    parsed = {}
    for section, accepted in SECTIONS.items():
        settings = values.get(section)
        if not isinstance(settings, dict):
            raise UserError(f"{path} has {'no' if settings is None else 'a setting, not a'} section [{section}]")
        check_known(settings, accepted, f"{path}, section [{section}], has ")
        parsed[section] = parse_values(settings, accepted, f"{path}, section [{section}]: ")
    return parsed


def check_known(names: Collection[str], accepted: Collection[str], within: str) -> None:
    """Raise UserError, which begins with `within`, if one of `names` is not accepted."""
    for name in names:
        if name not in accepted:
            near = get_close_matches(name, accepted, 1)
            advice = f"did you mean {near[0]}" if near else f"accepted: {', '.join(accepted)}"
            raise UserError(f"{within}{shown(name)}, which is not known; {advice}")


def check_settings(settings: Namespace, accepted: Mapping[str, Accepted], flags: Collection[str]) -> None:
    """Parse every setting in place; `flags` has the names of all flags that the command line gave.

    Raises UserError for a value that is not accepted and for settings that contradict each other.
    """
    values = vars(settings)
    values |= parse_values(values, accepted)
    if bool(values.get("subnets")) != bool(values.get("security_groups")):
        raise UserError("a VPC needs both subnets and security_groups; accepted: both, or neither")
    if "max_payload_mb" in values:
        check_payload(settings.max_concurrent, settings.max_payload_mb)
    for lower, upper, follower in ORDERED:
        if lower in values and upper in values and (upper != "max_wait_minutes" or settings.spot):
            check_order(values, lower, upper, follower, flags)
    if "hyperparameters" in values:
        as_texts(values["hyperparameters"])
    if "ranges" in values:
        check_tuning(settings, flags)


def check_payload(max_concurrent: int, max_payload_mb: int) -> None:
    """Raise UserError if AWS refuses this product: the reference of CreateTransformJob, MaxPayloadInMB."""
    if max_concurrent * max_payload_mb > MOST_MB_AT_A_TIME:
        raise UserError(
            f"max_concurrent is {max_concurrent} and max_payload_mb is {max_payload_mb}; accepted: a product of up to "
            f"{MOST_MB_AT_A_TIME}"
        )


def check_order(values: dict[str, int], lower: str, upper: str, follower: str, flags: Collection[str]) -> None:
    """Raise UserError if `lower` is more than `upper`, unless a flag gave one and the other only follows it."""
    if values[lower] <= values[upper]:
        return
    leader = lower if follower == upper else upper
    if leader not in flags or follower in flags:
        raise UserError(f"{lower} is {values[lower]} and {upper} is {values[upper]}; accepted: {lower} up to {upper}")
    values[follower] = values[leader]


def check_tuning(settings: Namespace, flags: Collection[str]) -> None:
    """Raise UserError for an invalid search space or warm start, and for a flag that asks for a part of a grid."""
    if settings.warm_start and settings.strategy not in LEARNING:
        raise UserError(
            f"strategy is {settings.strategy!r}, which learns nothing from warm_start; accepted with it: "
            f"{' or '.join(LEARNING)}"
        )
    if len(settings.warm_start) > MOST_EARLIER:
        raise UserError(f"warm_start has {plural(len(settings.warm_start), 'tuning')}; accepted: up to {MOST_EARLIER}")
    searched = Namespace(**vars(settings))
    search_space(searched)
    if "max_jobs" in flags and searched.max_jobs != settings.max_jobs:
        raise UserError(
            f"max_jobs is {settings.max_jobs}, and a grid search tries all its combinations, {searched.max_jobs}; "
            "accepted: that number, or no --max-jobs"
        )
