"""Tune the hyperparameters: train several times, on SageMaker or with --local on this computer, and tell the best.

python launch/tune.py             the images of the last upload.py, on SageMaker
python launch/tune.py --local     handwritten digits, or --data FOLDER, on this computer; needs no AWS
python launch/tune.py --resume    watch the last tuning job again; with --local do what is left of it
"""

import json
import sys
from argparse import Namespace
from pathlib import Path

import aws
import aws_tuning
import jobs
import local
import places
from console import ask, cost, run, show
from settings import parser
from trials import Tuning, as_texts, search_space, watching


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "training", "tuning")
    arguments.add_argument("--local", action="store_true", help="on this computer; --image then runs that image")
    arguments.add_argument("--resume", nargs="?", const="", metavar="NAME", help="go on with this or the last tuning")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    tuning = tune_here(settings) if settings.local else tune_on_aws(settings)
    page = tuning.save(places.RUNS / tuning.name)
    show(tuning.table())
    if tuning.best is None:
        raise places.UserError(f"no training job of {tuning.name} came to a value; see {page}")
    kind = "local_job" if settings.local else "job"
    places.note(**{kind: tuning.best.name})
    print(f"best: {tuning.best.name} with {tuning.objective}={tuning.best.value:.4f}")
    print(" ".join(f"{name}={tuning.best.hyperparameters[name]}" for name in tuning.tuned))
    print(f"page: {page}")
    where = " --local" if settings.local else ""
    print(f"next: launch/deploy.py{where} deploys it, launch/train.py{where} trains longer with its hyperparameters")


def tune_here(settings: Namespace) -> Tuning:
    data, defaults = local.data_and_defaults(settings.data, settings.image)
    import local_tuning  # Optuna, which is there if PyTorch is

    if settings.resume is None:
        name = places.new_name(settings.prefix)
        settings.data, settings.hyperparameters = str(data), defaults | settings.hyperparameters
        folder = places.RUNS / name
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text(json.dumps(vars(settings)))
        places.note(local_tuning=name)
    else:
        name = settings.resume or places.latest("local_tuning", "no tuning was started here")
        file = places.RUNS / name / "settings.json"
        if not file.exists():
            raise places.UserError(f"there is no tuning {name!r} in {places.RUNS}")
        settings = Namespace(**json.loads(file.read_text()))
    try:
        with watching() as tell:
            return local_tuning.tune(places.RUNS / name, settings, Path(settings.data), tell)
    except KeyboardInterrupt:
        print(f"\nstopped; to go on: python launch/tune.py --local --resume {name}", file=sys.stderr)
        raise


def tune_on_aws(settings: Namespace) -> Tuning:
    if settings.resume is None:
        name, session = start(settings)
    else:
        session = aws.connect(settings)
        name = settings.resume or places.latest("tuning", "no tuning job was started from here")
    print(aws.console_link(session, f"hyper-tuning-jobs/{name}"))
    try:
        with watching() as tell:
            return aws_tuning.follow(session, name, tell)
    except KeyboardInterrupt:
        again, end = f"python launch/tune.py --resume {name}", "python launch/cleanup.py"
        print(f"\n{name} goes on without this script; {again} watches it again, {end} stops it", file=sys.stderr)
        raise


def start(settings: Namespace) -> tuple[str, object]:
    """Start the tuning job; its name, and the session."""
    space = search_space(settings.objective, settings.ranges, settings.hyperparameters)
    fixed = as_texts(settings.hyperparameters | {"objective": settings.objective})
    place = jobs.find_place(settings)
    uploaded = settings.data or places.latest("data", "no images: run launch/upload.py FOLDER, or use --data")
    data = aws.require_data(place.session, uploaded)
    hours = settings.max_jobs * settings.instance_count * settings.max_minutes / 60
    print(f"up to {settings.max_jobs} training jobs on {data}, {settings.max_parallel_jobs} at a time")
    ask(f"It may take up to {cost(settings, settings.instance_type, hours)}. Start?", settings.yes)
    jobs.add_to_requests(place.session, "CreateHyperParameterTuningJob", jobs.left_out_by_tuner(settings))
    name = places.new_name(settings.prefix)
    tuner = jobs.tuner(settings, jobs.model_trainer(settings, place, fixed), space)
    tuner.tune(jobs.channels(settings, data), job_name=name, wait=False)
    places.note(tuning=name)
    return name, place.session


if __name__ == "__main__":
    run(main)
