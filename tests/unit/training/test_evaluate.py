from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from classifier.network import Normalize
from classifier.training.calibration import fit_temperature
from classifier.training.compute import Compute
from classifier.training.data.batches import ImageBatches
from classifier.training.data.folders import Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.evaluate import WORST_MISTAKES, evaluate, scores
from classifier.training.familiarity import Familiarity
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.interrupt import Interrupt, Interrupted

CLASSES = 4
LOSS = torch.nn.CrossEntropyLoss()
SHADES = (20, 90, 160, 230)
# What another evaluation has fitted.
UNFITTED = SimpleNamespace(temperature=1.0, familiarity=Familiarity())


class ByBrightness(torch.nn.Module):
    """Takes an image for the class whose shade it is nearest to, so that the truth is known without training."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Identity()

    def forward(self, inputs):
        assert not self.training
        normalize = Normalize()
        brightness = (inputs.permute(0, 2, 3, 1) * normalize.std + normalize.mean).mean((1, 2, 3))
        return self.fc(-(brightness[:, None] - torch.tensor(SHADES)).abs() / 30)


@pytest.fixture
def phase(tmp_path):
    """47 images of every shade; the seventh damaged; the labels of each fifth are wrong, and class 3 is rare."""
    generator = np.random.default_rng(0)
    files, labels = [], []
    for number in range(47):
        label = int(generator.choice(CLASSES, p=[0.5, 0.3, 0.15, 0.05]))
        shade = SHADES[label] + int(generator.integers(-25, 25))
        file = f"{number}.png"
        Image.new("RGB", (40, 40), (max(0, shade),) * 3).save(tmp_path / file)
        files.append(file)
        labels.append((label + 1) % CLASSES if number % 5 == 0 else label)
    (tmp_path / "7.png").write_bytes(b"damaged")
    return Phase("test", tmp_path, tuple(files), tuple(labels), {})


def run(phase, batch_size, interrupt=None, dtype=torch.float32, fitted=UNFITTED):
    hp = Hyperparameters(image_size=32, batch_size=batch_size, workers=0)
    compute = Compute(torch.device("cpu"), dtype)
    loader = ImageBatches(phase, hp, compute)
    interrupt = interrupt or Interrupt()
    return evaluate(ByBrightness(), LOSS, loader, compute, CLASSES, SkippedImages(), interrupt, fitted)


@pytest.fixture
def expected(phase):
    """Labels, predictions and probabilities, by plain numpy."""
    brightness = np.array([np.asarray(Image.open(phase.folder / f)).mean() for f in phase.files if f != "7.png"])
    logits = -np.abs(brightness[:, None] - np.array(SHADES)) / 30
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([label for file, label in zip(phase.files, phase.labels, strict=True) if file != "7.png"])
    return labels, logits.argmax(1), probabilities


@pytest.mark.parametrize("batch_size", [2, 5, 64])
def test_figures_agree_with_scikit_learns_whatever_the_batch(phase, expected, batch_size):
    labels, predicted, probabilities = expected
    result = run(phase, batch_size)
    assert result.positions.tolist() == [number for number in range(47) if number != 7]
    assert result.labels.tolist() == labels.tolist()
    assert result.predicted.tolist() == predicted.tolist()
    assert result.confidence == pytest.approx(probabilities.max(1), abs=1e-5)
    assert result.accuracy == pytest.approx((labels == predicted).mean())
    assert (len(result.step_losses), sum(result.step_sizes)) == (-(-47 // batch_size), 46)
    assert result.training_loss == pytest.approx(run(phase, 64).training_loss, rel=1e-5)
    assert result.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert result.loss == pytest.approx(log_loss(labels, probabilities, labels=range(CLASSES)), rel=1e-5)
    assert np.array_equal(result.confusion, confusion_matrix(labels, predicted, labels=range(CLASSES)))
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, zero_division=0)
    assert result.precision == pytest.approx(precision)
    assert result.recall == pytest.approx(recall)
    assert result.f1 == pytest.approx(f1)
    assert result.metrics == {
        "test:loss": result.loss,
        "test:accuracy": result.accuracy,
        "test:macro_f1": result.macro_f1,
    }


def scores_class_by_class(confusion):
    """Precision, recall and F1 from their definitions, and the macro F1 over the classes that occur."""
    columns = {"precision": [], "recall": [], "f1": []}
    occurring = []
    for number in range(len(confusion)):
        correct = confusion[number, number]
        labelled = sum(confusion[number, other] for other in range(len(confusion)))
        predicted = sum(confusion[other, number] for other in range(len(confusion)))
        precision = correct / predicted if predicted else 0.0
        recall = correct / labelled if labelled else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        for name, value in zip(columns, (precision, recall, f1), strict=True):
            columns[name].append(value)
        if labelled or predicted:
            occurring.append(f1)
    correct = sum(confusion[number, number] for number in range(len(confusion)))
    return columns | {"accuracy": correct / confusion.sum(), "macro_f1": sum(occurring) / len(occurring)}


@given(st.data())
def test_scores_agree_with_their_definitions_whatever_classes_never_occur(data):
    classes = data.draw(st.integers(1, 6))
    confusion = data.draw(arrays(np.int64, (classes, classes), elements=st.integers(0, 9)))
    some_classes = st.lists(st.integers(0, classes - 1))
    confusion[data.draw(some_classes)] = 0  # without images
    confusion[:, data.draw(some_classes)] = 0  # never predicted
    assume(confusion.any())
    found = scores(confusion)._asdict()
    for name, expected in scores_class_by_class(confusion).items():
        assert found[name] == pytest.approx(expected), name


def test_few_images_are_not_calibrated(phase):
    result = run(phase, 64, fitted=None)
    assert result.temperature == 1
    assert result.why_not_calibrated == "too few photos (46) to calibrate, accepted: 100 or more"
    assert result.calibration_error == result.calibration_error_before


def test_confidences_are_given_at_the_temperature_that_fits(phase, expected, monkeypatch):
    labels, _, probabilities = expected
    monkeypatch.setattr("classifier.training.evaluate.calibrate", lambda *outputs: (fit_temperature(*outputs), ""))
    plain, fitted = run(phase, 64), run(phase, 64, fitted=None)
    assert (plain.temperature, plain.calibration_error) == (1.0, plain.calibration_error_before)
    scaled = probabilities ** (1 / fitted.temperature)
    scaled /= scaled.sum(1, keepdims=True)
    assert fitted.confidence == pytest.approx(scaled.max(1), abs=1e-5)
    assert fitted.calibration_error_before == plain.calibration_error
    assert log_loss(labels, scaled, labels=range(CLASSES)) < plain.loss
    assert fitted.metrics == plain.metrics


def test_mistakes_are_the_wrong_ones_the_most_confident_first(phase, expected):
    labels, predicted, _ = expected
    mistakes = run(phase, 5).mistakes
    assert len(mistakes) == min(WORST_MISTAKES, (labels != predicted).sum())
    assert all(mistake.label != mistake.predicted for mistake in mistakes)
    confidences = [mistake.confidence for mistake in mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert all(phase.labels[mistake.position] == mistake.label for mistake in mistakes)


def test_bf16_is_used_where_it_is_asked_for(phase):
    class Probe(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Identity()

        def forward(self, inputs):
            self.dtype = torch.nn.functional.linear(inputs.flatten(1)[:, :4], torch.eye(4)).dtype
            return self.fc(inputs.flatten(1)[:, :4].to(self.dtype))

    probe = Probe()
    hp = Hyperparameters(image_size=32, workers=0)
    compute = Compute(torch.device("cpu"), torch.bfloat16)
    loader = ImageBatches(phase, hp, compute)
    result = evaluate(probe, LOSS, loader, compute, CLASSES, SkippedImages(), Interrupt())
    assert probe.dtype is torch.bfloat16
    assert result.confidence.dtype == np.float32


def test_a_signal_ends_it(phase):
    interrupt = Interrupt()
    interrupt.signal = "SIGTERM"
    with pytest.raises(Interrupted, match="SIGTERM"):
        run(phase, 8, interrupt)
