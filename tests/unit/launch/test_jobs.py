"""The requests that the SDK sends for our settings, checked as strictly as SageMaker does."""

from types import SimpleNamespace

import boto3
import pytest

from classifier.errors import UserError
from helpers import CREDENTIALS, REGION
from launch import jobs, settings, tuning
from local.search import search_space
from strict_request import faults

pytest_plugins = ["aws_models"]
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/sagemaker-resnet18:abc"
ROLE = "arn:aws:iam::123456789012:role/service-role/SageMaker"
KEY = f"arn:aws:kms:{REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
HOME = "s3://a-bucket/resnet18"
ARN = f"arn:aws:sagemaker:{REGION}:123456789012"
ANSWER = {
    "TrainingJobArn": f"{ARN}:training-job/a",
    "TrainingJobName": "a",
    "HyperParameterTuningJobArn": f"{ARN}:hyper-parameter-tuning-job/a",
    "HyperParameterTuningJobName": "a",
}


@pytest.fixture
def aws():
    """Access to AWS with local answers to all calls; `sent` has the requests."""
    session = boto3.Session(*CREDENTIALS, region_name=REGION)
    sent = []
    session.events.register("before-parameter-build", lambda params, model, **_: sent.append((model.name, params)))
    session.events.register("before-call", lambda **_: (SimpleNamespace(status_code=200), ANSWER))
    return SimpleNamespace(session=session, role=ROLE, image=IMAGE, home=HOME, sent=sent)


def parsed(*flags):
    return settings.make_parser("", "aws", "cost", "training", "tuning").parse_args(flags)


def training_request(aws, *flags, **debugging):
    given, hyperparameters = parsed(*flags), {"epochs": "3", "lr": "0.01"}
    checkpoints = jobs.new_checkpoints(given, aws)
    trainer = jobs.model_trainer(given, aws, hyperparameters, f"{HOME}/data/dogs/", checkpoints)
    jobs.start_training(aws, trainer, "resnet18-261122-120000", **debugging)
    request = only(aws, "CreateTrainingJob")
    assert request["TrainingJobName"] == "resnet18-261122-120000"
    return request


def tuning_request(aws, *flags):
    given = parsed(*flags)
    space = search_space(given)
    checkpoints = jobs.new_checkpoints(given, aws)
    trainer = jobs.model_trainer(given, aws, {"epochs": "3"}, f"{HOME}/data/dogs/", checkpoints)
    tuning.tuner(given, aws, trainer, space, {}).tune(job_name="resnet18-261122-120000", wait=False)
    return only(aws, "CreateHyperParameterTuningJob")


def only(aws, operation):
    (request,) = (parameters for name, parameters in aws.sent if name == operation)
    assert faults(operation, request) == []
    return request


