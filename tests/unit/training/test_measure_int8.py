"""What training measures for int8."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import artifact, batches_compared, engine, images, onnx_network
from classifier.artifact import Artifact
from classifier.artifact_fields import INT8_FILE
from classifier.engine import OUTPUT, Engine
from classifier.layers import FEATURES
from classifier.serving.openvino_predictor import OpenVinoPredictor, choose_precision
from classifier.training import measure_int8
from classifier.training.artifact_files import save_artifact
from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import Evaluation, evaluate
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt
from classifier.training.measure_int8 import RANGE_IMAGES, add_int8, choose, compare
from classifier.unlikeness import Measure, Unlikeness
from networks import trained

SIZE = 64
pytestmark = pytest.mark.skipif("int8" not in engine.list_precisions(), reason="this processor has no int8")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_artifact(folder, Artifact(tuple("abcdefghij"), SIZE, 1e-5), trained().state_dict())
    return folder


def classes(folder: Path, precision: str, pixels: np.ndarray) -> np.ndarray:
    predictor = OpenVinoPredictor(folder, artifact.read(folder), precision)
    return predictor.in_lane(1)(pixels).argmax(1)


@pytest.fixture(scope="module")
def validation(tmp_path_factory, model_folder) -> ImageBatches:
    """Noise, labelled as the model in fp32 sees it, and one file that is no image."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, SIZE, SIZE, 3), dtype=np.uint8)
    files = [f"{i}.png" for i in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(folder / file)
    (folder / "none.png").write_bytes(b"none")
    seen = np.stack([images.evaluation_pixels((folder / file).read_bytes(), SIZE) for file in files])
    labels = classes(model_folder, "fp32", seen)
    phase = Phase("validation", folder, ("none.png", *files), (0, *labels.tolist()), {})
    hp = Hyperparameters(image_size=SIZE, workers=0)
    return ImageBatches(phase, hp, Compute(torch.device("cpu"), torch.float32))


@pytest.fixture(scope="module")
def validated(validation) -> Evaluation:
    """What validation finds with the model's weights."""
    compute, loss = Compute(torch.device("cpu"), torch.float32), torch.nn.CrossEntropyLoss()
    return evaluate(trained().eval(), loss, validation, compute, 10, SkippedImages(), Interrupt())


def test_what_is_measured_is_served(model_folder, validation, validated, caplog):
    caplog.set_level("INFO")
    before = artifact.read(model_folder)
    add_int8(model_folder, validation, validated, Interrupt())
    about = artifact.read(model_folder)
    assert (about.quantization.images, about.classes) == (12, before.classes)
    read = torch.cat([batch.inputs.clone() for batch in validation.epoch()]).numpy()
    wrong = (classes(model_folder, "int8", read) != np.array(validation.phase.labels[1:])).sum()
    assert about.quantization.accuracy_lost == wrong / 12 < 0.2
    assert f"int8: right in {12 - wrong} of 12 validation images, without it in 12" in caplog.text
    assert (choose_precision("auto", about) == "int8") is bool(wrong == 0)
    assert (INT8_FILE in about.sha256) is bool(wrong == 0)
    assert about.networks_key == about.key


def test_the_weights_are_rounded_for_such_images(tmp_path, monkeypatch, validation, validated):
    """The file that is written is nearer to fp32 than one whose weights are rounded to the nearest step."""
    monkeypatch.setattr(artifact, "MOST_ACCURACY_LOST", 2)  # so that it is written
    save_artifact(tmp_path, Artifact(tuple("abcdefghij"), SIZE, 1e-5), trained().state_dict())
    add_int8(tmp_path, validation, validated, Interrupt())
    about = artifact.read(tmp_path)
    weights = artifact.read_weights(tmp_path, about)
    written = artifact.read_file(tmp_path, about, INT8_FILE)
    nearest = onnx_network.build(about, weights, about.quantization.ranges)
    pixels = torch.cat([batch.inputs.clone() for batch in validation.epoch()]).numpy()
    exact, *found = (
        Engine(engine.read(file), precision, 1).open()(pixels)[OUTPUT]
        for file, precision in ((onnx_network.build(about, weights), "fp32"), (written, "int8"), (nearest, "int8"))
    )
    rounded_error, nearest_error = (np.abs(one - exact).mean() for one in found)
    assert rounded_error < 0.8 * nearest_error


def test_a_signal_leaves_the_artifact_as_it_is(tmp_path, validation, validated):
    save_artifact(tmp_path, Artifact(tuple("abcdefghij"), SIZE, 1e-5), trained().state_dict())
    interrupt = Interrupt()
    interrupt.signal = "SIGTERM"
    add_int8(tmp_path, validation, validated, interrupt)
    assert json.loads((tmp_path / "model.json").read_text())["quantization"] is None


def test_weights_that_overflow_are_not_measured(tmp_path, validation, validated):
    weights = trained().state_dict()
    weights["layer1.0.conv1.weight"] *= 1e38
    save_artifact(tmp_path, Artifact(tuple("abcdefghij"), SIZE, 1e-5), weights)
    add_int8(tmp_path, validation, validated, Interrupt())
    assert artifact.read(tmp_path).quantization is None


def test_of_many_pixels_some_are_measured(tmp_path, monkeypatch, validation, validated):
    save_artifact(tmp_path, Artifact(tuple("abcdefghij"), SIZE, 1e-5), trained().state_dict())
    monkeypatch.setattr(measure_int8, "MOST_PIXELS", 4 * SIZE**2)
    add_int8(tmp_path, validation, validated, Interrupt())
    assert artifact.read(tmp_path).quantization.images == 3  # of four: the first is not an image


def test_an_engine_wrong_for_an_image_alone_leaves_no_int8(tmp_path, monkeypatch, validation, validated, caplog):
    caplog.set_level("INFO")
    save_artifact(tmp_path, Artifact(tuple("abcdefghij"), SIZE, 1e-5), trained().state_dict())
    monkeypatch.setattr(batches_compared, "MOST_DIFFERENCE", -1)
    add_int8(tmp_path, validation, validated, Interrupt())
    assert artifact.read(tmp_path).quantization is None
    assert "no int8: a probability of an image alone differs by" in caplog.text


def test_the_limit_of_what_is_known_is_measured_in_int8(tmp_path, validation, validated):
    """The same images are known in int8 as without it, although it changes their features."""
    random = np.random.default_rng(3)
    measure = Measure(np.full(FEATURES, 0.5, np.float32), random.normal(0, 0.01, (FEATURES,) * 2).astype(np.float32))
    about = Artifact(tuple("abcdefghij"), SIZE, 1e-5, unlikeness=Unlikeness(0.95, 100))
    save_artifact(tmp_path, about, trained().state_dict(), measure)
    add_int8(tmp_path, validation, validated, Interrupt())
    about = artifact.read(tmp_path)
    read = torch.cat([batch.inputs.clone() for batch in validation.epoch()]).numpy()
    exact, found = (
        OpenVinoPredictor(tmp_path, about, precision).in_lane(1)(read)[:, -1] for precision in ("fp32", "int8")
    )
    assert about.unlikeness.limit_int8 == pytest.approx(
        np.median(found * about.unlikeness.limit_int8 / exact), rel=0.01
    )
    assert np.median(found / exact) == pytest.approx(1, abs=0.01)
    assert about.networks_key == about.key


def test_ranges_are_of_some_images_and_each_image_is_read_once(tmp_path, monkeypatch, validation, validated):
    read = []
    save_artifact(tmp_path, Artifact(tuple("abcdefghij"), SIZE, 1e-5), trained().state_dict())
    whole = validation.pixels_of

    def note(positions):
        read.extend(positions)
        return whole(positions)

    monkeypatch.setattr(validation, "pixels_of", note)
    wide = {}
    for number in (2, 12):
        monkeypatch.setattr(measure_int8, "RANGE_IMAGES", number)
        read.clear()
        add_int8(tmp_path, validation, validated, Interrupt())
        assert sorted(read) == list(range(13))
        about = artifact.read(tmp_path)
        assert about.quantization.images == 12
        wide[number] = sum(high - low for low, high in about.quantization.ranges.values())
    assert wide[2] < wide[12]


def test_images_for_the_ranges_come_first_and_all_are_spread_evenly():
    order = choose(1000, 500)
    assert len(set(order)) == 500
    for some in (order, order[:RANGE_IMAGES]):
        gaps = np.diff(sorted(some))
        assert (min(some), max(some)) == (0, 999)
        assert gaps.max() <= 1 + 999 / (len(some) - 1) * 1.2
    assert choose(3, 500) == [0, 1, 2]
    assert choose(5, 1) == [0]


def test_int8_is_compared_with_what_validation_found_of_the_same_images(validated):
    right = dict(zip(validated.positions.tolist(), validated.labels.tolist(), strict=True))
    assert compare(right, validated) == (12, 12, 12)
    some = {position: right[position] for position in (1, 2, 3)} | {99: 0}  # of which validation knows no more
    some[2] = (some[2] + 1) % 10
    assert compare(some, validated) == (3, 2, 3)
    assert compare({}, validated) == (0, 0, 0)
