"""Deploy the last trained model, to SageMaker or with --local to a server on this computer, and send it a picture.

An existing endpoint is updated in place, without interruption.
"""

from argparse import Namespace
from pathlib import Path

from classifier.images import SUFFIXES
from launch import console, hosting
from launch.aws import Aws, tags
from launch.predict import endpoint_sender, show_answers
from launch.settings import LOCAL, make_parser, path
from local import pictures, places, sending, server

DAY = 24
OF_INSTANCES = ("instance_type", "instance_count", "max_instances", "requests_per_instance", "inference_ami")


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost", "hosting")
    parser.add_argument("--job", metavar="NAME", help="the training job to deploy (default: the last one)")
    parser.add_argument("--endpoint", metavar="NAME", help="the endpoint's name (default: prefix)")
    parser.add_argument("--picture", metavar="FILE", type=path, help="the picture to send (default: a training image)")
    parser.add_argument("--serverless", action="store_true", help="an endpoint that costs nothing while idle")
    parser.add_argument("--local", action="store_true", help="serve on this computer; with --image in a container")
    parser.add_argument("--yes", action="store_true", help="do not ask before starting")
    parser.exclude("local", "serverless", "endpoint", settings_but=LOCAL)
    parser.exclude("serverless", *OF_INSTANCES)
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
    aws = Aws(settings)
    job = settings.job or places.latest("job")
    trained = aws.call("Describe", "TrainingJob", job)
    endpoint, name = settings.endpoint or settings.prefix, places.new_name(settings.prefix)
    model = hosting.model(settings, aws, name, trained["ModelArtifacts"]["S3ModelArtifacts"])
    if settings.serverless:
        console.ask(f"A serverless endpoint is charged by request. Start {endpoint} for {job}?", settings.yes)
    else:
        most = max(settings.instance_count, settings.max_instances)
        what = f"endpoint {endpoint} for {job}, up to {most} instances until you run cleanup.py; per day"
        console.ask_to_spend(settings, what, DAY * most)
    aws.sagemaker.create_model(**model)
    aws.sagemaker.create_endpoint_config(**hosting.endpoint_config(settings, name))
    live = aws.sagemaker.list_endpoints(NameContains=endpoint, MaxResults=100)["Endpoints"]
    if endpoint in (one["EndpointName"] for one in live):
        aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=name)
    else:
        aws.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=name, Tags=tags(settings))
    places.note(endpoint=endpoint)
    print(f"starting, which takes a few minutes: {aws.link(f'endpoints/{endpoint}')}", flush=True)
    with console.if_interrupted(f"{endpoint} keeps running without this script; launch/cleanup.py deletes it"):
        aws.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint)
    if settings.max_instances > settings.instance_count and not settings.serverless:
        scaling = aws.session.client("application-autoscaling")
        scaling.register_scalable_target(**hosting.scaling_target(settings, endpoint))
        scaling.put_scaling_policy(**hosting.scaling_policy(settings, endpoint))
    sent = (str(picture), picture.read_bytes()) if picture else read_training_picture(aws, trained)
    show_answers([sending.classify(*sent, endpoint_sender(aws, endpoint))])
    print(f"{endpoint} is in service; next: launch/predict.py FILE, and at the end launch/cleanup.py")


def read_training_picture(aws: Aws, trained: dict) -> tuple[str, bytes]:
    """Return name and bytes of one of the images that the job was trained on."""
    objects = aws.objects_below(trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"])
    item = next(item for item in objects if item.key.lower().endswith(SUFFIXES))
    return item.key, item.get()["Body"].read()


if __name__ == "__main__":
    console.run(main)
