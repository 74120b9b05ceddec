import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier import artifact, engine, machine, network
from classifier.artifact import METADATA_FILE, Artifact, Quantization
from classifier.artifact_fields import NETWORK_FILE
from classifier.errors import UserError
from classifier.layers import CONVOLUTIONS
from classifier.serving.openvino_predictor import OpenVinoPredictor, choose_precision
from conftest import CLASSES, IMAGE_SIZE
from networks import stored_weights

RANGES = {name: (-8.0 if layer.is_shortcut else 0.0, 8.0) for name, layer in CONVOLUTIONS.items()}
MEASURED = Quantization(RANGES, 100, 0.0)


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


def answer(folder: Path, about: Artifact, n: int = 4) -> np.ndarray:
    return OpenVinoPredictor(folder, about, "fp32").in_lane(1)(noise(n))


@torch.inference_mode()
def expected(folder: Path, about: Artifact, n: int = 4) -> np.ndarray:
    model = network.load(about, {name: tensor.numpy() for name, tensor in stored_weights(folder).items()})
    pixels = network.Normalize(about.mean, about.std)(torch.from_numpy(noise(n)))
    return (model(pixels) / about.temperature).softmax(dim=1).numpy()


def test_the_answer_is_the_networks(artifact_folder):
    about = artifact.read(artifact_folder)
    found = answer(artifact_folder, about)
    assert found.dtype == np.float32
    assert found.shape == (4, len(CLASSES))
    np.testing.assert_allclose(found, expected(artifact_folder, about), atol=1e-5)


@pytest.mark.parametrize("change", [{"temperature": 2.0}, {"mean": [0, 0, 0], "std": [1, 1, 1]}, {"eps": 0.1}])
def test_a_value_of_model_json_that_was_changed_counts(artifact_folder, tmp_path, change):
    """The ONNX file has the value of before, so it is not used."""
    folder = Path(shutil.copytree(artifact_folder, tmp_path / "model"))
    path = folder / METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    about = artifact.read(folder)
    found = answer(folder, about)
    np.testing.assert_allclose(found, expected(folder, about), atol=1e-5)
    assert not np.allclose(found, answer(artifact_folder, artifact.read(artifact_folder)), atol=1e-3)


def test_an_artifact_from_before_it_had_networks(artifact_folder, caplog):
    caplog.set_level("INFO")
    about = replace(artifact.read(artifact_folder), sha256={}, networks_key="")
    np.testing.assert_allclose(answer(artifact_folder, about), expected(artifact_folder, about), atol=1e-5)
    assert f"model.json lists no {NETWORK_FILE}: the network is made from the weights" in caplog.text


def as_measured(about: Artifact, quantization: Quantization | None) -> Artifact:
    """Return the artifact as training leaves it once it has measured int8."""
    measured = replace(about, quantization=quantization)
    return replace(measured, networks_key=measured.key)


def test_int8_that_loses_too_much_to_be_stored_can_be_asked_for(artifact_folder):
    about = as_measured(artifact.read(artifact_folder), replace(MEASURED, accuracy_lost=0.5))
    predictor = OpenVinoPredictor(artifact_folder, about, "int8")
    assert predictor.precision == "int8"
    found = predictor.in_lane(1)(noise(4))
    np.testing.assert_allclose(found, expected(artifact_folder, about), atol=0.1)


@pytest.mark.parametrize(("cores", "lanes"), [(1, (1,)), (3, (3, 1, 1, 1))])
def test_lanes(artifact_folder, monkeypatch, cores, lanes):
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    about = artifact.read(artifact_folder)
    predictor = OpenVinoPredictor(artifact_folder, about, "fp32")
    assert predictor.lanes == lanes
    alone, last = predictor.in_lane(lanes[0]), predictor.in_lane(lanes[-1])
    for rows in (np.concatenate([alone(image[None]) for image in noise(4)]), last(noise(4))):
        np.testing.assert_allclose(rows, expected(artifact_folder, about), atol=1e-5)


