import json
from argparse import Namespace
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ProfileNotFound, UnauthorizedSSOTokenError

from classifier.errors import UserError
from helpers import CREDENTIALS
from launch import advice, aws

ROLE = "arn:aws:iam::123456789012:role/service-role/Studio"


class Session:
    """A session that answers the calls for the role."""

    def client(self, service):
        arn = "arn:aws:sts::123456789012:assumed-role/Studio/SageMaker"
        known = {"Studio": {"Role": {"Arn": ROLE}}}
        return SimpleNamespace(
            get_caller_identity=lambda: {"Arn": arn},
            get_role=lambda RoleName: known[RoleName],  # noqa: N803
        )


def role(name):
    made = object.__new__(aws.Aws)
    vars(made).update(session=Session(), settings=Namespace(role=name))
    return made.role


def test_the_role_is_the_setting_or_studios_own(tmp_path, monkeypatch):
    assert role(ROLE) == role("Studio") == ROLE
    monkeypatch.setattr(aws, "STUDIO", tmp_path / "metadata.json")
    with pytest.raises(UserError, match="no role for SageMaker: give the name or ARN"):
        role("")
    aws.STUDIO.write_text("{}")
    assert role("") == ROLE
    aws.STUDIO.write_text(json.dumps({"ExecutionRoleArn": f"{ROLE}Notebook"}))
    assert role("") == f"{ROLE}Notebook"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ResourceLimitExceeded", "new accounts have none for GPU instances"),
        ("AccessDeniedException", "README.md lists under Permissions what they need"),
        ("ExpiredTokenException", "log in again"),
        ("UnrecognizedClientException", "run aws configure"),
        ("NoSuchBucket", "run launch/upload.py FOLDER"),
        ("BucketAlreadyExists", "name another with --bucket"),
        ("ThrottlingException", "repeat the command in a minute"),
        ("RequestExpired", "log in again"),
    ],
)
def test_an_error_of_aws_comes_with_advice(code, expected):
    sentence = advice.sentence_for(ClientError({"Error": {"Code": code, "Message": "no\n way"}}, "CreateModel"))
    assert "no way: " in sentence
    assert expected in sentence


def test_a_missing_profile_comes_with_advice():
    sentence = advice.sentence_for(ProfileNotFound(profile="absent"))
    assert sentence == "The config profile (absent) could not be found: aws configure list-profiles lists the profiles"


def test_an_expired_sign_on_comes_with_advice():
    assert "log in again, such as with aws sso login" in advice.sentence_for(UnauthorizedSSOTokenError())


def test_another_error_of_aws_is_printed_unchanged():
    error = ClientError({"Error": {"Code": "Teapot", "Message": "too hot"}}, "CreateModel")
    assert advice.sentence_for(error).startswith("AWS: ")


def test_an_s3_uri():
    assert aws.split_uri("s3://bucket/a/b") == ("bucket", "a/b")
    assert aws.split_uri("s3://bucket") == ("bucket", "")
    with pytest.raises(UserError, match="'http://bucket' is not an S3 URI; accepted: s3://BUCKET/KEY"):
        aws.split_uri("http://bucket")


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_console_is_that_of_the_partition(region, address):
    made = object.__new__(aws.Aws)
    vars(made).update(session=boto3.Session(*CREDENTIALS, region_name=region))
    assert made.link("jobs/a") == f"https://{address}/sagemaker/home?region={region}#/jobs/a"


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "CreateModel"), True),
        (ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "CreateModel"), True),
        (EndpointConnectionError(endpoint_url="https://a"), True),
        (ClientError({"Error": {"Code": "ExpiredTokenException"}}, "CreateModel"), False),
        (ProfileNotFound(profile="absent"), False),
    ],
)
def test_which_errors_pass(error, passes):
    assert advice.is_passing(error) is passes
