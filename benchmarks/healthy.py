"""Look whether the rules blame healthy jobs: twenty with other seeds, learning rates, sizes and lengths, on the digits.

Usage: python benchmarks/healthy.py [JOBS]

A job counts as healthy if it ends in the upper half between guessing and no mistake. Exits with 1 if a rule blames one.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

from machine import heading

from classifier.training.outputs import DEBUG_FILE
from classifier.words import percent, plural
from local import places, programs
from local.digits import write_digits


def main() -> int:
    wanted, healthy, blamed, seed = int(*sys.argv[1:] or ("20",)), 0, 0, 0
    digits = write_digits(places.RUNS / "digits") / "train"
    print(f"{heading()}\n\n| seed | classes | images | px | batch | lr | optimizer | epochs | accuracy | found |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    while healthy < wanted:
        seed += 1
        random.seed(seed)
        classes, images = random.randint(2, 10), random.randint(15, 80)
        optimizer = random.choice(("adamw", "sgd"))
        given = {
            "seed": seed,
            "image_size": random.choice((32, 48, 64)),
            "batch_size": random.choice((8, 16, 32, 64)),
            "lr": f"{10 ** random.uniform(-3.5, -2.5) * (10 if optimizer == 'sgd' else 1):.2g}",
            "optimizer": optimizer,
            "epochs": random.randint(2, 12),
            "augmentation": random.choice(("none", "standard")),
        }
        accuracy, found = run(digits, classes, images, given)
        is_healthy = accuracy > (1 + 1 / classes) / 2
        healthy, blamed = healthy + is_healthy, blamed + bool(found and is_healthy)
        told = ", ".join(found) or "nothing" if is_healthy else f"not healthy ({', '.join(found) or 'nothing found'})"
        cells = seed, classes, classes * images, *list(given.values())[1:6], percent(accuracy, 1), told
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"\n{blamed} of {plural(healthy, 'healthy job')} blamed")
    return int(blamed > 0)


def run(digits: Path, classes: int, images: int, given: dict[str, object]) -> tuple[float, list[str]]:
    """Train on so many images of so many digits; return the best validation accuracy and the rules that blame."""
    with tempfile.TemporaryDirectory() as place:
        root, data = Path(place), Path(place) / "data"
        for folder in sorted(digits.iterdir())[:classes]:
            (data / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir())[:images]:
                (data / folder.name / file.name).symlink_to(file)
        texts = {name: str(value) for name, value in given.items()} | {"weights": "none", "profile": "off"}
        programs.prepare_job(root, data, texts)
        with (root / "log").open("w") as log, programs.training(root, image="", output=log.fileno()):
            pass
        rules = json.loads((root / "output/data" / DEBUG_FILE).read_text())["rules"]
        metrics = json.loads((root / "model/model.json").read_text())["metrics"]
    return metrics["validation:accuracy"], [rule["rule"] for rule in rules if rule["status"] == "found"]


if __name__ == "__main__":
    sys.exit(main())
