"""Train once, on SageMaker or with --local on this computer, and fetch the report.

Hyperparameters are the best ones of the last tuning, if there is one; --hyperparameters adds to these or replaces
them.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from argparse import Namespace

from classifier.errors import UserError
from launch import console, tracking, training
from launch.aws import Aws
from launch.settings import LOCAL, make_parser
from local import models, places, programs
from local.search import as_texts
from local.trials import Tuning


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "training")
    parser.add_argument("--tuning", metavar="NAME", help="use this tuning's best hyperparameters, or none")
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="NAME", help="follow or continue this job, or the last one"
    )
    parser.add_argument("--local", action="store_true", help="train on this computer; with --image in a container")
    parser.add_argument("--debugger", action="store_true", help="use SageMaker Debugger, for accounts that have it")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("local", "debugger", settings_but=LOCAL)
    parser.exclude("resume", "tuning", "hyperparameters", "data", "checkpoints", "input_mode")  # the job has its own
    settings = parser.parse_args()
    name = train_here(settings) if settings.local else train_on_aws(settings)
    report = places.RUNS / name / "output/data/report.html"
    print(f"{name} is trained; next: launch/deploy.py{' --local' if settings.local else ''}\nreport: {report}")


def best_of_tuning(given: str | None, kind: str) -> dict[str, str]:
    """Return the best hyperparameters of the tuning that --tuning has `given`, or else of the last one of this `kind`.

    They are {} if there is none, or if the last one has none yet, which is said. Raises UserError if the tuning's file
    is missing or damaged, or if the one that was given has none yet.
    """
    name = given or places.noted().get(kind)
    if not name or name == "none":
        return {}
    try:
        tuning = Tuning.load(name)
    except UserError as error:
        raise UserError(f"{error}; --tuning none trains without one") from error
    if tuning.best is None:
        fault = f"no trial of {name} has finished with a value of {tuning.objective}"
        if given:
            raise UserError(f"{fault}; accepted: a tuning with one that has, or --tuning none")
        print(f"with no tuning's hyperparameters: {fault}; --tuning NAME takes those of another one")
        return {}
    images = tuning.settings.get("data")  # of a tuning on this computer
    print(f"with the best hyperparameters of {name}{f', which tuned on {images}' if images else ''}")
    return tuning.best.hyperparameters


def train_here(settings: Namespace) -> str:
    tracking.check(settings)
    if settings.resume is None:
        best = best_of_tuning(settings.tuning, "local_tuning")
        hyperparameters = best | settings.hyperparameters
        name = models.begin_job(settings.prefix, settings.data, hyperparameters, settings.image)
    else:
        name = models.begun_job(settings.resume or places.latest("local_job"))
    texts = programs.hyperparameters_of(name)
    with console.if_interrupted(f"stopped; to continue: {console.again(f'--local --resume {name}')}"):
        models.run_job(name, settings.image)
    tracking.send_job(settings, name, texts)
    return name


def train_on_aws(settings: Namespace) -> str:
    aws = Aws(settings)
    if settings.resume is None:
        best = best_of_tuning(settings.tuning, "tuning")
        return training.train_anew(settings, aws, as_texts(best | settings.hyperparameters))
    return training.resume(settings, aws, settings.resume or places.latest("job"))


if __name__ == "__main__":
    console.run(main)
