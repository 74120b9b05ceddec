"""CloudWatch's alarms about an endpoint: their requests as pure functions, and their removal."""

from typing import Any

from launch.aws import Aws

MINUTE = 60
VARIANT = "AllTraffic"
# What an endpoint's alarms are about, which is the end of their names.
OF_UPDATE = ("errors", "latency", "answers")
ALL = ("backlog", *OF_UPDATE)


def backlog(endpoint: str, policy_arn: str) -> dict[str, Any]:
    """Return PutMetricAlarm's parameters: pictures wait, and there is no instance, so the policy starts one.

    docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
    """
    return metric(endpoint, "HasBacklogWithoutCapacity", "Average") | {
        "AlarmName": name(endpoint, "backlog"),
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 2,
        "TreatMissingData": "missing",
        "AlarmActions": [policy_arn],
    }


def metric(endpoint: str, name: str, statistic: str, **dimensions: str) -> dict[str, Any]:
    """Return the members of an alarm's request that name one of the endpoint's metrics, each minute."""
    named = {"EndpointName": endpoint} | dimensions
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in named.items()],
        "Statistic": statistic,
        "Period": MINUTE,
    }


def of_update(endpoint: str, max_latency_ms: int) -> list[dict[str, Any]]:
    """Return PutMetricAlarm's parameters of the alarms about an update, in the order of OF_UPDATE."""
    above = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1}
    errors = metric(endpoint, "Invocation5XXErrors", "Sum", VariantName=VARIANT) | {"Threshold": 0.0}
    latency = metric(endpoint, "ModelLatency", "Average", VariantName=VARIANT)
    latency |= {"Threshold": 1000.0 * max_latency_ms}  # microseconds
    # Nobody measures this one: it stays as it is set.
    answers = metric(endpoint, "FaultyAnswers", "Sum") | {"Namespace": "launch", "Threshold": 0.0}
    missing = ("notBreaching", "notBreaching", "ignore")
    return [
        alarm | above | {"AlarmName": name(endpoint, about), "TreatMissingData": treatment}
        for alarm, about, treatment in zip((errors, latency, answers), OF_UPDATE, missing, strict=True)
    ]


def name(endpoint: str, about: str) -> str:
    """Return the name of one of an endpoint's alarms."""
    return f"{endpoint}-{about}"


def remove(aws: Aws, endpoint: str, abouts: tuple[str, ...]) -> None:
    """Delete those of the endpoint's alarms that are there."""
    cloudwatch = aws.session.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNames=[name(endpoint, about) for about in abouts])["MetricAlarms"]
    if found:
        cloudwatch.delete_alarms(AlarmNames=[one["AlarmName"] for one in found])
