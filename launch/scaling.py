"""The scaling of an endpoint: its requests as pure functions, and how it is taken off and put back around an update.

AWS refuses an update that changes the instance type of a variant that scales, and scales nothing during an update:
docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
"""

import re
from argparse import Namespace
from typing import Any

from classifier.errors import UserError
from launch import alarms
from launch.advice import sentence_for
from launch.alarms import VARIANT
from launch.aws import Aws

COOL_SECONDS = 300
BURSTABLE = re.compile(r"ml\.t\d.*")


def variant_of(endpoint: str) -> dict[str, Any]:
    """Return the parameters that name the endpoint to application-autoscaling, also for DeregisterScalableTarget."""
    dimension, resource = "sagemaker:variant:DesiredInstanceCount", f"endpoint/{endpoint}/variant/{VARIANT}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}


def target(settings: Namespace, endpoint: str) -> dict[str, Any]:
    """Return RegisterScalableTarget's parameters: the least and the greatest number of instances."""
    least = 0 if settings.asynchronous else settings.instance_count
    return variant_of(endpoint) | {"MinCapacity": least, "MaxCapacity": settings.max_instances}


def policies(settings: Namespace, endpoint: str) -> list[dict[str, Any]]:
    """Return PutScalingPolicy's parameters for each policy: of an asynchronous endpoint, or by requests a minute."""
    if settings.asynchronous:
        return [by_backlog(settings, endpoint), from_zero(endpoint)]
    measured = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    tracking = {"TargetValue": float(settings.requests_per_instance), "PredefinedMetricSpecification": measured}
    return [tracking_policy(endpoint, "requests", tracking)]


def by_backlog(settings: Namespace, endpoint: str) -> dict[str, Any]:
    """Return the policy by which an asynchronous endpoint has instances for the pictures that wait, down to none."""
    waiting = alarms.metric(endpoint, "ApproximateBacklogSizePerInstance", "Average")
    measured = {name: waiting[name] for name in ("Namespace", "MetricName", "Dimensions", "Statistic")}
    tracking = {"TargetValue": float(settings.backlog_per_instance), "CustomizedMetricSpecification": measured}
    return tracking_policy(endpoint, "backlog", tracking | {"ScaleInCooldown": COOL_SECONDS, "ScaleOutCooldown": 60})


def from_zero(endpoint: str) -> dict[str, Any]:
    """Return the policy by which the alarm about a backlog starts the first instance."""
    step = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
    return variant_of(endpoint) | {
        "PolicyName": f"{endpoint}-from-zero",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": COOL_SECONDS,
            "StepAdjustments": [step],
        },
    }


def tracking_policy(endpoint: str, name: str, configuration: dict[str, Any]) -> dict[str, Any]:
    kind = {"PolicyName": f"{endpoint}-{name}", "PolicyType": "TargetTrackingScaling"}
    return variant_of(endpoint) | kind | {"TargetTrackingScalingPolicyConfiguration": configuration}


def scales(settings: Namespace) -> bool:
    if settings.serverless:
        return False
    return settings.asynchronous or settings.max_instances > settings.instance_count


def check(settings: Namespace) -> None:
    """Raise UserError for an instance type that AWS lets not scale.

    docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-add-console.html
    """
    for instance_type in (settings.instance_type, *settings.more_instance_types):
        if scales(settings) and BURSTABLE.fullmatch(instance_type):
            why = "of which AWS lets no endpoint scale"
            raise UserError(f"instance_type is {instance_type!r}, {why}; accepted: a type that is not burstable")


class Scaling:
    """The scaling of one endpoint in AWS."""

    def __init__(self, aws: Aws, endpoint: str):
        self.aws, self.endpoint = aws, endpoint
        self.client = aws.session.client("application-autoscaling")
        self.target: dict[str, Any] = {}
        self.policies: list[dict[str, Any]] = []

    def take_off(self) -> bool:
        """Deregister the endpoint's scaling target; return whether there was one."""
        variant = variant_of(self.endpoint)
        named = {"ServiceNamespace": variant["ServiceNamespace"]}
        found = self.client.describe_scalable_targets(**named, ResourceIds=[variant["ResourceId"]])["ScalableTargets"]
        if not found:
            return False
        there = self.client.describe_scaling_policies(**named, ResourceId=variant["ResourceId"])["ScalingPolicies"]
        self.target = of_request(found[0], ("MinCapacity", "MaxCapacity"))
        self.policies = [of_request(one, POLICY) for one in there]
        self.client.deregister_scalable_target(**variant)
        return True

    def put_back(self) -> None:
        """Register again what was taken off, after a failure: if this fails too, it is only said."""
        try:
            if self.target:
                self.register()
        except self.aws.errors as error:
            print(f"{self.endpoint} does not scale any more: {sentence_for(error)}", flush=True)

    def put_on(self) -> None:
        """Let the endpoint scale as the settings say. Raises UserError if AWS refuses."""
        self.target = target(self.aws.settings, self.endpoint)
        self.policies = policies(self.aws.settings, self.endpoint)
        try:
            self.register()
        except self.aws.errors as error:
            does = f"{self.endpoint} is in service, and keeps its instances, since it does not scale"
            raise UserError(f"{does}: {sentence_for(error)}; launch/deploy.py tries it again") from error

    def register(self) -> None:
        self.client.register_scalable_target(**self.target)
        for request in self.policies:
            arn = self.client.put_scaling_policy(**request)["PolicyARN"]
            if request["PolicyType"] == "StepScaling":
                alarm = alarms.backlog(self.endpoint, arn)
                self.aws.session.client("cloudwatch").put_metric_alarm(**alarm)


# The members of a policy's description that are members of the request too.
POLICY = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration")


def of_request(described: dict[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    """Return the request that makes what was described, from its `members` and those that name the variant."""
    wanted = ("ServiceNamespace", "ResourceId", "ScalableDimension", *members)
    return {name: described[name] for name in wanted if name in described}
