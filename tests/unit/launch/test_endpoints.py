"""Deploy to an AWS that is slow, fails and refuses as it documents."""

import re

import pytest

from launch import making
from launch.aws import Aws
from local import places

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes"
CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."


@pytest.fixture
def deployed(account):
    """An account in which a model was trained and deployed."""
    account.trained()
    account.does(DEPLOY)
    return account


def test_an_update_that_is_rolled_back_is_not_success(deployed):
    before = deployed.names("EndpointConfig")
    deployed.aws.failing["UpdateEndpoint"] = ["The container did not pass the ping health check."]
    sentence = deployed.refuses(DEPLOY)
    assert "resnet18 still serves the model before, since the update failed: The container did not pass" in sentence
    assert "--startup-seconds gives it longer" in sentence
    assert deployed.names("EndpointConfig") == deployed.names("Model") == before  # nothing is left of it
    deployed.does(DEPLOY)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Could not assume role arn:aws:iam::1:role/x", "trust SageMaker"),
        (CAPACITY, "AWS has none of these instances free"),
        ("Requested image 1.dkr.ecr/x not found.", "run ./build_and_push.sh"),
        ("The primary container did not pass the ping health check.", "the container did not answer in time"),
        ("Something new.", ""),
    ],
)
def test_the_reason_of_a_failure_is_told_with_advice_and_the_end_of_the_log(account, reason, advice):
    account.trained()
    account.aws.failing["CreateEndpoint"] = [reason]
    account.aws.log_of_endpoints = [f"line {number}" for number in range(30)]
    result, out = account.run(DEPLOY)
    assert f"resnet18 is Failed: {reason.rstrip('.')}" in result
    assert advice in result
    assert re.search("the last lines of resnet18's log:\nline 20\n", out)
    assert "line 19" not in out
    assert account.names("EndpointConfig") == account.names("Model") == []


def test_a_failed_endpoint_is_deleted_first_if_the_user_wants_it(account):
    account.trained()
    account.aws.failing["CreateEndpoint"] = ["no disk"]
    account.refuses(DEPLOY)
    sentence = account.refuses(DEPLOY.removesuffix(" --yes"))
    assert "The endpoint resnet18 has failed (no disk) and can only be deleted. Delete it and go on?" in sentence
    assert "resnet18 is in service" in account.does(DEPLOY)


def test_a_changing_endpoint_is_waited_for(deployed):
    deployed.aws.describes = 3
    deployed.aws.client("sagemaker").delete_endpoint(EndpointName="resnet18")
    assert "resnet18 is Deleting" in deployed.does(DEPLOY)
    config = deployed.names("EndpointConfig")[-1]
    deployed.aws.unknown[config] = 0
    deployed.aws.client("sagemaker").update_endpoint(EndpointName="resnet18", EndpointConfigName=config)
    assert "resnet18 is Updating" in deployed.does(DEPLOY)


@pytest.mark.parametrize("operation", ["CreateEndpointConfig", "CreateEndpoint"])
def test_what_a_refused_call_leaves_is_taken_away(account, operation):
    account.trained()
    account.aws.refused[operation] = ("ResourceLimitExceeded", "limit of 0 Instances")
    assert "quota is too small" in account.refuses(DEPLOY)
    assert account.names("EndpointConfig") == account.names("Model") == []


def test_a_configuration_that_is_not_known_for_long_is_told(account):
    account.monkeypatch.setattr(making, "KNOWN_SECONDS", 1)
    account.trained()
    account.aws.knows_config = lambda name: False
    assert "Could not find endpoint configuration" in account.refuses(DEPLOY)
    assert account.names("Model") == []


def test_a_serverless_endpoint_has_neither_isolation_nor_a_vpc_nor_large_pictures(account, tmp_path):
    account.trained()
    account.does(f"{DEPLOY} --serverless")
    (model,) = account.aws.sent("CreateModel")
    assert not model["EnableNetworkIsolation"]
    sentence = account.refuses("deploy.py --role sm --serverless --endpoint other")
    assert "4 MB a request, 3 minutes to start, no GPU, no network isolation" in sentence
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(4_000_001))
    sentence = account.refuses(f"{DEPLOY} --serverless --picture {large}")
    assert "large.jpg has 4,000,001 bytes; accepted by a serverless endpoint: up to 4,000,000" in sentence
    vpc = "--subnets subnet-1 --security-groups sg-1"
    assert "--subnets has no effect with --serverless" in account.refuses(f"{DEPLOY} --serverless {vpc}")
    assert "memory_mb is 1500; accepted: a whole number from 1024 to 6144 in steps" in account.refuses(
        f"{DEPLOY} --serverless --memory-mb 1500"
    )


