"""The unlikeness, which each engine computes beside the probabilities."""

import numpy as np
import pytest
import safetensors.numpy
import torch

from classifier import artifact, engine, network
from classifier.artifact import Artifact, Quantization
from classifier.artifact_fields import UNLIKENESS_FILE
from classifier.errors import UserError
from classifier.layers import CONVOLUTIONS, FEATURES
from classifier.serving.openvino_predictor import OpenVinoPredictor
from classifier.serving.torch_predictor import TorchPredictor
from classifier.training.artifact_files import save_artifact
from classifier.training.export_onnx import add_onnx
from classifier.unlikeness import Measure, Unlikeness, split_row
from networks import trained

SIZE, CLASSES = 64, tuple("abcdefghij")
RANGES = {name: (-8.0 if layer.is_shortcut else 0.0, 12.0) for name, layer in CONVOLUTIONS.items()}
PIXELS = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def measure() -> Measure:
    random = np.random.default_rng(1)
    mean = random.uniform(0, 1, FEATURES).astype(np.float32)
    weight = random.normal(0, 0.01, (FEATURES, FEATURES)).astype(np.float32)
    return Measure(mean, np.asfortranarray(weight))  # as torch's decompositions return them


@pytest.fixture(scope="module")
def folder(tmp_path_factory, measure):
    about = Artifact(
        *(CLASSES, SIZE, 1e-5),
        quantization=Quantization(RANGES, 100, 0.5),
        unlikeness=Unlikeness(0.95, 100, limit_int8=2.0),
    )
    made = tmp_path_factory.mktemp("root") / "model"
    save_artifact(made, about, trained().state_dict(), measure)
    add_onnx(made)
    return made


@torch.inference_mode()
def expected(measure: Measure) -> np.ndarray:
    features = trained().features(network.Normalize()(torch.from_numpy(PIXELS)))
    return np.linalg.norm((features.sqrt().numpy() - measure.mean) @ measure.weight, axis=1)


def tolerances() -> list[tuple[str, float]]:
    return [(name, {"fp32": 1e-4, "int8": 0.1}.get(name, 0.02)) for name in engine.list_precisions()]


@pytest.mark.parametrize(("precision", "tolerance"), tolerances())
def test_the_processor_measures_it(folder, measure, precision, tolerance):
    found = OpenVinoPredictor(folder, artifact.read(folder), precision).in_lane(1)(PIXELS)
    assert found.shape == (6, len(CLASSES) + 1)
    limit = 2.0 if precision == "int8" else 1.0
    np.testing.assert_allclose(found[:, -1] * limit, expected(measure), rtol=tolerance)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.02), ("fp16", 0.02)])
def test_torch_measures_it(folder, measure, precision, tolerance):
    predictor = TorchPredictor(folder, artifact.read(folder), precision, torch.device("cpu"))
    found = predictor.in_lane(1)(PIXELS)
    assert found.shape == (6, len(CLASSES) + 1)
    np.testing.assert_allclose(found[:, -1], expected(measure), rtol=tolerance)


@pytest.mark.parametrize(("value", "known"), [(0.3, True), (1, True), (1.001, False), (np.nan, False)])
def test_above_1_it_is_unknown(value, known):
    probabilities, found = split_row(np.array([0.25, 0.75, value], np.float32), 2)
    assert (probabilities.tolist(), found) == ([0.25, 0.75], known)


def test_without_a_measure_nothing_is_said():
    assert split_row(np.array([0.25, 0.75], np.float32), 2)[1] is None


def test_what_was_written_is_read(folder, measure):
    about = artifact.read(folder)
    assert about.unlikeness == Unlikeness(0.95, 100, limit_int8=2.0)
    assert about.row_width == len(CLASSES) + 1
    read = artifact.read_measure(folder, about)
    assert read is not None
    assert all(np.array_equal(one, other) for one, other in zip(read, measure, strict=True))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mean": None}, "'mean' is missing; accepted: float32 of shape"),
        ({"mean": np.zeros(FEATURES, np.float64)}, "'mean' is float64 of shape"),
        ({"weight": np.zeros((2, 2), np.float32)}, r"'weight' is float32 of shape \(2, 2\); accepted: float32"),
        ({"mean": np.full(FEATURES, np.nan, np.float32)}, "'mean' has values that are not finite"),
        ({"code": np.zeros(1, np.float32)}, "'code' is float32 of shape .*; accepted: no such tensor"),
    ],
)
def test_a_file_of_other_tensors(measure, change, sentence):
    tensors = {name: value for name, value in (measure._asdict() | change).items() if value is not None}
    with pytest.raises(UserError, match=f"here: {sentence}"):
        Measure.of_file(safetensors.numpy.save(tensors), "here")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "unlikeness.safetensors is missing"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:100]),
            "is not the file that its model.json was written with",
        ),
        (
            lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
            "is not the file that its model.json was written",
        ),
    ],
)
def test_a_damaged_file(tmp_path, measure, damage, sentence):
    about = Artifact(CLASSES, SIZE, 1e-5, unlikeness=Unlikeness(0.95, 100))
    save_artifact(tmp_path, about, trained().state_dict(), measure)
    damage(tmp_path / UNLIKENESS_FILE)
    with pytest.raises(UserError, match=sentence):
        artifact.read(tmp_path)


def test_an_artifact_without_a_measure_replaces_one_with(tmp_path, measure):
    save_artifact(tmp_path, Artifact(CLASSES, SIZE, 1e-5, unlikeness=Unlikeness(0.95, 100)), {}, measure)
    save_artifact(tmp_path, Artifact(CLASSES, SIZE, 1e-5), trained().state_dict())
    assert not (tmp_path / UNLIKENESS_FILE).exists()
    assert artifact.read(tmp_path).row_width == len(CLASSES)
