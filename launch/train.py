"""Train once, on SageMaker or with --local on this computer, and fetch the report.

Without --tuning or --hyperparameters the best ones of the last tuning are taken; what --hyperparameters names
comes on top of them.
"""

import json
import sys
from argparse import Namespace

import aws
import aws_training
import jobs
import local
import places
from console import ask, cost, run
from settings import parser
from trials import as_texts


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "training")
    arguments.add_argument("--tuning", metavar="NAME", help="the tuning whose best hyperparameters are taken, or none")
    arguments.add_argument("--local", action="store_true", help="on this computer; --image then runs that image")
    arguments.add_argument("--debugger", action="store_true", help="with SageMaker Debugger, for accounts that have it")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    if settings.local:
        name = train_here(settings)
        places.note(local_job=name)
    else:
        name = train_on_aws(settings)
    report = places.RUNS / name / "output/data/report.html"
    print(f"{name} is trained; next: launch/deploy.py{' --local' if settings.local else ''}\nreport: {report}")


def best_of_tuning(name: str | None, kind: str) -> dict[str, str]:
    """The best hyperparameters of the tuning `name`, or of the last, if there is one."""
    if name is None:
        try:
            name = places.latest(kind, "none")
        except places.UserError:
            return {}
    if name == "none":
        return {}
    file = places.RUNS / name / "tuning.json"
    if not file.exists():
        raise places.UserError(f"{file} is missing: end that tuning with launch/tune.py --resume, or use --tuning none")
    best = json.loads(file.read_text())["best"]
    print(f"with the best hyperparameters of {name}")
    return best["hyperparameters"] if best else {}


def train_here(settings: Namespace) -> str:
    data, defaults = local.data_and_defaults(settings.data, settings.image)
    best = best_of_tuning(settings.tuning, "local_tuning")
    name = places.new_name(settings.prefix)
    local.prepare(places.RUNS / name, data, as_texts(defaults | best | settings.hyperparameters))
    local.train(places.RUNS / name, settings.image)
    return name


def train_on_aws(settings: Namespace) -> str:
    texts = as_texts(best_of_tuning(settings.tuning, "tuning") | settings.hyperparameters)
    place = jobs.find_place(settings)
    uploaded = settings.data or places.latest("data", "no images: run launch/upload.py FOLDER, or use --data")
    data = aws.require_data(place.session, uploaded)
    hours = settings.instance_count * settings.max_minutes / 60
    print(f"a training job on {data} with {' '.join(f'{key}={value}' for key, value in texts.items()) or 'defaults'}")
    ask(f"It may take up to {cost(settings, settings.instance_type, hours)}. Start?", settings.yes)
    if settings.debugger:
        fields = jobs.debugger(place.home, place.session.region_name)
        jobs.add_to_requests(place.session, "CreateTrainingJob", fields)
    trainer = jobs.model_trainer(settings, place, texts)
    try:
        trainer.train(jobs.channels(settings, data), wait=False, logs=False)
    except Exception as error:
        if settings.debugger and type(error).__name__ == "ClientError":
            raise places.UserError(
                f"AWS refused the job with SageMaker Debugger, which new customers cannot have: {error}. Leave "
                "--debugger out: the image's own debugging and profiling are in report.html"
            ) from error
        raise
    name = trainer._latest_training_job.training_job_name
    places.note(job=name)
    print(aws.console_link(place.session, f"jobs/{name}"))
    try:
        aws_training.follow(place.session, name)
    except KeyboardInterrupt:
        print(f"\n{name} goes on without this script; launch/cleanup.py stops it", file=sys.stderr)
        raise
    aws_training.fetch_outputs(place.session, name)
    return name


if __name__ == "__main__":
    run(main)
