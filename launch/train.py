"""Train once, on SageMaker or with --local on this computer, and fetch the report.

Hyperparameters are the best ones of the last tuning, if there is one; --hyperparameters adds to these or replaces
them.
"""

from argparse import Namespace

from classifier.errors import UserError
from launch import console, jobs
from launch.aws import Aws
from launch.following import follow_training
from launch.settings import LOCAL, make_parser
from local import pictures, places, programs
from local.search import as_texts
from local.trials import Tuning


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "training")
    parser.add_argument("--tuning", metavar="NAME", help="use this tuning's best hyperparameters, or none")
    parser.add_argument("--local", action="store_true", help="train on this computer; with --image in a container")
    parser.add_argument("--debugger", action="store_true", help="use SageMaker Debugger, for accounts that have it")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("local", "debugger", settings_but=LOCAL)
    settings = parser.parse_args()
    name = train_here(settings) if settings.local else train_on_aws(settings)
    report = places.RUNS / name / "output/data/report.html"
    print(f"{name} is trained; next: launch/deploy.py{' --local' if settings.local else ''}\nreport: {report}")


def best_of_tuning(name: str | None) -> dict[str, str]:
    """Return the best hyperparameters of the tuning `name`; {} without a name, or if no trial has succeeded.

    Raises UserError if its file is missing or damaged.
    """
    if not name or name == "none":
        return {}
    try:
        best = Tuning.load(name).best
    except UserError as error:
        raise UserError(f"{error}; --tuning none trains without one") from error
    print(f"with {'the best' if best else 'none of the'} hyperparameters of {name}")
    return best.hyperparameters if best else {}


def train_here(settings: Namespace) -> str:
    data, defaults = pictures.data_and_defaults(settings.data, settings.image)
    best = best_of_tuning(settings.tuning or places.noted().get("local_tuning"))
    name = places.new_run(settings.prefix)
    programs.prepare_job(places.RUNS / name, data, as_texts(defaults | best | settings.hyperparameters))
    with programs.training(places.RUNS / name, settings.image):
        pass  # its log is on the terminal
    places.note(local_job=name)
    return name


def train_on_aws(settings: Namespace) -> str:
    aws = Aws(settings)
    texts = as_texts(best_of_tuning(settings.tuning or places.noted().get("tuning")) | settings.hyperparameters)
    uri = aws.data_for_job(settings.data)
    what = f"a training job on {uri} with {' '.join(f'{key}={value}' for key, value in texts.items()) or 'defaults'}"
    console.ask_to_spend(settings, what, settings.instance_count * settings.max_minutes / 60)
    name = start_job(settings, aws, texts, uri)
    places.note(job=name)
    print(aws.link(f"jobs/{name}"))
    with console.if_interrupted(f"{name} keeps running without this script; launch/cleanup.py stops it"):
        follow_training(aws, name)
    return name


def start_job(settings: Namespace, aws: Aws, hyperparameters: dict[str, str], uri: str) -> str:
    """Start a training job and return its name."""
    trainer = jobs.model_trainer(settings, aws, hyperparameters, uri)
    if not settings.debugger:
        return jobs.start_training(aws, trainer)
    try:
        return jobs.start_training(aws, trainer, **jobs.debugger(aws))
    except aws.sagemaker.exceptions.ClientError as error:
        raise UserError(
            f"AWS refused the job: {error}. Leave --debugger out if the account has no SageMaker Debugger, like new "
            "accounts: report.html has the image's own debugging and profiling"
        ) from error


if __name__ == "__main__":
    console.run(main)
