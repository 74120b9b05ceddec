"""Training and tuning jobs with the SageMaker Python SDK: settings in, a ModelTrainer or HyperparameterTuner out.

What the SDK has no argument for, or leaves out, is put into the very request it sends.
"""

import logging
import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass

import aws
import places
from classifier.training.hyperparameters import Between, text_of
from classifier.training.metrics import METRICS
from trials import metric_definitions

# The SDK reports what is called with it to AWS, unless it is told not to.
QUIET = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
DEBUGGER_RULES = ("LossNotDecreasing", "Overfit", "Overtraining", "VanishingGradient", "ExplodingTensor", "DeadRelu")
COLLECTIONS = ("losses", "gradients", "weights", "biases", "relu_input")


@dataclass(frozen=True)
class Place:
    """Where in AWS the jobs work: session, role's ARN, image's URI, and `home`, the S3 URI below which all is ours."""

    session: object
    role: str
    image: str
    home: str


def find_place(settings: Namespace) -> Place:
    """Raises UserError for the first thing that is missing."""
    session = aws.connect(settings)
    image = aws.image_of(settings)
    role = aws.role_of(session, settings)
    return Place(session, role, image, f"s3://{aws.bucket_of(session, settings)}/{settings.prefix}")


def model_trainer(settings: Namespace, place: Place, hyperparameters: Mapping[str, str]) -> object:
    """The SDK's ModelTrainer."""
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"  # it needs iam:SimulatePrincipalPolicy, which few roles have
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.shapes import CheckpointConfig, MetricDefinition, OutputDataConfig, StoppingCondition, Tag
    from sagemaker.core.training.configs import Compute, Networking
    from sagemaker.train import ModelTrainer

    logging.getLogger("sagemaker").setLevel(logging.WARNING)
    seconds = {"max_runtime_in_seconds": settings.max_minutes * 60}
    if settings.spot:
        seconds["max_wait_time_in_seconds"] = max(settings.max_wait_minutes, settings.max_minutes) * 60
    key = {"kms_key_id": settings.kms_key} if settings.kms_key else {}
    trainer = ModelTrainer(
        training_image=place.image,
        role=place.role,
        sagemaker_session=Session(boto_session=place.session, sagemaker_config=QUIET),
        base_job_name=settings.prefix,
        training_input_mode=settings.input_mode,
        compute=Compute(
            instance_type=settings.instance_type,
            instance_count=settings.instance_count,
            volume_size_in_gb=settings.volume_gb,
            volume_kms_key_id=settings.kms_key or None,
            enable_managed_spot_training=settings.spot,
        ),
        networking=Networking(
            subnets=settings.subnets or None,
            security_group_ids=settings.security_groups or None,
            enable_network_isolation=settings.network_isolation,
        ),
        stopping_condition=StoppingCondition(**seconds),
        output_data_config=OutputDataConfig(s3_output_path=f"{place.home}/output", **key),
        checkpoint_config=CheckpointConfig(s3_uri=f"{place.home}/checkpoints/{places.new_name(settings.prefix)}")
        if settings.checkpoints
        else None,
        hyperparameters=dict(hyperparameters),
        tags=[Tag(key=tag["Key"], value=tag["Value"]) for tag in aws.tags(settings)],
    )
    definitions = [MetricDefinition(name=item["Name"], regex=item["Regex"]) for item in metric_definitions()]
    return trainer.with_metric_definitions(definitions)


def tuner(settings: Namespace, trainer: object, space: Mapping[str, object]) -> object:
    """The SDK's HyperparameterTuner over the search space `space`."""
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
    from sagemaker.train.tuner import HyperparameterTuner

    def range_of(searched: object) -> object:
        if isinstance(searched, Between):
            return ContinuousParameter(searched.low, searched.high, scaling_type="Logarithmic")
        return CategoricalParameter([text_of(value) for value in searched.values])

    ranges = {name: range_of(searched) for name, searched in space.items()}
    if settings.strategy == "Grid" and any(isinstance(searched, Between) for searched in space.values()):
        raise places.UserError(
            "strategy is 'Grid', which needs lists of values: give each hyperparameter one in ranges"
        )
    return HyperparameterTuner(
        trainer,
        settings.objective,
        ranges,
        metric_definitions=metric_definitions(),
        objective_type=METRICS[settings.objective].objective,
        strategy=settings.strategy,
        # Hyperband ends poor jobs by itself, and is refused together with the other way.
        early_stopping_type="Off" if settings.strategy == "Hyperband" else settings.early_stopping,
        max_jobs=settings.max_jobs,
        max_parallel_jobs=settings.max_parallel_jobs,
        tags=aws.tags(settings),
    )


def channels(settings: Namespace, data: str) -> list[object]:
    """The one input channel, train, below which may lie train, validation and test."""
    from sagemaker.core.shapes import Channel, DataSource, S3DataSource

    source = S3DataSource(s3_data_type="S3Prefix", s3_uri=data, s3_data_distribution_type="FullyReplicated")
    return [
        Channel(channel_name="train", data_source=DataSource(s3_data_source=source), input_mode=settings.input_mode)
    ]


def add_to_requests(session, operation: str, fields: Mapping[str, object]) -> None:
    """Merge `fields` into each request of this operation that any client of `session` sends from now on."""

    def merge(request: dict, extra: Mapping[str, object]) -> None:
        for name, value in extra.items():
            if isinstance(value, Mapping) and isinstance(request.get(name), dict):
                merge(request[name], value)
            else:
                request[name] = value

    session.events.register(f"provide-client-params.sagemaker.{operation}", lambda params, **_: merge(params, fields))


def left_out_by_tuner(settings: Namespace) -> dict[str, object]:
    """What HyperparameterTuner does not take over from its ModelTrainer."""
    key = {"ResourceConfig": {"VolumeKmsKeyId": settings.kms_key}} if settings.kms_key else {}
    return {"TrainingJobDefinition": {"EnableNetworkIsolation": settings.network_isolation} | key}


def debugger(home: str, region: str) -> dict[str, object]:
    """SageMaker Debugger's hook, rules and profiler, for which ModelTrainer has no argument."""
    from sagemaker.core.debugger import get_rule_container_image_uri

    image = get_rule_container_image_uri(None, region)
    return {
        "DebugHookConfig": {
            "S3OutputPath": f"{home}/debugger",
            "HookParameters": {"save_interval": "50"},
            "CollectionConfigurations": [{"CollectionName": name} for name in COLLECTIONS],
        },
        "DebugRuleConfigurations": [
            {"RuleConfigurationName": name, "RuleEvaluatorImage": image, "RuleParameters": {"rule_to_invoke": name}}
            for name in DEBUGGER_RULES
        ],
        "ProfilerConfig": {"S3OutputPath": f"{home}/debugger", "ProfilingIntervalInMilliseconds": 500},
        "ProfilerRuleConfigurations": [
            {
                "RuleConfigurationName": "ProfilerReport",
                "RuleEvaluatorImage": image,
                "RuleParameters": {"rule_to_invoke": "ProfilerReport"},
            }
        ],
    }
