"""A made-up job for the tests of outputs and report."""

from dataclasses import replace

import numpy as np

from classifier.training.data.batch import Batch
from classifier.training.data.folders import Dataset, Phase
from classifier.training.data.skipped import SkippedImages
from classifier.training.debugging.debugger import Debugging
from classifier.training.evaluate import Evaluation, Mistake
from classifier.training.history import History
from classifier.training.hyperparameters import Hyperparameters
from classifier.training.profiling.profiler import Profile
from classifier.training.reporting.summary import Observed, Summary
from helpers import photo

CLASSES = ("<b>ox</b>", "Käse, alt", "狗")
LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 1, 1, 1, 0, 2])


def make_summary(tmp_path, phase="test", **changes) -> Summary:
    files = tuple(f"{CLASSES[label]}/{number}.jpg" for number, label in enumerate(LABELS))
    folder = tmp_path / "images"
    parts = {name: Phase(name, folder, files, tuple(LABELS.tolist()), {}) for name in ("train", "validation", "test")}
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        photo(40, 40).save(folder / file)
    dataset = Dataset(CLASSES, parts["train"], parts["validation"], parts["test"] if phase == "test" else None, False)
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (LABELS, PREDICTED), 1)
    recall = np.diag(confusion) / confusion.sum(1)
    mistakes = tuple(
        Mistake(0.9 - 0.1 * n, position, LABELS[position], PREDICTED[position]) for n, position in enumerate((1, 2, 4))
    )
    confidence = np.linspace(0.5, 1, 6)
    evaluation = Evaluation(
        phase=phase,
        loss=0.7,
        accuracy=0.5,
        macro_f1=0.44,
        precision=recall,
        recall=recall,
        f1=recall,
        confusion=confusion,
        step_losses=np.array([0.6, 0.8]),
        step_sizes=np.array([3, 3]),
        positions=np.arange(6),
        labels=LABELS,
        predicted=PREDICTED,
        confidence=confidence,
        mistakes=mistakes,
        temperature=1.5,
        calibration_error=0.02,
        calibration_error_before=0.08,
    )
    epochs = [
        {"epoch": n, "train:loss": 1 / n, "validation:loss": 1.1 / n, "train:accuracy": 0.4, "validation:accuracy": 0.5}
        for n in (1, 2)
    ]
    skipped = SkippedImages()
    skipped.add(parts["train"], Batch(None, None, None, {3: "damaged image: <cut> off"}))
    values = {
        "hp": Hyperparameters(lr=0.02, report_images=True),
        "dataset": dataset,
        "history": History(
            epochs,
            steps=8,
            train_losses=[2.0, 1.5, 1.2, 1.0, 0.9, 0.8, 0.8, 0.7],
            validation_losses=[[1.0, 1.4], [0.6, 0.8]],
            validation_means=[1.2, 0.7],
            best_epoch=2,
            best=evaluation,
        ),
        "evaluation": evaluation,
        "skipped": skipped,
        "origin": "a random start",
        "device": "cpu",
        "ending": None,
        "observed": Observed(Debugging("debug=off"), Profile("profile=off"), []),
    }
    return Summary(**values | changes)


def make_large_summary(tmp_path, classes: int, of_each: int = 6) -> Summary:
    """Return a job with many classes of long names, of whose images a fifth is taken for a class that follows."""
    random, count = np.random.default_rng(0), classes * of_each
    names = tuple(f"class_{number:03}_with_a_name_that_is_long" for number in range(classes))
    labels = np.repeat(np.arange(classes), of_each)
    step = np.where(random.random(count) < 0.8, 0, random.integers(1, 3, count))
    predicted = (labels + step) % classes
    few = make_summary(tmp_path)
    file = few.dataset.test.files[0]
    phase = Phase("test", few.dataset.test.folder, (file,) * count, tuple(labels.tolist()), {})
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    recall = np.diag(confusion) / of_each
    wrong = np.flatnonzero(step)[:24].tolist()
    evaluation = replace(
        few.evaluation,
        accuracy=float(np.mean(step == 0)),
        **dict.fromkeys(("precision", "recall", "f1"), recall),
        confusion=confusion,
        positions=np.arange(count),
        labels=labels,
        predicted=predicted,
        confidence=random.uniform(0.3, 1, count),
        mistakes=tuple(Mistake(0.9, one, int(labels[one]), int(predicted[one])) for one in wrong),
    )
    return replace(few, dataset=Dataset(names, phase, phase, phase, False), evaluation=evaluation)
