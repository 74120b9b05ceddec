"""Access to AWS: session, role, bucket and image, with one sentence for whichever is missing."""

import re
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from classifier import files
from classifier.errors import UserError
from classifier.json_text import shown
from classifier.training.accepted_values import text_of
from launch.advice import is_gone, is_passing
from local import places

Result = TypeVar("Result")
STUDIO = Path("/opt/ml/metadata/resource-metadata.json")
NO_AWS = ". --local does the same on this computer, without AWS"
# A wait goes on for so long though AWS does not answer.
PATIENCE_SECONDS = 600
# The console's address in each partition.
CONSOLES = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}


class Aws:
    """What the settings select in AWS. Raises UserError as soon as something is needed and missing."""

    poll_seconds = 5

    def __init__(self, settings: Namespace):
        without = NO_AWS if "local" in settings else ""  # some scripts have no --local
        places.need("sagemaker", f"make launch installs it{without}")
        import boto3

        self.settings = settings
        self.session = boto3.Session(region_name=settings.region or None, profile_name=settings.profile or None)
        if self.session.get_credentials() is None:
            raise UserError(f"no AWS credentials: run aws configure or aws sso login{without}")
        if not self.session.region_name:
            raise UserError(f"no AWS region: use --region, AWS_DEFAULT_REGION or aws configure{without}")
        self.sagemaker = self.session.client("sagemaker")
        self.s3: Any = self.session.resource("s3")

    @cached_property
    def errors(self) -> tuple[type[Exception], ...]:
        """What boto3 raises: refusals, and what keeps a request from being answered."""
        from botocore.exceptions import BotoCoreError, ClientError

        return BotoCoreError, ClientError

    @cached_property
    def identity(self) -> dict[str, str]:
        return self.session.client("sts").get_caller_identity()

    @cached_property
    def bucket(self) -> str:
        return self.settings.bucket or f"sagemaker-{self.session.region_name}-{self.identity['Account']}"

    @property
    def home(self) -> str:
        """The S3 URI below which these scripts keep everything."""
        return f"s3://{self.bucket}/{self.settings.prefix}"

    @property
    def image(self) -> str:
        """The image's URI: the setting, or the one that build_and_push.sh kept."""
        if self.settings.image:
            return self.settings.image
        try:
            kept = files.read_text(places.ROOT / ".image_uri").strip()
        except FileNotFoundError:
            kept = ""
        if not re.fullmatch(r"[!-~]{1,400}", kept):
            found = f"{places.ROOT / '.image_uri'} has {shown(kept)}" if kept else "no image"
            raise UserError(f"{found}: run ./build_and_push.sh, or name an image in ECR with --image")
        return kept

    @cached_property
    def role(self) -> str:
        """The ARN of SageMaker's execution role: the setting, or in SageMaker Studio its own."""
        name = self.settings.role or self.role_of_studio()
        if not name:
            raise UserError(
                "no role for SageMaker: give the name or ARN of one with --role or in launch/settings.toml; "
                "README.md says under Permissions how to create one"
            )
        return name if name.startswith("arn:") else self.session.client("iam").get_role(RoleName=name)["Role"]["Arn"]

    def role_of_studio(self) -> str:
        """Return the role of SageMaker Studio or of a notebook instance; "" elsewhere."""
        try:
            about = files.read_json(STUDIO)
        except FileNotFoundError:
            return ""
        return about.get("ExecutionRoleArn") or self.identity["Arn"].split("/")[1]

    def operation(self, verb: str, kind: str) -> Any:
        """Return the method of boto3 that does `verb` to resources of this kind, such as TrainingJob."""
        from botocore import xform_name

        return getattr(self.sagemaker, xform_name(f"{verb}{kind}"))

    def call(self, verb: str, kind: str, name: str) -> dict:
        """Describe, Stop or Delete the resource of this kind and of this name."""
        return self.operation(verb, kind)(**{f"{kind}Name": name})

    def find(self, kind: str, name: str) -> dict[str, Any]:
        """Return the description of a resource; {} if there is none of this kind and name."""
        try:
            return self.call("Describe", kind, name)
        except self.sagemaker.exceptions.ClientError as error:
            if not is_gone(error):
                raise
            return {}

    def until_ended(self, kind: str, name: str) -> Iterator[dict]:
        """Yield the description of a SageMaker job every few seconds until the job has ended.

        Raises UserError if it was deleted.
        """
        state = ""
        while state in ("", "InProgress", "Stopping"):
            if state:
                self.pause()
            job = self.patiently(lambda: self.find(kind, name))
            state = job.get(f"{kind}Status", "Deleting")
            if state == "Deleting":
                raise UserError(f"there is no {name} in this account and region, or it was just deleted")
            yield job

    def patiently(self, call: Callable[[], Result]) -> Result:
        """Return call(), which is repeated for a while if AWS is out of reach, out of order or asked too often."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return call()
            except self.errors as error:
                if not is_passing(error) or time.monotonic() > end:
                    raise
                self.pause()

    def pause(self) -> None:
        """Wait until AWS may be asked again."""
        time.sleep(self.poll_seconds)

    def objects_below(self, uri: str) -> Any:
        """Return boto3's collection of the objects below an S3 URI."""
        bucket, key = split_uri(uri)
        return self.s3.Bucket(bucket).objects.filter(Prefix=key)

    def exists(self, uri: str) -> bool:
        """Return whether there is an object at, or below, an S3 URI; not at ""."""
        return bool(uri) and bool(list(self.objects_below(uri).limit(1)))

    def link(self, page: str) -> str:
        """Return the address of a page of SageMaker's console."""
        region = str(self.session.region_name)
        address = CONSOLES.get(self.session.get_partition_for_region(region), CONSOLES["aws"])
        return f"https://{region}.console.{address}/sagemaker/home?region={region}#/{page}"


def tags(settings: Namespace) -> list[Any]:
    """Return the tag by which status.py and cleanup.py find what these scripts made, and the user's tags."""
    wanted = {"created-by": f"launch-{settings.prefix}"} | settings.tags
    return [{"Key": name, "Value": text_of(value)} for name, value in wanted.items()]


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of s3://bucket/key. Raises UserError if `uri` is not of this form."""
    found = re.fullmatch(r"s3://([^/]+)/?(.*)", uri)
    if not found:
        raise UserError(f"{uri!r} is not an S3 URI; accepted: s3://BUCKET/KEY")
    return found[1], found[2]
