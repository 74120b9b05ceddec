"""What the GPU gives, of what it could: steps, jobs, forward passes and the server, as tables and then as JSON.

Usage: python benchmarks/gpu.py [--data FOLDER] [PART ...]

FOLDER has a folder of JPEGs for each class; photos are made up without it. PART is steps, jobs or serving; by default
all are measured, which is to take under 8 minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import gpu_jobs
import gpu_serving
import gpu_steps
import machine
import torch

import environment

# A title, the names of columns, and rows.
Table = tuple[str, tuple[str, ...], list[tuple]]
PARTS: dict[str, Callable[[torch.device, Path], Iterable[Table]]] = {
    "steps": gpu_steps.measure,
    "jobs": gpu_jobs.measure,
    "serving": gpu_serving.measure,
}
CARD = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,memory.total"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        sys.exit(f"no part {min(unknown)!r}; accepted: {', '.join(PARTS)}")
    environment.ask_no_proxy_for_this_computer()
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"torch has no GPU here, so nothing is measured: {str(error).partition(chr(10))[0]}")
    print(f"{machine.heading()}\ntorch {torch.__version__}, CUDA {torch.version.cuda}\n{card()}", flush=True)
    found, failed = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        photos = options.data or gpu_jobs.make_photos(Path(scratch) / "photos")
        for part in options.parts or PARTS:
            try:
                for title, columns, rows in PARTS[part](torch.device("cuda"), photos):
                    print_table(title, columns, rows)
                    found[title] = [dict(zip(columns, row, strict=True)) for row in rows]
            except (Exception, SystemExit) as error:  # the other parts are worth their minutes
                print(f"\n{part} failed: {type(error).__name__}: {error}", flush=True)
                failed.append(part)
    print(json.dumps({"card": card(), "machine": machine.heading(), "failed": failed, "tables": found}))
    sys.exit(bool(failed))


def card() -> str:
    """Return the card's name, driver and clocks, as the driver's tool has them."""
    command = ["nvidia-smi", f"--query-gpu={CARD}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"{torch.cuda.get_device_name()} (nvidia-smi is missing: driver and clocks are unknown)"


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    """Print Markdown; None is unknown."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(map(shown, row))} |")
    sys.stdout.flush()


def shown(value: object) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
