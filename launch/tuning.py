"""Tuning jobs with the SageMaker Python SDK: on instances of several types, and from what earlier tunings found."""

from argparse import Namespace
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from classifier.errors import UserError
from classifier.training.accepted_values import Between, OneOf, text_of
from classifier.words import plural
from launch import console, cost, instances, jobs, notice
from launch.aws import Aws, tags
from launch.uploading import images_for_job
from local import places
from local.search import as_texts, search_space
from local.trials import direction

if TYPE_CHECKING:  # importing the SDK takes seconds
    from sagemaker.train.model_trainer import ModelTrainer
    from sagemaker.train.tuner import HyperparameterTuner

MOST_TYPES = 6  # HyperParameterTuningResourceConfig, InstanceConfigs


def start_tuning(settings: Namespace, aws: Aws) -> str:
    """Ask, start a tuning job and return its name."""
    space = search_space(settings)
    settings.max_parallel_jobs = min(settings.max_parallel_jobs, settings.max_jobs)  # a grid may have few combinations
    fixed = as_texts(settings.hyperparameters | {"objective": settings.objective})
    uri = images_for_job(aws)
    what = f"{plural(settings.max_jobs, 'training job')} on {uri}, {settings.max_parallel_jobs} at a time"
    trainer = jobs.model_trainer(settings, aws, fixed, uri, jobs.new_checkpoints(settings, aws))
    resources(settings)  # raises UserError for what AWS would refuse
    earlier = warm_start(settings, aws, uri, {*fixed, *space})
    hours = settings.max_jobs * settings.instance_count * settings.max_minutes / 60
    cost.ask_to_spend(aws, what, hours, "Train", cost.instance_types(settings))
    notice.arrange(aws, "HyperParameterTuningJob")
    name = places.new_name(settings.prefix)
    with console.if_unclear("HyperParameterTuningJob", name):
        tuner(settings, aws, trainer, space, earlier).tune(job_name=name, wait=False)
    places.note(tuning=name)
    return name


def resources(settings: Namespace) -> dict[str, Any]:
    """Return on what a trial runs: the member of TrainingJobDefinition that takes one type, or several in their order.

    Raises UserError for a type on which the image does not run, and for types that differ in taking a KMS key.
    """
    types = cost.instance_types(settings)
    for instance_type in types:
        instances.family(instance_type)
    keys = {instances.volume_key(settings, instance_type) for instance_type in types}
    if len(types) > MOST_TYPES:
        raise UserError(
            f"more_instance_types has {plural(len(types) - 1, 'type')}; accepted for tuning: up to {MOST_TYPES - 1}"
        )
    if len(keys) > 1:
        some = " and ".join(filter(instances.has_local_disks, types))
        raise UserError(
            f"there is a kms_key, and {some} takes none for its disks; accepted: types that are alike in it"
        )
    size = {"InstanceCount": settings.instance_count, "VolumeSizeInGB": settings.volume_gb}
    configs = [{"InstanceType": instance_type} | size for instance_type in types]
    key = {"VolumeKmsKeyId": min(keys)} if any(keys) else {}
    if len(configs) == 1:
        return {"ResourceConfig": configs[0] | key}
    preferred = {"InstanceConfigs": configs, "AllocationStrategy": "Prioritized"}
    return {"HyperParameterTuningResourceConfig": preferred | key}


def warm_start(settings: Namespace, aws: Aws, uri: str, names: Collection[str]) -> dict[str, Any]:
    """Return WarmStartConfig, with the settings' earlier tunings, for a tuning on `uri`; {} if there are none.

    `names` are the tuning's hyperparameters, fixed or searched. Raises UserError for tunings that AWS would not take:
    the reference of HyperParameterTuningJobWarmStartConfig.
    """
    same = True
    for earlier in settings.warm_start:
        about = aws.call("Describe", "HyperParameterTuningJob", earlier)
        check_earlier(settings, about, names)
        definition = about["TrainingJobDefinition"]
        source = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
        same &= (source, definition["AlgorithmSpecification"]["TrainingImage"]) == (uri, aws.image)
    if not settings.warm_start:
        return {}
    parents = [{"HyperParameterTuningJobName": earlier} for earlier in settings.warm_start]
    kind = "IdenticalDataAndAlgorithm" if same else "TransferLearning"
    return {"WarmStartConfig": {"ParentHyperParameterTuningJobs": parents, "WarmStartType": kind}}


def check_earlier(settings: Namespace, about: dict[str, Any], names: Collection[str]) -> None:
    """Raise UserError if a tuning job cannot be one to learn from."""
    config, state = about["HyperParameterTuningJobConfig"], about["HyperParameterTuningJobStatus"]
    name, objective = about["HyperParameterTuningJobName"], config["HyperParameterTuningJobObjective"]["MetricName"]
    if state in ("InProgress", "Stopping"):
        raise UserError(f"warm_start has {name}, which is {state}; accepted: tunings that have ended")
    if objective != settings.objective:
        raise UserError(
            f"warm_start has {name}, which tuned for {objective}; accepted: tunings for {settings.objective}"
        )
    fixed = about["TrainingJobDefinition"].get("StaticHyperParameters", {})
    ranged = [one["Name"] for ranges in config["ParameterRanges"].values() for one in ranges]
    known = {one for one in (*fixed, *ranged) if not one.startswith("_")}  # AWS adds such names itself
    if len(known) != len(names):
        raise UserError(
            f"warm_start has {name}, with {plural(len(known), 'hyperparameter')} ({', '.join(sorted(known))}); "
            f"accepted: as many as this tuning's {len(names)} ({', '.join(sorted(names))})"
        )


def tuner(
    settings: Namespace,
    aws: Aws,
    trainer: "ModelTrainer",
    space: Mapping[str, Between | OneOf],
    earlier: Mapping[str, Any],
) -> "HyperparameterTuner":
    """Return the SDK's HyperparameterTuner over the search space `space`; `earlier` is what warm_start() returns."""
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
    from sagemaker.train.tuner import HyperparameterTuner

    ranges: dict[Any, Any] = {
        name: ContinuousParameter(searched.low, searched.high, scaling_type="Logarithmic")
        if isinstance(searched, Between)
        else CategoricalParameter([text_of(value) for value in searched.values])
        for name, searched in space.items()
    }

    def add_what_the_tuner_leaves_out(params: dict, **_) -> None:  # params is the request itself
        definition = params["TrainingJobDefinition"]
        definition["EnableNetworkIsolation"] = settings.network_isolation
        del definition["ResourceConfig"]
        definition |= resources(settings)
        params |= earlier

    sending = "provide-client-params.sagemaker.CreateHyperParameterTuningJob"
    aws.session.events.register(sending, add_what_the_tuner_leaves_out)
    return HyperparameterTuner(
        trainer,
        settings.objective,
        ranges,
        metric_definitions=jobs.METRIC_DEFINITIONS,
        objective_type=direction(settings.objective),
        strategy=settings.strategy,
        # Hyperband ends poor jobs itself; SageMaker rejects it together with early stopping.
        early_stopping_type="Off" if settings.strategy == "Hyperband" else settings.early_stopping,
        max_jobs=settings.max_jobs,
        max_parallel_jobs=settings.max_parallel_jobs,
        tags=tags(settings),
    )
