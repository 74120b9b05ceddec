"""Train once, on SageMaker or with --local on this computer, and fetch the report.

Without --tuning or --hyperparameters the best ones of the last tuning are taken; what --hyperparameters names
comes on top of them.
"""

from argparse import Namespace

from classifier.errors import UserError
from launch import console, jobs
from launch.aws import Aws
from launch.following import follow_training
from launch.settings import parser
from local import pictures, places, programs
from local.search import as_texts
from local.trials import Tuning


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "training")
    arguments.add_argument("--tuning", metavar="NAME", help="the tuning whose best hyperparameters are taken, or none")
    arguments.add_argument("--local", action="store_true", help="on this computer; --image then runs that image")
    arguments.add_argument("--debugger", action="store_true", help="with SageMaker Debugger, for accounts that have it")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    name = train_here(settings) if settings.local else train_on_aws(settings)
    report = places.RUNS / name / "output/data/report.html"
    print(f"{name} is trained; next: launch/deploy.py{' --local' if settings.local else ''}\nreport: {report}")


def best_of_tuning(name: str | None) -> dict[str, str]:
    """The best hyperparameters of the tuning `name`, if there is one."""
    if not name or name == "none":
        return {}
    best = Tuning.load(name).best
    print(f"with {'the best hyperparameters' if best else 'none of the hyperparameters'} of {name}")
    return best.hyperparameters if best else {}


def train_here(settings: Namespace) -> str:
    data, defaults = pictures.data_and_defaults(settings.data, settings.image)
    best = best_of_tuning(settings.tuning or places.noted().get("local_tuning"))
    name = places.new_name(settings.prefix)
    programs.prepare(places.RUNS / name, data, as_texts(defaults | best | settings.hyperparameters))
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
    name = start(settings, aws, texts, uri)
    places.note(job=name)
    print(aws.link(f"jobs/{name}"))
    with console.if_interrupted(f"{name} goes on without this script; launch/cleanup.py stops it"):
        follow_training(aws, name)
    return name


def start(settings: Namespace, aws: Aws, hyperparameters: dict[str, str], uri: str) -> str:
    """Start a training job; its name."""
    trainer = jobs.model_trainer(settings, aws, hyperparameters, uri)
    if not settings.debugger:
        return jobs.start_training(trainer)
    try:
        return jobs.start_training(trainer, **jobs.debugger(aws))
    except aws.sagemaker.exceptions.ClientError as error:
        raise UserError(
            f"AWS refused the job: {error}. Leave --debugger out if the account is without SageMaker Debugger, as all "
            "new ones are: the image's own debugging and profiling are in report.html"
        ) from error


if __name__ == "__main__":
    console.run(main)
