"""E-mails when jobs end: the rules and the topic, as the services take them, and their end."""

import json

import pytest

from launch import notice
from strict_request import faults

pytest_plugins = ["aws_account"]

TRAIN = "train.py --role sm --yes --notify me@example.com"


def test_a_mail_when_a_job_ends(account):
    assert "AWS writes to me@example.com when a job ends, once the link" in account.does(TRAIN)
    assert "AWS writes" not in account.does(TRAIN)  # the address is subscribed already
    events, sns = account.aws.client("events"), account.aws.client("sns")
    (rule,) = events.list_rules()["Rules"]
    wanted = json.loads(rule["EventPattern"])
    assert wanted["detail"]["TrainingJobName"] == [{"prefix": "resnet18-"}]
    (topic,) = sns.list_topics()["Topics"]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == topic["TopicArn"]
    allowed = json.loads(sns.get_topic_attributes(**topic)["Attributes"]["Policy"])["Statement"][0]
    assert allowed["Condition"] == {"ArnLike": {"aws:SourceArn": rule["Arn"].replace("TrainingJob", "*")}}
    assert "the e-mails when a job ends" in account.does("cleanup.py --yes")
    assert (
        events.list_rules()["Rules"] == sns.list_topics()["Topics"] == sns.list_subscriptions()["Subscriptions"] == []
    )


def test_without_an_address_nothing_is_made(account):
    account.does("train.py --role sm --yes")
    assert account.aws.client("sns").list_topics()["Topics"] == []
    assert "notify is 'me'; accepted: an e-mail address, or none" in account.refuses("train.py --notify me")


@pytest.mark.parametrize("kind", notice.EVENTS)
def test_the_requests(kind):
    pattern = json.dumps(notice.pattern("resnet18", kind))
    assert faults("PutRule", {"Name": f"launch-resnet18-{kind}", "EventPattern": pattern}, of="events") == []
    targets = [notice.target("arn:aws:sns:eu-west-1:123456789012:launch-resnet18", kind)]
    assert faults("PutTargets", {"Rule": "a", "Targets": targets}, of="events") == []


def test_a_topic_without_rules_is_found_and_deleted(account):
    account.aws.refused["PutRule"] = ("LimitExceededException", "300 rules")
    assert "300 rules" in account.refuses(TRAIN)
    assert not account.aws.sent("CreateTrainingJob")
    assert "the e-mails when a job ends" in account.does("cleanup.py --yes")
    assert account.aws.client("sns").list_topics()["Topics"] == []
    assert "the e-mails" not in account.does("cleanup.py --yes")
