"""Classify all images below an S3 URI by a batch transform job, and write one CSV: file, class, probability, known."""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import csv
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.words import plural
from launch import console, cost, following, hosting, notice, storage
from launch.advice import with_advice
from launch.aws import Aws, split_uri
from launch.logs import print_last_lines
from launch.making import all_or_nothing
from launch.settings import make_parser
from local import places

SUFFIX = ".out"


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "transform", takes="S3_URI | --resume NAME")
    parser.add_argument("images", nargs="?", metavar="S3_URI", help="the images' S3 URI, as upload.py prints it")
    parser.add_argument("--job", metavar="NAME", help="the training job to use (default: the last one)")
    parser.add_argument("--resume", metavar="NAME", help="go on with this transform job, and write its CSV")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("resume", "job")
    settings = parser.parse_args()
    if bool(settings.images) == bool(settings.resume):
        raise UserError("what to do is not clear; accepted: an S3 URI, or --resume NAME of a transform job")
    aws = Aws(settings)
    if settings.resume:
        finish(aws, follow_transform(aws, settings.resume))
    else:
        start(aws)


def start(aws: Aws) -> None:
    """Start a job, follow it and write its CSV; the model that it needs goes with it."""
    settings = aws.settings
    images, name = storage.images_at(aws, settings.images), places.new_name(settings.prefix)
    trained = aws.call("Describe", "TrainingJob", settings.job or places.latest("job"))
    model = hosting.model(settings, aws, name, following.artifact_of(aws, trained), hosting.OF_INSTANCES)
    request = hosting.transform_job(settings, name, images, f"{aws.home}/transform/{name}")
    what = f"a transform job on {images}, if this script keeps running"
    hours = settings.instance_count * settings.max_minutes / 60
    cost.ask_to_spend(aws, what, hours, "Tsform", [settings.instance_type])
    notice.arrange(aws, "TransformJob")
    with all_or_nothing(aws) as made:
        made.create("Model", model)
        with console.if_unclear("TransformJob", name):
            made.use(lambda: aws.sagemaker.create_transform_job(**request))
    print(aws.link(f"transform-jobs/{name}"), flush=True)
    job = follow_transform(aws, name)
    made.take_away()
    finish(aws, job)


def finish(aws: Aws, job: dict[str, Any]) -> None:
    """Write the CSV of a job that has ended. Raises UserError if it is not complete."""
    name, output = job["TransformJobName"], job["TransformOutput"]["S3OutputPath"]
    table = places.RUNS / name / "predictions.csv"
    print(f"{plural(write_predictions(aws, output, table), 'image')} in {table}")
    if job["TransformJobStatus"] != "Completed":
        print_last_lines(aws, "TransformJob", name)
        reason = with_advice(job.get("FailureReason", "AWS gives no reason"))
        raise UserError(f"{name} {job['TransformJobStatus'].lower()}: {reason}")


def follow_transform(aws: Aws, name: str) -> dict[str, Any]:
    """Return the job's description once it has ended; it is stopped after the settings' max_minutes."""
    deadline, job = time.monotonic() + 60 * aws.settings.max_minutes, {}
    resume = console.again(f"--resume {name}")
    with console.if_interrupted(
        f"{name} keeps running without this script: {resume} writes its CSV; cleanup.py stops it"
    ):
        for job in aws.until_ended("TransformJob", name):
            if time.monotonic() > deadline and job["TransformJobStatus"] == "InProgress":
                with suppress(aws.sagemaker.exceptions.ClientError):  # it has ended meanwhile
                    aws.call("Stop", "TransformJob", name)
    return job


def write_predictions(aws: Aws, output: str, path: Path) -> int:
    """Collect the job's answers below `output` in one CSV, and return their number."""
    _, prefix = split_uri(f"{output}/")
    answers = [item for item in aws.objects_below(f"{output}/") if item.key.endswith(SUFFIX)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table)
        rows.writerow(("file", "class", "probability", "known"))
        for answer in answers:
            result = json.load(answer.get()["Body"])
            best, known = result["predictions"][0], json.dumps(result["known"]) if "known" in result else ""
            file = answer.key.removeprefix(prefix).removesuffix(SUFFIX)
            rows.writerow((file, best["class"], best["probability"], known))
    return len(answers)


if __name__ == "__main__":
    console.run(main)
