"""The launch scripts in this process, with the stand-in for AWS."""

import itertools
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from aws_stand_in import StandIn
from classifier.errors import UserError
from helpers import REGION
from launch import logs, making
from launch.advice import sentence_for
from launch.aws import Aws
from launch.settings import make_parser
from local import places
from waits import PATIENCE_S

pytest_plugins = ["aws_models"]
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/sagemaker-resnet18:abc"
BUCKET = f"sagemaker-{REGION}-123456789012"


class Account:
    """An account with a role and a picture; its jobs and endpoints run nothing. `aws` is the stand-in."""

    bucket, image = BUCKET, IMAGE

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.aws = StandIn(folder / "aws")
        self.aws.real, self.aws.late_seconds = False, 0
        self.aws.client("iam").create_role(RoleName="sm", AssumeRolePolicyDocument="{}")
        s3 = self.aws.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=BUCKET, Key="resnet18/data/dogs/pug/1.jpg", Body=b"a picture")
        places.note(data=f"s3://{BUCKET}/resnet18/data/dogs/")

    def run(self, command: str) -> tuple[object, str]:
        """Run a command such as `deploy.py --yes`; return its exit code, or its error's sentence, and its output."""
        script, *flags = command.split()
        self.monkeypatch.setattr(sys, "argv", [script, *flags])
        return self.attempt(import_module(f"launch.{script.removesuffix('.py')}").main)

    def attempt(self, call: Callable[[], object]) -> tuple[object, str]:
        """Make a call; return its result, 0 for none, or its error's sentence, and its output.

        `err` is then what it wrote to standard error.
        """
        self.capsys.readouterr()
        try:
            result = call() or 0
        except UserError as error:
            result = str(error)
        except KeyboardInterrupt:
            result = "interrupted"
        except Exception as error:
            if not type(error).__module__.startswith(("boto3", "botocore")):
                raise
            result = sentence_for(error)
        out, self.err = self.capsys.readouterr()
        return result, out

    def does(self, command: str) -> str:
        result, out = self.run(command)
        assert result == 0, f"{result}\n{out}"
        return out

    def refuses(self, command: str) -> str:
        result, out = self.run(command)
        assert isinstance(result, str), out
        return result

    def trained(self, name: str = "resnet18-0", **about: object) -> dict:
        """Let a training job have ended, and be the last one; return its description."""
        output, source = f"s3://{BUCKET}/resnet18/output", f"s3://{BUCKET}/resnet18/data/dogs/"
        key = f"resnet18/output/{name}/output/model.tar.gz"
        self.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"a model")
        self.aws.jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobStatus": "Completed",
            "SecondaryStatus": "Completed",
            "ModelArtifacts": {"S3ModelArtifacts": f"s3://{BUCKET}/{key}"},
            "OutputDataConfig": {"S3OutputPath": output},
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": source}}}],
            "AlgorithmSpecification": {"TrainingInputMode": "FastFile"},
            "HyperParameters": {"epochs": "3"},
        } | about
        places.note(job=name)
        return self.aws.jobs[name]

    def settings(self) -> Namespace:
        return make_parser("", "aws", "cost").parse_args([])

    def names(self, kind: str) -> list[str]:
        """Return the names of all endpoint configurations or models."""
        client = self.aws.client("sagemaker")
        listed = {"EndpointConfig": client.list_endpoint_configs, "Model": client.list_models}[kind]()
        return [one[f"{kind}Name"] for one in listed[f"{kind}s"]]


@pytest.fixture
def account(tmp_path, monkeypatch, capsys):
    number = itertools.count(1)
    for name, value in {"ROOT": tmp_path, "RUNS": tmp_path / "runs", "LATEST": tmp_path / "runs/latest.json"}.items():
        monkeypatch.setattr(places, name, value)
    (tmp_path / ".image_uri").write_text(IMAGE)
    monkeypatch.setattr(places, "new_name", lambda prefix: f"{prefix}-{next(number)}")
    monkeypatch.setattr(Aws, "poll_seconds", 0.01)
    monkeypatch.setattr(logs, "QUIET_SECONDS", 0)
    monkeypatch.setattr(making, "KNOWN_SECONDS", PATIENCE_S)
    made = Account(tmp_path, monkeypatch, capsys)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.aws.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    yield made
    made.aws.close()
