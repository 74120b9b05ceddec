"""The requests for endpoints and batch transform jobs: pure functions from settings to boto3's parameters."""

import re
from argparse import Namespace
from typing import Any

from launch.aws import Aws, tags
from local.sending import IMAGE_TYPE

VARIANT = "AllTraffic"


def has_gpu(instance_type: str) -> bool:
    return re.match(r"ml\.[gp]\d", instance_type) is not None


def kms_key(settings: Namespace, name: str) -> dict[str, str]:
    """Return the member `name` of a request with the KMS key of the settings; {} if there is none."""
    return {name: settings.kms_key} if settings.kms_key else {}


def model(settings: Namespace, aws: Aws, name: str, artifact: str) -> dict[str, Any]:
    """Return CreateModel's parameters; `artifact` is the S3 URI of a model.tar.gz."""
    vpc = {"SecurityGroupIds": settings.security_groups, "Subnets": settings.subnets}
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": aws.image, "ModelDataUrl": artifact},
        "ExecutionRoleArn": aws.role,
        "EnableNetworkIsolation": settings.network_isolation,
        "Tags": tags(settings),
    } | ({"VpcConfig": vpc} if settings.subnets else {})


def endpoint_config(settings: Namespace, name: str) -> dict[str, Any]:
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
    if has_gpu(settings.instance_type):
        variant["InferenceAmiVersion"] = settings.inference_ami
    return request | {"ProductionVariants": [variant]} | kms_key(settings, "KmsKeyId")


def scalable_variant(endpoint: str) -> dict[str, Any]:
    """Return the parameters that name the endpoint to application-autoscaling, also for DeregisterScalableTarget."""
    dimension, resource = "sagemaker:variant:DesiredInstanceCount", f"endpoint/{endpoint}/variant/{VARIANT}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}


def scaling_target(settings: Namespace, endpoint: str) -> dict[str, Any]:
    """Return RegisterScalableTarget's parameters: the least and the greatest number of instances."""
    return scalable_variant(endpoint) | {"MinCapacity": settings.instance_count, "MaxCapacity": settings.max_instances}


def scaling_policy(settings: Namespace, endpoint: str) -> dict[str, Any]:
    """Return PutScalingPolicy's parameters: the target is a number of requests a minute for each instance."""
    measured = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    target = {"TargetValue": float(settings.requests_per_instance), "PredefinedMetricSpecification": measured}
    kind = {"PolicyName": f"{endpoint}-requests", "PolicyType": "TargetTrackingScaling"}
    return scalable_variant(endpoint) | kind | {"TargetTrackingScalingPolicyConfiguration": target}


def transform_job(settings: Namespace, name: str, images: str, output: str) -> dict[str, Any]:
    """Return CreateTransformJob's parameters: each object below `images` is one request to the model `name`."""
    gpu = {"TransformAmiVersion": settings.transform_ami} if has_gpu(settings.instance_type) else {}
    resources = {"InstanceType": settings.instance_type, "InstanceCount": settings.instance_count}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": images}}
    answers = {"S3OutputPath": output, "Accept": "application/json", "AssembleWith": "None"}
    return {
        "TransformJobName": name,
        "ModelName": name,
        "BatchStrategy": "SingleRecord",
        "MaxConcurrentTransforms": settings.max_concurrent,
        "MaxPayloadInMB": 25,
        "TransformInput": {"DataSource": source, "ContentType": IMAGE_TYPE, "SplitType": "None"},
        "TransformOutput": answers | kms_key(settings, "KmsKeyId"),
        "TransformResources": resources | gpu | kms_key(settings, "VolumeKmsKeyId"),
        "Tags": tags(settings),
    }
