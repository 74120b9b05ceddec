"""SageMaker's model registry: the group of this prefix holds a package for each model that was registered."""

import json
from argparse import Namespace
from typing import Any

from classifier.errors import UserError
from launch import following, storage
from launch.aws import Aws, tags
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
        storage.put(aws, f"{stored}/{REPORT}", report.read_bytes(), ContentType="text/html")
    metrics = json.dumps(metrics_of(job)).encode()
    storage.put(aws, f"{stored}/metrics.json", metrics, ContentType="application/json")
    create_group(aws)
    return aws.sagemaker.create_model_package(**request)["ModelPackageArn"]


def create_group(aws: Aws) -> None:
    """Create the group of packages, unless it is there."""
    if not aws.find("ModelPackageGroup", aws.settings.prefix):
        aws.sagemaker.create_model_package_group(**group(aws.settings))


def approved_package(aws: Aws) -> dict[str, Any]:
    """Return the description of the newest approved package. Raises UserError if there is none."""
    name, found = aws.settings.prefix, None
    if aws.find("ModelPackageGroup", name):
        pages = aws.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=name, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending"
        )
        found = next(pages.search("ModelPackageSummaryList[]"), None)  # a page may be empty, and the next one not
    if not found:
        raise UserError(
            f"the registry's group {name} has no approved model: run launch/register.py --approve, or approve one "
            "that waits in SageMaker Studio"
        )
    return aws.sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"])
