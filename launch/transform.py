"""Classify all images below an S3 URI with a batch transform job, and write one CSV: file, class, probability."""

import csv
import json
import time
from pathlib import Path

from classifier.errors import UserError
from launch import console, hosting
from launch.aws import Aws, split_uri
from launch.settings import make_parser
from local import places

SUFFIX = ".out"


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "transform", takes="S3_URI")
    parser.add_argument("images", metavar="S3_URI", help="the images' S3 URI, as upload.py prints it")
    parser.add_argument("--job", metavar="NAME", help="the training job to use (default: the last one)")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    settings = parser.parse_args()
    aws = Aws(settings)
    images, name = aws.data_for_job(settings.images), places.new_name(settings.prefix)
    trained = aws.call("Describe", "TrainingJob", settings.job or places.latest("job"))
    model = hosting.model(settings, aws, name, trained["ModelArtifacts"]["S3ModelArtifacts"])
    output = f"{aws.home}/transform/{name}"
    what = f"a transform job on {images}, if this script keeps running"
    console.ask_to_spend(settings, what, settings.instance_count * settings.max_minutes / 60)
    aws.sagemaker.create_model(**model)
    aws.sagemaker.create_transform_job(**hosting.transform_job(settings, name, images, output))
    print(aws.link(f"transform-jobs/{name}"), flush=True)
    deadline, job = time.monotonic() + 60 * settings.max_minutes, {}
    with console.if_interrupted(f"{name} keeps running without this script; launch/cleanup.py stops it"):
        for job in aws.until_ended("TransformJob", name):
            if time.monotonic() > deadline and job["TransformJobStatus"] == "InProgress":
                aws.call("Stop", "TransformJob", name)
    aws.sagemaker.delete_model(ModelName=name)
    table = places.RUNS / name / "predictions.csv"
    print(f"{write_predictions(aws, output, table)} images in {table}")
    if job["TransformJobStatus"] != "Completed":
        raise UserError(f"{name} {job['TransformJobStatus'].lower()}: {job.get('FailureReason', '')}")


def write_predictions(aws: Aws, output: str, path: Path) -> int:
    """Collect the job's answers below `output` in one CSV, and return their number."""
    _, prefix = split_uri(f"{output}/")
    answers = [item for item in aws.objects_below(f"{output}/") if item.key.endswith(SUFFIX)]
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
