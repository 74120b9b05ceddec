"""The states of an endpoint: wait until it rests, create or update it, delete it.

A failed update is rolled back, and the endpoint is InService again with its old configuration. A Failed endpoint can
only be deleted, and one that changes can be neither updated nor deleted: the reference of DescribeEndpoint.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from classifier.errors import UserError
from launch import alarms, console, hosting
from launch.advice import CAPACITY, NoCapacity, with_advice
from launch.alarms import VARIANT
from launch.aws import Aws, tags
from launch.logs import print_last_lines
from launch.making import Made
from launch.scaling import Scaling, scales
from launch.watching import Watch
from local import places

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
# What an update that failed has left.
AFTER_FAILURE = {
    "InService": "still serves the model before, since the update failed",
    "UpdateRollbackFailed": "serves a mix of both models until one is deployed again, since update and rollback failed",
}
OTHER_NAME = "give another name with --endpoint"


def wait_for(aws: Aws, endpoint: str, look: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return the endpoint's description as soon as it rests; {} if it is gone. Every new state is printed.

    Meanwhile look() is called again and again.
    """
    state = ""
    while (about := aws.patiently(lambda: aws.find("Endpoint", endpoint))).get("EndpointStatus") in CHANGING:
        if about["EndpointStatus"] != state:
            state = about["EndpointStatus"]
            print(f"{endpoint} is {state}", flush=True)
        look()
        aws.pause()
    return about


def kind_of(aws: Aws, about: dict[str, Any]) -> str:
    """Return the kind of the endpoint that was described."""
    if "CurrentServerlessConfig" in about["ProductionVariants"][0]:
        return hosting.SERVERLESS
    if about.get("AsyncInferenceConfig"):
        return hosting.ASYNCHRONOUS
    return hosting.MULTI_MODEL if has_many_models(aws, about) else hosting.OF_INSTANCES


def has_many_models(aws: Aws, about: dict[str, Any]) -> bool:
    """Return whether the endpoint that was described has many models; False if its model was deleted."""
    config = aws.find("EndpointConfig", about["EndpointConfigName"])
    name = config["ProductionVariants"][0].get("ModelName") if config else None
    model = aws.find("Model", name) if name else {}
    return model.get("PrimaryContainer", {}).get("Mode") == "MultiModel"


def is_asynchronous(aws: Aws, endpoint: str) -> bool:
    """Return whether the endpoint is asynchronous; False if the credentials may not know."""
    with suppress(*aws.errors):
        return "AsyncInferenceConfig" in aws.find("Endpoint", endpoint)
    return False


def check_kind(aws: Aws, about: dict[str, Any], wanted: str) -> None:
    """Raise UserError if the endpoint is not of the kind `wanted`, or not one that deploy.py has made.

    An update keeps the names of the variants:
    docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html
    """
    name, variants = about["EndpointName"], [one["VariantName"] for one in about.get("ProductionVariants", ())]
    if variants != [VARIANT]:
        raise UserError(f"the endpoint {name} has the variants {variants}, and is not deploy.py's: {OTHER_NAME}")
    if (kind := kind_of(aws, about)) != wanted:
        raise UserError(
            f"the endpoint {name} is {kind}, and AWS cannot make it {wanted}: {OTHER_NAME}, or delete it with "
            "launch/cleanup.py first"
        )


def serve(aws: Aws, made: Made, endpoint: str, config: dict[str, Any], watch: Watch) -> None:
    """Create or update the endpoint with a model's configuration, and return once it serves that model.

    An update is watched by `watch`.
    Raises UserError if it does not; the endpoint, its scaling and `made` are then as before where AWS allows it.
    """
    made.create("EndpointConfig", config)
    before, scaling = aws.find("Endpoint", endpoint), Scaling(aws, endpoint)
    try:
        if before:
            request = update_request(aws, before, config["EndpointConfigName"], scaled=scaling.take_off())
            request |= watch.begin()
            made.use(lambda: aws.sagemaker.update_endpoint(**request))
        else:
            request = {"EndpointName": endpoint, "EndpointConfigName": config["EndpointConfigName"]}
            made.use(lambda: aws.sagemaker.create_endpoint(**request, Tags=tags(aws.settings)))
        places.note(endpoint=endpoint)
        alone = left_alone(endpoint, unscaled=scales(aws.settings) and not before)
        with console.if_interrupted(alone):
            check(aws, made, before, request, watch.look if before else lambda: None)
        watch.end()
    except BaseException:
        if not made.in_use:
            watch.end()
        scaling.put_back()
        raise
    if scales(aws.settings):
        with console.if_interrupted(alone):
            scaling.put_on()


