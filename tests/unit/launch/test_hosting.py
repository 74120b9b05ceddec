"""The requests for endpoints and batch transform jobs, checked as strictly as AWS does."""

from types import SimpleNamespace

import pytest
from test_jobs import HOME, IMAGE, KEY, ROLE

from launch import hosting, settings
from strict_request import faults

PLACE = SimpleNamespace(role=ROLE, image=IMAGE)
NAME = "resnet18-261122-120000"
VPC = ("--subnets", "subnet-1", "--security-groups", "sg-1")


def parsed(section, *flags):
    given = settings.make_parser("", "aws", section).parse_args(flags)
    given.serverless = False
    return given


@pytest.mark.parametrize("flags", [(), VPC, ("--no-network-isolation",)])
def test_model(flags):
    request = hosting.model(parsed("hosting", *flags), PLACE, NAME, f"{HOME}/output/a/output/model.tar.gz")
    assert faults("CreateModel", request) == []
    assert request.get("VpcConfig") == (
        {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]} if flags == VPC else None
    )
    assert request["EnableNetworkIsolation"] == (flags != ("--no-network-isolation",))


@pytest.mark.parametrize(
    ("instance_type", "ami"),
    [("ml.m5.xlarge", None), ("ml.g4dn.xlarge", "al2-ami-sagemaker-inference-gpu-3-1"), ("ml.c6g.large", None)],
)
def test_an_endpoint_of_instances(instance_type, ami):
    flags = ("--instance-type", instance_type, "--startup-seconds", "600", "--kms-key", KEY)
    request = hosting.endpoint_config(parsed("hosting", *flags), NAME)
    assert faults("CreateEndpointConfig", request) == []
    (variant,) = request["ProductionVariants"]
    assert variant.get("InferenceAmiVersion") == ami
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert request["KmsKeyId"] == KEY


def test_a_serverless_endpoint():
    given = parsed("hosting", "--memory-mb", "2048", "--max-concurrency", "7")
    given.serverless = True
    request = hosting.endpoint_config(given, NAME)
    assert faults("CreateEndpointConfig", request) == []
    (variant,) = request["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 7}
    assert "InstanceType" not in variant


def test_scaling():
    given = parsed("hosting", "--max-instances", "4", "--requests-per-instance", "100")
    target, policy = hosting.scaling_target(given, "dogs"), hosting.scaling_policy(given, "dogs")
    assert faults("RegisterScalableTarget", target, "application-autoscaling") == []
    assert faults("PutScalingPolicy", policy, "application-autoscaling") == []
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 100
    assert target["ResourceId"] == policy["ResourceId"] == "endpoint/dogs/variant/AllTraffic"


@pytest.mark.parametrize("gpu", [False, True])
def test_a_batch_transform(gpu):
    flags = ("--instance-type", "ml.g5.xlarge" if gpu else "ml.m5.xlarge", "--kms-key", KEY)
    request = hosting.transform_job(parsed("transform", *flags), NAME, f"{HOME}/data/dogs/", f"{HOME}/transform/a")
    assert faults("CreateTransformJob", request) == []
    assert request["BatchStrategy"] == "SingleRecord"
    assert request["TransformResources"].get("TransformAmiVersion") == (
        "al2-ami-sagemaker-batch-gpu-535" if gpu else None
    )


def test_the_checks_find_faults():
    given = parsed("hosting", "--instance-type", "ml.none")
    request = hosting.endpoint_config(given, "no_such name")
    found = "; ".join(faults("CreateEndpointConfig", request))
    assert "'ml.none' is none of" in found
    assert "'no_such name' does not match" in found
    given = parsed("hosting")
    given.startup_seconds = 9999
    (fault,) = faults("CreateEndpointConfig", hosting.endpoint_config(given, NAME))
    assert fault.endswith("9999 is more than 3600")
