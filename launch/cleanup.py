"""End what these scripts started in AWS, or with --local on this computer: list it first, and delete after a yes.

Running jobs are stopped; endpoints go with their configurations, models and scaling targets. Data, outputs, models
in S3 and images in ECR stay, unless --outputs, --data or --images asks for them.
"""

from argparse import Namespace
from collections.abc import Iterator

import aws
import hosting
import local_endpoint
import ours
import places
from console import ask, run
from settings import parser


def main() -> None:
    arguments = parser(__doc__, "aws")
    arguments.add_argument("--outputs", action="store_true", help="also what jobs wrote to S3, the models among it")
    arguments.add_argument("--data", action="store_true", help="also the images that upload.py sent")
    arguments.add_argument("--images", action="store_true", help="also the ECR repository that build_and_push.sh made")
    arguments.add_argument("--local", action="store_true", help="only the server that deploy.py --local started")
    arguments.add_argument("--yes", action="store_true", help="delete without a question")
    settings = arguments.parse_args()
    stop_local()
    if not settings.local:
        clean_aws(settings)


def stop_local() -> None:
    print("the server on this computer is stopped" if local_endpoint.stop() else "on this computer: nothing ran")


def clean_aws(settings: Namespace) -> None:
    session = aws.connect(settings)
    client = session.client("sagemaker")
    found = ours.find(client, settings)
    stored = list(prefixes(session, settings))
    repository = aws.image_of(settings).split("/")[1].split(":")[0] if settings.images else ""
    for one in found:
        print(f"{one.kind.words} {one.name} ({one.status})")
    for uri, count in stored:
        print(f"{count} objects below {uri}")
    if repository:
        print(f"the ECR repository {repository} with all its images")
    if not found and not stored and not repository:
        print(f"in AWS, {session.region_name}: nothing of ours is left")
        return
    ask("End or delete all of these?", settings.yes)
    for one in found:
        if one.kind.api == "Endpoint":
            unscale(session, one.name)
        one.end(client)
        if one.kind.api == "Endpoint":
            client.get_waiter("endpoint_deleted").wait(EndpointName=one.name)
    for uri, _ in stored:
        bucket, prefix = aws.split_uri(uri)
        session.resource("s3").Bucket(bucket).objects.filter(Prefix=prefix).delete()
    if repository:
        session.client("ecr").delete_repository(repositoryName=repository, force=True)
    places.note(endpoint="", **({"job": "", "tuning": ""} if settings.outputs else {}))
    print("done; launch/status.py tells what is left")


def prefixes(session, settings: Namespace) -> Iterator[tuple[str, int]]:
    """The S3 URIs to empty, with the number of their objects."""
    home = f"s3://{aws.bucket_of(session, settings)}/{settings.prefix}"
    wanted = ("output", "checkpoints", "debugger", "transform") if settings.outputs else ()
    for name in (*wanted, *(("data",) if settings.data else ())):
        count = sum(1 for _ in aws.objects(session, f"{home}/{name}/"))
        if count:
            yield f"{home}/{name}/", count


def unscale(session, endpoint: str) -> None:
    """Deregister the endpoint's scaling target, if it has one."""
    scaling, scaled = session.client("application-autoscaling"), hosting.scaled(endpoint)
    named = {"ServiceNamespace": scaled["ServiceNamespace"], "ResourceIds": [scaled["ResourceId"]]}
    if scaling.describe_scalable_targets(**named)["ScalableTargets"]:
        scaling.deregister_scalable_target(**scaled)


if __name__ == "__main__":
    run(main)
