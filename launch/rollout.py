"""Bring a model behind an endpoint: from a training job or the registry, after a question, and all or nothing."""

from argparse import Namespace

from classifier.errors import UserError
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
    if not (trained := aws.find("TrainingJob", job) if job else {}):
        named = f"the training job {job}, which is gone" if job else "no training job, unlike those of register.py"
        raise UserError(f"the newest approved model is {package['ModelPackageArn']}, and names {named}")
    return package["ModelPackageArn"], trained


def ask_to_start(settings: Namespace, aws: Aws, what: str, kind: str, about: dict) -> None:
    """Ask before an endpoint is started, or before one that has the description `about` is updated."""
    if about:
        what = f"{what}, in place of the model that {about['EndpointName']} serves now"
    if kind == hosting.SERVERLESS:
        cost.refuse_budget(settings, "AWS charges a serverless endpoint by request, which has no limit")
        isolated = ", no network isolation" if settings.network_isolation else ""
        limits = f"{hosting.SERVERLESS_LIMITS}{isolated}"
        console.ask(f"A serverless endpoint is charged by request: {limits}. Start {what}?", settings.yes)
    else:
        most, use = max(settings.instance_count, settings.max_instances), USES[kind]
        least = ", none while no picture waits," if kind == hosting.ASYNCHRONOUS else ""
        again = ", and as many again while it is updated" if about else ""
        question = (
            f"endpoint {what}, up to {plural(most, 'instance')}{least} until you run cleanup.py{again}; per month"
        )
        cost.ask_to_spend(aws, question, cost.MONTH * most, use, cost.instance_types(settings))


def start(settings: Namespace, aws: Aws, endpoint: str, source: str, watch: watching.Watch) -> None:
    """Bring the model behind the endpoint, and wait until it serves it. Raises UserError if it does not."""
    endpoints.if_free(aws, endpoint, lambda _: None)  # one that AWS has not started for want of instances is in the way
    name = places.new_name(settings.prefix)
    model = hosting.model(settings, aws, name, source, hosting.kind(settings))
    config = hosting.endpoint_config(settings, aws, name)
    print(f"starting, which takes a few minutes: {aws.link(f'endpoints/{endpoint}')}", flush=True)
    with all_or_nothing(aws) as made:
        made.create("Model", model)
        endpoints.serve(aws, made, endpoint, config, watch)
