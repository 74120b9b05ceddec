"""What work costs at most, in hours and in money, and the question before it starts.

A price is that of the settings, or else AWS's own, by its price list. Spot instances cost less than it says.
"""

import json
import re
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

from classifier.errors import UserError
from classifier.words import plural
from launch import console, instances
from launch.advice import NO_QUOTA, NoCapacity, code_of, sentence_for
from launch.aws import Aws

Result = TypeVar("Result")
MONTH = 730  # hours
# The price list has its own few endpoints, by partition.
PRICE_LISTS = {"aws": "us-east-1", "aws-cn": "cn-northwest-1"}


def instance_types(settings: Namespace) -> list[str]:
    """Return the instance types in the order in which they are tried."""
    return list(dict.fromkeys([settings.instance_type, *settings.more_instance_types]))


def first_with_capacity(settings: Namespace, start: Callable[[], Result]) -> Result:
    """Return start() with the first of the instance types that AWS has free, and the account a quota for.

    start() finds it as the settings' instance_type. Raises what it raises with the last one.
    """
    types = instance_types(settings)
    for settings.instance_type, another in zip(types, [*types[1:], ""], strict=True):
        try:
            return start()
        except Exception as error:
            if not another or not (isinstance(error, NoCapacity) or code_of(error) == NO_QUOTA):
                raise
            print(f"{error if isinstance(error, NoCapacity) else sentence_for(error)}\nnext: {another}", flush=True)
    raise AssertionError("there is an instance type")


def ask_to_spend(aws: Aws, what: str, hours: float, use: str, types: list[str]) -> None:
    """Ask before starting `what`, which takes up to so many instance hours of the first of `types` that AWS has.

    Raises UserError if the answer is not yes, or if the budget does not cover it.
    """
    settings, limits = aws.settings, []
    for instance_type in types:
        price = price_of(aws, instance_type, use)
        check_budget(settings, instance_type, price and hours * price)
        money = " (set prices to see the cost)" if price is None else f", {hours * price:,.2f} {settings.currency}"
        limits.append(f"{plural(hours, 'instance hour')} of {instance_type}{money}")
    for instance_type in types:
        if remark := instances.remark(settings, instance_type):
            print(remark)
    console.ask(f"{what}: up to {', or if AWS has none free '.join(limits)}. Start?", settings.yes)


def check_budget(settings: Namespace, instance_type: str, money: float | None) -> None:
    """Raise UserError if the budget, if there is one, does not cover `money`; None is not known."""
    if not settings.budget:
        return
    if money is None:
        refuse_budget(settings, f"the price of {instance_type} is not known; accepted: prices with it")
    elif money > settings.budget:
        limit = f"{settings.budget:,.2f} {settings.currency}"
        raise UserError(f"{instance_type} would cost up to {money:,.2f}; accepted: up to {limit}, the budget")


def refuse_budget(settings: Namespace, why: str) -> None:
    """Raise UserError if there is a budget, which nobody can say is kept."""
    if settings.budget:
        raise UserError(f"there is a budget of {settings.budget:,.2f} {settings.currency}, and {why}")


def price_of(aws: Aws, instance_type: str, use: str) -> float | None:
    """Return the price of an hour, or None if it is not known.

    `use` is Train, Host, AsyncInf or Tsform, as AWS's bills have it.
    """
    if instance_type in aws.settings.prices:
        return aws.settings.prices[instance_type]
    return prices_by_use(aws, instance_type).get((use, aws.settings.currency))


@cache
def prices_by_use(aws: Aws, instance_type: str) -> dict[tuple[str, str], float]:
    """Return AWS's prices of an hour by use and currency; {} if AWS does not tell them."""
    region = str(aws.session.region_name)
    partition = aws.session.get_partition_for_region(region)
    if partition not in PRICE_LISTS:
        return {}
    from botocore.config import Config

    patience = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    client = aws.session.client("pricing", region_name=PRICE_LISTS[partition], config=patience)
    found: dict[tuple[str, str], float] = {}
    with suppress(*aws.errors):  # prices are only there to be shown
        pages = client.get_paginator("get_products").paginate(**price_request(region, instance_type))
        for text in pages.search("PriceList[]"):
            found |= prices_in(json.loads(text))
    return found


def price_request(region: str, instance_type: str) -> dict[str, Any]:
    """Return GetProducts' parameters for the prices of an instance type."""
    wanted = {"regionCode": region, "instanceName": instance_type}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    return {"ServiceCode": "AmazonSageMaker", "Filters": filters}


def prices_in(product: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Return the prices of an hour, by use and currency, in a product of the price list."""
    # Such as EUC1-Train:ml.m5.xlarge; in us-east-1 without the region.
    use = re.fullmatch(r"(?:\w+-)?(\w+):ml\..*", product["product"]["attributes"].get("usagetype", ""))
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [one for term in terms for one in term["priceDimensions"].values()]
    prices = [each for one in dimensions for each in one["pricePerUnit"].items()]
    return {(use[1], currency): float(price) for currency, price in prices if use and float(price) > 0}