@pytest.mark.parametrize(
    ("wanted", "measured", "supported", "chosen"),
    [
        ("auto", MEASURED, True, "int8"),
        ("auto", replace(MEASURED, accuracy_lost=-0.01), True, "int8"),
        ("auto", replace(MEASURED, accuracy_lost=0.003), True, "fp32"),
        ("auto", None, True, "fp32"),
        ("auto", MEASURED, False, "fp32"),
        ("fp32", MEASURED, True, "fp32"),
        ("int8", replace(MEASURED, accuracy_lost=0.5), True, "int8"),
    ],
)
def test_the_precision_that_is_chosen(monkeypatch, wanted, measured, supported, chosen):
    monkeypatch.setattr(engine, "list_precisions", lambda: ("fp32", "int8")[: 1 + supported])
    monkeypatch.setattr(engine, "native_precision", lambda: "fp32")
    assert choose_precision(wanted, as_measured(Artifact(CLASSES, 32, 1e-5), measured)) == chosen


NARROW = {name: (low / 10, high / 10) for name, (low, high) in RANGES.items()}


@pytest.mark.parametrize(
    "change",
    [{"quantization": replace(MEASURED, ranges=NARROW)}, {"temperature": 2.0}, {"image_size": 64}, {"std": (0.5,) * 3}],
    ids=lambda change: "".join(change),
)
def test_int8_is_not_trusted_with_other_values_than_it_was_measured_with(artifact_folder, monkeypatch, caplog, change):
    monkeypatch.setattr(engine, "list_precisions", lambda: ("fp32", "int8"))
    monkeypatch.setattr(engine, "native_precision", lambda: "fp32")
    about = replace(as_measured(artifact.read(artifact_folder), MEASURED), **change)
    assert OpenVinoPredictor(artifact_folder, about, "auto", cores=1).precision == "fp32"
    (line,) = [record.getMessage() for record in caplog.records if "int8" in record.getMessage()]
    assert line == (
        "not in int8, but in fp32: model.json has other values than those with which training measured what int8 loses"
    )
    with pytest.raises(UserError, match="and this model.json has other values than .*; accepted: auto, fp32$"):
        choose_precision("int8", about)


@pytest.mark.parametrize("wanted", ["auto", "int8"])
def test_int8_is_trusted_in_an_artifact_from_before_it_had_networks(monkeypatch, wanted):
    monkeypatch.setattr(engine, "list_precisions", lambda: ("fp32", "int8"))
    assert choose_precision(wanted, Artifact(CLASSES, 32, 1e-5, quantization=MEASURED)) == "int8"


def test_names_of_classes_do_not_concern_int8(monkeypatch):
    monkeypatch.setattr(engine, "list_precisions", lambda: ("fp32", "int8"))
    about = as_measured(Artifact(CLASSES, 32, 1e-5), MEASURED)
    assert choose_precision("auto", replace(about, classes=("renamed", *CLASSES[1:]))) == "int8"


def test_the_log_says_why_a_network_is_made_anew(artifact_folder, caplog):
    caplog.set_level("INFO")
    answer(artifact_folder, replace(artifact.read(artifact_folder), temperature=2.0))
    assert f"{NETWORK_FILE} was made with other values than model.json has: the network is made from" in caplog.text


def test_a_precision_that_cannot_be_had(monkeypatch):
    about = Artifact(CLASSES, 32, 1e-5)
    monkeypatch.setattr(engine, "list_precisions", lambda: ("fp32", "int8"))
    with pytest.raises(UserError, match="precision 'bf16' is not supported by this processor; accepted: auto, fp32, "):
        choose_precision("bf16", about)
    with pytest.raises(UserError, match="'int8' needs an artifact for which training has measured it; accepted: auto,"):
        choose_precision("int8", about)
