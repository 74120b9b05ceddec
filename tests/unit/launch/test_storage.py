"""Buckets that SageMaker cannot use, and what encrypts the objects in others."""

import pytest

from launch import storage
from launch.aws import Aws

pytest_plugins = ["aws_account"]

ELSEWHERE = "is in us-east-1; accepted by SageMaker in eu-west-1: one of its own region, or use another --region"


@pytest.mark.parametrize("command", ["train.py --role sm --yes", "tune.py --role sm --yes"])
def test_a_bucket_in_another_region_is_refused_before_a_job_is_paid_for(account, command):
    account.aws.regions[account.bucket] = "us-east-1"
    assert ELSEWHERE in account.refuses(command)
    assert not account.aws.sent("CreateTrainingJob") + account.aws.sent("CreateHyperParameterTuningJob")


def test_images_in_a_bucket_that_is_not_there(account):
    assert "there are no images at s3://absent/photos/" in account.refuses(
        "train.py --role sm --data s3://absent/photos"
    )


def test_a_job_needs_a_bucket_for_its_output(account):
    data = f"--data s3://{account.bucket}/resnet18/data/dogs"
    sentence = account.refuses(f"train.py --role sm --yes --bucket absent {data}")
    assert "the bucket absent, for the job's output, does not exist: aws s3 mb s3://absent --region eu-w" in sentence
    account.aws.client("s3").create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    account.aws.regions["far"] = "us-east-1"
    assert f"the bucket far {ELSEWHERE}" in account.refuses(f"train.py --role sm --yes --bucket far {data}")


def test_a_bucket_of_the_default_name_must_be_this_accounts(account):
    assert storage.check_bucket(Aws(account.settings()), account.bucket)
    account.aws.owners[account.bucket] = "210987654321"
    sentence = account.refuses("train.py --role sm --yes")
    assert f"the bucket {account.bucket} is not this account's, or refuses these credentials" in sentence
    assert "name another with --bucket" in sentence
    account.aws.owners = {"theirs": "210987654321"}  # which the user has named, and may use
    account.aws.client("s3").create_bucket(
        Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    assert "there are no images at s3://theirs/a/" in account.refuses("train.py --role sm --data s3://theirs/a")


def test_objects_are_encrypted_with_the_settings_key(account):
    settings = account.settings()
    settings.kms_key = "alias/mine"
    aws, uri = Aws(settings), f"s3://{account.bucket}/ä b/c+d.txt"
    storage.put(aws, uri, b"data", ContentType="text/plain")
    assert storage.read(aws, uri) == b"data"
    about = account.aws.client("s3").head_object(Bucket=account.bucket, Key="ä b/c+d.txt")
    assert (about["ServerSideEncryption"], about["ContentType"]) == ("aws:kms", "text/plain")
    assert storage.read(aws, f"{uri}x") is None
    assert storage.read(aws, "") is None
