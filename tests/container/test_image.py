"""The image's configuration and content, and how it is rebuilt."""

import json
import subprocess

from datasets import QUICK, digit_jpegs, write_channel, write_hyperparameters

from .conftest import NAME, ROOT, build

AGAIN = f"{NAME}-again"

CAPABILITIES = ("accept-bind-to-port", "multi-models")
INSTALLED = """
import importlib.metadata, json, sysconfig
paths = [sysconfig.get_path("purelib"), "/usr/local/lib/python3.11/dist-packages"]  # Debian's pip has its own
found = {d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions(path=paths)}
print(json.dumps(found))
"""
UNCOMPILED = """
from importlib.util import cache_from_source
from pathlib import Path
print([str(path) for path in Path("classifier").rglob("*.py") if not Path(cache_from_source(path)).exists()])
"""


def test_sagemaker_can_run_it(image):
    config = json.loads(image.engine.run("inspect", image.name, stderr=subprocess.DEVNULL).stdout)[0]
    assert (config["Os"], config["Architecture"]) == ("linux", "amd64")
    assert config["Config"]["Cmd"] == ["train"]
    assert not config["Config"].get("Entrypoint")
    assert config["Config"].get("User", "") in ("", "root")
    for name in CAPABILITIES:
        assert config["Config"]["Labels"][f"com.amazonaws.sagemaker.capabilities.{name}"] == "true"
    revision = config["Config"]["Labels"]["org.opencontainers.image.revision"].removesuffix("-dirty")
    subprocess.run(["git", "-C", ROOT, "cat-file", "-e", f"{revision}^{{commit}}"], check=True)
    assert "NVIDIA_VISIBLE_DEVICES=all" in config["Config"]["Env"]
    if image.engine.name == "podman":
        assert config["ManifestType"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_opt_ml_is_absent_and_everybody_may_read_the_rest(image):
    checks = "test ! -e /opt/ml && find /opt/program ! -perm -o+r && find /opt/program -type d ! -perm -o+x"
    assert image.run("IMAGE", "sh", "-c", checks).stdout == ""


def test_bytecode_is_there_and_build_tools_are_not(image):
    assert image.run("IMAGE", "python3", "-c", UNCOMPILED).stdout.strip() == "[]"
    tools = "for t in cc gcc g++ clang make ld as ptxas nvcc git; do command -v $t; done; true"
    assert image.run("IMAGE", "sh", "-c", tools).stdout == ""


def test_the_installed_packages_are_the_locked_ones(image):
    installed = json.loads(image.run("IMAGE", "python3", "-c", INSTALLED).stdout)
    locked = (ROOT / "requirements" / "image.txt").read_text()
    listed = [line.split()[0] for line in locked.splitlines() if "==" in line and "--hash" not in line]
    assert installed["torch"] == "2.10.0"
    base = {"pip", "setuptools", "wheel"}  # the official base image's own
    assert {f"{name}=={version}" for name, version in installed.items() if name not in base} <= set(listed)
    assert "triton" not in installed


def layers(image, name):
    """Return the digests of the layers of the image `name`, the base's first."""
    return json.loads(image.engine.run("inspect", name, stderr=subprocess.DEVNULL).stdout)[0]["RootFS"]["Layers"]


def test_change_of_our_code_rebuilds_only_the_layers_of_our_code(image, checkout):
    with (checkout / "container" / "classifier" / "errors.py").open("a") as file:
        file.write("\nNEW = 1\n")
    built = build(image.engine, checkout, AGAIN, *image.build_options)
    assert built.returncode == 0, built.stderr
    # All but the last two, our code and its bytecode.
    assert layers(image, f"{AGAIN}:test")[:-2] == layers(image, image.name)[:-2]
    code = "from classifier import errors; print(errors.NEW)"
    assert image.run(f"{AGAIN}:test", "python3", "-c", code).stdout.strip() == "1"


def test_wrong_hash_of_the_weights_fails_the_build(image, checkout):
    built = build(image.engine, checkout, AGAIN, *image.build_options, f"--build-arg=WEIGHTS_SHA256={'0' * 64}")
    assert built.returncode != 0
    assert f"; expected: {'0' * 64}" in built.stderr
    assert "fetch_weights: http://127.0.0.1:" in built.stderr


def test_image_without_weights_says_so(image, checkout, tmp_path):
    built = build(image.engine, checkout, AGAIN, *image.build_options, "--build-arg=WEIGHTS=none")
    assert built.returncode == 0, built.stderr
    write_channel(tmp_path / "ml", "train", digit_jpegs(range(2), 0, 4))
    write_hyperparameters(tmp_path / "ml", **QUICK | {"weights": "imagenet"})
    failed = image.run(f"--volume={tmp_path}/ml:/opt/ml", f"{AGAIN}:test", "train", check=False)
    assert failed.returncode == 1
    assert "weights=imagenet, but there is no resnet18.pth" in failed.stdout
    assert "accepted: an image built with WEIGHTS=imagenet" in failed.stdout
