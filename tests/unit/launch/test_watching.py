"""Updates that are watched, and rolled back."""

import pytest
from test_hosting import parsed

from launch import alarms, watching
from strict_request import faults

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes"
WATCHED = f"{DEPLOY} --watch-minutes 5"


@pytest.fixture
def deployed(account):
    account.trained()
    account.does(f"{DEPLOY} --instance-count 2")
    return account


def alarm_names(account):
    return [one["AlarmName"] for one in account.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]]


@pytest.mark.parametrize("shift", ["AllAtOnce", "Canary", "Linear"])
def test_a_watched_update(deployed, shift):
    out = deployed.does(f"{WATCHED} --shift {shift} --instance-count 2")
    assert "resnet18 is in service" in out
    sent = deployed.aws.sent("UpdateEndpoint")[-1]["DeploymentConfig"]
    assert sent["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == watching.TYPES[shift]
    assert alarm_names(deployed) == []


def test_an_update_whose_answers_are_wrong_is_rolled_back(deployed):
    deployed.aws.broken_while, deployed.aws.describes = "Updating", 6
    result, out = deployed.run(WATCHED)
    assert out.count("resnet18 answers broken: the update is rolled back") == 1
    assert "still serves the model before, since the update failed: Alarms in ALARM state" in result
    assert alarm_names(deployed) == []
    deployed.aws.broken_while = ""
    deployed.does(WATCHED)


def test_a_refused_update_leaves_no_alarms(deployed):
    deployed.aws.refused["UpdateEndpoint"] = ("ResourceLimitExceeded", "limit of 2 Instances")
    assert "quota is too small" in deployed.refuses(WATCHED)
    assert alarm_names(deployed) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--shift Canary", "shift is Canary and watch_minutes is 0; accepted with it: 1 to 60"),
        ("--shift Linear --watch-minutes 1", "shift is Linear and instance_count is 1; accepted with it: 2 or more"),
        ("--shift Slowly", "shift is 'Slowly'; accepted: AllAtOnce, Canary, Linear"),
        ("--watch-minutes 1 --serverless", "--watch-minutes has no effect with --serverless"),
        ("--watch-minutes 1 --async", "--watch-minutes has no effect with --asynchronous"),
    ],
)
def test_what_cannot_be_shifted_is_refused(account, flags, expected):
    account.trained()
    assert expected in account.refuses(f"{DEPLOY} {flags}")


@pytest.mark.parametrize("shift", ["AllAtOnce", "Canary", "Linear"])
@pytest.mark.parametrize("minutes", ["1", "60"])
def test_the_requests(shift, minutes):
    given = parsed("hosting", "--shift", shift, "--watch-minutes", minutes)
    names = {"EndpointName": "dogs", "EndpointConfigName": "dogs-1"}
    assert faults("UpdateEndpoint", names | {"DeploymentConfig": watching.deployment(given, "dogs")}) == []
    for alarm in alarms.of_update("dogs", 200):
        assert faults("PutMetricAlarm", alarm, "cloudwatch") == []