@pytest.mark.parametrize(("first", "then"), [("", "--serverless"), ("--serverless", "")])
def test_an_endpoint_of_one_kind_cannot_become_another(account, first, then):
    account.trained()
    account.does(f"{DEPLOY} {first}")
    models = account.names("Model")
    sentence = account.refuses(f"{DEPLOY} {then}")
    assert "AWS cannot make it" in sentence
    assert "give another name with --endpoint" in sentence
    assert account.names("Model") == models
    assert "other is in service" in account.does(f"{DEPLOY} {then} --endpoint other")


def targets(account):
    scaling = account.aws.client("application-autoscaling")
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return [(one["MinCapacity"], one["MaxCapacity"]) for one in found]


def test_an_endpoint_that_scales_is_updated_to_another_type_and_scales_again(account):
    account.trained()
    account.does(f"{DEPLOY} --max-instances 4")
    variant = account.aws.endpoints["resnet18"]["ProductionVariants"][0]
    variant["CurrentInstanceCount"] = 3
    account.does(f"{DEPLOY} --max-instances 5 --instance-type ml.m5.2xlarge")
    assert targets(account) == [(1, 5)]
    assert account.aws.sent("UpdateEndpoint")[-1]["RetainAllVariantProperties"]
    account.does(f"{DEPLOY} --max-instances 2")  # fewer than its load has brought
    assert "RetainAllVariantProperties" not in account.aws.sent("UpdateEndpoint")[-1]
    account.does(DEPLOY)
    assert targets(account) == []


def test_scaling_comes_back_if_the_update_fails(account):
    account.trained()
    account.does(f"{DEPLOY} --max-instances 4 --requests-per-instance 70")
    account.aws.failing["UpdateEndpoint"] = ["no disk"]
    account.refuses(f"{DEPLOY} --max-instances 5")
    assert targets(account) == [(1, 4)]
    scaling = account.aws.client("application-autoscaling")
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 70


def test_the_next_instance_type_is_tried_if_aws_has_none_of_the_first(account):
    account.trained()
    account.aws.failing["CreateEndpoint"] = [CAPACITY]
    types = "--instance-type ml.g4dn.xlarge --more-instance-types ml.m5.xlarge"
    prices = "--prices ml.g4dn.xlarge=2 ml.m5.xlarge=1"
    sentence = account.refuses(f"deploy.py --role sm {types} {prices}")
    assert "730 instance hours of ml.g4dn.xlarge, 1,460.00 USD, or if AWS has none free 730 instance hours" in sentence
    out = account.does(f"{DEPLOY} {types}")
    assert "next: ml.m5.xlarge" in out
    assert len(account.names("Model")) == 1
    account.aws.failing["UpdateEndpoint"] = [CAPACITY, CAPACITY]
    assert "AWS has none of these instances free" in account.refuses(f"{DEPLOY} {types}")


def test_a_model_of_a_job_that_failed_or_is_gone_is_not_deployed(account):
    job = account.trained(TrainingJobStatus="Failed", FailureReason="AlgorithmError: no data")
    assert "failed: AlgorithmError: no data" in account.refuses(DEPLOY)
    job["TrainingJobStatus"] = "InProgress"
    assert "is InProgress; accepted: a training job that has ended" in account.refuses(DEPLOY)
    job |= {"TrainingJobStatus": "Completed", "ModelArtifacts": {"S3ModelArtifacts": f"s3://{account.bucket}/none"}}
    assert "is Completed, and left no model at s3://" in account.refuses(DEPLOY)
    assert account.names("Model") == []
    account.trained(TrainingJobStatus="Stopped", SecondaryStatus="MaxRuntimeExceeded")
    assert "was stopped before its end (MaxRuntimeExceeded: raise --max-minutes)" in account.does(DEPLOY)


EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")


@pytest.mark.parametrize("state", ["SystemUpdating", "RollingBack"])
def test_what_aws_does_by_itself_is_waited_for(deployed, state):
    deployed.aws.endpoints["resnet18"] |= {
        "EndpointStatus": state,
        "describes": 2,
        "later": {"EndpointStatus": "InService"},
    }
    assert f"resnet18 is {state}" in deployed.does(DEPLOY)


def test_an_update_and_a_rollback_that_both_fail_leave_what_is_mixed(deployed):
    deployed.aws.failed["UpdateEndpoint"] = "UpdateRollbackFailed"
    deployed.aws.failing["UpdateEndpoint"] = ["no disk"]
    assert "serves a mix of both models until one is deployed again, since update and rollback failed: no disk" in (
        deployed.refuses(DEPLOY)
    )
    assert len(deployed.names("Model")) == 2  # the endpoint may need either
    assert "resnet18 is in service" in deployed.does(DEPLOY)


