"""An e-mail when a job has ended: an EventBridge rule for each kind of job, and an SNS topic to which all send.

docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html has the events.
"""

import json
from contextlib import suppress
from typing import Any

from classifier.errors import UserError
from launch.aws import Aws, tags

# What EventBridge calls the end of each kind of job.
EVENTS = {
    "TrainingJob": "SageMaker Training Job State Change",
    "HyperParameterTuningJob": "SageMaker HyperParameter Tuning Job State Change",
    "TransformJob": "SageMaker Transform Job State Change",
}


def name(aws: Aws) -> str:
    """Return the topic's name, with which the rules' names begin."""
    return f"launch-{aws.settings.prefix}"


def arn(aws: Aws, service: str, resource: str) -> str:
    partition = aws.identity["Arn"].split(":")[1]
    return f"arn:{partition}:{service}:{aws.session.region_name}:{aws.identity['Account']}:{resource}"


def pattern(prefix: str, kind: str) -> dict[str, Any]:
    """Return which events are of jobs of this kind that have ended; a tuning's trials are left out."""
    detail: dict[str, Any] = {
        f"{kind}Name": [{"prefix": f"{prefix}-"}],
        f"{kind}Status": ["Completed", "Failed", "Stopped"],
    }
    if kind == "TrainingJob":
        detail["TuningJobArn"] = [{"exists": False}, None]
    return {"source": ["aws.sagemaker"], "detail-type": [EVENTS[kind]], "detail": detail}


def target(topic: str, kind: str) -> dict[str, Any]:
    """Return what a rule sends to the topic: one sentence."""
    paths = {"name": f"$.detail.{kind}Name", "state": f"$.detail.{kind}Status", "reason": "$.detail.FailureReason"}
    return {
        "Id": "topic",
        "Arn": topic,
        "InputTransformer": {"InputPathsMap": paths, "InputTemplate": '"<name>: <state> <reason>"'},
    }


def policy(topic: str, rules: str) -> dict[str, Any]:
    """Return who may publish to the topic: EventBridge, for the rules whose ARNs match `rules`."""
    allowed = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    allowed |= {"Principal": {"Service": "events.amazonaws.com"}, "Condition": {"ArnLike": {"aws:SourceArn": rules}}}
    return {"Version": "2012-10-17", "Statement": [allowed]}


def arrange(aws: Aws, kind: str) -> None:
    """Let AWS write to the settings' address when jobs of this kind end; nothing if the settings have none."""
    if not (address := aws.settings.notify):
        return
    sns, events = aws.session.client("sns"), aws.session.client("events")
    topic = sns.create_topic(Name=name(aws), Tags=tags(aws.settings)[:1])["TopicArn"]
    rules = json.dumps(policy(topic, arn(aws, "events", f"rule/{name(aws)}-*")))
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=rules)
    there = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic).search("Subscriptions[].Endpoint")
    if address not in there:
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
        print(f"AWS writes to {address} when a job ends, once the link in its first mail was opened")
    rule = f"{name(aws)}-{kind}"
    wanted = json.dumps(pattern(aws.settings.prefix, kind))
    events.put_rule(Name=rule, EventPattern=wanted, State="ENABLED", Tags=tags(aws.settings)[:1])
    answer = events.put_targets(Rule=rule, Targets=[target(topic, kind)])
    if answer["FailedEntryCount"]:  # which is no error to boto3
        raise UserError(f"AWS cannot write to {address} when a job ends: {answer['FailedEntries'][0]['ErrorMessage']}")


def are_there(aws: Aws) -> bool:
    """Return whether there is a topic, which is made first and deleted last; False if the credentials may not know."""
    with suppress(*aws.errors):
        return bool(aws.session.client("sns").list_subscriptions_by_topic(TopicArn=arn(aws, "sns", name(aws))))
    return False


def remove(aws: Aws) -> None:
    """Delete the rules that are there, and then the topic with its subscriptions."""
    events = aws.session.client("events")
    for rule in (f"{name(aws)}-{kind}" for kind in EVENTS):
        with suppress(events.exceptions.ResourceNotFoundException):
            events.remove_targets(Rule=rule, Ids=["topic"])
            events.delete_rule(Name=rule)
    aws.session.client("sns").delete_topic(TopicArn=arn(aws, "sns", name(aws)))
