import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from classifier import artifact, network
from classifier.artifact import METADATA_FILE, Artifact, Quantization
from classifier.artifact_fields import INT8_FILE, NETWORK_FILE, WEIGHTS_FILE
from classifier.errors import UserError
from classifier.layers import CONVOLUTIONS
from classifier.training.artifact_files import add_networks, remove_partial_files, save_artifact
from conftest import CLASSES, IMAGE_SIZE
from networks import stored_weights

SAVED = [METADATA_FILE, WEIGHTS_FILE]


@pytest.fixture
def folder(artifact_folder: Path, tmp_path: Path) -> Path:
    """A copy of the artifact that a test may damage."""
    return Path(shutil.copytree(artifact_folder, tmp_path / "model"))


REMOVED = object()


def edit(folder: Path, **changes: object) -> None:
    path = folder / METADATA_FILE
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not REMOVED}))


def test_what_was_saved_is_read(tmp_path):
    model = network.build(3, eps=1e-8)
    saved = Artifact(
        *(("a", "b", "ç"), 64, 1e-8),
        hyperparameters={"lr": 0.1},
        metrics={"test": {"accuracy": 0.5}},
        quantization=Quantization(dict.fromkeys(CONVOLUTIONS, (0.0, 2.5)), 10, -0.1),
    )
    save_artifact(folder := tmp_path / "model", saved, model.state_dict())
    read = artifact.read(folder)
    sha256 = {WEIGHTS_FILE: hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()}
    assert read == replace(saved, sha256=sha256, networks_key=read.key, versions=read.versions)
    loaded = stored_weights(folder)
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())
    assert sorted(path.name for path in folder.iterdir()) == SAVED


@pytest.mark.parametrize(
    "change",
    [
        {"classes": CLASSES[::-1]},
        {"classes": ["renamed", *CLASSES[1:]]},
        {"temperature": 2.5},
        {"image_size": 2 * IMAGE_SIZE},
        {"eps": 1e-4},
        {"mean": [0.5, 0.5, 0.5]},
        {"std": [0.5, 0.5, 0.5]},
    ],
)
def test_whatever_decides_an_answer_is_in_its_key(folder, change):
    before = artifact.read(folder).answers_key
    edit(folder, **change)
    assert artifact.read(folder).answers_key != before


def test_what_decides_no_answer_is_not_in_its_key(folder):
    edit(folder, temperature=1.0, std=[1.0, 1.0, 1.0])
    before = artifact.read(folder).answers_key
    edit(folder, temperature=1, std=[1, 1, 1], metrics={}, hyperparameters={"mine": 1}, networks_key="")
    assert artifact.read(folder).answers_key == before


def test_the_file_describes_itself(artifact_folder):
    values = json.loads((artifact_folder / METADATA_FILE).read_text(encoding="utf-8"))
    assert values["architecture"] == "resnet18"
    assert values["classes"] == list(CLASSES)
    assert values["image_size"] == IMAGE_SIZE
    assert values["format_version"] == 1
    assert values["versions"].keys() == {"python", "torch", "torchvision", "onnx", "openvino", "pillow", "numpy"}


def test_locate(folder):
    assert artifact.locate(folder) == folder
    assert artifact.locate(folder.parent) == folder  # one folder too deep


def test_a_second_folder_beside_the_artifact_does_not_hide_it(folder):
    (folder.parent / "code").mkdir()
    assert artifact.locate(folder.parent) == folder


def test_two_artifacts_are_ambiguous(folder):
    shutil.copytree(folder, folder.parent / "other")
    with pytest.raises(UserError, match="found model, other"):
        artifact.locate(folder.parent)


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="no model artifact: .*/model cannot be read: No such file or directory"):
        artifact.locate(tmp_path / "model")
    with pytest.raises(UserError, match="expected model.json and model.safetensors, found nothing"):
        artifact.locate(tmp_path)


def test_the_weights_are_missing(folder):
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(UserError, match="model.safetensors is missing"):
        artifact.read(folder)


@pytest.mark.parametrize("length", [0, 4, 100, 1_000_000])
def test_truncated_weights(folder, length):
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="model.safetensors is damaged or truncated"):
        artifact.read(folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "not valid JSON"), ("{", "not valid JSON"), ("[]", "holds an array"), ("3", "holds a number")]
    + [("{}", "format_version is missing"), ('{"format_version": 1}', "architecture is missing")]
    + [('"\xff"', "not text in UTF-8 or UTF-16"), ("[" * 100_000, "nested too deeply"), ('{"a":' * 9999, "nested too")]
    + [('{"classes": 1, "classes": 2}', "it has 'classes' more than once"), (" " * 16_000_001, "more than 16,000,000")],
)
def test_damaged_metadata(folder, text, why):
    path = folder / METADATA_FILE
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=f"^{path} .*{why}") as refused:
        artifact.read(folder)
    assert str(refused.value).count(str(path)) == 1


