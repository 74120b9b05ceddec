"""Deploy the last trained model, to SageMaker or with --local to a server on this computer, and send it a picture.

An endpoint that is there already gets the model in place, without an interruption.
"""

from argparse import Namespace
from pathlib import Path

import aws
import hosting
import jobs
import local_endpoint
import places
from asking import as_table, classify, to_endpoint, to_url
from classifier.images import SUFFIXES
from console import ask, cost, run, show
from settings import parser

DAY = 24


def main() -> None:
    arguments = parser(__doc__, "aws", "cost", "hosting")
    arguments.add_argument("--job", metavar="NAME", help="the training job (default: the last one)")
    arguments.add_argument("--endpoint", metavar="NAME", help="the endpoint's name (default: prefix)")
    arguments.add_argument("--picture", metavar="FILE", type=Path, help="what to send (default: a training picture)")
    arguments.add_argument("--serverless", action="store_true", help="an endpoint that costs nothing while idle")
    arguments.add_argument("--local", action="store_true", help="on this computer; --image then runs that image")
    arguments.add_argument("--yes", action="store_true", help="start without a question")
    settings = arguments.parse_args()
    if settings.picture and not settings.picture.is_file():
        raise places.UserError(f"there is no file {settings.picture}")
    deploy_here(settings) if settings.local else deploy_on_aws(settings)


def deploy_here(settings: Namespace) -> None:
    job = settings.job or places.latest("local_job", "no model was trained here: run launch/train.py --local")
    url = local_endpoint.start(job, settings.image)
    data = (places.RUNS / job / "input/data/train").rglob("*")
    picture = settings.picture or next(path for path in data if path.suffix.lower() in SUFFIXES)
    show(as_table([classify(str(picture), picture.read_bytes(), to_url(url))]))
    print(f"{job} answers at {url}; next: launch/predict.py --local FILE, and at last launch/cleanup.py --local")


def deploy_on_aws(settings: Namespace) -> None:
    place = jobs.find_place(settings)
    client = place.session.client("sagemaker")
    job = settings.job or places.latest("job", "no model was trained: run launch/tune.py or launch/train.py")
    trained = client.describe_training_job(TrainingJobName=job)
    endpoint, name = settings.endpoint or settings.prefix, places.new_name(settings.prefix)
    confirm(settings, endpoint, job)
    client.create_model(**hosting.model(settings, place, name, trained["ModelArtifacts"]["S3ModelArtifacts"]))
    client.create_endpoint_config(**hosting.endpoint_config(settings, name, settings.serverless))
    live = client.list_endpoints(NameContains=endpoint)["Endpoints"]
    if endpoint in (one["EndpointName"] for one in live):
        client.update_endpoint(EndpointName=endpoint, EndpointConfigName=name)
    else:
        client.create_endpoint(EndpointName=endpoint, EndpointConfigName=name, Tags=aws.tags(settings))
    places.note(endpoint=endpoint)
    print(f"starting, which takes some minutes: {aws.console_link(place.session, f'endpoints/{endpoint}')}", flush=True)
    client.get_waiter("endpoint_in_service").wait(EndpointName=endpoint)
    if settings.max_instances > settings.instance_count and not settings.serverless:
        scaling = place.session.client("application-autoscaling")
        scaling.register_scalable_target(**hosting.scaling_target(settings, endpoint))
        scaling.put_scaling_policy(**hosting.scaling_policy(settings, endpoint))
    picture, data = a_picture(place.session, trained, settings.picture)
    show(as_table([classify(picture, data, to_endpoint(place.session, endpoint))]))
    print(f"{endpoint} is in service; next: launch/predict.py FILE, and at last launch/cleanup.py")


def confirm(settings: Namespace, endpoint: str, job: str) -> None:
    if settings.serverless:
        bound = "A serverless endpoint costs by request."
    else:
        most = max(settings.instance_count, settings.max_instances)
        print(f"endpoint {endpoint} for {job}: {settings.instance_count} to {most} instances until cleanup.py")
        bound = f"A day of it takes up to {cost(settings, settings.instance_type, DAY * most)}."
    ask(f"{bound} Start {endpoint}?", settings.yes)


def a_picture(session, trained: dict, file: Path | None) -> tuple[str, bytes]:
    """Name and bytes of `file`, or of an image that the job was trained on."""
    if file:
        return str(file), file.read_bytes()
    uri = trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    key = next(item["Key"] for item in aws.objects(session, uri) if item["Key"].lower().endswith(SUFFIXES))
    bucket, _ = aws.split_uri(uri)
    return key, session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


if __name__ == "__main__":
    run(main)
