"""Deploy the last trained model, to SageMaker or with --local to a server on this computer, and send it a picture.

An existing endpoint is updated in place, without interruption.
"""

if __name__ == "__main__":
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from argparse import Namespace
from pathlib import Path

from classifier.errors import UserError
from classifier.images import SUFFIXES
from launch import console, cost, endpoints, hosting, multimodel, rollout, watching
from launch.aws import Aws
from launch.predict import ask_endpoint, show_answers
from launch.settings import LOCAL, make_parser, path
from local import many, pictures, places, sending, server
from local.accepted import Text, parse_values

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
CAPTURED = "capture_percent"
# As the server takes it.
MODEL = Text("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "up to 100 letters, digits and . _ -, of which the first is no sign")
ASYNCHRONOUS = "an endpoint that takes pictures from S3, and has no instance while none waits"


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "hosting")
    parser.add_argument("--job", metavar="NAME", help="the training job to deploy (default: the last one)")
    parser.add_argument("--approved", action="store_true", help="deploy the registry's newest approved model")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint's name (default: prefix)")
    parser.add_argument("--picture", metavar="FILE", type=path, help="the picture to send (default: a training image)")
    parser.add_argument("--serverless", action="store_true", help="an endpoint that costs nothing while idle")
    parser.add_argument("--async", "--asynchronous", dest="asynchronous", action="store_true", help=ASYNCHRONOUS)
    parser.add_argument("--multi-model", action="store_true", help="add the model to an endpoint of many models")
    parser.add_argument("--model", metavar="NAME", help="the model's name there (default: the job's)")
    parser.add_argument("--local", action="store_true", help="serve on this computer; with --image in a container")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("approved", "job")
    parser.exclude("local", "serverless", "asynchronous", "approved", "endpoint", settings_but=LOCAL)
    parser.exclude("asynchronous", *WATCHED, CAPTURED)
    parser.exclude("multi_model", "serverless", "asynchronous", "approved", *WATCHED, CAPTURED)
    parser.exclude("serverless", "asynchronous", *OF_INSTANCES, *WATCHED, CAPTURED, "subnets", "security_groups")
    settings = parser.parse_args()
    check_model(settings)
    picture = pictures.find_pictures(settings.picture)[0] if settings.picture else None
    deploy_here(settings, picture) if settings.local else deploy_on_aws(settings, picture)


def check_model(settings: Namespace) -> None:
    """Raise UserError for the name of a model that is not one, or has no effect."""
    if settings.model is not None and not settings.multi_model:
        raise UserError("--model has no effect without --multi-model")
    if settings.model is not None:
        parse_values({"model": settings.model}, {"model": MODEL})


def deploy_here(settings: Namespace, picture: Path | None) -> None:
    job = settings.job or places.latest("local_job")
    root = server.folder_of(job)
    picture = picture or pictures.find_pictures(root / "input/data/train")[0]
    model = (settings.model or job.replace("/", "-")) if settings.multi_model else ""
    url = many.add(root / "model", model, settings.image) if model else server.start(root, settings.image)
    send = sending.sender(url, many.invoke_path(model))
    show_answers([sending.classify("/".join(picture.parts[-2:]), picture.read_bytes(), send)])
    print(f"{model or job} answers at {url}; its log: {(many.home() if model else root) / 'serve.log'}")
    print(f"next: launch/predict.py --local {named(model)}FILE, and at the end launch/cleanup.py --local")


def deploy_on_aws(settings: Namespace, picture: Path | None) -> None:
    aws, kind = Aws(settings), hosting.kind(settings)
    source, trained = rollout.what_to_deploy(settings, aws)
    job, endpoint = trained["TrainingJobName"], settings.endpoint or settings.prefix
    watching.check(settings)
    model = (settings.model or job) if settings.multi_model else ""
    hosting.model(settings, aws, endpoint, source, kind)  # raises UserError for what AWS would refuse
    about = endpoints.if_free(aws, endpoint, lambda question: console.ask(question, settings.yes))
    if about:
        endpoints.check_kind(aws, about, kind)
    sent = (str(picture), picture.read_bytes()) if picture else read_training_picture(aws, trained)
    if about and model:
        multimodel.add(aws, about, endpoint, model, source)
        print(f"{endpoint} is there already, and its instances stay as they are")
    else:
        rollout.ask_to_start(settings, aws, f"{endpoint} for {job}", kind)
        source = multimodel.add(aws, about, endpoint, model, source) if model else source
        watch = watching.watch_for(aws, endpoint, lambda: fault_of(aws, endpoint, sent))
        cost.first_with_capacity(settings, lambda: rollout.start(settings, aws, endpoint, source, watch))
    places.note(endpoint=endpoint)
    if sent:
        show_answers(ask_endpoint(aws, endpoint, [sent], model))
    print(f"{endpoint} is in service; next: launch/predict.py {named(model)}FILE, and at the end launch/cleanup.py")


def named(model: str) -> str:
    """Return the option that names the model to predict.py; "" if there is but one."""
    return f"--model {model} " if model else ""


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
