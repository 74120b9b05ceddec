"""List the AWS resources that these scripts created, with their age and hourly cost, and what runs on this computer."""

if __name__ == "__main__":
    import sys

    sys.path.insert(0, __file__.rpartition("/")[0])  # which Python's -P leaves out
    import boot  # noqa: F401 # goes on in .venv, whatever Python started this

from datetime import UTC, datetime

from launch import console, cost
from launch.aws import Aws
from launch.resources import PAGES, USES, Resource, find_resources
from launch.settings import LOCAL, make_parser
from local import server, tables


def main() -> None:
    parser = make_parser(__doc__, "aws", "cost")
    parser.add_argument("--local", action="store_true", help="list only what runs on this computer")
    parser.exclude("local", settings_but=LOCAL)
    settings = parser.parse_args()
    print(f"on this computer: {server.described() or 'nothing runs'}")
    if not settings.local:
        aws = Aws(settings)
        print_resources(aws, list(find_resources(aws)))


def print_resources(aws: Aws, found: list[Resource]) -> None:
    """Print a table of the resources with age and hourly cost, and links to the console."""
    rows, settings = [], aws.settings
    for one in found:
        instance_type, count = one.instances(aws)
        price = cost.price_of(aws, instance_type, USES[one.kind]) if count else None
        money = "" if not count else "price not set" if price is None else f"{price * count:.2f} {settings.currency}"
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
