"""Clean up what an AWS that refuses lets go."""

from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError

from helpers import CREDENTIALS, REGION
from launch import ending
from launch.aws import Aws

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes"
CLEANUP = "cleanup.py --yes"


@pytest.fixture
def deployed(account):
    account.trained()
    account.does(DEPLOY)
    return account


def test_an_endpoint_that_changes_is_waited_for(deployed):
    deployed.aws.describes = 3
    config = deployed.names("EndpointConfig")[0]
    deployed.aws.client("sagemaker").update_endpoint(EndpointName="resnet18", EndpointConfigName=config)
    assert "resnet18 is Updating" in deployed.does(CLEANUP)
    assert deployed.aws.endpoints == {}
    assert deployed.names("EndpointConfig") == deployed.names("Model") == []


def test_a_refusal_does_not_keep_the_rest(deployed):
    deployed.aws.refused["DeleteEndpoint"] = ("AccessDeniedException", "not this one")
    client = deployed.aws.client("sagemaker")
    ours = [{"Key": "created-by", "Value": "launch-resnet18"}]
    client.create_model(
        ModelName="old",
        PrimaryContainer={"Image": "a"},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sm",
        Tags=ours,
    )
    code, out = deployed.run(f"{CLEANUP} --data")
    assert code == 1
    assert "left: Endpoint resnet18: " in out
    assert "the credentials may not do this" in out
    assert "left: EndpointConfig resnet18-1: an endpoint that is left uses it" in out
    assert "3 are left; repeat the command" in out
    assert deployed.names("Model") == ["resnet18-1"]
    assert deployed.aws.client("s3").list_objects_v2(Bucket=deployed.bucket, Prefix="resnet18/data/")["KeyCount"] == 0
    assert "resnet18 is in service" in deployed.does(DEPLOY)  # its name is still known
    del deployed.aws.refused["DeleteEndpoint"]
    assert "done; launch/status.py lists what is left" in deployed.does(CLEANUP)


def test_all_pages_are_read_and_tags_are_asked_for_once(deployed):
    ours = [{"Key": "created-by", "Value": "launch-resnet18"}]
    for number in range(120):
        arn = f"arn:aws:sagemaker:eu-west-1:123456789012:model/old-{number}"
        deployed.aws.tags[arn] = ours
        deployed.aws.listed.append({"ModelName": f"old-{number}", "ModelArn": arn, "CreationTime": 1.0})
    deployed.aws.calls.clear()
    out = deployed.does("status.py")
    assert all(f"models/old-{number}\n" in out for number in range(120))
    assert [sent["MaxResults"] for sent in deployed.aws.sent("ListModels")] == [100, 100]
    assert len(deployed.aws.sent("GetResources")) == 2
    assert len(deployed.aws.sent("ListTags")) < 5  # of what was made a moment ago, which the search may not know yet


def test_what_the_search_by_tag_does_not_know_yet_is_found(deployed):
    deployed.aws.searchable = False
    assert "endpoints/resnet18\n" in deployed.does("status.py")
    deployed.does(CLEANUP)
    assert deployed.aws.endpoints == {}


def test_a_failed_endpoint_whose_configuration_is_gone_is_listed_and_deleted(account):
    account.trained()
    account.aws.failing["CreateEndpoint"] = ["no disk"]
    account.refuses(DEPLOY)
    assert "Failed" in account.does("status.py")
    account.does(CLEANUP)
    assert account.aws.endpoints == {}


@pytest.fixture
def refusing():
    """Access to AWS in which StopTrainingJob fails; `job` is the job's description."""
    aws, job = object.__new__(Aws), {}
    client = boto3.Session(*CREDENTIALS, region_name=REGION).client("sagemaker")

    def answer(model, **_):
        if model.name.startswith("Stop"):
            return SimpleNamespace(status_code=400), {"Error": {"Code": "ValidationException", "Message": "rejected"}}
        return SimpleNamespace(status_code=200), job

    client.meta.events.register("before-call", answer)
    vars(aws).update(sagemaker=client, job=job)
    return aws


def test_a_job_that_has_already_ended_is_not_an_error(refusing):
    refusing.job["TrainingJobStatus"] = "Stopping"
    ending.stop_job(refusing, "TrainingJob", "tuning-001")
    refusing.job["TrainingJobStatus"] = "InProgress"
    with pytest.raises(ClientError, match="rejected"):
        ending.stop_job(refusing, "TrainingJob", "tuning-001")


def test_images_that_are_gone_or_refused_do_not_keep_the_rest(deployed):
    assert "done; launch/status.py" in deployed.does(f"{CLEANUP} --images")
    deployed.does(DEPLOY)
    deployed.aws.refused["DescribeRepositories"] = ("AccessDeniedException", "not this")
    code, out = deployed.run(f"{CLEANUP} --images")
    assert (code, deployed.aws.endpoints) == (1, {})
    assert "left: the image: An error occurred (AccessDeniedException)" in out


def test_ctrl_c_says_that_something_is_left(deployed):
    deployed.aws.describes = 3

    def interrupt(aws):
        raise KeyboardInterrupt

    deployed.monkeypatch.setattr(Aws, "pause", interrupt)
    assert deployed.run(CLEANUP)[0] == "interrupted"
    assert "some of these are left; repeat the command" in deployed.err


def test_what_is_deleted_while_it_is_listed_is_no_error(deployed):
    deployed.aws.refused["DescribeEndpointConfig"] = ("ValidationException", "Could not find endpoint configuration")
    assert "1 x an unknown type" in " ".join(deployed.does("status.py").split())
    deployed.aws.searchable = False
    deployed.aws.refused["ListTags"] = ("ValidationException", "Could not find endpoint")
    assert "no running job or other resource" in deployed.does("status.py")
