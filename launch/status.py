"""Tell what of ours runs or exists in AWS, since when, and what it costs an hour; and what runs on this computer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from launch import console
from launch.aws import Aws, tags
from launch.settings import parser
from local import places, server, tables

# Each kind's page of the console, in the order in which they are ended: nothing left refers to what is gone.
PAGES = {
    "HyperParameterTuningJob": "hyper-tuning-jobs",
    "TrainingJob": "jobs",
    "TransformJob": "transform-jobs",
    "Endpoint": "endpoints",
    "EndpointConfig": "endpointConfig",
    "Model": "models",
}


def main() -> None:
    arguments = parser(__doc__, "aws", "cost")
    arguments.add_argument("--local", action="store_true", help="only what runs on this computer")
    settings = arguments.parse_args()
    here = f"a server at {places.latest('local_url')}" if server.running() else "nothing runs"
    print(f"on this computer: {here}")
    if not settings.local:
        aws = Aws(settings)
        tell(aws, list(find(aws)))


@dataclass(frozen=True)
class Resource:
    """What these scripts made in AWS."""

    kind: str
    name: str
    status: str
    since: datetime

    def instances(self, aws: Aws) -> tuple[str, int]:
        """Type and number of the instances it occupies now; ("", 0) where it occupies none of its own."""
        about = aws.call("Describe", self.kind, self.name)
        used = about.get("ResourceConfig") or about.get("TransformResources") or {}
        if self.kind == "Endpoint":
            config = aws.call("Describe", "EndpointConfig", about["EndpointConfigName"])
            used = config["ProductionVariants"][0] | about.get("ProductionVariants", [{}])[0]
        counts = (used.get(f"{which}InstanceCount") for which in ("", "Current", "Initial"))
        return used.get("InstanceType", ""), next(filter(None, counts), 0)


def find(aws: Aws) -> Iterator[Resource]:
    """What has our tag: all that exists, and of jobs what runs, in the order in which it would be ended."""
    from botocore import xform_name

    for kind in PAGES:
        pages, is_job = aws.sagemaker.get_paginator(xform_name(f"List{kind}s")), kind.endswith("Job")
        listed = pages.paginate(StatusEquals="InProgress") if is_job else pages.paginate()
        for item in listed.search(f"{kind}Summaries[]" if is_job else f"{kind}s[]"):
            if tags(aws.settings)[0] in aws.sagemaker.list_tags(ResourceArn=item[f"{kind}Arn"])["Tags"]:
                yield Resource(kind, item[f"{kind}Name"], item.get(f"{kind}Status", "exists"), item["CreationTime"])


def tell(aws: Aws, found: list[Resource]) -> None:
    """A table of what there is, since when, and what it costs an hour, and links to the console."""
    rows, settings = [], aws.settings
    for one in found:
        instance_type, count = one.instances(aws)
        price = settings.prices.get(instance_type)
        money = f"{price * count:.2f} {settings.currency}" if price else "price not set" if count else ""
        hours = (datetime.now(UTC) - one.since).total_seconds() / 3600
        used = f"{count} x {instance_type}" if count else ""
        rows.append((one.kind, one.name, one.status, f"{hours:.1f} h ago", used, money))
    print(f"in AWS, {aws.session.region_name}:{'' if found else ' nothing of ours runs or exists'}")
    if found:
        tables.terminal().print(tables.table(("what", "name", "status", "since", "instances", "an hour"), rows))
    for one in found:
        print(aws.link(f"{PAGES[one.kind]}/{one.name}"))


if __name__ == "__main__":
    console.run(main)
