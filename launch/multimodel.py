"""A multi-model endpoint: each model.tar.gz below its S3 prefix is a model, which SageMaker loads when it is asked for.

docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints.html
"""

import re
from argparse import Namespace
from typing import Any

from classifier.errors import UserError
from launch import storage
from launch.aws import Aws, split_uri
from local.accepted import Text, parse_values

# GPUs: "supported only with ... Triton", dg/mms-container-apis.html.
GPU = re.compile(r"ml\.[gp]\d.*")
# As the server takes it.
MODEL = Text("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "up to 100 letters, digits and . _ -, of which the first is no sign")


def prefix(aws: Aws, endpoint: str) -> str:
    """Return the S3 URI below which the endpoint's models are."""
    return f"{aws.home}/models/{endpoint}/"


def container(aws: Aws, source: str) -> dict[str, str]:
    """Return what CreateModel needs for all models below the S3 URI `source`."""
    return {"Image": aws.image, "ModelDataUrl": source, "Mode": "MultiModel"}


def target(model: str) -> dict[str, str]:
    """Return the parameter of InvokeEndpoint that names the model; {} for an endpoint that has but one."""
    return {"TargetModel": f"{model}.tar.gz"} if model else {}


def check(settings: Namespace) -> None:
    """Raise UserError if AWS serves many models on none of these instance types."""
    for instance_type in (settings.instance_type, *settings.more_instance_types):
        if GPU.fullmatch(instance_type):
            raise UserError(
                f"instance_type is {instance_type!r}; accepted with --multi-model: one without a GPU, on which AWS "
                "serves many models with its own server alone"
            )


def add(aws: Aws, about: dict[str, Any], endpoint: str, model: str, artifact: str) -> str:
    """Copy an artifact in S3 to where the endpoint, which has the description `about`, finds it as `model`.

    Returns the S3 URI of all its models.
    Raises UserError if it has such a model, since it may go on with the one that it has loaded.
    """
    copy = f"{prefix(aws, endpoint)}{model}.tar.gz"
    if about and aws.exists(copy):
        raise UserError(f"{endpoint} has a model {model} already: give another name with --model")
    bucket, key = split_uri(artifact)
    source = {"Bucket": bucket, "Key": key}
    aws.s3.Object(*split_uri(copy)).copy_from(CopySource=source, **storage.encryption(aws))
    print(f"{model} is at {copy}")
    return prefix(aws, endpoint)


def check_name(settings: Namespace) -> None:
    """Raise UserError for the name of a model that is not one, or has no effect."""
    if settings.model is not None and not settings.multi_model:
        raise UserError("--model has no effect without --multi-model")
    if settings.model is not None:
        parse_values({"model": settings.model}, {"model": MODEL})


def option(model: str) -> str:
    """Return the option that names the model to predict.py; "" if there is but one."""
    return f"--model {model} " if model else ""
