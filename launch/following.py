"""What SageMaker's jobs say while they run, and what they leave."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from classifier.errors import UserError
from launch.aws import Aws, split_uri
from local import places
from local.trials import COMPLETED, FAILED, RUNNING, STOPPED, Trial, Tuning

LOGS = "/aws/sagemaker/TrainingJobs"
STATUS = {"Completed": COMPLETED, "Stopped": STOPPED, "Failed": FAILED}


def log_lines(aws: Aws, job: str, seen: set[str]) -> Iterator[str]:
    """The lines of a training job's log beyond those of `seen`, which is kept up to date."""
    logs = aws.session.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=LOGS, logStreamNamePrefix=f"{job}/")
    with suppress(logs.exceptions.ResourceNotFoundException):  # nothing has been logged yet
        for event in pages.search("events[]"):
            if event["eventId"] not in seen:
                seen.add(event["eventId"])
                yield event["message"]


def follow_training(aws: Aws, name: str) -> None:
    """Print the job's log until it ends, then unpack what it wrote besides the model. Raises UserError if it fails."""
    seen = set()
    for job in aws.until_ended("TrainingJob", name):
        for line in log_lines(aws, job["TrainingJobName"], seen):
            print(line, flush=True)
    if job["TrainingJobStatus"] == "Failed":
        raise UserError(f"{name} failed: {job.get('FailureReason', 'see its log')}")
    uri = f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output/output.tar.gz"
    try:
        output = aws.s3.Object(*split_uri(uri)).get()["Body"].read()
    except aws.s3.meta.client.exceptions.NoSuchKey:
        raise UserError(f"{name} is {job['TrainingJobStatus']}, and left no report") from None
    with tarfile.open(fileobj=io.BytesIO(output)) as archive:
        archive.extractall(places.RUNS / name / "output/data", filter="data")


def follow_tuning(aws: Aws, name: str) -> Iterator[Tuning]:
    """The tuning job again and again until it ends. Only then are the metrics of its trials read, each from a log."""
    for job in aws.until_ended("HyperParameterTuningJob", name):
        tuning = read_tuning(aws, name, job)
        yield tuning
    for trial in tuning.trials:
        for line in log_lines(aws, trial.name, set()):
            trial.read(line, tuning.objective)
    yield tuning


def read_tuning(aws: Aws, name: str, job: dict) -> Tuning:
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
