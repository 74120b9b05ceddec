"""End what these scripts started in AWS, or with --local on this computer: list it first, and delete after a yes.

Running jobs are stopped; endpoints go with their configurations, models and scaling targets. Data, outputs, models
in S3 and images in ECR stay, unless --outputs, --data or --images asks for them.
"""

import re
from argparse import Namespace

from classifier.errors import UserError
from launch import console, hosting, status
from launch.aws import Aws
from launch.settings import parser
from local import places, server

MADE_BY_PUSH = {"Key": "created-by", "Value": "build_and_push.sh"}
OUTPUTS = ("output", "checkpoints", "debugger", "transform")


def main() -> None:
    arguments = parser(__doc__, "aws", "cost")
    arguments.add_argument("--outputs", action="store_true", help="also what jobs wrote to S3, the models among it")
    arguments.add_argument("--data", action="store_true", help="also the images that upload.py sent")
    arguments.add_argument("--images", action="store_true", help="also the ECR repository that build_and_push.sh made")
    arguments.add_argument("--local", action="store_true", help="only the server that deploy.py --local started")
    arguments.add_argument("--yes", action="store_true", help="delete without a question")
    settings = arguments.parse_args()
    print("the server on this computer is stopped" if server.stop() else "on this computer: nothing ran")
    if not settings.local:
        clean_aws(settings)


def clean_aws(settings: Namespace) -> None:
    aws = Aws(settings)
    found = list(status.find(aws))
    folders = (OUTPUTS if settings.outputs else ()) + (("data",) if settings.data else ())
    stored = {uri: aws.below(uri) for uri in (f"{aws.home}/{folder}/" for folder in folders)}
    stored = {uri: objects for uri, objects in stored.items() if list(objects.limit(1))}
    repository = our_repository(aws) if settings.images else ""
    status.tell(aws, found)
    for uri in stored:
        print(f"all objects below {uri}")
    if repository:
        print(f"the ECR repository {repository} with all its images")
    if not found and not stored and not repository:
        return
    console.ask("End or delete all of these?", settings.yes)
    for one in found:
        if one.kind.endswith("Job"):
            stop(aws, one.kind, one.name)
        elif one.kind == "Endpoint":
            delete_endpoint(aws, one.name)
        else:
            aws.call("Delete", one.kind, one.name)
    for objects in stored.values():
        objects.delete()
    if repository:
        aws.session.client("ecr").delete_repository(repositoryName=repository, force=True)
    places.note(endpoint="", **({"job": "", "tuning": ""} if settings.outputs else {}))
    print("done; launch/status.py tells what is left")


def our_repository(aws: Aws) -> str:
    """The name of the image's ECR repository. Raises UserError for one that build_and_push.sh has not made."""
    name = re.split("[:@]", aws.image.partition("/")[2])[0]
    ecr = aws.session.client("ecr")
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    if MADE_BY_PUSH not in ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]:
        raise UserError(f"the ECR repository {name} is not tagged as made by build_and_push.sh: it stays")
    return name


def stop(aws: Aws, kind: str, name: str) -> None:
    """Stop a job. One that ended meanwhile, as a tuning's do when that is stopped, refuses, and may."""
    try:
        aws.call("Stop", kind, name)
    except aws.sagemaker.exceptions.ClientError:
        if aws.call("Describe", kind, name)[f"{kind}Status"] == "InProgress":
            raise


def delete_endpoint(aws: Aws, endpoint: str) -> None:
    """Delete it with its scaling target, if it has one, and wait until it is gone."""
    scaling, scaled = aws.session.client("application-autoscaling"), hosting.scaled(endpoint)
    named = {"ServiceNamespace": scaled["ServiceNamespace"], "ResourceIds": [scaled["ResourceId"]]}
    if scaling.describe_scalable_targets(**named)["ScalableTargets"]:
        scaling.deregister_scalable_target(**scaled)
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
    aws.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=endpoint)


if __name__ == "__main__":
    console.run(main)
