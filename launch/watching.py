"""Watch an update, which AWS rolls back at an alarm: about errors, latency, or answers to a picture sent meanwhile.

docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
"""

from argparse import Namespace
from collections.abc import Callable
from typing import Any, Protocol

from classifier.errors import UserError
from launch import alarms
from launch.advice import is_passing
from launch.aws import Aws

# Shares of the traffic, in percent. AWS takes up to 50 for a canary, and 10 to 50 for a step.
CANARY, STEP = 25, 25
STARTING_SECONDS = 3600  # for the new instances


class Watch(Protocol):
    """What happens around an update."""

    def begin(self) -> dict[str, Any]:
        """Return further parameters of UpdateEndpoint."""
        ...

    def look(self) -> None:
        """Look at the endpoint while it is updated."""

    def end(self) -> None:
        """Take away what begin() has made."""


class NoWatch:
    """An update that is not watched."""

    def begin(self) -> dict[str, Any]:
        return {}

    def look(self) -> None:
        pass

    def end(self) -> None:
        pass


class Alarms:
    """Alarms that roll the update back, one of them set by this script when `ask` returns a fault; "" is none."""

    def __init__(self, aws: Aws, endpoint: str, ask: Callable[[], str]):
        self.aws, self.endpoint, self.ask = aws, endpoint, ask
        self.client = aws.session.client("cloudwatch")
        self.fault = ""

    def begin(self) -> dict[str, Any]:
        self.end()  # one of an update that was left alone may still be on
        for request in alarms.of_update(self.endpoint, self.aws.settings.max_latency_ms):
            self.client.put_metric_alarm(**request)
        return {"DeploymentConfig": deployment(self.aws.settings, self.endpoint)}

    def look(self) -> None:
        if self.fault:
            return
        try:
            self.fault = fault = self.ask()
        except self.aws.errors as error:
            if not is_passing(error):  # it is AWS that does not answer, not the model
                raise
            return
        if fault:
            print(f"{self.endpoint} answers {fault}: the update is rolled back", flush=True)
            name = alarms.name(self.endpoint, "answers")
            self.client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=fault[:1000])

    def end(self) -> None:
        alarms.remove(self.aws, self.endpoint, alarms.OF_UPDATE)


def watch_for(aws: Aws, endpoint: str, ask: Callable[[], str]) -> Watch:
    """Return how the settings want an update to be watched; `ask` sends a picture and returns a fault of the answer."""
    of_instances = not aws.settings.serverless and not aws.settings.asynchronous
    return Alarms(aws, endpoint, ask) if of_instances and aws.settings.watch_minutes else NoWatch()


def check(settings: Namespace) -> None:
    """Raise UserError if the traffic cannot be shifted as the settings say."""
    if settings.shift == "AllAtOnce":
        return
    if not settings.watch_minutes:
        raise UserError(f"shift is {settings.shift} and watch_minutes is 0; accepted with it: 1 to 60")
    if settings.instance_count < 2:
        raise UserError(f"shift is {settings.shift} and instance_count is 1; accepted with it: 2 or more instances")


def deployment(settings: Namespace, endpoint: str) -> dict[str, Any]:
    """Return UpdateEndpoint's DeploymentConfig."""
    seconds = 60 * settings.watch_minutes
    routing: dict[str, Any] = {"Type": TYPES[settings.shift], "WaitIntervalInSeconds": seconds}
    if settings.shift == "Canary":
        routing["CanarySize"] = {"Type": "CAPACITY_PERCENT", "Value": CANARY}
    if settings.shift == "Linear":
        routing["LinearStepSize"] = {"Type": "CAPACITY_PERCENT", "Value": STEP}
    steps = 100 // STEP + 1
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": seconds,
            "MaximumExecutionTimeoutInSeconds": steps * seconds + STARTING_SECONDS,
        },
        "AutoRollbackConfiguration": {
            "Alarms": [{"AlarmName": alarms.name(endpoint, about)} for about in alarms.OF_UPDATE]
        },
    }


TYPES = {"AllAtOnce": "ALL_AT_ONCE", "Canary": "CANARY", "Linear": "LINEAR"}
