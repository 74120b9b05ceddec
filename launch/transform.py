"""Classify all images below an S3 URI with a batch transform job, into one CSV: file, class, probability."""

import csv
import json
import time
from argparse import Namespace
from pathlib import Path

import aws
import hosting
import jobs
import places
from console import ask, cost, run
from settings import parser

SECONDS_BETWEEN_LOOKS = 10
SUFFIX = ".out"


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "transform")
    arguments.add_argument("images", metavar="S3_URI", help="where the images are, such as upload.py left them")
    arguments.add_argument("--job", metavar="NAME", help="the training job (default: the last one)")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    place = jobs.find_place(settings)
    images = aws.require_data(place.session, settings.images)
    client = place.session.client("sagemaker")
    job = settings.job or places.latest("job", "no model was trained: run launch/tune.py or launch/train.py")
    artifact = client.describe_training_job(TrainingJobName=job)["ModelArtifacts"]["S3ModelArtifacts"]
    hours = settings.instance_count * settings.max_minutes / 60
    bound = cost(settings, settings.instance_type, hours)
    ask(f"Transforming {images} takes up to {bound}, if this script keeps running. Start?", settings.yes)
    name = places.new_name(settings.prefix)
    output = f"{place.home}/transform/{name}"
    client.create_model(**hosting.model(settings, place, name, artifact))
    client.create_transform_job(**hosting.transform_job(settings, name, images, output))
    print(aws.console_link(place.session, f"transform-jobs/{name}"), flush=True)
    ended = wait(client, name, settings)
    client.delete_model(ModelName=name)
    table = places.RUNS / name / "predictions.csv"
    print(f"{write(place.session, output, table)} images in {table}")
    if ended["TransformJobStatus"] != "Completed":
        raise places.UserError(f"{name} {ended['TransformJobStatus'].lower()}: {ended.get('FailureReason', '')}")


def wait(client, name: str, settings: Namespace) -> dict:
    """The description of the job when it has ended, which is stopped when its time is over."""
    end = time.monotonic() + 60 * settings.max_minutes
    while True:
        job = client.describe_transform_job(TransformJobName=name)
        if job["TransformJobStatus"] not in ("InProgress", "Stopping"):
            return job
        if time.monotonic() > end and job["TransformJobStatus"] == "InProgress":
            client.stop_transform_job(TransformJobName=name)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def write(session, output: str, path: Path) -> int:
    """Collect the job's answers below `output` in one CSV; how many there are."""
    s3 = session.client("s3")
    bucket, prefix = aws.split_uri(output)
    keys = [item["Key"] for item in aws.objects(session, output + "/") if item["Key"].endswith(SUFFIX)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "class", "probability"))
        for key in keys:
            best = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])["predictions"][0]
            rows.writerow((key[len(prefix) + 1 : -len(SUFFIX)], best["class"], best["probability"]))
    return len(keys)


if __name__ == "__main__":
    run(main)
