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
    made = boto3.Session(*CREDENTIALS, region_name=REGION).client("sagemaker")
    made.sent = []

    def answer(model, context, **_):
        parameters = made.sent[-1][1]
        tags = {"Tags": [] if parameters.get("ResourceArn") == f"{ARN}:anothers" else OURS}
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
    ]
    assert [one.instances(aws) for one in found] == [("", 0), ("ml.g5.xlarge", 2), ("ml.m5.xlarge", 1)]
    for one in found:
        aws.call("Stop", one.kind, one.name)
    assert client.sent[-3:] == [
        ("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "tuning"}),
        ("StopTrainingJob", {"TrainingJobName": "tuning-001"}),
        ("StopTransformJob", {"TransformJobName": "transform"}),
    ]
    only = {name: parameters for name, parameters in client.sent if name.startswith("List")}
    assert only["ListTrainingJobs"]["StatusEquals"] == "InProgress"
    assert "StatusEquals" not in only["ListModels"]
    assert not [fault for name, parameters in client.sent for fault in faults(name, parameters)]
