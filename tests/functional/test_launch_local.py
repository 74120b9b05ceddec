"""--local from tuning to cleaning up, with the real processes, on a few digits: interrupted and resumed."""

import json
import re
import signal

import pytest

from checkout import Checkout
from datasets import QUICK, digit_jpegs, write_channel
from settings_to_refuse import REFUSED_SETTINGS
from waits import PATIENCE_S, wait_until

QUICK_PAIRS = " ".join(f"{name}={value}" for name, value in QUICK.items() if name not in ("lr", "epochs"))


@pytest.fixture(scope="module")
def checkout(module_path):
    """A checkout with pictures and without credentials for AWS."""
    write_channel(module_path, "pictures", digit_jpegs((0, 1), 0, 30)).rename(module_path / "pictures")
    return Checkout(module_path, AWS_ACCESS_KEY_ID="")


def test_what_is_missing_is_said_in_a_sentence(checkout):
    assert "no model was trained here: run launch/train.py --local" in checkout.refuses("deploy.py --local")
    assert "nothing is deployed here: run launch/deploy.py --local" in checkout.refuses("predict.py --local pictures")
    assert "absent is not a folder; accepted with --local" in checkout.refuses("tune.py --local --data absent")
    assert "no tuning was started here" in checkout.refuses("tune.py --local --resume")


def test_settings_are_checked_first(checkout):
    for flags, expected in REFUSED_SETTINGS.items():
        assert expected in checkout.refuses(f"tune.py --local --data pictures {flags}")
    assert not (checkout.folder / "runs").exists()


def test_a_tuning_is_interrupted_and_resumed(checkout):
    flags = f"--max-jobs 2 --data pictures --hyperparameters {QUICK_PAIRS} epochs=30"
    process = checkout.start(f"tune.py --local {flags}")
    told = iter(process.stdout.readline, "")
    (name,) = re.findall(r"(\S+)/trial-001: running", next(line for line in told if "validation:accuracy" in line))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert f"to continue: python launch/tune.py --local --resume {name}" in error
    folder = checkout.folder / "runs" / name
    before = json.loads((folder / "trial-001/input/config/hyperparameters.json").read_text())
    kept = json.loads((folder / "tuning.json").read_text())
    # The rest of the test needs no more epochs.
    kept["settings"]["hyperparameters"]["epochs"] = 2
    kept["trials"][0]["hyperparameters"]["epochs"] = "2"
    (folder / "tuning.json").write_text(json.dumps(kept))

    out = checkout.does("tune.py --local --resume")
    tuning = json.loads((folder / "tuning.json").read_text())
    first, second = tuning["trials"]
    assert first["hyperparameters"] == before | {"epochs": "2"}
    assert first["name"] == f"{name}/trial-001"
    assert {first["status"], second["status"]} == {"completed"}
    for trial in tuning["trials"]:
        root = checkout.folder / "runs" / trial["name"]
        artifact = json.loads((root / "model/model.json").read_text())
        assert artifact["metrics"]["validation:accuracy"] == pytest.approx(trial["value"], abs=1e-5)
        assert len(trial["metrics"]["validation:accuracy"]) >= 2
    assert f"best: {tuning['best']['name']}" in out
    assert (folder / "tuning.html").read_text().count("<svg") == 1 + 4 + 2


def test_the_best_trial_is_deployed_asked_and_cleaned_up(checkout):
    out = checkout.does("deploy.py --local")
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", out)
    try:
        url = re.search(r"answers at (http://127.0.0.1:\d+)", out)[1]
        answers = [json.loads(line) for line in checkout.does("predict.py --local --json pictures").splitlines()]
        assert len(answers) == 60
        assert {one["class"] for answer in answers for one in answer["predictions"]} == {"digit-0", "digit-1"}
        address = url.removeprefix("http://")
        for form in (address, f"{url}/", f"{address}/invocations"):
            assert checkout.does(f"predict.py --url {form} pictures/digit-0").count(".jpg") == 30
        sentence = checkout.refuses(f"predict.py --url https://{address} pictures")  # our server waits for a request
        assert "timed out; a server without TLS needs http://" in sentence
        assert f"a server at {url}" in checkout.does("status.py --local")
    finally:
        assert "is stopped" in checkout.does("cleanup.py --local")
    gone = "no server answers"
    wait_until(lambda: gone in checkout.refuses(f"predict.py --url {url} pictures"), gone)
    assert "nothing runs" in checkout.does("status.py --local")
