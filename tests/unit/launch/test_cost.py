"""Prices by the settings and by AWS's price list, and a budget."""

import pytest

from launch import cost
from strict_request import faults

pytest_plugins = ["aws_account"]

TRAIN = "train.py --role sm --max-minutes 60 --max-wait-minutes 60"


def test_prices_come_from_aws_and_the_settings_come_first(account):
    account.aws.prices = {"Train:ml.g4dn.xlarge": 0.8, "Host:ml.g4dn.xlarge": 0.9, "Host:ml.m5.xlarge": 0.25}
    assert "1 instance hour of ml.g4dn.xlarge, 0.80 USD" in account.refuses(TRAIN)
    assert "1 instance hour of ml.g4dn.xlarge, 2.00 USD" in account.refuses(f"{TRAIN} --prices ml.g4dn.xlarge=2")
    assert "ml.g5.xlarge (set prices to see the cost)" in account.refuses(f"{TRAIN} --instance-type ml.g5.xlarge")
    assert "(set prices to see the cost)" in account.refuses(f"{TRAIN} --currency EUR")
    account.trained()
    sentence = account.refuses("deploy.py --role sm --max-instances 2")
    assert "up to 2 instances until you run cleanup.py; per month: up to 1,460 instance hours" in sentence
    assert "365.00 USD" in sentence
    account.does("deploy.py --role sm --yes")
    assert "0.25 USD" in account.does("status.py")


def test_a_budget_refuses_what_may_cost_more(account):
    prices = "--prices ml.g4dn.xlarge=2 --instance-count 2"
    assert "Start?" in account.refuses(f"{TRAIN} {prices} --budget 4")
    sentence = account.refuses(f"{TRAIN} {prices} --budget 3.5 --yes")
    assert sentence == "ml.g4dn.xlarge would cost up to 4.00; accepted: up to 3.50 USD, the budget"
    more = "--more-instance-types ml.g5.xlarge"
    assert "the price of ml.g5.xlarge is not known" in account.refuses(f"{TRAIN} {prices} {more} --budget 9 --yes")
    assert not account.aws.sent("CreateTrainingJob")


def test_the_request_and_its_answer():
    assert faults("GetProducts", cost.price_request("eu-west-1", "ml.m5.xlarge"), "pricing") == []
    prices = {"a": {"pricePerUnit": {"USD": "0.3"}}, "b": {"pricePerUnit": {"USD": "0"}}}
    product = {"product": {"attributes": {"usagetype": "Host:ml.m5.xlarge"}}}
    answer = product | {"terms": {"OnDemand": {"x": {"priceDimensions": prices}}}}
    assert cost.prices_in(answer) == {("Host", "USD"): 0.3}
    other = {"product": {"attributes": {"usagetype": "USE1-VolumeUsage.gp2"}}}
    assert cost.prices_in(other) == cost.prices_in({"product": {"attributes": {}}}) == {}


@pytest.mark.parametrize("value", ["-1", "nan", "much"])
def test_a_budget_is_a_number(account, value):
    assert "accepted: a number from 0" in account.refuses(f"{TRAIN} --budget {value}")


def test_a_budget_refuses_what_has_no_limit(account):
    account.trained()
    sentence = account.refuses("deploy.py --role sm --yes --serverless --budget 5")
    assert sentence == (
        "there is a budget of 5.00 USD, and AWS charges a serverless endpoint by request, which has no limit"
    )
    assert account.names("Model") == []


def test_a_partition_without_a_price_list(account):
    account.monkeypatch.setattr(cost, "PRICE_LISTS", {})
    assert "(set prices to see the cost)" in account.refuses(TRAIN)
    assert "the price of ml.g4dn.xlarge is not known; accepted: prices" in account.refuses(f"{TRAIN} --budget 1")
