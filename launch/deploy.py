"""Deploy the last trained model, to SageMaker or with --local to a server on this computer, and compare its answers.

A sample of the job's test images is sent; if the answers are not training's, this ends with code 1.

An existing endpoint is updated in place, without interruption.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from argparse import Namespace
from functools import partial
from pathlib import Path

from launch import console, cost, endpoints, hosting, multimodel, proof, rollout, scaling, watching
from launch.asking import ask_endpoint
from launch.aws import Aws
from launch.here import deploy_here
from launch.settings import LOCAL, make_parser, path
from local import pictures, places, proving
from local.accepted import parse_values

WATCHED = ("shift", "watch_minutes", "max_latency_ms")
CAPTURED = "capture_percent"
ASYNCHRONOUS = "an endpoint that takes pictures from S3, and has no instance while none waits"


def main() -> int:
    parser = make_parser(__doc__, "aws", "cost", "hosting")
    parser.add_argument("--job", metavar="NAME", help="the training job to deploy (default: the last one)")
    parser.add_argument("--approved", action="store_true", help="deploy the registry's newest approved model")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint's name (default: prefix)")
    parser.add_argument("--picture", metavar="FILE", type=path, help="the picture to send (default: a training image)")
    parser.add_argument("--serverless", action="store_true", help=f"free while idle; {hosting.SERVERLESS_LIMITS}")
    parser.add_argument("--async", "--asynchronous", dest="asynchronous", action="store_true", help=ASYNCHRONOUS)
    parser.add_argument("--multi-model", action="store_true", help="add the model to an endpoint of many models")
    parser.add_argument("--model", metavar="NAME", help="the model's name there (default: the job's)")
    parser.add_argument("--local", action="store_true", help="serve on this computer; with --image in a container")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("approved", "job", "image")  # a package names its own
    parser.exclude("local", "serverless", "asynchronous", "approved", "endpoint", settings_but=LOCAL)
    parser.exclude("asynchronous", *WATCHED, CAPTURED)
    parser.exclude("multi_model", "serverless", "asynchronous", "approved", *WATCHED, CAPTURED)
    parser.exclude(
        "serverless", "asynchronous", *hosting.INSTANCE_SETTINGS, *WATCHED, CAPTURED, "subnets", "security_groups"
    )
    settings = parser.parse_args()
    multimodel.check_name(settings)
    parse_values({"endpoint": settings.endpoint or settings.prefix}, {"endpoint": places.ENDPOINT})
    picture = pictures.find_pictures(settings.picture)[0] if settings.picture else None
    if settings.local:
        return deploy_here(settings, picture)
    deploy_on_aws(settings, picture)
    return 0


def deploy_on_aws(settings: Namespace, picture: Path | None) -> None:
    aws, kind = Aws(settings), hosting.kind(settings)
    if picture:
        hosting.check_picture(kind, str(picture), picture.stat().st_size)
    source, trained = rollout.what_to_deploy(settings, aws)
    job, endpoint = trained["TrainingJobName"], settings.endpoint or settings.prefix
    watching.check(settings)
    scaling.check(settings)
    model = (settings.model or job) if settings.multi_model else ""
    hosting.model(settings, aws, endpoint, source, kind)  # raises UserError for what AWS would refuse
    about = endpoints.if_free(aws, endpoint, lambda question: console.ask(question, settings.yes))
    if about:
        endpoints.check_kind(aws, about, kind)
    taken = proof.fetch_sample(aws, job)
    sent = (str(picture), picture.read_bytes()) if picture else proof.training_picture(aws, trained)
    if about and model:
        multimodel.add(aws, about, endpoint, model, source)
        places.note(endpoint=endpoint)
        print(f"{endpoint} is there already, and its instances stay as they are")
    else:
        rollout.ask_to_start(settings, aws, f"{endpoint} for {job}", kind, about)
        source = multimodel.add(aws, about, endpoint, model, source) if model else source
        ask = partial(ask_endpoint, aws, endpoint, attributes=proving.ATTRIBUTES)
        watch = watching.watch_for(aws, endpoint, proof.Meanwhile(ask, taken, sent).fault)
        cost.first_with_capacity(settings, lambda: rollout.start(settings, aws, endpoint, source, watch))
    with console.if_interrupted(f"{endpoint} is in service; launch/cleanup.py deletes it"):
        proof.show_answers(partial(ask_endpoint, aws, endpoint, model=model), endpoint, sent, taken, job)
    print(
        f"{endpoint} is in service; next: launch/predict.py {multimodel.option(model)}FILE, "
        "and at the end launch/cleanup.py"
    )


if __name__ == "__main__":
    console.run(main)
