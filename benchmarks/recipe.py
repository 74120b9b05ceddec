"""Measure what each part of a training recipe gains over the plain one: Adam 1e-3, random crop and flip.

Usage: python benchmarks/recipe.py FOLDER [--work FOLDER] [--seeds N] [--recipes NAME ...] [--threads N]

FOLDER holds train/, validation/ and test/, each with a folder per class. Each seed splits all their photos anew, the
same for every recipe. All classes are trained from scratch, and one half of them from weights pretrained on the other
half; both on all photos, and on a subset whose last class has ten times the photos of each other class. A recipe
changes one thing in the plain one, at the same number of epochs. Each run is the real training job of
classifier.training. Accuracy is on test photos, equally many per class. Finished runs are kept in the work folder and
not repeated.
"""

import argparse
import contextlib
import json
import logging
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import torch
from pretrained import PHASES, pretrain
from torchvision.transforms import v2

from classifier.contract import Contract
from classifier.training import job, trainer
from classifier.training.data.augment import Augmentation
from classifier.training.interrupt import Interrupt
from classifier.training.optimization import learning_rate
from classifier.training.reporting.summary import Summary
from classifier.training.trainer import Trainer

TEST, VALIDATION = 20, 10  # photos per class; the others are trained on
TIMES = 10
# Weight averaging is over this share of the steps.
AVERAGED = 0.1
PLAIN = {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0, "augmentation": "standard", "label_smoothing": 0}
PLAIN |= {"image_size": 64, "batch_size": 32, "precision": "bf16", "class_weights": "none"}
COMMON = {"workers": 0, "debug": "off", "profile": "off", "report_images": "false"}


def constant(peak: float, _step: int, _steps: int) -> float:
    return peak


def cosine(peak: float, step: int, steps: int) -> float:
    """Return the learning rate of the cosine schedule without a warm-up."""
    with mock.patch("classifier.training.optimization.WARMUP_FRACTION", 0):
        return learning_rate(peak, step, steps)


class Averaged(Trainer):
    """Validates and keeps an exponential moving average of the weights and of batch normalisation's statistics."""

    def __post_init__(self):
        super().__post_init__()
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.take, self.step.take = self.step.take, self.take_and_average

    def take_and_average(self, inputs: torch.Tensor, labels: torch.Tensor, share: float, lr: float) -> torch.Tensor:
        result = self.take(inputs, labels, share, lr)
        new = max(1 / (AVERAGED * self.steps), 10 / (10 + self.history.steps))
        for name, tensor in self.model.state_dict().items():
            now = tensor if not tensor.is_floating_point() else self.average[name].lerp(tensor, new)
            self.average[name].copy_(now)
        return result

    def end_epoch(self, training):
        now = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        super().end_epoch(training)
        self.model.load_state_dict(now)


class Strong(Augmentation):
    """Crop, flip and TrivialAugment, which changes each four images of a batch alike."""

    def _change(self, pixels, random):
        groups = super()._change(pixels, random).permute(0, 3, 1, 2).split(4)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(random.integers(2**63)))
            return torch.cat([v2.TrivialAugmentWide()(group) for group in groups]).permute(0, 2, 3, 1).contiguous()


@dataclass(frozen=True)
class Recipe:
    """The plain recipe with `changes` to its hyperparameters, and with changes that no hyperparameter makes."""

    changes: Mapping[str, object] = field(default_factory=dict)
    schedule: Callable = constant
    trainer: type = Trainer
    augmentation: type = Augmentation
    head_epochs: int = 0  # the first epochs, which train only the head


DEFAULTS = {"weight_decay": 0.01}
RECIPES = {
    "plain": Recipe(),
    "cosine": Recipe(schedule=cosine),
    "warm-up, cosine": Recipe(schedule=learning_rate),
    "weight decay 0.01": Recipe(DEFAULTS),
    "label smoothing 0.1": Recipe({"label_smoothing": 0.1}),
    "weight averaging": Recipe(trainer=Averaged),
    "class weights": Recipe({"class_weights": "balanced"}),
    "head first": Recipe(head_epochs=3),
    "warm-up, cosine, weight decay": Recipe(DEFAULTS, learning_rate),
    "the same in fp32": Recipe(DEFAULTS | {"precision": "fp32"}, learning_rate),
    "the same, label smoothing": Recipe(DEFAULTS | {"label_smoothing": 0.1}, learning_rate),
    "strong augmentation": Recipe(augmentation=Strong),
}
if torch.cuda.is_available():  # a step takes over a minute on a processor
    RECIPES["the same in fp16"] = Recipe(DEFAULTS | {"precision": "fp16"}, learning_rate)


@dataclass(frozen=True)
class Setting:
    """Photos and starting weights, the same for all recipes."""

    name: str
    pretrained: bool
    rare: bool  # all classes except the last have few photos
    epochs: int

    def has(self, recipe: str) -> bool:
        """Return whether `recipe` differs from the plain one in this setting."""
        return {"class weights": self.rare, "head first": self.pretrained}.get(recipe, True)


