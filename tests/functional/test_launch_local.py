"""--local from tuning to cleaning up, with the real processes, on a few digits: interrupted and resumed."""

import json
import re
import shutil
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


NAME = "the job's name is '{}'; accepted: a name such as resnet18-260102-030405"
# What each command of this computer says, before it makes anything.
REFUSED = {
    "predict.py --local --url 127.0.0.1:8080 pictures": "--url has no effect with --local; accepted: one of them",
    "predict.py --url 127.0.0.1:8080 --endpoint dogs pictures": "--endpoint has no effect with --url",
    "deploy.py --local --serverless": "--serverless has no effect with --local",
    "deploy.py --local --instance-type ml.m5.large": "--instance-type has no effect with --local",
    "train.py --local --debugger": "--debugger has no effect with --local",
    "tune.py --local --resume --max-jobs 3": "--max-jobs has no effect with --resume",
    "tune.py --local --resume --data pictures": "--data has no effect with --resume",
    "train.py --local epochs=3 --resume": "--hyperparameters has no effect with --resume",
    "train.py --local --resume ../..": NAME.format("../.."),
    "cleanup.py --local --outputs": "--outputs has no effect with --local",
    "status.py --local --region eu-west-1": "--region has no effect with --local",
    "deploy.py --local --job ../../etc": NAME.format("../../etc"),
    f"deploy.py --local --job {'a' * 300}": "the job's name is 'aaaaa",
    "tune.py --local --resume /etc": NAME.format("/etc"),
    "train.py --local --data pictures --tuning ..": NAME.format(".."),
    "train.py --local --data pictures --tuning none learning_rate=0.1": "'learning_rate', did you mean lr; accepted: ",
    "tune.py --local --data pictures epoch=3": "unknown hyperparameter 'epoch', did you mean epochs; accepted: ",
    "tune.py epochs=0 --local --data pictures": "hyperparameter epochs is 0; accepted: a whole number",
    "tune.py epochs=1 --local --data pictures epochs=2": "--hyperparameters has epochs twice, as 1 and as 2",
    "train.py --local --data pictures --tuning none lr=true": "hyperparameter lr is true; accepted: a number",
    "tune.py --local --max-jobs many": "max_jobs is 'many'; accepted: a whole number from 1",
    f"tune.py --local --max-jobs {'9' * 5000}": "max_jobs is '999",
    f"tune.py --local --hyperparameters epochs=0x{'f' * 5000}": "a number of about 6,020 digits",
    f"tune.py --local --data {'a' * 400}": "is not a folder; accepted with --local: a folder of images",
    "train.py --local --data pictures/digit-0": "the train folder pictures/digit-0 holds 30 images but no class folder",
    "tune.py --local --data demo": "the train folder demo holds neither class folders nor images",
}


def test_what_cannot_be_done_is_said_before_anything_is_made(checkout):
    for command, expected in REFUSED.items():
        sentence = checkout.refuses(command)
        assert expected in sentence, command
        assert len(sentence) < 1000, command
    assert not (checkout.folder / "runs").exists()


def test_settings_that_are_damaged_are_named(checkout):
    file = checkout.folder / "launch/settings.toml"
    text = file.read_text()
    for before, after, expected in (
        (
            "max_jobs = 8  ",
            "max_job = 8  ",
            "section [tuning], has 'max_job', which is not known; did you mean",
        ),
        ('region = ""  ', "# ", "section [aws]: region is missing; accepted: text"),
        ("[aws]\n", "aws = 1\n", "has "),
        ("max_jobs = 8  ", f"max_jobs = 0x{'f' * 5000}", "max_jobs is a number of about 6,020 digits; accepted:"),
        ("spot = true", "spot = 1", "section [training]: spot is 1; accepted: true, false"),
    ):
        assert text.count(before) == 1
        file.write_text(text.replace(before, after))
        for command in ("tune.py --local", "train.py --local", "status.py --local"):
            sentence = checkout.refuses(command)
            assert sentence.partition(": ")[2].startswith(str(file))
            assert expected in sentence
    file.write_text(text)
    assert not (checkout.folder / "runs").exists()


def test_what_is_missing_is_said_in_a_sentence(checkout):
    assert "no model was trained here: run launch/train.py --local" in checkout.refuses("deploy.py --local")
    assert "nothing is deployed here: run launch/deploy.py --local" in checkout.refuses("predict.py --local pictures")
    assert "absent is not a folder; accepted with --local" in checkout.refuses("tune.py --local --data absent")
    assert not (checkout.folder / "runs").exists()
    assert "no tuning was started here" in checkout.refuses("tune.py --local --resume")
    assert "no model was trained here" in checkout.refuses("train.py --local --resume")
    assert "there is no job dogs in " in checkout.refuses("train.py --local --resume dogs")


def test_settings_are_checked_first(checkout):
    for flags, expected in REFUSED_SETTINGS.items():
        assert expected in checkout.refuses(f"tune.py --local --data pictures {flags}")
    assert not (checkout.folder / "runs").exists()