def test_a_training_job(aws):
    request = training_request(aws)
    assert request["HyperParameters"] == {"epochs": "3", "lr": "0.01"}
    assert request["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert request["AlgorithmSpecification"]["MetricDefinitions"] == jobs.METRIC_DEFINITIONS
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == "FastFile"
    (channel,) = request["InputDataConfig"]
    assert channel["ChannelName"] == "train"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == f"{HOME}/data/dogs/"
    assert request["ResourceConfig"] == {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50}
    assert request["EnableManagedSpotTraining"]
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    assert request["CheckpointConfig"]["S3Uri"].startswith(f"{HOME}/checkpoints/resnet18-")
    assert request["OutputDataConfig"] == {"S3OutputPath": f"{HOME}/output"}
    assert request["EnableNetworkIsolation"]
    assert request["Tags"] == [{"Key": "created-by", "Value": "launch-resnet18"}]
    assert "VpcConfig" not in request


SETTINGS = {
    "--no-spot": lambda request: (
        not request.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" not in request["StoppingCondition"]
    ),
    "--no-checkpoints": lambda request: "CheckpointConfig" not in request,
    "--no-network-isolation": lambda request: not request["EnableNetworkIsolation"],
    "--input-mode File": lambda request: request["AlgorithmSpecification"]["TrainingInputMode"] == "File",
    "--instance-count 2 --instance-type ml.g5.12xlarge --volume-gb 200": lambda request: (
        request["ResourceConfig"] == {"InstanceType": "ml.g5.12xlarge", "InstanceCount": 2, "VolumeSizeInGB": 200}
    ),
    f"--kms-key {KEY} --instance-type ml.g4dn.xlarge": lambda request: (
        request["OutputDataConfig"]["KmsKeyId"] == KEY and "VolumeKmsKeyId" not in request["ResourceConfig"]
    ),
    f"--kms-key {KEY} --instance-type ml.p3.2xlarge": lambda request: (
        request["OutputDataConfig"]["KmsKeyId"] == request["ResourceConfig"]["VolumeKmsKeyId"] == KEY
    ),
    "--subnets subnet-1 subnet-2 --security-groups sg-1": lambda request: (
        request["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    ),
    "--max-minutes 300": lambda request: (
        request["StoppingCondition"] == {"MaxRuntimeInSeconds": 18000, "MaxWaitTimeInSeconds": 18000}
    ),
}


@pytest.mark.parametrize("flags", SETTINGS)
def test_a_setting_changes_training_and_tuning_requests(aws, flags):
    assert SETTINGS[flags](training_request(aws, *flags.split()))
    definition = tuning_request(aws, *flags.split())["TrainingJobDefinition"]
    assert SETTINGS[flags](definition)


def test_files_for_tensorboard_are_copied_to_s3(aws):
    checkpoints = jobs.new_checkpoints(parsed(), aws)
    trainer = jobs.model_trainer(parsed(), aws, {"tensorboard": "true"}, f"{HOME}/data/dogs/", checkpoints)
    jobs.start_training(aws, trainer, "resnet18-261122-120000")
    assert only(aws, "CreateTrainingJob")["TensorBoardOutputConfig"] == {"S3OutputPath": f"{HOME}/tensorboard"}
    aws.sent.clear()
    assert "TensorBoardOutputConfig" not in training_request(aws)


def test_the_users_tags(aws):
    own = {"Key": "team", "Value": "dogs"}
    assert own in training_request(aws, "--tags", "team=dogs")["Tags"]
    assert own in tuning_request(aws, "--tags", "team=dogs")["Tags"]


def test_a_tuning_job(aws):
    request = tuning_request(aws)
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    assert request["HyperParameterTuningJobName"] == "resnet18-261122-120000"
    assert config["Strategy"] == "Bayesian"
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    objective = {"Type": "Maximize", "MetricName": "validation:accuracy"}
    assert config["HyperParameterTuningJobObjective"] == objective
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 2}
    ranges = config["ParameterRanges"]
    assert ranges["CategoricalParameterRanges"] == [{"Name": "batch_size", "Values": ["64", "128"]}]
    found = {
        item["Name"]: (float(item["MinValue"]), float(item["MaxValue"]), item["ScalingType"])
        for item in ranges["ContinuousParameterRanges"]
    }
    expected = {"lr": (1e-4, 0.1), "eps": (1e-9, 1e-8), "weight_decay": (1e-3, 0.1)}
    assert found == {name: (*limits, "Logarithmic") for name, limits in expected.items()}
    assert definition["StaticHyperParameters"] == {"epochs": "3"}
    assert definition["AlgorithmSpecification"]["TrainingInputMode"] == "FastFile"
    (channel,) = definition["InputDataConfig"]
    assert channel["ChannelName"] == "train"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == f"{HOME}/data/dogs/"
    assert definition["AlgorithmSpecification"]["MetricDefinitions"] == jobs.METRIC_DEFINITIONS
    assert request["Tags"] == [{"Key": "created-by", "Value": "launch-resnet18"}]


@pytest.mark.parametrize("strategy", ["Random", "Hyperband", "Grid"])
def test_other_strategies(aws, strategy):
    grid = ("--ranges", "lr=[0.001, 0.003, 0.01]", "eps=[1e-9, 2e-9, 5e-9]", "weight_decay=[0.001, 0.01, 0.1]")
    request = tuning_request(aws, "--strategy", strategy, *(grid if strategy == "Grid" else ()))
    config = request["HyperParameterTuningJobConfig"]
    assert config["Strategy"] == strategy
    assert config["TrainingJobEarlyStoppingType"] == ("Off" if strategy == "Hyperband" else "Auto")
    # A grid search tries all combinations.
    most = 3 * 3 * 3 * 2 if strategy == "Grid" else 8
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == most


def test_a_tuning_on_several_types(aws):
    request = tuning_request(aws, "--more-instance-types", "ml.g5.xlarge", "--kms-key", KEY)
    definition = request["TrainingJobDefinition"]
    flexible = definition["HyperParameterTuningResourceConfig"]
    assert "ResourceConfig" not in definition
    assert flexible["AllocationStrategy"] == "Prioritized"
    size = {"InstanceCount": 1, "VolumeSizeInGB": 50}
    assert flexible["InstanceConfigs"] == [{"InstanceType": f"ml.{name}.xlarge"} | size for name in ("g4dn", "g5")]
    assert "VolumeKmsKeyId" not in flexible  # both have local disks


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["ml.p2.xlarge"], "instance_type is 'ml.p2.xlarge', which has K80 GPUs"),
        (["ml.p3.2xlarge", "--kms-key", KEY], "kms_key, and ml.g4dn.xlarge takes none for its disks"),
        ([f"ml.m5.{size}xlarge" for size in ("", 2, 4, 8, 12, 24)], "has 6 types; accepted for tuning: up to 5"),
    ],
)
def test_types_that_a_tuning_cannot_have(flags, expected):
    with pytest.raises(UserError, match=expected):
        tuning.resources(parsed("--more-instance-types", *flags))


def test_an_objective_to_minimize(aws):
    request = tuning_request(aws, "--objective", "validation:loss", "--early-stopping", "Off")
    config = request["HyperParameterTuningJobConfig"]
    objective = {"Type": "Minimize", "MetricName": "validation:loss"}
    assert config["HyperParameterTuningJobObjective"] == objective
    assert config["TrainingJobEarlyStoppingType"] == "Off"


def test_the_managed_debugger(aws):
    request = training_request(aws, **jobs.debugger(aws))
    rules = {rule["RuleConfigurationName"] for rule in request["DebugRuleConfigurations"]}
    assert {"LossNotDecreasing", "Overfit"} <= rules
    assert request["DebugHookConfig"]["S3OutputPath"] == f"{HOME}/debugger"
    assert request["ProfilerConfig"]["ProfilingIntervalInMilliseconds"] == 500
    assert f".dkr.ecr.{REGION}." in request["ProfilerRuleConfigurations"][0]["RuleEvaluatorImage"]