SETTINGS = [
    Setting("from scratch", pretrained=False, rare=False, epochs=12),
    Setting("from pretrained weights", pretrained=True, rare=False, epochs=12),
    Setting(f"from scratch, one class {TIMES} times larger", pretrained=False, rare=True, epochs=30),
    Setting(f"from pretrained weights, one class {TIMES} times larger", pretrained=True, rare=True, epochs=20),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("recipe"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.basicConfig(level=logging.WARNING)
    folder = arguments.folder.resolve()
    classes = sorted(path.name for path in (folder / "train").iterdir())
    before, after = classes[: len(classes) // 2], classes[len(classes) // 2 :]
    weights = pretrained_once(arguments.work, folder, before)
    results = Results(arguments.work / "runs.jsonl")
    for name in arguments.recipes:
        for seed in range(arguments.seeds):
            for setting in SETTINGS:
                key = (setting.name, name, seed)
                if not setting.has(name) or key in results.lines:
                    continue
                with tempfile.TemporaryDirectory() as scratch:
                    root = Path(scratch)
                    divide(root, folder, after if setting.pretrained else classes, seed, setting.rare)
                    start = {"pretrained": weights} if setting.pretrained else {}
                    results.add(key, train(root, RECIPES[name], setting, seed, start))
    for setting in SETTINGS:
        results.table(setting)


def pretrained_once(work: Path, folder: Path, classes: list[str]) -> Path:
    """Return the folder in `work` with weights pretrained on `classes`; trains them if it is missing."""
    channel = work.resolve() / "pretrained"
    if not channel.exists():
        with tempfile.TemporaryDirectory() as scratch:
            work.mkdir(exist_ok=True)
            shutil.move(pretrain(Path(scratch), folder, classes), channel)
    return channel


def divide(root: Path, folder: Path, classes: list[str], seed: int, rare: bool) -> None:
    """Make channels in `root` from the photos of `classes`; if `rare`, train has 1/TIMES of all but the last."""
    for name in classes:
        photos = sorted(path for phase in PHASES for path in (folder / phase / name).iterdir())
        random.Random(f"{seed} {name}").shuffle(photos)
        test, validation, train = photos[:TEST], photos[TEST : TEST + VALIDATION], photos[TEST + VALIDATION :]
        if rare and name != classes[-1]:
            train = train[: len(train) // TIMES]
        for channel, part in (("test", test), ("validation", validation), ("train", train)):
            target = root / "input/data" / channel / name
            target.mkdir(parents=True)
            for photo in part:
                (target / photo.name).symlink_to(photo)


def train(root: Path, recipe: Recipe, setting: Setting, seed: int, channels: Mapping[str, Path]) -> dict[str, float]:
    """Train in `root` by `recipe`, from weights in `channels` if there are any, and return the test figures."""
    weights = "imagenet" if channels else "none"
    values = {**PLAIN, **COMMON, **recipe.changes, "seed": seed, "weights": weights}
    started = time.monotonic()
    if recipe.head_epochs:
        start(root, values | {"epochs": recipe.head_epochs, "trainable": "head"}, recipe, channels)
        channels = {"model": (root / "model").rename(root / "head")}
    summary = start(root, values | {"epochs": setting.epochs - recipe.head_epochs}, recipe, channels)
    test = summary.evaluation
    assert test, "the channel test is always there"
    return {
        "accuracy": test.accuracy,
        "loss": test.loss,
        "calibration_error_before": test.calibration_error_before,
        "calibration_error": test.calibration_error,
        "temperature": test.temperature,
        "seconds": time.monotonic() - started,
    }


def start(root: Path, hyperparameters: Mapping, recipe: Recipe, channels: Mapping[str, Path]) -> Summary:
    """Run the job in `root`; what its report would be made of."""
    for name in ("pretrained", "model"):
        (root / "input/data" / name).unlink(missing_ok=True)
    for name, path in channels.items():
        (root / "input/data" / name).symlink_to(path)
    config = root / "input/config/hyperparameters.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(trainer, "learning_rate", recipe.schedule))
        stack.enter_context(mock.patch.object(trainer, "Augmentation", recipe.augmentation))
        stack.enter_context(mock.patch.object(job, "Trainer", recipe.trainer))
        stack.enter_context(mock.patch.object(job, "add_int8"))
        write = stack.enter_context(mock.patch.object(job, "write_report"))
        job.run(Contract(root, {}), Interrupt())
    return write.call_args.args[1]


class Results:
    """The figures of every run by setting, recipe and seed, stored in `path` with one line per run."""

    def __init__(self, path: Path):
        self.path = path
        self.lines: dict[tuple[str, str, int], dict[str, float]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            *key, figures = json.loads(line)
            self.lines[tuple(key)] = figures

    def add(self, key: tuple[str, str, int], figures: dict[str, float]) -> None:
        self.lines[key] = figures
        print(*key, f"accuracy {figures['accuracy']:.3f}, {figures['seconds']:.0f} s", flush=True)
        with self.path.open("a") as file:
            file.write(json.dumps([*key, figures]) + "\n")

    def table(self, setting: Setting) -> None:
        """Print the means over the seeds, and the gain over the plain recipe with its standard error."""
        print(f"\n| {setting.name} | accuracy | gain | loss | calibration error before | after |")
        print("|---|---|---|---|---|---|")
        plain = self.of(setting, "plain")
        for name in RECIPES:
            if not (runs := self.of(setting, name)):
                continue
            mean = {figure: statistics.mean(one[figure] for one in runs.values()) for figure in runs[0]}
            gains = [one["accuracy"] - plain[seed]["accuracy"] for seed, one in runs.items() if seed in plain]
            error = f" ± {statistics.stdev(gains) / len(gains) ** 0.5:.3f}" if len(gains) > 1 else ""
            gain = f"{statistics.mean(gains):+.3f}{error}" if name != "plain" else ""
            calibration = f"{mean['calibration_error_before']:.3f} | {mean['calibration_error']:.3f}"
            print(f"| {name} | {mean['accuracy']:.3f} | {gain} | {mean['loss']:.2f} | {calibration} |")

    def of(self, setting: Setting, recipe: str) -> dict[int, dict[str, float]]:
        """Return the figures of each seed."""
        return {key[2]: figures for key, figures in self.lines.items() if key[:2] == (setting.name, recipe)}


if __name__ == "__main__":
    main()
