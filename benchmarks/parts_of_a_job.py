"""Where the seconds of whole training jobs go on this machine, by image size and number of reading processes.

Usage: python benchmarks/parts_of_a_job.py FOLDER [--sizes 64,224] [--workers 1,2] [--epochs N] [NAME=VALUE ...]

FOLDER holds train/ and validation/, and perhaps test/, with a folder per class. NAME=VALUE is a hyperparameter.
"""

import argparse
from pathlib import Path

import gpu_jobs
import machine
from reading import table

VALUES = {"weights": "none", "batch_size": 32, "lr": 0.001, "stop_on_rule": "none"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="64,224")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args()
    more = dict(value.split("=", 1) for value in options.values)
    print(machine.heading(), flush=True)
    rows, parts = [], []
    for size in options.sizes.split(","):
        for workers in options.workers.split(","):
            values = {"image_size": size, "workers": workers, "epochs": options.epochs} | more
            job, speeds, seconds = gpu_jobs.run(options.folder, VALUES | values)
            rows.append((size, workers, *speeds, job.first_step, job.end - job.epochs, job.end, job.memory))
            parts += [(size, workers, part, spent) for part, spent in seconds.items()]
    epochs = [f"epoch {number}" for number in range(1, options.epochs + 1)]
    columns = ("px", "workers", *epochs, "s to the first step", "s after the last epoch", "s in all", "peak MB")
    table(columns, [tuple(f"{x:,.4g}" if isinstance(x, float) else x for x in row) for row in rows])
    table(("px", "workers", "part", "s"), [(*row[:3], f"{row[3]:.2f}") for row in parts])


if __name__ == "__main__":
    main()
