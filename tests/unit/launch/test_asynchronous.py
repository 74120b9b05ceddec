"""An asynchronous endpoint: deployed, asked through S3, scaled to none and removed."""

import json
from pathlib import Path

from launch import asynchronous
from launch.aws import Aws

pytest_plugins = ["aws_account"]

DEPLOY = "deploy.py --role sm --yes --async"


def alarm_names(account):
    return [one["AlarmName"] for one in account.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]]


def test_deploy_ask_and_clean_up(account, tmp_path):
    account.trained()
    sentence = account.refuses("deploy.py --role sm --async --max-instances 2")
    assert "up to 2 instances, none while no picture waits, until you run cleanup.py" in sentence
    assert "AWS cannot" not in account.does(f"{DEPLOY} --max-instances 2")
    scaling = account.aws.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 2)
    (alarm,) = account.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert alarm["AlarmActions"] == [one["PolicyARN"] for one in policies if one["PolicyType"] == "StepScaling"]

    pictures = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    Path(pictures[0]).write_bytes(b"a picture")
    Path(pictures[1]).write_bytes(b"no picture")
    code, out = account.run(f"predict.py --json {pictures[0]} {pictures[1]}")
    good, bad = map(json.loads, out.splitlines())
    assert code == 1
    assert good["predictions"][0]["class"] == "dog"
    assert "Received client error (415)" in bad["error"]
    assert len(account.aws.asked) == 3  # deploy.py's own too
    below = account.aws.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="resnet18/async/input/")
    assert below["KeyCount"] == 0

    assert "--model has no effect: resnet18 is async" in account.refuses(f"predict.py --model a {pictures[0]}")
    assert "AWS cannot make it one of instances" in account.refuses(DEPLOY.replace("--async", ""))
    account.does(f"{DEPLOY} --instance-type ml.c5.xlarge")  # its scaling is taken off and put on again
    account.does("cleanup.py --yes")
    assert alarm_names(account) == []
    assert account.aws.endpoints == {}


def test_the_alarm_starts_the_first_instance_still_if_an_update_fails(account):
    account.trained()
    account.does(DEPLOY)
    account.aws.failing["UpdateEndpoint"] = ["no disk"]
    account.refuses(DEPLOY)
    scaling = account.aws.client("application-autoscaling")
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    (alarm,) = account.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarm["AlarmActions"] == [one["PolicyARN"] for one in policies if one["PolicyType"] == "StepScaling"]


def test_it_is_not_serverless_too(account):
    assert "--asynchronous has no effect with --serverless" in account.refuses(f"{DEPLOY} --serverless")


def test_an_endpoint_that_is_deleted_meanwhile_does_not_answer(account, tmp_path):
    account.trained()
    account.does(DEPLOY)
    (tmp_path / "a.jpg").write_bytes(b"a picture")
    account.aws.answer_later = lambda *_: None  # nor is there a file about the failure
    account.monkeypatch.setattr(asynchronous, "QUIET_SECONDS", 0)

    def delete(aws):
        account.aws.endpoints.clear()

    account.monkeypatch.setattr(Aws, "pause", delete)
    sentence = account.refuses(f"predict.py {tmp_path / 'a.jpg'}")
    assert "resnet18 is gone, and has not answered; s3://" in sentence
    assert "resnet18 has not answered yet: if it has no instance, one starts in minutes" in account.err


def test_ctrl_c_says_where_the_answer_will_be(account, tmp_path):
    account.trained()
    account.does(DEPLOY)
    (tmp_path / "a.jpg").write_bytes(b"a picture")

    def interrupt(aws):
        raise KeyboardInterrupt

    account.monkeypatch.setattr(Aws, "pause", interrupt)
    assert account.run(f"predict.py {tmp_path / 'a.jpg'}")[0] == "interrupted"
    assert "will be the answer, and s3://" in account.err


def test_where_the_answers_after_one_that_does_not_come_will_be(account, tmp_path):
    account.trained()
    account.does(DEPLOY)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(b"a picture")
    account.aws.answer_later = lambda *_: None
    account.monkeypatch.setattr(Aws, "pause", lambda _: account.aws.endpoints.clear())
    assert "is gone, and has not answered" in account.refuses(f"predict.py {tmp_path}")
    told = [line for line in account.err.splitlines() if " will be the answer to " in line]
    assert [Path(line).name for line in told] == ["b.jpg", "c.jpg"]
    assert len({line.split()[0] for line in told if line.startswith("s3://")}) == 2


def test_an_endpoint_that_has_scaled_to_none_costs_nothing_now(account):
    account.trained()
    account.does(f"{DEPLOY} --prices ml.m5.xlarge=0.25")
    assert "0.25 USD" in account.does("status.py --prices ml.m5.xlarge=0.25")
    account.aws.endpoints["resnet18"]["ProductionVariants"][0]["CurrentInstanceCount"] = 0
    assert "0.25 USD" not in account.does("status.py --prices ml.m5.xlarge=0.25")
