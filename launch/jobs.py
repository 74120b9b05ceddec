"""Training jobs with the SageMaker Python SDK: settings in, a ModelTrainer out."""

import logging
import os
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from classifier.training.metrics import METRICS
from launch import instances
from launch.aws import Aws, tags
from local import places

if TYPE_CHECKING:  # importing the SDK takes seconds
    from sagemaker.train.model_trainer import ModelTrainer

METRIC_DEFINITIONS: list[Any] = [{"Name": metric.name, "Regex": metric.regex} for metric in METRICS.values()]
# The SDK reports its use to AWS unless it is told not to.
QUIET = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
DEBUGGER_RULES = ("LossNotDecreasing", "Overfit", "Overtraining", "VanishingGradient", "ExplodingTensor", "DeadRelu")
COLLECTIONS = ("losses", "gradients", "weights", "biases", "relu_input")


def new_checkpoints(settings: Namespace, aws: Aws) -> str:
    """Return the S3 URI where a new job keeps its checkpoints; "" for none."""
    return f"{aws.home}/checkpoints/{places.new_name(settings.prefix)}" if settings.checkpoints else ""


def model_trainer(
    settings: Namespace, aws: Aws, hyperparameters: Mapping[str, str], uri: str, checkpoints: str
) -> "ModelTrainer":
    """Return the SDK's ModelTrainer.

    Its one channel, train, has the images below the S3 URI `uri`: train, or train/, validation/ and test/ in one. It
    keeps checkpoints at the S3 URI `checkpoints`, and continues from those that are there; "" for none.
    Raises UserError if the image does not run on the instances, or if they do not take the KMS key.
    """
    instances.family(settings.instance_type)
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"  # it needs iam:SimulatePrincipalPolicy, which few roles have
    from sagemaker.core import shapes
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import Compute, Networking
    from sagemaker.train.model_trainer import ModelTrainer

    logging.getLogger("sagemaker").setLevel(logging.WARNING)
    seconds = {"max_runtime_in_seconds": settings.max_minutes * 60}
    if settings.spot:
        seconds["max_wait_time_in_seconds"] = settings.max_wait_minutes * 60
    key = {"kms_key_id": settings.kms_key} if settings.kms_key else {}
    images = shapes.S3DataSource(s3_data_type="S3Prefix", s3_uri=uri, s3_data_distribution_type="FullyReplicated")
    channel = shapes.Channel(channel_name="train", data_source=shapes.DataSource(s3_data_source=images))
    trainer = ModelTrainer(
        training_image=aws.image,
        role=aws.role,
        sagemaker_session=Session(boto_session=aws.session, sagemaker_config=QUIET),
        base_job_name=settings.prefix,
        training_input_mode=settings.input_mode,
        input_data_config=[channel],
        compute=Compute(
            instance_type=settings.instance_type,
            instance_count=settings.instance_count,
            volume_size_in_gb=settings.volume_gb,
            volume_kms_key_id=instances.volume_key(settings, settings.instance_type) or None,
            enable_managed_spot_training=settings.spot,
        ),
        networking=Networking(
            subnets=settings.subnets or None,
            security_group_ids=settings.security_groups or None,
            enable_network_isolation=settings.network_isolation,
        ),
        stopping_condition=shapes.StoppingCondition(**seconds),
        output_data_config=shapes.OutputDataConfig(s3_output_path=f"{aws.home}/output", **key),
        checkpoint_config=shapes.CheckpointConfig(s3_uri=checkpoints) if checkpoints else None,
        hyperparameters=dict(hyperparameters),
        tags=[shapes.Tag(key=tag["Key"], value=tag["Value"]) for tag in tags(settings)],
    ).with_metric_definitions([shapes.MetricDefinition(name=m.name, regex=m.regex) for m in METRICS.values()])
    if hyperparameters.get("tensorboard") == "true":
        files = shapes.TensorBoardOutputConfig(s3_output_path=f"{aws.home}/tensorboard")
        trainer = trainer.with_tensorboard_output_config(files)
    return trainer


def start_training(aws: Aws, trainer: "ModelTrainer", name: str, **debugging: Any) -> None:
    """Start the training job `name`.

    ModelTrainer.train does the same, but has no argument for SageMaker Debugger, which `debugging` configures.
    """
    from sagemaker.core.resources import TrainingJob

    request = trainer._create_training_job_args() | {"training_job_name": name}
    TrainingJob.create(session=aws.session, **request, **debugging)


def debugger(aws: Aws) -> dict[str, Any]:
    """Return SageMaker Debugger's hook, rules and profiler as arguments of TrainingJob.create."""
    from sagemaker.core import shapes
    from sagemaker.core.debugger import get_rule_container_image_uri

    image, output = get_rule_container_image_uri(None, aws.session.region_name), f"{aws.home}/debugger"

    def rules(shape: type, *names: str) -> list[Any]:
        return [
            shape(rule_configuration_name=name, rule_evaluator_image=image, rule_parameters={"rule_to_invoke": name})
            for name in names
        ]

    return {
        "debug_hook_config": shapes.DebugHookConfig(
            s3_output_path=output,
            hook_parameters={"save_interval": "50"},
            collection_configurations=[shapes.CollectionConfiguration(collection_name=name) for name in COLLECTIONS],
        ),
        "debug_rule_configurations": rules(shapes.DebugRuleConfiguration, *DEBUGGER_RULES),
        "profiler_config": shapes.ProfilerConfig(s3_output_path=output, profiling_interval_in_milliseconds=500),
        "profiler_rule_configurations": rules(shapes.ProfilerRuleConfiguration, "ProfilerReport"),
    }
