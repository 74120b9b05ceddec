"""SageMaker's model registry: the group of this prefix holds a package for each model that was registered."""

import json
from argparse import Namespace
from typing import Any

from classifier.errors import UserError
from launch import following
from launch.aws import Aws, split_uri, tags
from local import places
from local.sending import IMAGE_TYPE

JOB = "training-job"
REPORT = "report.html"


def group(settings: Namespace) -> dict[str, Any]:
    """Return CreateModelPackageGroup's parameters."""
    return {"ModelPackageGroupName": settings.prefix, "Tags": tags(settings)}


def package(aws: Aws, job: dict[str, Any], artifact: str, stored: str, approved: bool) -> dict[str, Any]:
    """Return CreateModelPackage's parameters; `stored` is the S3 URI below which metrics and report are."""
    name, metrics = job["TrainingJobName"], metrics_of(job)
    return {
        "ModelPackageGroupName": aws.settings.prefix,
        "ModelPackageDescription": f"trained by {name}; its report: {stored}/{REPORT}",
        "ModelApprovalStatus": "Approved" if approved else "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": aws.image, "ModelDataUrl": artifact}],
            "SupportedContentTypes": [IMAGE_TYPE, "image/jpeg", "image/png", "image/webp", "application/json"],
            "SupportedResponseMIMETypes": ["application/json", "text/csv"],
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"{stored}/metrics.json"}}
        },
        "CustomerMetadataProperties": {JOB: name} | {key: f"{value:.6g}" for key, value in metrics.items()},
    }


def metrics_of(job: dict[str, Any]) -> dict[str, float]:
    """Return the last values of a training job's metrics."""
    return {one["MetricName"]: one["Value"] for one in job.get("FinalMetricDataList", ())}


def register(aws: Aws, name: str, approved: bool) -> str:
    """Register the model of a training job with its metrics and report, and return the package's ARN."""
    job = aws.call("Describe", "TrainingJob", name)
    artifact, stored = following.artifact_of(aws, job), f"{aws.home}/registry/{name}"
    request = package(aws, job, artifact, stored, approved)
    report = places.RUNS / name / "output/data" / REPORT
    if report.exists() or following.fetch_output(aws, job):
        put(aws, f"{stored}/{REPORT}", report.read_bytes(), "text/html")
    put(aws, f"{stored}/metrics.json", json.dumps(metrics_of(job)).encode(), "application/json")
    create_group(aws)
    return aws.sagemaker.create_model_package(**request)["ModelPackageArn"]


def put(aws: Aws, uri: str, data: bytes, content_type: str) -> None:
    """Store an object, with the settings' KMS key if there is one."""
    key = aws.settings.kms_key
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    aws.s3.Object(*split_uri(uri)).put(Body=data, ContentType=content_type, **encrypted)


def create_group(aws: Aws) -> None:
    """Create the group of packages, unless it is there."""
    try:
        aws.call("Describe", "ModelPackageGroup", aws.settings.prefix)
    except aws.sagemaker.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise
        aws.sagemaker.create_model_package_group(**group(aws.settings))


def approved_package(aws: Aws) -> dict[str, Any]:
    """Return the description of the newest approved package. Raises UserError if there is none."""
    newest = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 1}
    try:
        found = aws.sagemaker.list_model_packages(
            ModelPackageGroupName=aws.settings.prefix, ModelApprovalStatus="Approved", **newest
        )["ModelPackageSummaryList"]
    except aws.sagemaker.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise
        found = []
    if not found:
        raise UserError(
            f"the registry's group {aws.settings.prefix} has no approved model: run launch/register.py --approve"
        )
    return aws.sagemaker.describe_model_package(ModelPackageName=found[0]["ModelPackageArn"])
