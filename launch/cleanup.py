"""Stop or delete what these scripts started in AWS and on this computer: list it first, then ask.

Running jobs are stopped; endpoints are deleted with their configurations, models and scaling targets. Data, outputs
and models in S3, and images in ECR, are kept unless you add --outputs, --data or --images.
"""

import re
from argparse import Namespace

from classifier.errors import UserError
from launch import console, hosting, status
from launch.aws import Aws
from launch.settings import LOCAL, make_parser
from local import places, server

MADE_BY_PUSH = {"Key": "created-by", "Value": "build_and_push.sh"}
OUTPUTS = ("output", "checkpoints", "debugger", "transform")


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost")
    parser.add_argument("--outputs", action="store_true", help="also delete the jobs' output in S3, models included")
    parser.add_argument("--data", action="store_true", help="also delete the images that upload.py uploaded")
    parser.add_argument("--images", action="store_true", help="also delete the ECR repository of build_and_push.sh")
    parser.add_argument("--local", action="store_true", help="stop only the server that deploy.py --local started")
    parser.add_argument("--yes", action="store_true", help="do not ask before deleting")
    parser.exclude("local", "outputs", "data", "images", settings_but=LOCAL)
    settings = parser.parse_args()
    print("the server on this computer is stopped" if server.stop() else "on this computer: no server is known to run")
    if not settings.local:
        clean_aws(settings)


def clean_aws(settings: Namespace) -> None:
    aws = Aws(settings)
    found = list(status.find_resources(aws))
    folders = (OUTPUTS if settings.outputs else ()) + (("data",) if settings.data else ())
    stored = {uri: aws.objects_below(uri) for uri in (f"{aws.home}/{folder}/" for folder in folders)}
    stored = {uri: objects for uri, objects in stored.items() if list(objects.limit(1))}
    repository = find_repository(aws) if settings.images else ""
    status.print_resources(aws, found)
    for uri in stored:
        print(f"all objects below {uri}")
    if repository:
        print(f"the ECR repository {repository} with all its images")
    if not found and not stored and not repository:
        return
    console.ask("Stop or delete all of these?", settings.yes)
    for one in found:
        if one.kind.endswith("Job"):
            stop_job(aws, one.kind, one.name)
        elif one.kind == "Endpoint":
            delete_endpoint(aws, one.name)
        else:
            aws.call("Delete", one.kind, one.name)
    for objects in stored.values():
        objects.delete()
    if repository:
        aws.session.client("ecr").delete_repository(repositoryName=repository, force=True)
    places.note(endpoint="", **({"job": "", "tuning": ""} if settings.outputs else {}))
    print("done; launch/status.py lists what is left")


def find_repository(aws: Aws) -> str:
    """Return the name of the image's ECR repository. Raises UserError if build_and_push.sh did not create it."""
    name = re.split("[:@]", aws.image.partition("/")[2])[0]
    ecr = aws.session.client("ecr")
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    if MADE_BY_PUSH not in ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]:
        raise UserError(f"the ECR repository {name} is not tagged as made by build_and_push.sh: it is kept")
    return name


def stop_job(aws: Aws, kind: str, name: str) -> None:
    """Stop a job. A job that has already ended rejects the call; that is fine.

    The training jobs of a tuning job end when that is stopped.
    """
    try:
        aws.call("Stop", kind, name)
    except aws.sagemaker.exceptions.ClientError:
        if aws.call("Describe", kind, name)[f"{kind}Status"] == "InProgress":
            raise


def delete_endpoint(aws: Aws, endpoint: str) -> None:
    """Delete the endpoint with its scaling target, if it has one, and wait until it is gone."""
    scaling, scaled = aws.session.client("application-autoscaling"), hosting.scalable_variant(endpoint)
    named = {"ServiceNamespace": scaled["ServiceNamespace"], "ResourceIds": [scaled["ResourceId"]]}
    if scaling.describe_scalable_targets(**named)["ScalableTargets"]:
        scaling.deregister_scalable_target(**scaled)
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
    aws.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=endpoint)


if __name__ == "__main__":
    console.run(main)
