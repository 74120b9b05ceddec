"""The requests for endpoints and batch transform jobs, checked as strictly as AWS does."""

from types import SimpleNamespace

import pytest
from test_jobs import HOME, IMAGE, KEY, ROLE

from classifier.errors import UserError
from launch import alarms, asynchronous, hosting, scaling, settings
from strict_request import faults

PLACE = SimpleNamespace(role=ROLE, image=IMAGE, home=HOME)
NAME = "resnet18-261122-120000"
VPC = ("--subnets", "subnet-1", "--security-groups", "sg-1")


def parsed(section, *flags):
    given = settings.make_parser("", "aws", section).parse_args(flags)
    given.serverless = given.asynchronous = False
    return given


@pytest.mark.parametrize("flags", [(), VPC, ("--no-network-isolation",)])
def test_model(flags):
    given, artifact = parsed("hosting", *flags), f"{HOME}/output/a/output/model.tar.gz"
    request = hosting.model(given, PLACE, NAME, artifact, hosting.OF_INSTANCES)
    assert faults("CreateModel", request) == []
    assert request.get("VpcConfig") == (
        {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]} if flags == VPC else None
    )
    assert request["EnableNetworkIsolation"] == (flags != ("--no-network-isolation",))
    if flags == VPC:
        with pytest.raises(UserError, match=r"subnets is \['subnet-1'\]; accepted with --serverless: none"):
            hosting.model(given, PLACE, NAME, artifact, hosting.SERVERLESS)


@pytest.mark.parametrize(
    ("instance_type", "ami", "key"),
    [
        ("ml.m5.xlarge", None, KEY),
        ("ml.c5d.large", None, None),
        ("ml.g4dn.xlarge", "al2-ami-sagemaker-inference-gpu-3-1", None),
        ("ml.g5.xlarge", "al2-ami-sagemaker-inference-gpu-3-1", None),
        ("ml.g6.xlarge", None, None),
        ("ml.p5.48xlarge", None, None),
        ("ml.p6-b200.48xlarge", None, None),
    ],
)
def test_an_endpoint_of_instances(instance_type, ami, key):
    flags = ("--instance-type", instance_type, "--startup-seconds", "600", "--kms-key", KEY)
    request = hosting.endpoint_config(parsed("hosting", *flags), PLACE, NAME)
    assert faults("CreateEndpointConfig", request) == []
    (variant,) = request["ProductionVariants"]
    assert variant.get("InferenceAmiVersion") == ami
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert request.get("KmsKeyId") == key


def test_a_serverless_endpoint():
    given = parsed("hosting", "--memory-mb", "2048", "--max-concurrency", "7")
    given.serverless = True
    request = hosting.endpoint_config(given, PLACE, NAME)
    assert faults("CreateEndpointConfig", request) == []
    (variant,) = request["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 7}
    assert "InstanceType" not in variant


def test_scaling():
    given = parsed("hosting", "--max-instances", "4", "--requests-per-instance", "100")
    target, (policy,) = scaling.target(given, "dogs"), scaling.policies(given, "dogs")
    assert faults("RegisterScalableTarget", target, "application-autoscaling") == []
    assert faults("PutScalingPolicy", policy, "application-autoscaling") == []
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 100
    assert target["ResourceId"] == policy["ResourceId"] == "endpoint/dogs/variant/AllTraffic"


def test_an_endpoint_that_captures():
    request = hosting.endpoint_config(parsed("hosting", "--capture-percent", "10", "--kms-key", KEY), PLACE, NAME)
    assert faults("CreateEndpointConfig", request) == []
    assert request["DataCaptureConfig"]["InitialSamplingPercentage"] == 10
    assert request["DataCaptureConfig"]["DestinationS3Uri"] == f"{HOME}/captured"
    assert "DataCaptureConfig" not in hosting.endpoint_config(parsed("hosting"), PLACE, NAME)


def test_an_asynchronous_endpoint():
    given = parsed("hosting", "--max-instances", "3", "--backlog-per-instance", "7", "--kms-key", KEY)
    given.asynchronous = True
    request = hosting.endpoint_config(given, PLACE, NAME)
    assert faults("CreateEndpointConfig", request) == []
    places = {"S3OutputPath": f"{HOME}/async/output/{NAME}", "S3FailurePath": f"{HOME}/async/failed/{NAME}"}
    assert request["AsyncInferenceConfig"] == {"OutputConfig": places | {"KmsKeyId": KEY}}
    target, (backlog, from_zero) = scaling.target(given, "dogs"), scaling.policies(given, "dogs")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 3)
    for policy in (backlog, from_zero):
        assert faults("PutScalingPolicy", policy, "application-autoscaling") == []
    assert backlog["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 7
    alarm = alarms.backlog("dogs", "arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:a:policyName/b")
    assert faults("PutMetricAlarm", alarm, "cloudwatch") == []
    assert faults("InvokeEndpointAsync", asynchronous.request("dogs", f"{HOME}/a"), "sagemaker-runtime") == []


@pytest.mark.parametrize(
    ("instance_type", "ami", "key"),
    [
        ("ml.m5.xlarge", None, KEY),
        ("ml.g5.xlarge", "al2-ami-sagemaker-batch-gpu-535", None),
        ("ml.g6e.xlarge", None, None),
    ],
)
def test_a_batch_transform(instance_type, ami, key):
    flags = ("--instance-type", instance_type, "--kms-key", KEY)
    request = hosting.transform_job(parsed("transform", *flags), NAME, f"{HOME}/data/dogs/", f"{HOME}/transform/a")
    assert faults("CreateTransformJob", request) == []
    assert request["BatchStrategy"] == "SingleRecord"
    assert request["TransformResources"].get("TransformAmiVersion") == ami
    assert request["TransformResources"].get("VolumeKmsKeyId") == key
    assert request["TransformOutput"]["KmsKeyId"] == KEY


def test_the_checks_find_faults():
    request = hosting.endpoint_config(parsed("hosting", "--instance-type", "ml.none"), PLACE, "no_such name")
    found = "; ".join(faults("CreateEndpointConfig", request))
    assert "'ml.none' is none of" in found
    assert "'no_such name' does not match" in found
    given = parsed("hosting")
    given.startup_seconds = 9999
    (fault,) = faults("CreateEndpointConfig", hosting.endpoint_config(given, PLACE, NAME))
    assert fault.endswith("9999 is more than 3600")
