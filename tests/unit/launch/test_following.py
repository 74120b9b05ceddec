"""Follow training jobs whose logs arrive late, and which end as AWS documents."""

import re

import pytest

from launch import following, logs
from launch.aws import Aws

pytest_plugins = ["aws_account"]

STOPPED = {"TrainingJobStatus": "Stopped"}


@pytest.fixture
def ending():
    return {}


@pytest.fixture
def late_seconds():
    return 0


@pytest.fixture
def started(account, ending, late_seconds):
    """An account in which a training job that does nothing was just started, which ends with what `ending` adds."""
    request = {
        "TrainingJobName": "resnet18-1",
        "HyperParameters": {},
        "AlgorithmSpecification": {"TrainingInputMode": "File", "MetricDefinitions": []},
        "OutputDataConfig": {"S3OutputPath": f"s3://{account.bucket}/resnet18/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        "InputDataConfig": [],
        "CheckpointConfig": {"S3Uri": f"s3://{account.bucket}/resnet18/checkpoints/a"},
    }
    account.aws.jobs["resnet18-1"] = {"TrainingJobName": "resnet18-1", "TrainingJobStatus": "InProgress"}
    account.aws.endings, account.aws.late_seconds = [ending], late_seconds
    account.aws.start(account.aws.run_job, "resnet18-1", request, {})
    return account


def follow(account):
    """Return what following the job of `started` says and prints."""
    return account.attempt(lambda: following.follow_training(Aws(account.settings()), "resnet18-1"))


@pytest.mark.parametrize("late_seconds", [0.5])
def test_every_line_is_printed_once_though_the_last_come_after_the_end(started, monkeypatch):
    monkeypatch.setattr(logs, "QUIET_SECONDS", 1)
    _, out = follow(started)
    assert [line for line in out.splitlines() if line.startswith("line ")] == [f"line {number}" for number in range(30)]
    readings = started.aws.sent("FilterLogEvents")
    assert readings[-1]["startTime"] > 0  # the log is not read from its beginning again


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (STOPPED | {"SecondaryStatus": "Stopped"}, "was stopped before its end; its model is of the epochs until then"),
        (
            STOPPED | {"SecondaryStatus": "MaxRuntimeExceeded"},
            r"before its end \(MaxRuntimeExceeded: raise --max-minutes\)",
        ),
        (
            STOPPED | {"SecondaryStatus": "MaxWaitTimeExceeded", "ModelArtifacts": {}},
            r"no spot instance was there for long enough: .*; it left no model, and launch/train.py --resume res",
        ),
    ],
)
def test_a_job_that_was_stopped_is_not_trained(started, expected):
    sentence, _ = follow(started)
    assert re.search(expected, sentence)


@pytest.mark.parametrize("ending", [{"TrainingJobStatus": "Failed", "FailureReason": "Could not assume role x."}])
def test_a_job_that_fails_has_its_reason_and_advice(started):
    sentence, _ = follow(started)
    assert sentence.startswith("resnet18-1 failed: Could not assume role x: the role must exist")


def test_a_job_that_was_stopped_continues_from_its_checkpoints(account):
    checkpoints = {"S3Uri": f"s3://{account.bucket}/resnet18/checkpoints/a"}
    account.trained(TrainingJobStatus="Stopped", CheckpointConfig=checkpoints, HyperParameters={"epochs": "9"})
    resume = "train.py --role sm --yes --no-spot --instance-type ml.m5.xlarge --resume"
    assert "resnet18-0 left no checkpoints to continue from at s3://" in account.refuses(resume)
    key = "resnet18/checkpoints/a/last.pt"
    account.aws.client("s3").put_object(Bucket=account.bucket, Key=key, Body=b"a checkpoint")
    assert "--hyperparameters has no effect with --resume" in account.refuses(f"{resume} --hyperparameters epochs=2")
    assert "is trained" in account.does(resume)
    (request,) = account.aws.sent("CreateTrainingJob")
    assert request["CheckpointConfig"] == checkpoints
    assert request["HyperParameters"] == {"epochs": "9"}
    again = account.does("train.py --resume")  # after Ctrl-C, while it ran to its end
    assert "line 0" in again
    assert "is trained" in again
    assert len(account.aws.sent("CreateTrainingJob")) == 1


