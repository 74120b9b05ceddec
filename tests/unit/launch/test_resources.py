"""Find the resources of these scripts and stop them, with local answers to all calls."""

from argparse import Namespace
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import pytest

from helpers import CREDENTIALS, REGION
from launch import resources
from launch.aws import Aws
from strict_request import faults

SETTINGS = Namespace(prefix="resnet18", tags={})
ARN = f"arn:aws:sagemaker:{REGION}:123456789012"
OURS = [{"Key": "created-by", "Value": "launch-resnet18"}]


class Tagging:
    """Answers the search by tag with the tuning job and the transform job, since it does not know the newest yet."""

    def client(self, service):
        found = [{"ResourceARN": f"{ARN}:{name}"} for name in ("tuning", "transform")]
        pages = SimpleNamespace(search=lambda _: [one["ResourceARN"] for one in found])
        paginator = SimpleNamespace(paginate=lambda **_: pages)
        return SimpleNamespace(get_paginator=lambda _: paginator)


SESSION = Tagging()


NO_JOBS = {"HyperParameterTuningJobSummaries": [], "TrainingJobSummaries": []}


def listed(kind, *names):
    key = f"{kind}Summaries" if kind.endswith("Job") else f"{kind}s"
    return {
        key: [
            {
                f"{kind}Name": name,
                f"{kind}Arn": f"{ARN}:{name}",
                f"{kind}Status": "InProgress",
                "CreationTime": datetime.now(UTC),
            }
            for name in names
        ]
    }


@pytest.fixture
def client():
    """A client that lists a tuning job, its training job, and another owner's; `sent` has all requests."""
    answers = {
        "ListHyperParameterTuningJobs": listed("HyperParameterTuningJob", "tuning"),
        "ListTrainingJobs": listed("TrainingJob", "tuning-001", "anothers"),
        "ListTransformJobs": listed("TransformJob", "transform"),
        "ListEndpoints": listed("Endpoint"),
        "ListEndpointConfigs": listed("EndpointConfig"),
        "ListModels": listed("Model"),
        "DescribeTrainingJob": {"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2}},
        "DescribeTransformJob": {"TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}},
    }
    stopping = listed("TransformJob", "transform-2")
    stopping["TransformJobSummaries"][0]["TransformJobStatus"] = "Stopping"
    made = boto3.Session(*CREDENTIALS, region_name=REGION).client("sagemaker")
    made.sent = []

    def answer(model, context, **_):
        parameters = made.sent[-1][1]
        tags = {"Tags": [] if parameters.get("ResourceArn") == f"{ARN}:anothers" else OURS}
        if parameters.get("StatusEquals") == "Stopping":
            return SimpleNamespace(status_code=200), stopping if model.name == "ListTransformJobs" else NO_JOBS
        return SimpleNamespace(status_code=200), tags if model.name == "ListTags" else answers.get(model.name, {})

    made.meta.events.register(
        "before-parameter-build", lambda params, model, **_: made.sent.append((model.name, params))
    )
    made.meta.events.register("before-call", answer)
    return made


def test_running_jobs_of_these_scripts_are_found_and_stopped(client):
    aws = object.__new__(Aws)
    vars(aws).update(sagemaker=client, settings=SETTINGS, session=SESSION)
    found = list(resources.find_resources(aws))
    assert [(one.kind, one.name, one.status) for one in found] == [
        ("HyperParameterTuningJob", "tuning", "InProgress"),
        ("TrainingJob", "tuning-001", "InProgress"),
        ("TransformJob", "transform", "InProgress"),
        ("TransformJob", "transform-2", "Stopping"),
    ]
    assert [one.instances(aws) for one in found] == [
        ("", 0),
        ("ml.g5.xlarge", 2),
        ("ml.m5.xlarge", 1),
        ("ml.m5.xlarge", 1),
    ]
    for one in found[:3]:
        aws.call("Stop", one.kind, one.name)
    assert client.sent[-3:] == [
        ("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "tuning"}),
        ("StopTrainingJob", {"TrainingJobName": "tuning-001"}),
        ("StopTransformJob", {"TransformJobName": "transform"}),
    ]
    wanted = [(name, parameters.get("StatusEquals")) for name, parameters in client.sent if name.startswith("List")]
    assert {state for name, state in wanted if name == "ListTrainingJobs"} == {"InProgress", "Stopping"}
    assert {state for name, state in wanted if name == "ListModels"} == {None}
    assert not [fault for name, parameters in client.sent for fault in faults(name, parameters)]
