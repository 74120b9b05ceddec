"""The requests for endpoints and batch transform jobs: pure functions from settings to boto3's parameters."""

from argparse import Namespace
from typing import Any

from classifier.errors import UserError
from classifier.words import plural
from launch import capture, instances, multimodel
from launch.alarms import VARIANT
from launch.aws import Aws, tags
from local.sending import IMAGE_TYPE

SERVERLESS, ASYNCHRONOUS, OF_INSTANCES, MULTI_MODEL = "serverless", "asynchronous", "one of instances", "multi-model"
SERVERLESS_LIMITS = "4 MB a request, 3 minutes to start, no GPU"
SERVERLESS_BYTES = 4_000_000
# What an endpoint without instances of its own has none of.
INSTANCE_SETTINGS = (
    "instance_type",
    "more_instance_types",
    "instance_count",
    "max_instances",
    "requests_per_instance",
    "backlog_per_instance",
    "inference_ami",
)


def kind(settings: Namespace) -> str:
    """Return the kind of endpoint that the settings ask for; none can become another."""
    if settings.multi_model:
        return MULTI_MODEL
    return SERVERLESS if settings.serverless else ASYNCHRONOUS if settings.asynchronous else OF_INSTANCES


def check_picture(kind: str, name: str, size: int) -> None:
    """Raise UserError if an endpoint of this kind takes no picture of `size` bytes."""
    if kind == SERVERLESS and size > SERVERLESS_BYTES:
        raise UserError(
            f"{name} has {plural(size, 'byte')}; accepted by a serverless endpoint: up to {SERVERLESS_BYTES:,}"
        )


def kms_key(settings: Namespace, name: str) -> dict[str, str]:
    """Return the member `name` of a request with the KMS key of the settings; {} if there is none."""
    return {name: settings.kms_key} if settings.kms_key else {}


def model(settings: Namespace, aws: Aws, name: str, source: str, kind: str) -> dict[str, Any]:
    """Return CreateModel's parameters; `source` is the S3 URI of a model.tar.gz, or of many, or a package's ARN.

    Raises UserError for many models on a GPU, and for a serverless endpoint in a VPC. A serverless endpoint has no
    network isolation either: docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, Feature exclusions.
    """
    if kind == SERVERLESS and settings.subnets:
        raise UserError(f"subnets is {settings.subnets}; accepted with --serverless: none, since AWS runs it in no VPC")
    if kind == MULTI_MODEL:
        multimodel.check(settings)
    vpc = {"SecurityGroupIds": settings.security_groups, "Subnets": settings.subnets}
    return {
        "ModelName": name,
        "PrimaryContainer": multimodel.container(aws, source) if kind == MULTI_MODEL else container(aws, source),
        "ExecutionRoleArn": aws.role,
        "EnableNetworkIsolation": settings.network_isolation and kind != SERVERLESS,
        "Tags": tags(settings),
    } | ({"VpcConfig": vpc} if settings.subnets else {})


def container(aws: Aws, source: str) -> dict[str, str]:
    """Return what a model consists of: an artifact and this image, or a package of the registry, which has both."""
    return {"ModelPackageName": source} if source.startswith("arn:") else {"Image": aws.image, "ModelDataUrl": source}


def endpoint_config(settings: Namespace, aws: Aws, name: str) -> dict[str, Any]:
    """Return CreateEndpointConfig's parameters for the model `name`, on instances or serverless."""
    request: dict[str, Any] = {"EndpointConfigName": name, "Tags": tags(settings)}
    variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": name}
    if settings.serverless:
        limits = {"MemorySizeInMB": settings.memory_mb, "MaxConcurrency": settings.max_concurrency}
        return request | {"ProductionVariants": [variant | {"ServerlessConfig": limits}]}
    variant |= {
        "InstanceType": settings.instance_type,
        "InitialInstanceCount": settings.instance_count,
        "ContainerStartupHealthCheckTimeoutInSeconds": settings.startup_seconds,
    }
    if ami := instances.ami(settings.instance_type, settings.inference_ami, "inference_ami"):
        variant["InferenceAmiVersion"] = ami
    key = instances.volume_key(settings, settings.instance_type, alias=True)
    request |= {"ProductionVariants": [variant]} | ({"KmsKeyId": key} if key else {})
    if settings.asynchronous:
        return request | {"AsyncInferenceConfig": async_config(settings, aws, name)}
    return request | ({"DataCaptureConfig": capture.config(settings, aws)} if settings.capture_percent else {})


def async_config(settings: Namespace, aws: Aws, name: str) -> dict[str, Any]:
    """Return where in S3 an asynchronous endpoint puts answers and failures."""
    places = {"S3OutputPath": f"{aws.home}/async/output/{name}", "S3FailurePath": f"{aws.home}/async/failed/{name}"}
    return {"OutputConfig": places | kms_key(settings, "KmsKeyId")}


def transform_job(settings: Namespace, name: str, images: str, output: str) -> dict[str, Any]:
    """Return CreateTransformJob's parameters: each object below `images` is one request to the model `name`."""
    ami = instances.ami(settings.instance_type, settings.transform_ami, "transform_ami")
    key = instances.volume_key(settings, settings.instance_type, alias=True)
    resources = {"InstanceType": settings.instance_type, "InstanceCount": settings.instance_count}
    optional = {"TransformAmiVersion": ami, "VolumeKmsKeyId": key}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": images}}
    answers = {"S3OutputPath": output, "Accept": "application/json", "AssembleWith": "None"}
    return {
        "TransformJobName": name,
        "ModelName": name,
        "BatchStrategy": "SingleRecord",
        "MaxConcurrentTransforms": settings.max_concurrent,
        "MaxPayloadInMB": settings.max_payload_mb,
        "TransformInput": {"DataSource": source, "ContentType": IMAGE_TYPE, "SplitType": "None"},
        "TransformOutput": answers | kms_key(settings, "KmsKeyId"),
        "TransformResources": resources | {name: value for name, value in optional.items() if value},
        "Tags": tags(settings),
    }