def update_request(aws: Aws, before: dict[str, Any], name: str, scaled: bool) -> dict[str, Any]:
    """Return UpdateEndpoint's parameters for the configuration `name`.

    If the endpoint scaled, it keeps as many instances as its load has brought, if the settings still want that many.
    """
    count = before["ProductionVariants"][0].get("CurrentInstanceCount", 0)
    keep = scaled and aws.settings.instance_count < count <= aws.settings.max_instances
    request = {"EndpointName": before["EndpointName"], "EndpointConfigName": name}
    return request | ({"RetainAllVariantProperties": True} if keep else {})


def left_alone(endpoint: str, unscaled: bool) -> str:
    """Return what to know of an endpoint that AWS makes or updates without this script."""
    scaling = ", and keeps its instances, since it does not scale yet" if unscaled else ""
    return (
        f"{endpoint} goes on without this script{scaling}: launch/deploy.py waits for it and deploys again, "
        "launch/cleanup.py deletes it"
    )


def check(aws: Aws, made: Made, before: dict[str, Any], request: dict[str, Any], look: Callable[[], None]) -> None:
    """Wait until the endpoint rests. Raises UserError if it does not serve the configuration of `request` then."""
    since, endpoint, wanted = datetime.now(UTC), request["EndpointName"], request["EndpointConfigName"]
    made.when_known(lambda: aws.patiently(lambda: aws.call("Describe", "Endpoint", endpoint)))
    about = wait_for(aws, endpoint, look)
    state, reason = about.get("EndpointStatus", "gone"), about.get("FailureReason", "")
    serves = about.get("EndpointConfigName")
    if (state, serves) == ("InService", wanted):
        return
    made.in_use = state not in ("gone", "Failed", "InService")
    if state == "InService" and serves != before.get("EndpointConfigName"):
        raise UserError(f"{endpoint} serves {serves}, another configuration: somebody else has updated it meanwhile")
    print_last_lines(aws, "Endpoint", endpoint, since)
    kept = AFTER_FAILURE.get(state, f"is {state}")
    error = NoCapacity if CAPACITY.search(reason) else UserError
    raise error(f"{endpoint} {kept}: {with_advice(reason or 'AWS gives no reason')}")


def delete(aws: Aws, endpoint: str) -> None:
    """Delete the endpoint with its scaling, as soon as AWS lets it, and return once it is gone.

    Raises UserError if it is still there.
    """
    with suppress(*aws.errors):  # it may not scale at all; AWS says if it needs this
        Scaling(aws, endpoint).take_off()
        alarms.remove(aws, endpoint, alarms.ALL)
    if wait_for(aws, endpoint):
        aws.call("Delete", "Endpoint", endpoint)
        if left := wait_for(aws, endpoint):
            raise UserError(f"it is {left['EndpointStatus']}: {with_advice(left.get('FailureReason', ''))}")


def names_in_use(aws: Aws, endpoint: str) -> set[str]:
    """Return the names of the configuration and the models of an endpoint."""
    if not (about := aws.find("Endpoint", endpoint)):
        return set()
    config = aws.call("Describe", "EndpointConfig", about["EndpointConfigName"])
    return {config["EndpointConfigName"], *(variant.get("ModelName", "") for variant in config["ProductionVariants"])}


def if_free(aws: Aws, endpoint: str, may_delete: Callable[[str], None]) -> dict[str, Any]:
    """Return the endpoint's description once it can be updated; {} if the name is free.

    A Failed one is deleted after `may_delete`, which raises UserError if the user does not want that.
    """
    about = wait_for(aws, endpoint)
    if about.get("EndpointStatus") == "Failed":
        reason = with_advice(about.get("FailureReason", "AWS gives no reason"))
        may_delete(f"The endpoint {endpoint} has failed ({reason}) and can only be deleted. Delete it and go on?")
        delete(aws, endpoint)
        return {}
    return about
