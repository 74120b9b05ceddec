"""Measure which score tells images apart that are unlike a model's own: AUROC, and how many are found, as a table.

Usage: python benchmarks/unknown.py DATA MODEL [OTHER ...]

DATA has validation/ and test/, each with a folder per class, and MODEL is an artifact trained on it. The test images
are told apart from those of the folders OTHER, from crops of scikit-learn's two photos, and from three kinds made up.
Each score is fitted on the validation images alone; "found" is the share above the limit that lets 95 % of them pass. A
second table has what the processor's engine says in each precision, and what saying it costs.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import machine
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

from classifier import artifact, engine, network
from classifier.artifact import Artifact
from classifier.images import SUFFIXES, evaluation_pixels
from classifier.serving.openvino_predictor import OpenVinoPredictor
from classifier.training import familiarity

MADE, CALLS = 100, 1000
NEIGHBOURS = 5
# Of features and logits, to a number that is larger for images unlike the validation's.
Score = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("others", type=Path, nargs="*")
    settings = parser.parse_args()
    about = artifact.read(settings.model)
    model, size = network.load(about, artifact.read_weights(settings.model, about)), about.image_size
    pixels = {name: read(settings.data / name, size) for name in ("validation", "test")}
    unlike = {str(folder): read(folder, size) for folder in settings.others} | made_up(size)
    validation, test, *others = (run(model, part) for part in (*pixels.values(), *unlike.values()))
    print(f"{machine.heading()}; {len(test[0])} test images, {len(validation[0])} of validation, {size} px\n")
    print(f"| score | test images known | {' | '.join(f'{name}: AUROC, found' for name in unlike)} |")
    print("|---|---|" + "---|" * len(others))
    for name, (score, held_out) in scores(*validation).items():
        limit, own = familiarity.limit_of(held_out.numpy()), score(*test)
        apart = [(auroc(own, other), share_above(limit, other)) for other in (score(*one) for one in others)]
        cells = " | ".join(f"{area:.3f}, {found:.2f}" for area, found in apart)
        print(f"| {name} | {1 - share_above(limit, own):.3f} | {cells} |")
    print_precisions(settings.model, about, pixels["test"], np.concatenate(list(unlike.values())))


def print_precisions(folder: Path, about: Artifact, own: np.ndarray, other: np.ndarray) -> None:
    """Print what the engine says of a model's `own` test images and of the others, uint8 (n, size, size, 3)."""
    print("\n| precision | test images known | others found | unlike fp32 | ms of CPU, without it |")
    print("|---|---|---|---|---|")
    exact = known(folder, about, "fp32", np.concatenate((own, other)))
    for precision in engine.list_precisions():
        found = known(folder, about, precision, np.concatenate((own, other)))
        shares = f"{found[: len(own)].mean():.3f} | {1 - found[len(own) :].mean():.3f}"
        times = costs(folder, about, precision, own[:1])
        print(f"| {precision} | {shares} | {(found != exact).sum()} of {len(found)} | {times[0]:.2f}, {times[1]:.2f} |")


def known(folder: Path, about: Artifact, precision: str, pixels: np.ndarray) -> np.ndarray:
    """Return whether each image is known (n,)."""
    forward = OpenVinoPredictor(folder, about, precision, cores=1).in_lane(1)
    return np.concatenate([forward(pixels[i : i + 8])[:, -1] <= 1 for i in range(0, len(pixels), 8)])


def costs(folder: Path, about: Artifact, precision: str, pixels: np.ndarray) -> list[float]:
    """Return the milliseconds of CPU of an image alone, the medians of CALLS in turn: as it is, and saying nothing."""
    ways = [about, replace(about, unlikeness=None)]
    forwards = [OpenVinoPredictor(folder, one, precision, cores=1).in_lane(1) for one in ways]
    times = np.empty((CALLS, len(ways)))
    for call, way in np.ndindex(times.shape):
        start = time.process_time()
        forwards[way](pixels)
        times[call, way] = 1000 * (time.process_time() - start)
    return np.median(times, axis=0).tolist()


def scores(features: torch.Tensor, logits: torch.Tensor) -> dict[str, tuple[Score, torch.Tensor]]:
    """Return scores by their names, each with those of the validation images, judged by the others where fitted."""
    found: dict[str, tuple[Score, torch.Tensor]] = {}

    def add(name: str, score: Score, held_out: torch.Tensor | None = None) -> None:
        found[name] = score, score(features, logits) if held_out is None else held_out

    add("1 - largest probability", lambda _, logits: 1 - logits.softmax(1).amax(1))
    add("energy", lambda _, logits: -logits.logsumexp(1))
    unit = torch.nn.functional.normalize(features)

    def nearest(features: torch.Tensor, rank: int = NEIGHBOURS) -> torch.Tensor:
        return -(torch.nn.functional.normalize(features) @ unit.T).topk(rank, 1)[0][:, -1]

    add(f"cosine to neighbour {NEIGHBOURS}", lambda features, _: nearest(features), nearest(features, NEIGHBOURS + 1))
    for name, change in {
        "features": lambda features: features.square(),
        "roots, as served": lambda features: features,
    }.items():
        fitted = familiarity.fit(change(features))
        if fitted.measure is None:
            raise SystemExit(fitted.why_not)
        mean, weight = map(torch.from_numpy, fitted.measure)

        def distance(features, _, change=change, mean=mean, weight=weight):
            return ((change(features).sqrt() - mean) @ weight).norm(dim=1)

        # The limit is 1 for images that are judged by the others.
        add(f"Mahalanobis distance of {name}", distance, torch.ones(len(features)))
    return found


def made_up(size: int) -> dict[str, np.ndarray]:
    """Return kinds of images that are of no data set, each uint8 (MADE, size, size, 3)."""
    random = np.random.default_rng(0)

    def crop(photo: np.ndarray) -> Image.Image:
        side = random.integers(120, min(photo.shape[:2]))
        top, left = (random.integers(0, length - side) for length in photo.shape[:2])
        return Image.fromarray(photo[top : top + side, left : left + side])

    def resized(images: list[Image.Image]) -> np.ndarray:
        return np.stack([np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)) for image in images])

    photos = load_sample_images().images
    few = random.integers(0, 256, (MADE, 6, 6, 3), np.uint8)
    return {
        "crops of two photos": resized([crop(photos[i % 2]) for i in range(MADE)]),
        "noise": random.integers(0, 256, (MADE, size, size, 3), np.uint8),
        "soft colours": resized([Image.fromarray(one) for one in few]),
        "one colour": np.broadcast_to(few[:, :1, :1], (MADE, size, size, 3)),
    }


def read(folder: Path, size: int) -> np.ndarray:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return np.stack([evaluation_pixels(path.read_bytes(), size) for path in paths])


@torch.inference_mode()
def run(model: network.ResNet18, pixels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and logits of images (n, size, size, 3)."""
    normalize = network.Normalize()
    features = torch.cat(
        [model.features(normalize(torch.tensor(part))) for part in np.array_split(pixels, len(pixels) // 32 + 1)]
    )
    return features, model.fc(features)


def auroc(own: torch.Tensor, other: torch.Tensor) -> float:
    labels = np.repeat([0, 1], [len(own), len(other)])
    return float(roc_auc_score(labels, torch.cat((own, other)).numpy()))


def share_above(limit: float, values: torch.Tensor) -> float:
    return float((values > limit).double().mean())


if __name__ == "__main__":
    main()