@pytest.mark.parametrize("name", ["classes", "image_size", "eps"])
def test_a_missing_field(folder, name):
    edit(folder, **{name: REMOVED})
    with pytest.raises(UserError, match=f"model.json is damaged: {name} is missing; accepted: "):
        artifact.read(folder)


def measured(**changes):
    return {
        "quantization": {"ranges": dict.fromkeys(CONVOLUTIONS, [0.0, 1.0]), "images": 1, "accuracy_lost": 0.0} | changes
    }


def unlike(**changes):
    return {"unlikeness": {"share": 0.95, "images": 100, "limit_int8": 1.0} | changes}


def ranges(**changes):
    return measured(ranges=dict.fromkeys(CONVOLUTIONS, [0.0, 1.0]) | changes)


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "changes",
    [{"image_size": size} for size in (0, 31, 1025, 1_000_000, "32", True, 64.0, None, [64], NAN, 10**400)]
    + [{"classes": names} for names in ("ab", ["a"], [1, 2], [], ["a", "a"], ["a", ""], [["a"], "b"], {}, None)]
    + [
        {"classes": ["a", name]}
        for name in ("\ud800", "b\n", "b\rc", "\0", "\x1b[31m", "b\u2028", "\u202eb", " ", "\u200b", "a ")
    ]
    + [{"eps": eps} for eps in ("small", None, 0.0, -1e-5, NAN, INFINITE, 1.0, True, [1e-5])]
    + [{"temperature": value} for value in (0.0, -1.0, NAN, INFINITE, 1e-300, 1e300, "1", None, True)]
    + [{"mean": mean} for mean in ([0.5], [0.5] * 4, [0.5, 0.5, NAN], [0.5, 0.5, "0.5"], 0.5, None, [[0.5]] * 3)]
    + [{"std": std} for std in ([0.5], [0.5, 0.5, 0.0], [-0.5] * 3, [INFINITE] * 3, [1e-300] * 3, [True] * 3, "abc")]
    + [{name: value} for name in ("hyperparameters", "metrics", "versions") for value in (None, [], "a", 1)]
    + [{"weights_sha256": value} for value in ("", "0" * 63, "g" * 64, 0, ["0" * 64])]
    + [{"sha256": value} for value in (None, [], "a", {WEIGHTS_FILE: "0"}, {NETWORK_FILE: None}, {INT8_FILE: "g" * 64})]
    + [{"networks_key": value} for value in (None, "0", 1, [])]
    + [{"quantization": {}}, {"quantization": {"ranges": []}}, {"quantization": [1]}, measured(ranges=[1])]
    + [measured(images=number) for number in (0, -1, 1.5, "1", True, None)]
    + [measured(accuracy_lost=lost) for lost in (NAN, INFINITE, 1.1, "0", None, True)]
    + [{"unlikeness": {}}, {"unlikeness": [1]}, {"unlikeness": {"share": 0.95, "images": 100}}]
    + [unlike(share=value) for value in (0, 1.1, NAN, "1", None, True)]
    + [unlike(images=value) for value in (0, 1.5, True)]
    + [unlike(limit_int8=value) for value in (0, -1, NAN, INFINITE, 1e300, "1", None)]
    + [measured(ranges={}), measured(ranges={"conv1": [0.0, 1.0]})]
    + [
        ranges(conv1=pair)
        for pair in ([1.0, 0.0], [0.5, 1.0], [-1.0, -0.5], [0.0, INFINITE], [NAN, 1.0], [0.0], [0, 1e300])
    ]
    + [ranges(conv1=pair) for pair in ([], None, "01", {"0": 1, "1": 2}, [0, 1, 2])],
    ids=lambda changes: str(changes)[:60],
)
def test_a_field_that_is_not_as_training_writes_it(folder, changes):
    edit(folder, **changes)
    (name,) = changes
    with pytest.raises(
        UserError, match=f"{METADATA_FILE} is damaged: {name}[^;]* (is|is missing).*; accepted: "
    ) as told:
        artifact.read(folder)
    assert len(str(told.value).partition("damaged")[2]) < 400


