"""Tell what of ours runs or exists in AWS, since when, and what it costs an hour; and what runs on this computer."""

from datetime import UTC, datetime

import aws
import local_endpoint
import ours
import places
from console import run, show, table
from settings import parser


def main() -> None:
    arguments = parser(__doc__, "aws", "cost")
    arguments.add_argument("--local", action="store_true", help="only what runs on this computer")
    settings = arguments.parse_args()
    tell_local()
    if not settings.local:
        tell_aws(settings)


def tell_local() -> None:
    if local_endpoint.running():
        print(f"on this computer: a server at {places.latest('local_url', 'gone')}")
    else:
        print("on this computer: nothing runs")


def tell_aws(settings) -> None:
    session = aws.connect(settings)
    client = session.client("sagemaker")
    rows, links = [], []
    for found in ours.find(client, settings):
        instance_type, count = found.instances(client)
        price = settings.prices.get(instance_type)
        money = f"{price * count:.2f} {settings.currency}" if price else "price not set" if count else ""
        hours = (datetime.now(UTC) - found.since).total_seconds() / 3600
        used = f"{count} x {instance_type}" if count else ""
        rows.append((found.kind.words, found.name, found.status, f"{hours:.1f} h ago", used, money))
        links.append(aws.console_link(session, f"{found.kind.page}/{found.name}"))
    if not rows:
        print(f"in AWS, {session.region_name}: nothing of ours runs or exists")
        return
    show(table(("what", "name", "status", "since", "instances", "an hour"), rows))
    print("\n".join(links))


if __name__ == "__main__":
    run(main)
