"""Bring a model behind an endpoint: from a training job or the registry, after a question, and all or nothing."""

from argparse import Namespace

from classifier.words import plural
from launch import console, cost, endpoints, following, hosting, registry, watching
from launch.aws import Aws
from launch.making import all_or_nothing
from local import places

# What the hours of each kind are called on AWS's bills.
USES = {hosting.OF_INSTANCES: "Host", hosting.MULTI_MODEL: "Host", hosting.ASYNCHRONOUS: "AsyncInf"}


def what_to_deploy(settings: Namespace, aws: Aws) -> tuple[str, dict]:
    """Return the S3 URI of the artifact or the ARN of the package to deploy, and its training job's description."""
    if not settings.approved:
        trained = aws.call("Describe", "TrainingJob", settings.job or places.latest("job"))
        return following.artifact_of(aws, trained), trained
    package = registry.approved_package(aws)
    job = package.get("CustomerMetadataProperties", {}).get(registry.JOB, "")
    return package["ModelPackageArn"], aws.call("Describe", "TrainingJob", job)


def ask_to_start(settings: Namespace, aws: Aws, what: str, kind: str) -> None:
    if kind == hosting.SERVERLESS:
        isolated = ", no network isolation" if settings.network_isolation else ""
        limits = f"{hosting.SERVERLESS_LIMITS}{isolated}"
        console.ask(f"A serverless endpoint is charged by request: {limits}. Start {what}?", settings.yes)
    else:
        most, use = max(settings.instance_count, settings.max_instances), USES[kind]
        least = ", none while no picture waits," if kind == hosting.ASYNCHRONOUS else ""
        question = f"endpoint {what}, up to {plural(most, 'instance')}{least} until you run cleanup.py; per month"
        cost.ask_to_spend(aws, question, cost.MONTH * most, use, cost.instance_types(settings))


def start(settings: Namespace, aws: Aws, endpoint: str, source: str, watch: watching.Watch) -> None:
    """Bring the model behind the endpoint, and wait until it serves it. Raises UserError if it does not."""
    endpoints.if_free(aws, endpoint, lambda _: None)  # one that AWS has not started for want of instances is in the way
    name = places.new_name(settings.prefix)
    model = hosting.model(settings, aws, name, source, hosting.kind(settings))
    config = hosting.endpoint_config(settings, aws, name)
    print(f"starting, which takes a few minutes: {aws.link(f'endpoints/{endpoint}')}", flush=True)
    with (
        console.if_interrupted(f"{endpoint} keeps running without this script; launch/cleanup.py deletes it"),
        all_or_nothing(aws) as made,
    ):
        made.create("Model", model)
        endpoints.serve(aws, made, endpoint, config, watch)
