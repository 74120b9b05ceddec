import json
import shutil
from pathlib import Path

import pytest
import torch

from classifier import artifact, network
from classifier.artifact import METADATA_FILE, WEIGHTS_FILE, Artifact, Quantization
from classifier.errors import UserError
from conftest import CLASSES, IMAGE_SIZE


@pytest.fixture
def folder(artifact_folder: Path, tmp_path: Path) -> Path:
    """A copy of the artifact that a test may damage."""
    return Path(shutil.copytree(artifact_folder, tmp_path / "model"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_saved_is_read(tmp_path):
    model = network.build(3, eps=1e-8)
    saved = Artifact(
        *(("a", "b", "ç"), 64, 1e-8),
        hyperparameters={"lr": 0.1},
        metrics={"test": {"accuracy": 0.5}},
        quantization=Quantization({"conv1": (0.0, 2.5)}, 10, -0.1),
    )
    saved.save(tmp_path / "model", model.state_dict())
    assert artifact.read(tmp_path / "model") == saved
    loaded = artifact.load_weights(tmp_path / "model")
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [METADATA_FILE, WEIGHTS_FILE]


def test_the_file_describes_itself(artifact_folder):
    values = json.loads((artifact_folder / METADATA_FILE).read_text(encoding="utf-8"))
    assert values["architecture"] == "resnet18"
    assert values["classes"] == list(CLASSES)
    assert values["image_size"] == IMAGE_SIZE
    assert values["format_version"] == 1
    assert values["versions"].keys() == {"python", "torch", "torchvision", "pillow", "numpy"}


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


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"format_version": 1}', '"\xff"'])
def test_damaged_metadata(folder, text):
    (folder / METADATA_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="model.json is damaged"):
        artifact.read(folder)


def test_a_missing_field(folder):
    path = folder / METADATA_FILE
    values = json.loads(path.read_text())
    del values["classes"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="model.json is damaged: .*classes"):
        artifact.read(folder)


@pytest.mark.parametrize(
    "changes",
    [{"image_size": 0}, {"image_size": "32"}, {"image_size": True}, {"classes": "ab"}, {"classes": ["a"]}]
    + [{"classes": [1, 2]}, {"eps": "small"}, {"eps": None}, {"temperature": 0.0}, {"quantization": {}}]
    + [{"quantization": {"ranges": []}}],
)
def test_a_field_of_a_wrong_kind(folder, changes):
    edit(folder, **changes)
    with pytest.raises(UserError, match=f"{METADATA_FILE} is damaged: "):
        artifact.read(folder)


def test_a_newer_format(folder):
    edit(folder, format_version=2)
    with pytest.raises(UserError, match="has format version 2; accepted: 1"):
        artifact.read(folder)


def test_another_architecture(folder):
    edit(folder, architecture="vit")
    with pytest.raises(UserError, match="is for 'vit'; accepted: 'resnet18'"):
        artifact.read(folder)


def test_weights_of_another_model(folder):
    edit(folder, classes=["a", "b"])
    with pytest.raises(UserError, match=r"does not fit its model.json: fc.bias has shape \[7\]; expected: \[2\]"):
        artifact.read(folder)


def test_a_field_of_a_later_version_is_passed_over(folder):
    edit(folder, licence="MIT")
    assert artifact.read(folder).classes == CLASSES
