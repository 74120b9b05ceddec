"""Train on SageMaker: start a job, follow it to its end, and continue one that ended before its time."""

from argparse import Namespace
from typing import Any

from classifier.errors import UserError
from launch import console, cost, jobs, notice, tracking
from launch.aws import Aws
from launch.following import follow_training
from launch.uploading import images_for_job
from local import places


def train_anew(settings: Namespace, aws: Aws, texts: dict[str, str]) -> str:
    """Train with the hyperparameters `texts` on the images of the settings, and return the job's name."""
    uri = images_for_job(aws)
    what = f"a training job on {uri} with {' '.join(f'{key}={value}' for key, value in texts.items()) or 'defaults'}"
    return start_and_follow(settings, aws, what, texts, uri, jobs.new_checkpoints(settings, aws))


def resume(settings: Namespace, aws: Aws, name: str) -> str:
    """Follow a job that still runs or is complete, or continue one that ended before its time; return its name."""
    job = aws.call("Describe", "TrainingJob", name)
    if job["TrainingJobStatus"] in ("Failed", "Stopped"):
        return continue_job(settings, aws, job)
    return follow(aws, name)


def continue_job(settings: Namespace, aws: Aws, job: dict[str, Any]) -> str:
    """Start a job with the hyperparameters, images and checkpoints of one that has ended before its time."""
    name, checkpoints = job["TrainingJobName"], job.get("CheckpointConfig", {}).get("S3Uri", "")
    if not aws.exists(checkpoints):
        raise UserError(f"{name} left no checkpoints to continue from{f' at {checkpoints}' if checkpoints else ''}")
    settings.input_mode = job["AlgorithmSpecification"]["TrainingInputMode"]
    uri = job["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    what = f"a training job that continues {name} from its checkpoints"
    return start_and_follow(settings, aws, what, job.get("HyperParameters", {}), uri, checkpoints)


def start_and_follow(
    settings: Namespace, aws: Aws, what: str, hyperparameters: dict[str, str], uri: str, checkpoints: str
) -> str:
    """Ask, then train on the first of the instance types that AWS has free; return the job's name."""
    types = cost.instance_types(settings)
    cost.ask_to_spend(aws, what, settings.instance_count * settings.max_minutes / 60, "Train", types)
    tracking.check(settings)
    notice.arrange(aws, "TrainingJob")
    return cost.first_with_capacity(
        settings, lambda: follow(aws, start_job(settings, aws, hyperparameters, uri, checkpoints))
    )


def follow(aws: Aws, name: str) -> str:
    """Follow a job until it has ended, and return its name."""
    again = f"launch/train.py --resume {name} follows it again, launch/cleanup.py stops it"
    with console.if_interrupted(f"{name} keeps running without this script; {again}"):
        follow_training(aws, name)
    if aws.settings.mlflow_uri:
        job = aws.call("Describe", "TrainingJob", name)
        tracking.send_job(aws.settings, name, job.get("HyperParameters", {}))
    return name


def start_job(settings: Namespace, aws: Aws, hyperparameters: dict[str, str], uri: str, checkpoints: str) -> str:
    """Start a training job and return its name."""
    name = places.new_name(settings.prefix)
    trainer = jobs.model_trainer(settings, aws, hyperparameters, uri, checkpoints)
    try:
        with console.if_unclear("TrainingJob", name):
            jobs.start_training(aws, trainer, name, **(jobs.debugger(aws) if settings.debugger else {}))
    except aws.sagemaker.exceptions.ClientError as error:
        if not settings.debugger:
            raise
        raise UserError(
            f"AWS refused the job: {error}. Leave --debugger out if the account has no SageMaker Debugger, like new "
            "accounts: report.html has the image's own debugging and profiling"
        ) from error
    places.note(job=name)
    print(aws.link(f"jobs/{name}"), flush=True)
    return name