def test_a_training_is_interrupted_and_resumed(checkout):
    process = checkout.start(f"train.py --local --data pictures {QUICK_PAIRS} epochs=300")
    assert any("epoch 2/300" in line for line in iter(process.stdout.readline, ""))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    name = json.loads((checkout.folder / "runs/latest.json").read_text())["local_job"]
    assert error.endswith(f"stopped; to continue: python {checkout.folder}/launch/train.py --local --resume {name}\n")
    assert (checkout.folder / "runs" / name / "model/model.json").exists()
    # The rest of the test needs no more epochs.
    config = checkout.folder / "runs" / name / "input/config/hyperparameters.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"epochs": "9"}))
    out = checkout.does("train.py --local --resume")
    assert re.search(r"resumed from .*: [2-8] complete epochs of 9 and \d+ steps are done", out)
    assert "epoch 9/9" in out
    assert f"{name} is trained; next: launch/deploy.py --local\n" in out
    shutil.rmtree(checkout.folder / "runs" / name / "model")
    assert f"launch/train.py --local --resume {name}" in checkout.refuses("deploy.py --local")
    shutil.rmtree(checkout.folder / "runs")


def test_a_tuning_is_interrupted_and_resumed(checkout):
    flags = f"--max-jobs 2 --hyperparameters {QUICK_PAIRS} --data pictures epochs=30"
    process = checkout.start(f"tune.py --local {flags}")
    told = iter(process.stdout.readline, "")
    (name,) = re.findall(r"(\S+)/trial-001: running", next(line for line in told if "validation:accuracy" in line))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert f"to continue: python {checkout.folder}/launch/tune.py --local --resume {name}" in error
    folder = checkout.folder / "runs" / name
    before = json.loads((folder / "trial-001/input/config/hyperparameters.json").read_text())
    kept = json.loads((folder / "tuning.json").read_text())
    for damage in ({"settings": {"ranges": [1]}}, {"trials": [None]}, {"objective": None}, {"tuned": "lr"}):
        (folder / "tuning.json").write_text(json.dumps(kept | damage))
        for command in ("tune.py --local --resume", "train.py --local --data pictures"):
            if command.startswith("tune") or "settings" not in damage:  # which training does not need
                assert f"{folder / 'tuning.json'} is damaged: {next(iter(damage))}" in checkout.refuses(command)
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
    assert (folder / "tuning.html").read_text().count("<svg") == 0  # two trials are a table


def test_the_best_trial_is_deployed_asked_and_cleaned_up(checkout):
    out = checkout.does("deploy.py --local")
    assert re.search(r"the server answers as training did: \d+ of \d+ answers differ", out)
    assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", out)
    try:
        url = re.search(r"open (http://127.0.0.1:\d+)", out)[1]
        answers = [json.loads(line) for line in checkout.does("predict.py --local --json pictures").splitlines()]
        assert len(answers) == 60
        assert {one["class"] for answer in answers for one in answer["predictions"]} == {"digit-0", "digit-1"}
        address = url.removeprefix("http://")
        assert "the server answers as training did" in checkout.does(f"predict.py --url {address} --prove")
        name = json.loads((checkout.folder / "runs/latest.json").read_text())["local_job"]
        sample = checkout.folder / "runs" / name / "output/data/answers.json"
        kept = sample.read_text()
        sample.write_text(re.sub('"model_sha256": "[^"]*"', f'"model_sha256": "{"0" * 64}"', kept))
        assert "answers are another model's" in checkout.refuses("predict.py --local --prove")
        sample.write_text(kept)
        explained = checkout.does("predict.py --local --explain pictures/digit-0")
        assert explained.count(".jpg") == 30
        page = (checkout.folder / "runs/explained.html").read_text()
        assert page.count("data:image/png;base64,") == 60  # two classes
        for form in (address, f"{url}/", f"{address}/invocations"):
            assert checkout.does(f"predict.py --url {form} pictures/digit-0").count(".jpg") == 30
        sentence = checkout.refuses(f"predict.py --url https://{address} pictures")
        assert "a server without TLS needs http://" in sentence
        assert f"a server at {url}" in checkout.does("status.py --local")
    finally:
        assert "is stopped" in checkout.does("cleanup.py --local")
    many = "deploy.py --local --multi-model --model"
    try:
        first = checkout.does(f"{many} first")
        assert "the server answers as training did" in first
        sample.unlink()
        second = checkout.does(f"{many} second")
        assert f"NOT COMPARED with training's answers: {name} has no sample of them" in second
        urls = re.findall(r"curl --data-binary @FILE (http://[^/]+)/", first + second)
        assert len(urls) == 2 and urls[0] == urls[1]
        assert checkout.does("predict.py --local --model first pictures/digit-0").count(".jpg") == 30
        code, out, _ = checkout.run("predict.py --local --model third pictures/digit-0")
        assert (code, out.count("the model 'third' is not loaded")) == (1, 30)
    finally:
        assert "is stopped" in checkout.does("cleanup.py --local")
    gone = "no server answers"
    wait_until(lambda: gone in checkout.refuses(f"predict.py --url {url} pictures"), gone)
    assert "nothing runs" in checkout.does("status.py --local")