def test_a_bad_value_is_quoted_as_the_file_has_it(folder):
    edit(folder, temperature=INFINITE)
    with pytest.raises(UserError, match="temperature is Infinity; accepted: a number from 0.01 to 10000"):
        artifact.read(folder)


@pytest.mark.parametrize(
    "changes",
    [measured(), ranges(conv1=[0.0, 0.0]), {"mean": [0, 0, 0], "std": [1, 1, 1]}]
    + [{"classes": ["=1+1", '"', ",", "\u732b", "e\u0301", "\u2764\ufe0f", " Cat, big "]}],
)
def test_a_field_with_another_value_that_serves(folder, changes):
    edit(folder, **changes)
    artifact.read(folder)


def test_an_artifact_from_before_the_sha256_was_stored(folder):
    edit(folder, sha256=REMOVED)
    assert artifact.read(folder).sha256 == {}


def test_an_artifact_from_before_it_had_networks(folder):
    sha256 = artifact.read(folder).sha256[WEIGHTS_FILE]
    edit(folder, sha256=REMOVED, networks_key=REMOVED, weights_sha256=sha256)
    assert artifact.read(folder).sha256 == {WEIGHTS_FILE: sha256}
    edit(folder, weights_sha256="0" * 64)
    with pytest.raises(UserError, match="model.safetensors is not the file that its model.json was written with"):
        artifact.read(folder)


@pytest.mark.parametrize("name", [NETWORK_FILE, INT8_FILE])
def test_a_network_that_is_damaged_or_missing(folder, name):
    about = artifact.read(folder)
    ranges = dict.fromkeys(CONVOLUTIONS, (0.0, 2.5))
    add_networks(folder, replace(about, quantization=Quantization(ranges, 10, 0.0)), {INT8_FILE: b"network"})
    assert artifact.read(folder).sha256.keys() == {WEIGHTS_FILE, NETWORK_FILE, INT8_FILE}
    (folder / name).write_bytes(b"other")
    with pytest.raises(UserError, match=f"{name} is not the file that its model.json was written with: its SHA-256"):
        artifact.read(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        artifact.read(folder)


def test_a_file_that_is_not_the_artifacts_is_not_read(folder):
    edit(folder, sha256={"../../secret": "0" * 64})
    assert artifact.read(folder).sha256 == {}


def test_a_file_that_is_too_large_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(artifact, "MOST_BYTES", 1_000_000)
    with pytest.raises(UserError, match="model.safetensors has more than 1,000,000 bytes; accepted: up to that many"):
        artifact.read(folder)


@pytest.mark.parametrize("change", [{"temperature": 2.0}, {"mean": [0, 0, 0]}, {"eps": 1e-6}, {"image_size": 64}])
def test_networks_are_stale_once_a_value_that_they_were_made_with_changes(folder, change):
    about = artifact.read(folder)
    assert about.networks_key == about.key
    edit(folder, **change)
    about = artifact.read(folder)
    assert about.networks_key != about.key


def test_saving_anew_removes_the_networks(folder):
    add_networks(folder, artifact.read(folder), {INT8_FILE: b"network"})
    save_artifact(folder, artifact.read(folder), stored_weights(folder))
    assert sorted(path.name for path in folder.iterdir()) == SAVED
    assert artifact.read(folder).sha256.keys() == {WEIGHTS_FILE}


def test_weights_of_another_training_with_the_same_classes(folder):
    before = (folder / METADATA_FILE).read_bytes()
    save_artifact(folder, Artifact(CLASSES, IMAGE_SIZE, 1e-5), network.build(len(CLASSES), eps=1e-5).state_dict())
    (folder / METADATA_FILE).write_bytes(before)
    with pytest.raises(
        UserError, match="model.safetensors is not the file that its model.json was written with: its SHA"
    ):
        artifact.read(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32])
def test_weights_of_another_type(folder, dtype):
    weights = stored_weights(folder)
    save_file(weights | {"conv1.weight": weights["conv1.weight"].to(dtype)}, folder / WEIGHTS_FILE)
    with pytest.raises(UserError, match=r"'conv1.weight' is \w+ of shape .*; expected: F32 of shape "):
        artifact.read(folder)


@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE])
def test_weights_that_are_not_finite(folder, value):
    weights = stored_weights(folder)
    weights["layer3.1.bn2.bias"][7] = value
    save_artifact(folder, artifact.read(folder), weights)
    with pytest.raises(UserError, match=r"model.safetensors: 'layer3.1.bn2.bias' has values that are not finite"):
        artifact.read(folder)


