"""Labels made wrong on purpose: the job finds them, relabel.py moves the marked ones, and back."""

import csv
import io
import json

import pytest

from checkout import Checkout
from datasets import QUICK, digit_jpegs, report_of, train, write_channel, write_hyperparameters

WRONG = 5


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_wrong_labels_are_found_moved_and_moved_back(tmp_path, trainable):
    checkout = Checkout(tmp_path)
    folder = write_channel(tmp_path, "train", digit_jpegs((0, 1), 0, 80))
    wrong = sorted((folder / "digit-0").iterdir())[:WRONG]
    for path in wrong:
        path.rename(folder / "digit-1" / path.name)
    write_hyperparameters(tmp_path, **QUICK | {"epochs": 8, "batch_size": 16, "trainable": trainable})
    done = train(tmp_path)
    assert done.returncode == 0, done.stderr
    labels = tmp_path / "output/data/labels.csv"
    rows = list(csv.DictReader(io.StringIO(labels.read_text(encoding="utf-8"))))
    found = [row for row in rows if row["file"] in {f"digit-1/{path.name}" for path in wrong}]
    count = len(found)
    assert count >= WRONG - 2
    assert rows[0] in found
    assert len(rows) <= 2 * WRONG
    assert {(row["given"], row["likely"]) for row in found} == {("digit-1", "digit-0")}
    report = report_of(tmp_path)
    assert f"{len(rows)} of 160 labels may be wrong" in report
    assert "each image of train by a linear classifier of the features of all the others" in report

    for row in found:
        row["move"] = "x"
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert f"{count} images moved" in checkout.does(f"relabel.py {labels} --data {folder}")
    assert sum(path.exists() for path in wrong) == count
    assert len(json.loads(labels.with_name("labels.csv.moved.json").read_text())) == count
    assert f"{count} images are in their folders of before" in checkout.does(
        f"relabel.py {labels} --data {folder} --undo"
    )
    assert not any(path.exists() for path in wrong)


def test_a_network_that_is_mostly_wrong_judges_no_labels(tmp_path):
    write_channel(tmp_path, "train", digit_jpegs((0, 1, 2, 3), 0, 20))
    write_hyperparameters(tmp_path, **QUICK | {"epochs": 1, "lr": 1e-7})
    done = train(tmp_path)
    assert done.returncode == 0, done.stderr
    why_not = "the network is wrong in more than half of the 16 validation images"
    assert f"labels: not judged, since {why_not}" in done.stderr + done.stdout
    assert f"They were not judged: {why_not}" in report_of(tmp_path)
    assert len((tmp_path / "output/data/labels.csv").read_text().splitlines()) == 1
