from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError

from helpers import CREDENTIALS, REGION
from launch import cleanup
from launch.aws import Aws


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
    cleanup.stop_job(refusing, "TrainingJob", "tuning-001")
    refusing.job["TrainingJobStatus"] = "InProgress"
    with pytest.raises(ClientError, match="rejected"):
        cleanup.stop_job(refusing, "TrainingJob", "tuning-001")
