import boto3
import pytest
from moto import mock_aws

from classifier.errors import UserError
from helpers import CREDENTIALS, REGION
from launch import following
from launch.aws import Aws


def test_a_job_that_writes_no_report_is_one_sentence(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    job = {"TrainingJobName": "a", "OutputDataConfig": {"S3OutputPath": "s3://a-bucket/output"}}
    with mock_aws():
        session = boto3.Session(*CREDENTIALS, region_name=REGION)
        aws = object.__new__(Aws)
        vars(aws).update(session=session, s3=session.resource("s3"), sagemaker=session.client("sagemaker"))
        monkeypatch.setattr(aws.sagemaker, "describe_training_job", lambda TrainingJobName: job)  # noqa: N803
        aws.s3.create_bucket(Bucket="a-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        job["TrainingJobStatus"] = "Stopped"
        with pytest.raises(UserError, match="^a is Stopped, and wrote no report$"):
            following.follow_training(aws, "a")
        job |= {"TrainingJobStatus": "Failed", "FailureReason": "no data"}
        with pytest.raises(UserError, match="^a failed: no data$"):
            following.follow_training(aws, "a")
