"""Deploy the last trained model, to SageMaker or with --local to a server on this computer, and send it a picture.

An existing endpoint is updated in place, without interruption.
"""

from argparse import Namespace
from pathlib import Path

from classifier.images import SUFFIXES
from launch import console, cost, endpoints, following, hosting, watching
from launch.aws import Aws
from launch.making import all_or_nothing
from launch.predict import ask_endpoint, show_answers
from launch.settings import LOCAL, make_parser, path
from local import pictures, places, sending, server

OF_INSTANCES = (
    "instance_type",
    "more_instance_types",
    "instance_count",
    "max_instances",
    "requests_per_instance",
    "backlog_per_instance",
    "inference_ami",
)
WATCHED = ("shift", "watch_minutes", "max_latency_ms")
# What the hours of each kind are called on AWS's bills.
USES = {hosting.OF_INSTANCES: "Host", hosting.ASYNCHRONOUS: "AsyncInf"}
ASYNCHRONOUS = "an endpoint that takes pictures from S3, and has no instance while none waits"


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "hosting")
    parser.add_argument("--job", metavar="NAME", help="the training job to deploy (default: the last one)")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint's name (default: prefix)")
    parser.add_argument("--picture", metavar="FILE", type=path, help="the picture to send (default: a training image)")
    parser.add_argument("--serverless", action="store_true", help="an endpoint that costs nothing while idle")
    parser.add_argument("--async", "--asynchronous", dest="asynchronous", action="store_true", help=ASYNCHRONOUS)
    parser.add_argument("--local", action="store_true", help="serve on this computer; with --image in a container")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("local", "serverless", "asynchronous", "endpoint", settings_but=LOCAL)
    parser.exclude("asynchronous", *WATCHED)
    parser.exclude("serverless", "asynchronous", *OF_INSTANCES, *WATCHED, "subnets", "security_groups")
    settings = parser.parse_args()
    picture = pictures.find_pictures(settings.picture)[0] if settings.picture else None
    deploy_here(settings, picture) if settings.local else deploy_on_aws(settings, picture)


def deploy_here(settings: Namespace, picture: Path | None) -> None:
    job = settings.job or places.latest("local_job")
    root = server.folder_of(job)
    picture = picture or pictures.find_pictures(root / "input/data/train")[0]
    url = server.start(root, settings.image)
    show_answers([sending.classify("/".join(picture.parts[-2:]), picture.read_bytes(), sending.sender(url))])
    print(f"{job} answers at {url}; its log: {root / 'serve.log'}")
    print("next: launch/predict.py --local FILE, and at the end launch/cleanup.py --local")


def deploy_on_aws(settings: Namespace, picture: Path | None) -> None:
    aws, kind = Aws(settings), hosting.kind(settings)
    job = settings.job or places.latest("job")
    trained, endpoint = aws.call("Describe", "TrainingJob", job), settings.endpoint or settings.prefix
    artifact = following.artifact_of(aws, trained)
    watching.check(settings)
    hosting.model(settings, aws, endpoint, artifact, kind)  # raises UserError for what AWS would refuse
    if about := endpoints.if_free(aws, endpoint, lambda question: console.ask(question, settings.yes)):
        endpoints.check_kind(about, kind)
    ask_to_start(settings, aws, f"{endpoint} for {job}", kind)
    sent = (str(picture), picture.read_bytes()) if picture else read_training_picture(aws, trained)
    watch = watching.watch_for(aws, endpoint, lambda: fault_of(aws, endpoint, sent))
    cost.first_with_capacity(settings, lambda: start(settings, aws, endpoint, artifact, watch))
    places.note(endpoint=endpoint)
    if sent:
        show_answers(ask_endpoint(aws, endpoint, [sent]))
    print(f"{endpoint} is in service; next: launch/predict.py FILE, and at the end launch/cleanup.py")


def ask_to_start(settings: Namespace, aws: Aws, what: str, kind: str) -> None:
    if kind == hosting.SERVERLESS:
        isolated = ", and has no network isolation" if settings.network_isolation else ""
        console.ask(f"A serverless endpoint is charged by request{isolated}. Start {what}?", settings.yes)
    else:
        most, use = max(settings.instance_count, settings.max_instances), USES[kind]
        least = ", none while no picture waits," if kind == hosting.ASYNCHRONOUS else ""
        question = f"endpoint {what}, up to {most} instances{least} until you run cleanup.py; per month"
        cost.ask_to_spend(aws, question, cost.MONTH * most, use, cost.instance_types(settings))


def start(settings: Namespace, aws: Aws, endpoint: str, artifact: str, watch: watching.Watch) -> None:
    """Bring the model behind the endpoint, and wait until it serves it. Raises UserError if it does not."""
    endpoints.if_free(aws, endpoint, lambda _: None)  # one that AWS has not started for want of instances is in the way
    name = places.new_name(settings.prefix)
    model = hosting.model(settings, aws, name, artifact, hosting.kind(settings))
    config = hosting.endpoint_config(settings, aws, name)
    print(f"starting, which takes a few minutes: {aws.link(f'endpoints/{endpoint}')}", flush=True)
    with (
        console.if_interrupted(f"{endpoint} keeps running without this script; launch/cleanup.py deletes it"),
        all_or_nothing(aws) as made,
    ):
        made.create("Model", model)
        endpoints.serve(aws, made, endpoint, config, watch)


def fault_of(aws: Aws, endpoint: str, sent: tuple[str, bytes] | None) -> str:
    """Send the picture, and return the fault of the endpoint's answer; "" if there is none, or no picture."""
    (answer,) = ask_endpoint(aws, endpoint, [sent]) if sent else [{}]
    return answer.get("error", "")


def read_training_picture(aws: Aws, trained: dict) -> tuple[str, bytes] | None:
    """Return name and bytes of one of the images that the job was trained on; None if they are gone."""
    objects = aws.objects_below(trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"])
    item = next((item for item in objects if item.key.lower().endswith(SUFFIXES)), None)
    return item and (item.key, item.get()["Body"].read())


if __name__ == "__main__":
    console.run(main)
