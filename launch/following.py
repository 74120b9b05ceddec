"""Follow SageMaker's jobs: read their logs and states while they run, and fetch their output."""

import io
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from classifier.errors import UserError
from launch.advice import CAPACITY, NoCapacity, with_advice
from launch.aws import Aws, split_uri
from launch.logs import Log
from local import places
from local.trials import Trial, Tuning
from local.tuning_fields import COMPLETED, FAILED, RUNNING, STOPPED

STATUS = {"Completed": COMPLETED, "Stopped": STOPPED, "Failed": FAILED}


def follow_training(aws: Aws, name: str) -> None:
    """Print the job's log until it ends, then unpack its output, such as the report.

    Raises UserError if the job fails, or is stopped before its end; NoCapacity if AWS has no instance for it.
    """
    log = Log(aws, "TrainingJob", name)
    job: dict[str, Any] = {}
    for latest in aws.until_ended("TrainingJob", name):
        job = latest
        for line in log.new_lines():
            print(line, flush=True)
    if "TrainingStartTime" in job:
        for line in log.rest():
            print(line, flush=True)
    state, reason = job["TrainingJobStatus"], job.get("FailureReason", "AWS gives no reason")
    if state == "Failed":
        raise (NoCapacity if CAPACITY.search(reason) else UserError)(f"{name} failed: {with_advice(reason)}")
    there = fetch_output(aws, job)
    if state != "Completed":
        never_began = "TrainingStartTime" not in job and job.get("SecondaryStatus") == "MaxWaitTimeExceeded"
        error = NoCapacity if never_began else UserError
        raise error(f"{name} was stopped before its end{why_stopped(job)}; {what_is_left(aws, job)}")
    if not there:
        raise UserError(f"{name} is {state}, and wrote no report")


def why_stopped(job: dict[str, Any]) -> str:
    """Return the reason that AWS gives, with advice, if it was not a person who stopped the job."""
    state = job.get("SecondaryStatus", "Stopped")
    return "" if state == "Stopped" else f" ({with_advice(state)})"


def what_is_left(aws: Aws, job: dict[str, Any]) -> str:
    """Return what can be done with a job that was stopped."""
    name, again = job["TrainingJobName"], "; it kept no checkpoints"
    if "CheckpointConfig" in job:
        again = f", and launch/train.py --resume {name} continues from its checkpoints"
    if not aws.exists(job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")):
        return f"it left no model{again}"
    return f"its model is of the epochs until then: launch/deploy.py --job {name} deploys it{again}"


def fetch_output(aws: Aws, job: dict[str, Any]) -> bool:
    """Unpack the job's output, such as the report, into its folder in runs/; return whether there is any."""
    name = job["TrainingJobName"]
    uri = f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output/output.tar.gz"
    try:
        output = aws.s3.Object(*split_uri(uri)).get()["Body"].read()
    except aws.s3.meta.client.exceptions.NoSuchKey:
        return False
    with tarfile.open(fileobj=io.BytesIO(output)) as archive:
        archive.extractall(places.RUNS / name / "output/data", filter="data")
    return True


def artifact_of(aws: Aws, job: dict[str, Any]) -> str:
    """Return the S3 URI of the model that a training job has left. Raises UserError if there is none."""
    name, state = job["TrainingJobName"], job["TrainingJobStatus"]
    uri = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    if state == "Failed":
        raise UserError(f"{name} failed: {with_advice(job.get('FailureReason', 'AWS gives no reason'))}")
    if state not in ("Completed", "Stopped"):
        raise UserError(f"{name} is {state}; accepted: a training job that has ended")
    if not aws.exists(uri):
        raise UserError(f"{name} is {state}, and left no model at {uri or 'any place in S3'}; name another with --job")
    if state == "Stopped":
        print(f"{name} was stopped before its end{why_stopped(job)}: its model is of the epochs until then")
    return uri


def follow_tuning(aws: Aws, name: str) -> Iterator[Tuning]:
    """Yield the tuning job's state every few seconds until it has ended."""
    job = {}
    for job in aws.until_ended("HyperParameterTuningJob", name):
        yield read_tuning(aws, name, job)
    if job["HyperParameterTuningJobStatus"] == "Failed":
        print(f"{name} failed: {with_advice(job.get('FailureReason', 'AWS gives no reason'))}")


def read_metrics(aws: Aws, tuning: Tuning) -> None:
    """Add the metrics of every epoch to the trials, from their logs."""
    for trial in tuning.trials:
        for line in Log(aws, "TrainingJob", trial.name).new_lines():
            trial.read(line, tuning.objective)


def read_tuning(aws: Aws, name: str, job: dict) -> Tuning:
    """Return the tuning job that `job` describes, with its trials, but without their metrics."""
    config = job["HyperParameterTuningJobConfig"]
    tuned = [item["Name"] for ranges in config["ParameterRanges"].values() for item in ranges]
    fixed = job["TrainingJobDefinition"].get("StaticHyperParameters", {})
    tuning = Tuning(name, config["HyperParameterTuningJobObjective"]["MetricName"], tuned)
    pages = aws.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    for summary in pages.search("TrainingJobSummaries[]"):
        started, ended = summary.get("TrainingStartTime"), summary.get("TrainingEndTime", datetime.now(UTC))
        trial = Trial(
            summary["TrainingJobName"],
            fixed | {key: value.strip('"') for key, value in summary["TunedHyperParameters"].items()},
            STATUS.get(summary["TrainingJobStatus"], RUNNING),
            summary.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
            (ended - started).total_seconds() if started else 0,
            " ".join(summary.get("FailureReason", "").split()),
        )
        tuning.trials.append(trial)
    return tuning
