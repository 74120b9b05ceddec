"""Objects in S3: what encrypts them, and whether SageMaker can use the bucket that they are in."""

from typing import Any

from classifier.errors import UserError
from launch.aws import Aws, split_uri
from local import places


def encryption(aws: Aws) -> dict[str, Any]:
    """Return the parameters that let S3 encrypt an object with the settings' KMS key; {} if there is none."""
    key = aws.settings.kms_key
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def put(aws: Aws, uri: str, data: bytes, **about: str) -> None:
    """Store an object; `about` has further parameters of PutObject."""
    aws.s3.Object(*split_uri(uri)).put(Body=data, **about, **encryption(aws))


def read(aws: Aws, uri: str) -> bytes | None:
    """Return what the object at an S3 URI holds; None if there is none, or if `uri` is ""."""
    try:
        return aws.s3.Object(*split_uri(uri)).get()["Body"].read() if uri else None
    except aws.s3.meta.client.exceptions.NoSuchKey:
        return None


def images_at(aws: Aws, uri: str) -> str:
    """Return `uri`, by default the last upload's, with a slash at its end.

    Raises UserError if it has no images, or is where SageMaker cannot use it, and if the image, the role or the bucket
    for the job's output is missing.
    """
    _ = aws.image, aws.role
    uri = f"{(uri or places.latest('data')).rstrip('/')}/"
    if not (check_bucket(aws, split_uri(uri)[0]) and aws.exists(uri)):
        raise UserError(f"there are no images at {uri}: run launch/upload.py FOLDER, or use --data FOLDER")
    if not check_bucket(aws, aws.bucket):
        make = f"aws s3 mb s3://{aws.bucket} --region {aws.session.region_name}"
        raise UserError(f"the bucket {aws.bucket}, for the job's output, does not exist: {make} makes it")
    return uri


def check_bucket(aws: Aws, bucket: str) -> bool:
    """Return whether the bucket exists.

    Raises UserError if it is in another region, where SageMaker cannot use it (the reference of S3DataSource, S3Uri),
    or if it has the name of the account's default bucket, and is another account's: whoever made it could read all.
    """
    default = bucket == aws.bucket and not aws.settings.bucket
    owner = {"ExpectedBucketOwner": aws.identity["Account"]} if default else {}
    try:
        region = aws.s3.meta.client.head_bucket(Bucket=bucket, **owner).get("BucketRegion", aws.session.region_name)
    except aws.s3.meta.client.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            return False
        if code not in ("403", "AccessDenied"):
            raise
        whose = "is not this account's, or " if default else ""
        raise UserError(
            f"the bucket {bucket} {whose}refuses these credentials: name another with --bucket, or ask its owner"
        ) from error
    if region != aws.session.region_name:
        raise UserError(
            f"the bucket {bucket} is in {region}; accepted by SageMaker in {aws.session.region_name}: one of its own "
            "region, or use another --region"
        )
    return True
