"""Train once, on SageMaker or with --local on this computer, and fetch the report.

Without --tuning or --hyperparameters the best ones of the last tuning are taken; what --hyperparameters names
comes on top of them.
"""

import sys
from argparse import Namespace

import jobs
import local
import places
from aws import Aws
from console import ask_to_spend, run
from following import follow_training
from search import as_texts
from settings import parser
from trials import Tuning


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
    data, defaults = local.data_and_defaults(settings.data, settings.image)
    best = best_of_tuning(settings.tuning or places.noted().get("local_tuning"))
    name = places.new_name(settings.prefix)
    local.prepare(places.RUNS / name, data, as_texts(defaults | best | settings.hyperparameters))
    with local.training(places.RUNS / name, settings.image):
        pass  # its log is on the terminal
    places.note(local_job=name)
    return name


def train_on_aws(settings: Namespace) -> str:
    aws = Aws(settings)
    texts = as_texts(best_of_tuning(settings.tuning or places.noted().get("tuning")) | settings.hyperparameters)
    uri = aws.data_for_job(settings.data)
    what = f"a training job on {uri} with {' '.join(f'{key}={value}' for key, value in texts.items()) or 'defaults'}"
    ask_to_spend(settings, what, settings.instance_count * settings.max_minutes / 60)
    if settings.debugger:
        fields = jobs.debugger(aws)
        jobs.before_sending(aws, "CreateTrainingJob", lambda params, **_: params.update(fields))
    trainer = jobs.model_trainer(settings, aws, texts, uri)
    try:
        trainer.train(wait=False, logs=False)
    except Exception as error:
        if settings.debugger and type(error).__name__ == "ClientError":
            raise places.UserError(
                f"AWS refused the job with SageMaker Debugger, which new customers cannot have: {error}. Leave "
                "--debugger out: the image's own debugging and profiling are in report.html"
            ) from error
        raise
    name = trainer._latest_training_job.training_job_name
    places.note(job=name)
    print(aws.link(f"jobs/{name}"))
    try:
        follow_training(aws, name)
    except KeyboardInterrupt:
        print(f"\n{name} goes on without this script; launch/cleanup.py stops it", file=sys.stderr)
        raise
    return name


if __name__ == "__main__":
    run(main)
