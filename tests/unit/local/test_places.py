import re

import pytest

from classifier.errors import UserError
from local import places


def test_the_latest_names_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(places, "LATEST", tmp_path / "runs" / "latest.json")
    with pytest.raises(UserError, match="nothing is deployed: run launch/deploy.py"):
        places.latest("endpoint")
    places.note(endpoint="dogs", job="one")
    places.note(endpoint="cats")
    assert (places.latest("endpoint"), places.latest("job")) == ("cats", "one")


def test_a_name_is_one_that_sagemaker_takes():
    assert re.fullmatch(r"dog-breeds-\d{6}-\d{6}", places.new_name("dog-breeds"))
    for prefix in ("", "dog breeds", "-dogs", "x" * 19):
        with pytest.raises(UserError, match="accepted: 1 to 18 letters, digits and single hyphens"):
            places.new_name(prefix)


def test_a_package_that_is_missing_is_one_sentence():
    places.need("json", "")
    with pytest.raises(UserError, match="no_such_package is not installed: make launch installs it"):
        places.need("no_such_package", "make launch installs it")
