"""Stop and delete what cleanup.py has found: one refusal does not keep the rest, and is told at the end."""

from collections.abc import Callable
from functools import partial
from typing import Any

from classifier.errors import UserError
from launch import endpoints
from launch.advice import is_gone, sentence_for
from launch.aws import Aws
from launch.resources import Resource

EVERY_NAME = "*"


def end_resources(aws: Aws, found: list[Resource]) -> list[str]:
    """Stop or delete all resources, and return a line for each that is left, with the reason."""
    left: list[str] = []
    in_use: set[str] = set()
    for one in found:
        what = f"{one.kind} {one.name}"
        if one.kind in ("EndpointConfig", "Model") and in_use & {one.name, EVERY_NAME}:
            left.append(f"{what}: an endpoint that is left uses it")
        elif refusal := refusal_of(aws, what, partial(end_resource, aws, one)):
            left += refusal
            in_use |= names_in_use(aws, one.name) if one.kind == "Endpoint" else set()
    return left


def names_in_use(aws: Aws, endpoint: str) -> set[str]:
    """Return the names of the configurations and models that an endpoint needs; EVERY_NAME if AWS does not tell."""
    try:
        return endpoints.names_in_use(aws, endpoint)
    except aws.errors:
        return {EVERY_NAME}


def end_resource(aws: Aws, one: Resource) -> None:
    """Stop a job, or delete anything else, and return once it is gone."""
    if one.kind.endswith("Job"):
        stop_job(aws, one.kind, one.name)
    elif one.kind == "Endpoint":
        endpoints.delete(aws, one.name)
    else:
        aws.call("Delete", one.kind, one.name)


def refusal_of(aws: Aws, what: str, end: Callable[[], object]) -> list[str]:
    """End something, and return the reason in a line if that is refused. What is gone already is not a refusal."""
    try:
        end()
    except (*aws.errors, UserError) as error:
        return [] if is_gone(error) else [f"{what}: {error if isinstance(error, UserError) else sentence_for(error)}"]
    return []


def delete_objects(aws: Aws, uri: str) -> list[str]:
    """Delete all objects below an S3 URI, and return a line for each that is left."""
    pages: list[dict[str, Any]] = []
    refusal = refusal_of(aws, uri, lambda: pages.extend(aws.objects_below(uri).delete()))
    faults = (one for page in pages for one in page.get("Errors", ()))
    return refusal + [f"{one['Key']}: {one.get('Message') or one.get('Code')}" for one in faults]


def delete_repository(aws: Aws, name: str) -> list[str]:
    """Delete an ECR repository with its images, and return a line if it is left."""
    ecr = aws.session.client("ecr")
    return refusal_of(aws, f"the ECR repository {name}", lambda: ecr.delete_repository(repositoryName=name, force=True))


def stop_job(aws: Aws, kind: str, name: str) -> None:
    """Stop a job. A job that has already ended rejects the call; that is fine.

    The training jobs of a tuning job end when that is stopped.
    """
    try:
        aws.call("Stop", kind, name)
    except aws.sagemaker.exceptions.ClientError:
        if aws.call("Describe", kind, name)[f"{kind}Status"] == "InProgress":
            raise