def test_an_update_by_somebody_else_meanwhile_is_told(deployed):
    wait, configs, endpoint = Aws.pause, deployed.aws.requests["EndpointConfig"], deployed.aws.endpoints["resnet18"]
    configs["anothers"] = configs["resnet18-1"]

    def update(aws):
        endpoint.get("later", {})["EndpointConfigName"] = "anothers"
        wait(aws)

    deployed.monkeypatch.setattr(Aws, "pause", update)
    deployed.aws.describes = 3
    assert "serves anothers, another configuration: somebody else has updated it" in deployed.refuses(DEPLOY)


def test_an_endpoint_that_others_made_is_left_alone(deployed):
    deployed.aws.endpoints["resnet18"]["ProductionVariants"][0]["VariantName"] = "variant-1"
    assert "has the variants ['variant-1'], and is not deploy.py's: give another name" in deployed.refuses(DEPLOY)
    assert len(deployed.names("Model")) == 1


def test_it_is_asked_before_a_model_in_service_is_replaced(deployed):
    sentence = deployed.refuses(DEPLOY.removesuffix(" --yes"))
    assert "endpoint resnet18 for resnet18-0, in place of the model that resnet18 serves now, up to 1 inst" in sentence
    assert "and as many again while it is updated; per month" in sentence


@pytest.mark.parametrize(("flags", "scaling"), [("", ""), ("--max-instances 2", "keeps its instances, since it does")])
def test_ctrl_c_says_what_goes_on_and_its_name_is_known(account, flags, scaling):
    account.trained()
    account.aws.describes, wait = 3, Aws.pause

    def interrupt(aws):
        wait(aws)
        if account.aws.endpoints:
            raise KeyboardInterrupt

    account.monkeypatch.setattr(Aws, "pause", interrupt)
    assert account.run(f"{DEPLOY} {flags}")[0] == "interrupted"
    assert "resnet18 goes on without this script" in account.err
    assert scaling in account.err
    assert places.latest("endpoint") == "resnet18"
    assert account.names("Model") == account.names("EndpointConfig") == ["resnet18-1"]


def test_credentials_that_expire_in_the_middle_of_a_wait_say_what_goes_on(account):
    account.trained()
    account.aws.refusing["DescribeEndpoint"] = iter([None, None, None, EXPIRED])
    account.aws.describes = 9
    assert "the credentials have expired: log in again" in account.refuses(DEPLOY)
    assert "resnet18 goes on without this script: launch/deploy.py waits for it" in account.err
    assert account.names("Model") == ["resnet18-1"]


def test_a_wait_outlasts_an_aws_that_does_not_answer(account):
    account.monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    account.trained()
    no = ("ThrottlingException", "Rate exceeded")
    account.aws.refusing["DescribeEndpoint"] = iter([no, None, None, None, no, no])
    assert "resnet18 is in service" in account.does(DEPLOY)
    assert next(account.aws.refusing["DescribeEndpoint"], None) is None


def test_scaling_that_is_refused_is_told_of_an_endpoint_in_service(account):
    account.trained()
    account.aws.refused["RegisterScalableTarget"] = ("LimitExceededException", "500 targets")
    sentence = account.refuses(f"{DEPLOY} --max-instances 2")
    assert "resnet18 is in service, and keeps its instances, since it does not scale: AWS: " in sentence
    assert "500 targets; launch/deploy.py tries it again" in sentence
    assert account.names("Model") == ["resnet18-1"]


def test_a_type_that_does_not_scale_is_refused(account):
    account.trained()
    sentence = account.refuses(f"{DEPLOY} --max-instances 2 --instance-type ml.t2.medium")
    assert "instance_type is 'ml.t2.medium', of which AWS lets no endpoint scale" in sentence
    account.does(f"{DEPLOY} --instance-type ml.t2.medium")


@pytest.mark.parametrize("operation", ["CreateEndpointConfig", "CreateEndpoint"])
def test_the_next_instance_type_is_tried_if_there_is_no_quota_for_the_first(account, operation):
    account.trained()
    account.aws.refusing[operation] = iter([("ResourceLimitExceeded", "limit of 0 Instances")])
    out = account.does(f"{DEPLOY} --instance-type ml.g4dn.xlarge --more-instance-types ml.m5.xlarge")
    assert "quota is too small" in out
    assert "next: ml.m5.xlarge" in out
    assert len(account.names("Model")) == 1


LONGEST = f"a--{'b' * 60}"


def test_names_of_endpoints_are_those_that_aws_takes(account):
    account.trained()
    for name in ("a_b", "-a", "a-", f"{LONGEST}c"):
        assert "accepted: up to 63 letters, digits and hyphens" in account.refuses(f"{DEPLOY} --endpoint={name}")
    assert f"{LONGEST} is in service" in account.does(f"{DEPLOY} --max-instances 2 --endpoint {LONGEST}")
    assert places.latest("endpoint") == LONGEST
    assert LONGEST in account.does("cleanup.py --yes")
