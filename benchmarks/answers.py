"""Measure by how much a model's answers differ from training's in each precision, by a job's own sample of answers.

Usage: python benchmarks/answers.py JOB ...

JOB is a folder laid out as /opt/ml, such as one in runs/. "Of the best" is the difference beside what training gave the
image's most probable class, which is what local/proving.py allows for.
"""

import argparse
from pathlib import Path

import machine
import numpy as np

from classifier import artifact, engine, images
from classifier.serving.answers import result_of
from classifier.serving.predictor import load_on_cpu
from classifier.serving.query import DEFAULT_K
from classifier.training.answers import sample
from local import proving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", type=Path, nargs="+", metavar="JOB")
    print(f"{machine.heading()}\n")
    print("| classes | best, median | served in | mean | most | of the best, 95 of 100 below | most | would differ |")
    print("|---|---|---|---|---|---|---|---|")
    for job in parser.parse_args().jobs:
        folder, taken = job / "model", sample.read(job / "output/data" / sample.FILE)
        if taken is None:
            raise SystemExit(f"{job} has no {sample.FILE}; accepted: a job with answers_sample above 0")
        about = artifact.read(folder)
        pixels = np.stack([images.evaluation_pixels(one.data, about.image_size) for one in taken.images])
        best = np.array([max(one.probabilities.values()) for one in taken.images])
        for precision in engine.list_precisions():
            predictor = load_on_cpu(folder, about, precision)
            forward = predictor.in_lane(predictor.lanes[0])
            answers = [result_of(forward(one[None])[0], about.classes, DEFAULT_K) for one in pixels]
            gaps = np.array([proving.gap(*pair) for pair in zip(taken.images, answers, strict=True)])
            shares, found = gaps / best, proving.compare(taken, answers)
            print(
                f"| {len(about.classes)} | {np.median(best):.3f} | {precision} "
                f"| {gaps.mean():.4f} | {gaps.max():.4f} "
                f"| {np.quantile(shares, 0.95):.3f} | {shares.max():.3f} | {found.differing} |"
            )


if __name__ == "__main__":
    main()
