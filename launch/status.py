"""List the AWS resources that these scripts created, with their age and hourly cost, and what runs on this computer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from launch import console
from launch.aws import Aws, tags
from launch.settings import LOCAL, make_parser
from local import places, server, tables

# The console's page for each kind, in the order in which cleanup.py ends them: referrers before what they refer to.
PAGES = {
    "HyperParameterTuningJob": "hyper-tuning-jobs",
    "TrainingJob": "jobs",
    "TransformJob": "transform-jobs",
    "Endpoint": "endpoints",
    "EndpointConfig": "endpointConfig",
    "Model": "models",
}


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost")
    parser.add_argument("--local", action="store_true", help="list only what runs on this computer")
    parser.exclude("local", settings_but=LOCAL)
    settings = parser.parse_args()
    here = f"a server at {places.latest('local_url')}" if server.running() else "nothing runs"
    print(f"on this computer: {here}")
    if not settings.local:
        aws = Aws(settings)
        print_resources(aws, list(find_resources(aws)))


@dataclass(frozen=True)
class Resource:
    """A resource that these scripts created in AWS, or a job that they started."""

    kind: str
    name: str
    status: str
    since: datetime

    def instances(self, aws: Aws) -> tuple[str, int]:
        """Return type and number of the instances that it uses now; ("", 0) if it has none of its own."""
        about = aws.call("Describe", self.kind, self.name)
        used = about.get("ResourceConfig") or about.get("TransformResources") or {}
        if self.kind == "Endpoint":
            config = aws.call("Describe", "EndpointConfig", about["EndpointConfigName"])
            used = config["ProductionVariants"][0] | about.get("ProductionVariants", [{}])[0]
        counts = (used.get(f"{which}InstanceCount") for which in ("", "Current", "Initial"))
        return used.get("InstanceType", ""), next(filter(None, counts), 0)


def find_resources(aws: Aws) -> Iterator[Resource]:
    """Yield all resources with these scripts' tag, of jobs only those that run, in cleanup.py's order."""
    from botocore import xform_name

    for kind in PAGES:
        pages, is_job = aws.sagemaker.get_paginator(xform_name(f"List{kind}s")), kind.endswith("Job")
        listed = pages.paginate(StatusEquals="InProgress") if is_job else pages.paginate()
        for item in listed.search(f"{kind}Summaries[]" if is_job else f"{kind}s[]"):
            if tags(aws.settings)[0] in aws.sagemaker.list_tags(ResourceArn=item[f"{kind}Arn"])["Tags"]:
                yield Resource(kind, item[f"{kind}Name"], item.get(f"{kind}Status", "exists"), item["CreationTime"])


def print_resources(aws: Aws, found: list[Resource]) -> None:
    """Print a table of the resources with age and hourly cost, and links to the console."""
    rows, settings = [], aws.settings
    for one in found:
        instance_type, count = one.instances(aws)
        price = settings.prices.get(instance_type)
        money = f"{price * count:.2f} {settings.currency}" if price else "price not set" if count else ""
        hours = (datetime.now(UTC) - one.since).total_seconds() / 3600
        used = f"{count} x {instance_type}" if count else ""
        rows.append((one.kind, one.name, one.status, f"{hours:.1f} h ago", used, money))
    print(f"in AWS, {aws.session.region_name}:{'' if found else ' no running job or other resource of these scripts'}")
    if found:
        tables.terminal().print(tables.table(("kind", "name", "status", "created", "instances", "per hour"), rows))
    for one in found:
        print(aws.link(f"{PAGES[one.kind]}/{one.name}"))


if __name__ == "__main__":
    console.run(main)