@pytest.mark.parametrize("name", ["conv1.weight", "layer2.0.downsample.0.weight", "fc.weight"])
def test_a_layer_that_sees_nothing(folder, name):
    weights = stored_weights(folder)
    weights[name].zero_()
    save_artifact(folder, artifact.read(folder), weights)
    with pytest.raises(UserError, match=rf"model.safetensors: '{name}' is 0 everywhere; accepted: the weights of"):
        artifact.read(folder)


def test_normalisations_and_biases_may_be_zeros(folder):
    weights = stored_weights(folder)
    for name in ("layer1.0.bn2.weight", "layer1.0.bn2.bias", "layer1.0.bn2.running_mean", "fc.bias"):
        weights[name].zero_()
    save_artifact(folder, artifact.read(folder), weights)
    assert stored_weights(folder).keys() == weights.keys()


def test_large_finite_weights_are_finite(folder):
    weights = stored_weights(folder)
    weights["layer1.0.bn1.bias"].fill_(3e38)
    save_artifact(folder, artifact.read(folder), weights)
    assert stored_weights(folder).keys() == weights.keys()


@pytest.mark.parametrize("name", SAVED)
def test_what_is_not_a_regular_file_is_not_opened(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=f"{name} is not a regular file"):
        artifact.read(folder)


def test_a_newer_format(folder):
    edit(folder, format_version=2)
    with pytest.raises(UserError, match="has format_version 2; accepted by this image: 1"):
        artifact.read(folder)


def test_another_architecture(folder):
    edit(folder, architecture="vit")
    with pytest.raises(UserError, match="has architecture 'vit'; accepted by this image: 'resnet18'"):
        artifact.read(folder)


def test_weights_of_another_model(folder):
    edit(folder, classes=["a", "b"])
    sentence = r"does not fit its model.json: 'fc.bias' is F32 of shape \[7\]; expected: F32 of shape \[2\]"
    with pytest.raises(UserError, match=sentence):
        artifact.read(folder)


def test_a_field_of_a_later_version_is_passed_over(folder):
    edit(folder, licence="MIT")
    assert artifact.read(folder).classes == CLASSES


# Saves an artifact in each folder, in a process that kills itself before the n-th call that changes what the disk has.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from classifier import network
from classifier.artifact import Artifact
from classifier.training.artifact_files import save_artifact
torch.manual_seed(1)
weights = network.build(3, eps=1e-5).state_dict()
left = 0
def killed(call):
    def counted(*arguments, **named):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    return counted
for name in ("replace", "rename", "unlink", "fsync", "link"):
    setattr(os, name, killed(getattr(os, name)))
for left, folder in enumerate(sys.argv[1:], 1):
    if not os.fork():
        save_artifact(Path(folder), Artifact(("new", "b", "c"), 64, 1e-5), weights)
        os._exit(0)
    print(os.wait()[1])
"""


def test_a_kill_at_any_call_leaves_one_whole_artifact_or_none(tmp_path):
    torch.manual_seed(0)
    old = network.build(3, eps=1e-5).state_dict()
    folders = [tmp_path / str(number) for number in range(16)]
    for folder in folders:
        save_artifact(folder, Artifact(("old", "b", "c"), 64, 1e-5), old)
    told = subprocess.run([sys.executable, "-c", KILLED, *map(str, folders)], stdout=subprocess.PIPE, check=True)
    codes = list(map(int, told.stdout.split()))
    assert codes[:10] == [signal.SIGKILL] * 10
    assert codes[-1] == 0
    kept = []
    for folder in folders:
        if (folder / METADATA_FILE).exists():
            about, weights = artifact.read(folder), stored_weights(folder)
            kept.append(about.classes[0])
            assert torch.equal(weights["conv1.weight"], old["conv1.weight"]) == (kept[-1] == "old")
        remove_partial_files(folder)
        assert {path.name for path in folder.iterdir()} <= set(SAVED)
    # Without one for no longer than five renames and removals.
    assert kept.count("old") == 3
    assert kept.count("new") == 8


@pytest.mark.parametrize("name", SAVED)
def test_a_full_disk_leaves_the_artifact_of_before_and_names_the_file(folder, name):
    (folder / f".{name}.partial").symlink_to("/dev/full")
    before = artifact.read(folder)
    with pytest.raises(OSError, match=f"No space left on device: '{folder / name}'"):
        save_artifact(folder, Artifact(CLASSES, 64, 1e-5), stored_weights(folder))
    assert artifact.read(folder) == before
    assert {path.name for path in folder.iterdir()} == {METADATA_FILE, *before.sha256}
