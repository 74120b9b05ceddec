import json
from argparse import Namespace
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, ProfileNotFound

from classifier.errors import UserError
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
    ],
)
def test_an_error_of_aws_comes_with_advice(code, expected):
    sentence = advice.sentence_for(ClientError({"Error": {"Code": code, "Message": "no\n way"}}, "CreateModel"))
    assert "no way: " in sentence
    assert expected in sentence


def test_a_missing_profile_comes_with_advice():
    sentence = advice.sentence_for(ProfileNotFound(profile="absent"))
    assert sentence == "The config profile (absent) could not be found: aws configure list-profiles lists the profiles"


def test_another_error_of_aws_is_printed_unchanged():
    error = ClientError({"Error": {"Code": "Throttling", "Message": "too fast"}}, "CreateModel")
    assert advice.sentence_for(error).startswith("AWS: ")


def test_an_s3_uri():
    assert aws.split_uri("s3://bucket/a/b") == ("bucket", "a/b")
    assert aws.split_uri("s3://bucket") == ("bucket", "")
    with pytest.raises(UserError, match="'http://bucket' is not an S3 URI; accepted: s3://BUCKET/KEY"):
        aws.split_uri("http://bucket")
