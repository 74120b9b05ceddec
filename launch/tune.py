"""Tune the hyperparameters: train several times, on SageMaker or with --local on this computer, and show the best.

python launch/tune.py             on SageMaker, with the images of the last upload.py
python launch/tune.py --local     on this computer, with handwritten digits or --data FOLDER; needs no AWS
python launch/tune.py --resume    watch the last tuning job again; with --local finish the last tuning
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import shlex
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from classifier.errors import UserError
from launch import console, tracking
from launch.aws import Aws
from launch.following import follow_tuning, read_metrics
from launch.settings import LOCAL, make_parser
from launch.tuning import start_tuning
from local import pictures, places, tables
from local.trials import Tuning


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "training", "tuning")
    parser.add_argument("--local", action="store_true", help="train on this computer; with --image in a container")
    parser.add_argument("--resume", nargs="?", const="", metavar="NAME", help="continue this tuning, or the last one")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("local", settings_but=LOCAL)
    parser.exclude("resume", settings_but=("region", "profile", "prefix", "mlflow_uri"))  # the tuning has its own
    settings = parser.parse_args()
    tracking.check(settings)
    tuning = tune_here(settings) if settings.local else tune_on_aws(settings)
    from local.page import write_page

    tables.terminal().print(tables.of_tuning(tuning))  # before what may fail
    tuning.save()
    page = tuning.file(tuning.name).with_suffix(".html")
    write_page(tuning, page)
    if tuning.best is None:
        raise UserError(f"no training job of {tuning.name} reported {tuning.objective}; see {page}")
    places.note(**{"local_job" if settings.local else "job": tuning.best.name})
    print(f"best: {tuning.best.name} with {tuning.objective}={tuning.best.value:.4f}")
    print(tuning.remark, end="\n" * bool(tuning.remark))
    print(" ".join(f"{name}={tuning.best.hyperparameters[name]}" for name in tuning.tuned))
    print(f"page: {page}")
    where = " --local" if settings.local else ""
    train = f"launch/train.py{where}{same_images(settings, tuning)}"
    print(f"next: launch/deploy.py{where} deploys it; {train} trains with its hyperparameters")
    tracking.send_tuning(settings, tuning)


def same_images(settings: Namespace, tuning: Tuning) -> str:
    """Return the option that gives train.py the images of the tuning; "" if it takes them by default."""
    if settings.local:
        data = str(tuning.settings["data"])
        is_default = Path(data).parent == pictures.digits_folder()
    else:
        data = settings.data
        is_default = not data.startswith("s3:")  # of a folder it takes the copy that was uploaded last
    return "" if is_default else f" --data {shlex.quote(data)}"


def tune_here(settings: Namespace) -> Tuning:
    places.need("optuna", pictures.INSTALL)
    from local.tuning import begin_tuning, tune

    name = begin_tuning(settings) if settings.resume is None else settings.resume or places.latest("local_tuning")
    if settings.resume is None:
        pictures.check_here(Path(settings.data))
    stopped = f"stopped; to continue: {console.again(f'--local --resume {name}')}"
    with console.if_interrupted(stopped), closing(tune(name)) as updates:
        return tables.watch(updates)


def tune_on_aws(settings: Namespace) -> Tuning:
    aws = Aws(settings)
    name = start_tuning(settings, aws) if settings.resume is None else settings.resume or places.latest("tuning")
    print(aws.link(f"hyper-tuning-jobs/{name}"))
    again, end = console.again(f"--resume {name}"), f"python {Path(__file__).with_name('cleanup.py')}"
    with console.if_interrupted(f"{name} keeps running without this script; {again} watches it again, {end} stops it"):
        tuning = tables.watch(follow_tuning(aws, name))
        read_metrics(aws, tuning)
    return tuning


if __name__ == "__main__":
    console.run(main)
