"""The launch scripts with --local --image: everything from tuning to prediction runs in containers."""

import json
import re

from checkout import Checkout
from datasets import QUICK, digit_jpegs, write_channel

QUICK_PAIRS = " ".join(f"{name}={value}" for name, value in QUICK.items() if name != "lr")


def test_tune_train_deploy_predict_and_clean_up_in_the_image(image, tmp_path):
    write_channel(tmp_path, "pictures", digit_jpegs((0, 1), 0, 20)).rename(tmp_path / "pictures")
    checkout = Checkout(tmp_path, **image.engine.environ)
    job = f"--local --image {image.name} --data pictures --hyperparameters {QUICK_PAIRS}"
    tuned = re.search(r"^best: (\S+)/trial-001 with", checkout.does(f"tune.py {job} --max-jobs 1"), re.MULTILINE)[1]
    out = checkout.does(f"train.py {job}")
    assert f"with the best hyperparameters of {tuned}" in out
    assert re.search(r"^epoch 1/1: train:loss=", out, re.MULTILINE)
    try:
        out = checkout.does(f"deploy.py --local --image {image.name}")
        assert re.search(r"\.jpg +digit-\d +\d\.\d{3}", out)
        log = re.search(r"^log: (.*)$", out, re.MULTILINE)[1]
        answer = json.loads(checkout.does("predict.py --local --json pictures").splitlines()[0])
        assert {one["class"] for one in answer["predictions"]} == {"digit-0", "digit-1"}
        assert image.name in image.engine.run("ps", "--format={{.Image}}").stdout
    finally:
        assert "is stopped" in checkout.does("cleanup.py --local")
    assert "Traceback" not in (tmp_path / log).read_text()
    assert image.name not in image.engine.run("ps", "--format={{.Image}}").stdout