NO_CAPACITY = {
    "TrainingJobStatus": "Failed",
    "FailureReason": "CapacityError: Unable to provision requested ML compute.",
}


@pytest.mark.parametrize("ending", [NO_CAPACITY, STOPPED | {"SecondaryStatus": "MaxWaitTimeExceeded"}])
def test_the_next_instance_type_is_tried_if_aws_has_none_of_the_first(account, ending):
    account.aws.endings = [ending]
    out = account.does("train.py --role sm --yes --more-instance-types ml.g5.xlarge")
    assert "next: ml.g5.xlarge" in out
    types = [request["ResourceConfig"]["InstanceType"] for request in account.aws.sent("CreateTrainingJob")]
    assert types == ["ml.g4dn.xlarge", "ml.g5.xlarge"]


def test_a_job_that_writes_no_report_is_one_sentence(started, monkeypatch):
    monkeypatch.setattr(following, "fetch_output", lambda aws, job: False)
    assert follow(started)[0] == "resnet18-1 is Completed, and wrote no report"


def test_lines_that_arrive_out_of_order_are_read(account):
    def put(at, *lines):
        events = [{"timestamp": at, "message": line} for line in lines]
        account.aws.client("logs").put_log_events(
            logGroupName=logs.GROUPS["TrainingJob"], logStreamName="a/1", logEvents=events
        )

    account.aws.write_log(logs.GROUPS["TrainingJob"], "a/1", ["first"])
    log = logs.Log(Aws(account.settings()), "TrainingJob", "a")
    assert list(log.new_lines()) == ["first"]
    put(log.latest - 30_000, "late")
    put(log.latest + 10_000, "last")
    assert list(log.new_lines()) == ["late", "last"]
    assert list(log.new_lines()) == []


def test_a_job_that_is_deleted_meanwhile_is_told(started):
    del started.aws.jobs["resnet18-1"]
    assert follow(started)[0] == "there is no resnet18-1 in this account and region, or it was just deleted"
    assert "there is none of this name in this account and region" in started.refuses("train.py --resume resnet18-1")
    started.aws.jobs["resnet18-1"] = {"TrainingJobName": "resnet18-1", "TrainingJobStatus": "Deleting"}
    assert "or it was just deleted" in follow(started)[0]


@pytest.mark.parametrize("command", ["train.py", "tune.py --max-jobs 1"])
def test_credentials_that_expire_in_the_middle_say_what_goes_on(account, command):
    operation = "DescribeTrainingJob" if command == "train.py" else "DescribeHyperParameterTuningJob"
    expired = ("ExpiredTokenException", "The security token included in the request is expired")
    account.aws.refusing[operation] = iter([None, expired])
    account.aws.late_seconds = 0.2
    sentence = account.refuses(f"{command} --role sm --yes")
    assert "the credentials have expired: log in again" in sentence
    assert "keeps running without this script" in account.err
    assert "--resume resnet18-" in account.err


def test_a_job_that_may_have_started_is_told(account):
    account.aws.refused["DescribeTrainingJob"] = ("AccessDeniedException", "not this")
    assert "the credentials may not do this" in account.refuses("train.py --role sm --yes")
    assert "AWS may have started resnet18-2: launch/status.py says so" in account.err
    assert len(account.aws.sent("CreateTrainingJob")) == 1


@pytest.mark.parametrize("late_seconds", [0.2])
def test_a_log_that_cannot_be_read_does_not_end_the_watch(started, monkeypatch):
    monkeypatch.setattr(logs, "QUIET_SECONDS", 0.1)
    started.aws.refused["FilterLogEvents"] = ("AccessDeniedException", "not this log")
    result, out = follow(started)
    assert result == 0
    assert out.count("the log cannot be read: An error occurred (AccessDeniedException)") == 1


def test_no_quota_for_the_first_instance_type(account):
    account.aws.refusing["CreateTrainingJob"] = iter([("ResourceLimitExceeded", "limit of 0 Instances")])
    out = account.does("train.py --role sm --yes --more-instance-types ml.g5.xlarge")
    assert "next: ml.g5.xlarge" in out
    account.aws.refused["CreateTrainingJob"] = ("ResourceLimitExceeded", "limit of 0 Instances")
    assert "quota is too small" in account.refuses("train.py --role sm --yes --more-instance-types ml.g5.xlarge")
    assert account.err == ""  # no job may have started
