"""Tune the hyperparameters: train several times, on SageMaker or with --local on this computer, and tell the best.

python launch/tune.py             the images of the last upload.py, on SageMaker
python launch/tune.py --local     handwritten digits, or --data FOLDER, on this computer; needs no AWS
python launch/tune.py --resume    watch the last tuning job again; with --local do what is left of it
"""

import sys
from argparse import Namespace
from contextlib import closing

import jobs
import local
import places
from aws import Aws
from console import ask_to_spend, run, show
from following import follow_tuning
from search import as_texts, search_space
from settings import parser
from trials import Tuning, watch


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "training", "tuning")
    arguments.add_argument("--local", action="store_true", help="on this computer; --image then runs that image")
    arguments.add_argument("--resume", nargs="?", const="", metavar="NAME", help="go on with this or the last tuning")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    tuning = tune_here(settings) if settings.local else tune_on_aws(settings)
    from page import write_page

    tuning.save()
    page = tuning.file(tuning.name).with_suffix(".html")
    write_page(tuning, page)
    show(tuning.table())
    if tuning.best is None:
        raise places.UserError(f"no training job of {tuning.name} came to a value; see {page}")
    places.note(**{"local_job" if settings.local else "job": tuning.best.name})
    print(f"best: {tuning.best.name} with {tuning.objective}={tuning.best.value:.4f}")
    print(" ".join(f"{name}={tuning.best.hyperparameters[name]}" for name in tuning.tuned))
    print(f"page: {page}")
    where = " --local" if settings.local else ""
    print(f"next: launch/deploy.py{where} deploys it, launch/train.py{where} trains longer with its hyperparameters")


def tune_here(settings: Namespace) -> Tuning:
    data, defaults = local.data_and_defaults(settings.data, settings.image)
    import local_tuning  # Optuna, which is there if PyTorch is

    if settings.resume is None:
        settings.data, settings.hyperparameters = str(data), defaults | settings.hyperparameters
        name, tuned = places.new_name(settings.prefix), list(search_space(settings))
        tuning = Tuning(name, settings.objective, tuned, settings=vars(settings))
        places.note(local_tuning=name)
    else:
        tuning = Tuning.load(settings.resume or places.latest("local_tuning"))
    try:
        with closing(local_tuning.tune(tuning)) as updates:
            return watch(updates)
    except KeyboardInterrupt:
        print(f"\nstopped; to go on: python launch/tune.py --local --resume {tuning.name}", file=sys.stderr)
        raise


def tune_on_aws(settings: Namespace) -> Tuning:
    aws = Aws(settings)
    if settings.resume is None:
        start(settings, aws)
    name = settings.resume or places.latest("tuning")
    print(aws.link(f"hyper-tuning-jobs/{name}"))
    try:
        return watch(follow_tuning(aws, name))
    except KeyboardInterrupt:
        again, end = f"python launch/tune.py --resume {name}", "python launch/cleanup.py"
        print(f"\n{name} goes on without this script; {again} watches it again, {end} stops it", file=sys.stderr)
        raise


def start(settings: Namespace, aws: Aws) -> None:
    space = search_space(settings)
    fixed = as_texts(settings.hyperparameters | {"objective": settings.objective})
    uri = aws.data_for_job(settings.data)
    what = f"{settings.max_jobs} training jobs on {uri}, {settings.max_parallel_jobs} at a time"
    ask_to_spend(settings, what, settings.max_jobs * settings.instance_count * settings.max_minutes / 60)
    name = places.new_name(settings.prefix)
    tuner = jobs.tuner(settings, aws, jobs.model_trainer(settings, aws, fixed, uri), space)
    tuner.tune(job_name=name, wait=False)
    places.note(tuning=name)


if __name__ == "__main__":
    run(main)
