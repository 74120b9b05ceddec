"""The requests that put a trained model to work: pure functions from the settings to what boto3 sends."""

import re
from argparse import Namespace

import aws
from asking import IMAGE_TYPE
from jobs import Place

VARIANT = "AllTraffic"


def has_gpu(instance_type: str) -> bool:
    return re.match(r"ml\.[gp]\d", instance_type) is not None


def model(settings: Namespace, place: Place, name: str, artifact: str) -> dict[str, object]:
    """CreateModel; `artifact` is the S3 URI of a model.tar.gz."""
    vpc = {"SecurityGroupIds": settings.security_groups, "Subnets": settings.subnets}
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": place.image, "ModelDataUrl": artifact},
        "ExecutionRoleArn": place.role,
        "EnableNetworkIsolation": settings.network_isolation,
        "Tags": aws.tags(settings),
    } | ({"VpcConfig": vpc} if settings.subnets else {})


def endpoint_config(settings: Namespace, name: str, serverless: bool) -> dict[str, object]:
    """CreateEndpointConfig for the model of this name: an endpoint of instances, or a serverless one."""
    variant = {"VariantName": VARIANT, "ModelName": name}
    if serverless:
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": settings.memory_mb,
            "MaxConcurrency": settings.max_concurrency,
        }
    else:
        variant |= {
            "InstanceType": settings.instance_type,
            "InitialInstanceCount": settings.instance_count,
            "ContainerStartupHealthCheckTimeoutInSeconds": settings.startup_seconds,
        }
        if has_gpu(settings.instance_type):
            variant["InferenceAmiVersion"] = settings.inference_ami
    key = {"KmsKeyId": settings.kms_key} if settings.kms_key and not serverless else {}
    return {"EndpointConfigName": name, "ProductionVariants": [variant], "Tags": aws.tags(settings)} | key


def scaled(endpoint: str) -> dict[str, object]:
    """What names the endpoint to application-autoscaling, also for DeregisterScalableTarget."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def scaling_target(settings: Namespace, endpoint: str) -> dict[str, object]:
    """RegisterScalableTarget: between which numbers of instances."""
    return scaled(endpoint) | {"MinCapacity": settings.instance_count, "MaxCapacity": settings.max_instances}


def scaling_policy(settings: Namespace, endpoint: str) -> dict[str, object]:
    """PutScalingPolicy: so many requests a minute for each instance."""
    return scaled(endpoint) | {
        "PolicyName": f"{endpoint}-requests",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(settings.requests_per_instance),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    }


def transform_job(settings: Namespace, name: str, images: str, output: str) -> dict[str, object]:
    """CreateTransformJob: each object below `images` is one request to the model of this name."""
    resources = {"InstanceType": settings.instance_type, "InstanceCount": settings.instance_count}
    if settings.kms_key:
        resources["VolumeKmsKeyId"] = settings.kms_key
    if has_gpu(settings.instance_type):
        resources["TransformAmiVersion"] = settings.transform_ami
    key = {"KmsKeyId": settings.kms_key} if settings.kms_key else {}
    return {
        "TransformJobName": name,
        "ModelName": name,
        "BatchStrategy": "SingleRecord",
        "MaxConcurrentTransforms": settings.max_concurrent,
        "MaxPayloadInMB": 25,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": images}},
            "ContentType": IMAGE_TYPE,
            "SplitType": "None",
        },
        "TransformOutput": {"S3OutputPath": output, "Accept": "application/json", "AssembleWith": "None"} | key,
        "TransformResources": resources,
        "Tags": aws.tags(settings),
    }
