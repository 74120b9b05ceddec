"""Training in the image, as SageMaker starts it and as a person does."""

import os
import shutil

import pytest

from classifier import artifact
from datasets import QUICK, digit_jpegs, write_channel, write_hyperparameters

TWO = range(2)


@pytest.fixture
def root(tmp_path):
    """A folder for /opt/ml with two small channels."""
    write_channel(tmp_path / "ml", "train", digit_jpegs(TWO, 0, 40))
    write_channel(tmp_path / "ml", "validation", digit_jpegs(TWO, 40, 50))
    return tmp_path / "ml"


def test_without_a_command_it_trains_from_its_own_weights(image, root):
    write_hyperparameters(root, **QUICK | {"weights": "imagenet"})
    result = image.run(f"--volume={root}:/opt/ml", "IMAGE")
    assert "ImageNet (resnet18.pth)" in result.stdout
    assert artifact.read(root / "model").classes == ("digit-0", "digit-1")
    assert not (root / "output" / "failure").exists()


def test_another_user_owns_and_removes_what_it_writes(image, root):
    write_hyperparameters(root, **QUICK)
    user = os.geteuid() or 1234
    if os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, user, user)
    image.run(f"--volume={root}:/opt/ml", f"--user={user}:{user}", "IMAGE", "train")
    assert artifact.read(root / "model").classes == ("digit-0", "digit-1")
    assert {path.stat().st_uid for path in root.rglob("*")} == {user}


def test_failure_is_seen_from_outside(image, root):
    write_hyperparameters(root, **QUICK | {"epochs": "many"})
    result = image.run(f"--volume={root}:/opt/ml", "IMAGE", "train", check=False)
    assert result.returncode == 1
    sentence = "hyperparameter epochs is 'many'; accepted: a whole number from 1 to 10000"
    assert (root / "output" / "failure").read_text().splitlines()[0] == sentence
    assert sentence in result.stdout


def test_what_root_wrote_is_removed_through_the_image(image, root):
    shutil.rmtree(root / "input")
    image.run(f"--volume={root}:/opt/ml", "IMAGE", "train", check=False)
    assert (root / "output" / "failure").exists()
    image.run(f"--volume={root.parent}:/here", "IMAGE", "rm", "-r", "/here/ml")
    assert not root.exists()
