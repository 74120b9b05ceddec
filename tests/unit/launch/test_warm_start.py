"""Tunings that learn from earlier ones, as a user types them."""

import pytest

pytest_plugins = ["aws_account"]

TUNE = "tune.py --role sm --yes --max-jobs 1"


@pytest.fixture
def tuned(account):
    """An account with a tuning, resnet18-2."""
    account.does(TUNE)
    return account


def test_a_tuning_starts_from_earlier_ones(tuned):
    tuned.does(f"{TUNE} --warm-start resnet18-2 --more-instance-types ml.g5.xlarge")
    first, second = tuned.aws.sent("CreateHyperParameterTuningJob")
    parents = [{"HyperParameterTuningJobName": first["HyperParameterTuningJobName"]}]
    same = {"ParentHyperParameterTuningJobs": parents, "WarmStartType": "IdenticalDataAndAlgorithm"}
    assert second["WarmStartConfig"] == same
    tuned.does(f"{TUNE} --warm-start resnet18-2 --image {tuned.image}-2")
    assert tuned.aws.sent("CreateHyperParameterTuningJob")[2]["WarmStartConfig"]["WarmStartType"] == "TransferLearning"


REFUSED = {
    "resnet18-2 --objective validation:loss": "which tuned for validation:accuracy; accepted: tunings for valid",
    "resnet18-2 --hyperparameters epochs=3": "with 5 hyperparameters (batch_size, eps, lr, objective, weight_decay)",
    "resnet18-2 --strategy Hyperband": "strategy is 'Hyperband', which learns nothing from warm_start",
    "a b c d e f": "warm_start has 6 tunings; accepted: up to 5",
    "absent": "Could not find",
}


def test_tunings_that_it_cannot_start_from(tuned):
    for flags, expected in REFUSED.items():
        assert expected in tuned.refuses(f"{TUNE} --warm-start {flags}")
    tuned.aws.jobs["resnet18-2"]["HyperParameterTuningJobStatus"] = "InProgress"
    assert "which is InProgress; accepted: tunings that have ended" in tuned.refuses(f"{TUNE} --warm-start resnet18-2")
