"""The way into AWS: session, role, bucket and image, each missing one told in a sentence; tags, logs and links."""

import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import places

TAG = "created-by"
STUDIO = Path("/opt/ml/metadata/resource-metadata.json")
NO_AWS = "--local does the same on this computer and needs nothing of AWS"
ADVICE = {
    "ResourceLimitExceeded": "the account's quota is too small; new accounts have none for GPU instances: ask for more "
    "in the console under Service Quotas, Amazon SageMaker, or name another --instance-type",
    "AccessDenied": "the credentials may not do this; what they need is in README.md under Permissions",
    "NoSuchBucket": "run launch/upload.py FOLDER, which makes it",
    "NoSuchEntity": "README.md says under Permissions how the role is made",
    "ExpiredToken": "the credentials have expired: log in again, such as with aws sso login",
    "InvalidClientTokenId": "the credentials are not valid: run aws configure",
    "UnrecognizedClient": "the credentials are not valid: run aws configure",
}


def connect(settings: Namespace) -> "object":
    """A boto3 session. Raises UserError where there are no credentials or no region."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        session = boto3.Session(region_name=settings.region or None, profile_name=settings.profile or None)
    except ProfileNotFound as error:
        raise places.UserError(f"{error}; aws configure list-profiles names those there are") from error
    if session.get_credentials() is None:
        raise places.UserError(f"no AWS credentials: run aws configure or aws sso login. {NO_AWS}")
    if not session.region_name:
        raise places.UserError(f"no AWS region: use --region, AWS_DEFAULT_REGION or aws configure. {NO_AWS}")
    return session


def account(session) -> str:
    return session.client("sts").get_caller_identity()["Account"]


def bucket_of(session, settings: Namespace) -> str:
    return settings.bucket or f"sagemaker-{session.region_name}-{account(session)}"


def image_of(settings: Namespace) -> str:
    """The image's URI: the setting, or what build_and_push.sh left."""
    kept = places.ROOT / ".image_uri"
    if not settings.image and not kept.exists():
        raise places.UserError("no image: run ./build_and_push.sh, or name an image in ECR with --image")
    return settings.image or kept.read_text().strip()


def role_of(session, settings: Namespace) -> str:
    """The ARN of the role SageMaker works under: the setting, or in SageMaker Studio its own."""
    name = settings.role
    if name.startswith("arn:"):
        return name
    if not name and STUDIO.exists():
        name = session.client("sts").get_caller_identity()["Arn"].split("/")[1]
    if not name:
        raise places.UserError(
            "no role for SageMaker: give the name or ARN of one with --role or in launch/settings.toml; "
            "README.md says under Permissions how one is made"
        )
    return session.client("iam").get_role(RoleName=name)["Role"]["Arn"]


def tags(settings: Namespace) -> list[dict[str, str]]:
    """The tag by which cleanup.py knows what is ours, and the user's."""
    wanted = {TAG: f"launch-{settings.prefix}"} | settings.tags
    return [{"Key": name, "Value": str(value)} for name, value in wanted.items()]


def is_ours(client, arn: str, settings: Namespace) -> bool:
    return tags(settings)[0] in client.list_tags(ResourceArn=arn)["Tags"]


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key."""
    found = re.fullmatch(r"s3://([^/]+)/?(.*)", uri)
    if not found:
        raise places.UserError(f"{uri!r} is no S3 URI; accepted: s3://BUCKET/KEY")
    return found[1], found[2]


def objects(session, uri: str) -> Iterator[dict]:
    """What lies below an S3 URI: Key, Size, LastModified and more of each."""
    bucket, prefix = split_uri(uri)
    for page in session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def require_data(session, uri: str) -> str:
    """`uri`, if there is anything. Raises UserError otherwise."""
    if not next(objects(session, uri.rstrip("/") + "/"), None):
        raise places.UserError(f"there are no images at {uri}: run launch/upload.py FOLDER")
    return uri.rstrip("/") + "/"


def log_lines(session, job: str, seen: dict[str, str]) -> Iterator[str]:
    """The lines of a training job's log beyond those of `seen`, which is kept up to date: stream to token."""
    logs = session.client("logs")
    where = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    try:
        streams = logs.describe_log_streams(**where, logStreamNamePrefix=f"{job}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return
    for name in sorted(stream["logStreamName"] for stream in streams):
        while True:
            more = {"nextToken": seen[name]} if name in seen else {}
            page = logs.get_log_events(**where, logStreamName=name, startFromHead=True, **more)
            yield from (event["message"] for event in page["events"])
            if page["nextForwardToken"] == seen.get(name):
                break
            seen[name] = page["nextForwardToken"]


def console_link(session, page: str) -> str:
    return f"https://{session.region_name}.console.aws.amazon.com/sagemaker/home?region={session.region_name}#/{page}"


def sentence_for(error: Exception) -> str:
    """What boto3 or botocore raised, and what to do about it."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    text = " ".join(str(error).split())
    advice = next((advice for start, advice in ADVICE.items() if code.startswith(start)), "")
    return f"{text}: {advice}" if advice else f"AWS: {text}"
