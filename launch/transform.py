"""Classify all images below an S3 URI with a batch transform job, into one CSV: file, class, probability."""

import csv
import json
import time
from pathlib import Path

from classifier.errors import UserError
from launch import console, hosting
from launch.aws import Aws, split_uri
from launch.settings import parser
from local import places

SUFFIX = ".out"


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "transform")
    arguments.add_argument("images", metavar="S3_URI", help="where the images are, such as upload.py left them")
    arguments.add_argument("--job", metavar="NAME", help="the training job (default: the last one)")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    aws = Aws(settings)
    images, name = aws.data_for_job(settings.images), places.new_name(settings.prefix)
    trained = aws.call("Describe", "TrainingJob", settings.job or places.latest("job"))
    model = hosting.model(settings, aws, name, trained["ModelArtifacts"]["S3ModelArtifacts"])
    output = f"{aws.home}/transform/{name}"
    what = f"transforming {images}, if this script keeps running"
    console.ask_to_spend(settings, what, settings.instance_count * settings.max_minutes / 60)
    aws.sagemaker.create_model(**model)
    aws.sagemaker.create_transform_job(**hosting.transform_job(settings, name, images, output))
    print(aws.link(f"transform-jobs/{name}"), flush=True)
    deadline = time.monotonic() + 60 * settings.max_minutes
    with console.if_interrupted(f"{name} goes on without this script; launch/cleanup.py stops it"):
        for job in aws.until_ended("TransformJob", name):
            if time.monotonic() > deadline and job["TransformJobStatus"] == "InProgress":
                aws.call("Stop", "TransformJob", name)
    aws.sagemaker.delete_model(ModelName=name)
    table = places.RUNS / name / "predictions.csv"
    print(f"{write(aws, output, table)} images in {table}")
    if job["TransformJobStatus"] != "Completed":
        raise UserError(f"{name} {job['TransformJobStatus'].lower()}: {job.get('FailureReason', '')}")


def write(aws: Aws, output: str, path: Path) -> int:
    """Collect the job's answers below `output` in one CSV; how many there are."""
    _, prefix = split_uri(f"{output}/")
    answers = [item for item in aws.below(f"{output}/") if item.key.endswith(SUFFIX)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "class", "probability"))
        for answer in answers:
            best = json.load(answer.get()["Body"])["predictions"][0]
            rows.writerow((answer.key.removeprefix(prefix).removesuffix(SUFFIX), best["class"], best["probability"]))
    return len(answers)


if __name__ == "__main__":
    console.run(main)
