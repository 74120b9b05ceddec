"""What to do about an error of AWS's, wherever its code is."""

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.stub import Stubber

from helpers import CREDENTIALS, REGION
from launch.advice import sentence_for


@pytest.mark.parametrize(
    ("code", "advice"), [("ExpiredToken", "log in again"), ("AccessDenied", "README.md lists under Permissions")]
)
def test_an_upload_that_is_refused(tmp_path, code, advice):
    """boto3/s3/transfer.py: S3UploadFailedError has no response, only the text of the error."""
    (tmp_path / "a.jpg").write_bytes(b"a picture")
    client = boto3.Session(*CREDENTIALS, region_name=REGION).client("s3")
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", code, "no")
        with pytest.raises(S3UploadFailedError) as error:
            client.upload_file(str(tmp_path / "a.jpg"), "photos", "a.jpg")
    assert advice in sentence_for(error.value)
