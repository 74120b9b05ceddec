"""Stop or delete what these scripts started in AWS and on this computer: list it first, then ask.

Running jobs are stopped; endpoints are deleted with their configurations, models and scaling targets; no e-mails are
sent when a job ends. Data, outputs and models in S3, and images in ECR, are kept unless you add --outputs, --data or
--images. What AWS refuses to end is listed at the end, and the exit code is 1. With --local the server is listed and
stopped without a question: deploy.py --local starts it again.
"""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

import re
from argparse import Namespace

from classifier.errors import UserError
from launch import console, ending, notice, status
from launch.aws import Aws
from launch.resources import Resource, find_resources
from launch.settings import LOCAL, make_parser
from local import places, server

MADE_BY_PUSH = {"Key": "created-by", "Value": "build_and_push.sh"}
DATA = ("data", "captured")
MAILS = "the e-mails when a job ends"
OUTPUTS = ("output", "checkpoints", "debugger", "transform", "async", "registry", "models", "tensorboard")


def main() -> int:
    parser = make_parser(__doc__, "aws", "cost")
    parser.add_argument("--outputs", action="store_true", help="also delete the jobs' output in S3, models included")
    parser.add_argument("--data", action="store_true", help="also delete the uploaded and captured images")
    parser.add_argument("--images", action="store_true", help="also delete the ECR repository of build_and_push.sh")
    parser.add_argument("--local", action="store_true", help="stop only the server that deploy.py --local started")
    parser.add_argument("--yes", action="store_true", help="do not ask before deleting")
    parser.exclude("local", "outputs", "data", "images", settings_but=LOCAL)
    settings = parser.parse_args()
    print(f"on this computer: {server.described() or 'no server is known to run'}", flush=True)
    code = 0 if settings.local else clean_aws(settings)
    if server.stop():
        print("the server on this computer is stopped")
    return code


def clean_aws(settings: Namespace) -> int:
    """Stop and delete what is found, and return the exit code: 1 if anything is left."""
    aws = Aws(settings)
    found, stored, repositories = list(find_resources(aws)), [], []
    left: list[str] = []
    for folder in (*(OUTPUTS if settings.outputs else ()), *(DATA if settings.data else ())):
        uri = f"{aws.home}/{folder}/"
        left += ending.refusal_of(aws, uri, lambda uri=uri: stored.extend([uri] if aws.exists(uri) else []))
    if settings.images:
        left += ending.refusal_of(aws, "the image", lambda: repositories.append(find_repository(aws)))
    notices = notice.are_there(aws)
    status.print_resources(aws, found)
    for uri in stored:
        print(f"all objects below {uri}")
    for repository in repositories:
        print(f"the ECR repository {repository} with all its images")
    if notices:
        print(MAILS)
    if any((found, stored, repositories, notices, server.running())):
        console.ask("Stop or delete all of these?", settings.yes)
        with console.if_interrupted("some of these are left; repeat the command"):
            left += end_all(aws, found, stored, repositories, notices)
    elif not left:
        return 0
    if not any(line.startswith("Endpoint ") for line in left):
        places.note(endpoint="")
    if settings.outputs:
        places.note(job="", tuning="")
    for line in left:
        print(f"left: {line}")
    print(f"{len(left)} are left; repeat the command" if left else "done; launch/status.py lists what is left")
    return int(bool(left))


def end_all(aws: Aws, found: list[Resource], stored: list[str], repositories: list[str], notices: bool) -> list[str]:
    """Stop or delete what was found, and return a line for each that is left."""
    left = ending.end_resources(aws, found)
    for uri in stored:
        left += ending.delete_objects(aws, uri)
    for repository in repositories:
        left += ending.delete_repository(aws, repository)
    if notices:
        left += ending.refusal_of(aws, MAILS, lambda: notice.remove(aws))
    return left


def find_repository(aws: Aws) -> str:
    """Return the name of the image's ECR repository. Raises UserError if build_and_push.sh did not create it."""
    name = re.split("[:@]", aws.image.partition("/")[2])[0]
    ecr = aws.session.client("ecr")
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    if MADE_BY_PUSH not in ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]:
        raise UserError(f"the ECR repository {name} is not tagged as made by build_and_push.sh: it is kept")
    return name


if __name__ == "__main__":
    console.run(main)
