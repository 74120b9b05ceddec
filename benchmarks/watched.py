"""Run training jobs as processes, and measure when they finish the first and the last step, and their memory."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

TRAIN = Path(__file__).parents[1] / "container" / "train"
# To report memory, the kernel walks all pages of a process, which slows the job: limit it to this share of the time.
MOST_OF_THE_TIME = 0.01
# Runs container/train, and prints a line after its first step.
OURS = f"""
import sys
from importlib.machinery import SourceFileLoader
from classifier.training.step import Step
take = Step.take
def first(*arguments):
    result = take(*arguments)
    print("first step", flush=True)
    Step.take = take
    return result
Step.take = first
sys.exit(SourceFileLoader("program", {str(TRAIN)!r}).load_module().main())
"""


@dataclasses.dataclass
class Job:
    """Seconds from the start of the process to the end of its first step, its last epoch and itself; peak memory in MB.

    Memory that the kernel may take back at any time, such as pages of files, is not counted.
    """

    first_step: float = 0.0
    epochs: float = 0.0
    end: float = 0.0
    memory: float = 0.0


def ours(root: Path, **hyperparameters: object) -> Job:
    """Run container/train in `root` with these hyperparameters, and measure it."""
    config = root / "input/config/hyperparameters.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({name: str(value) for name, value in hyperparameters.items()}))
    return watch([sys.executable, "-c", OURS, "--root", str(root)])


def watch(command: list[str]) -> Job:
    """Run `command`, which prints "first step" after that, and a line that begins with "epoch " after each epoch.

    All programs' threads wait without spinning, as container/train sets it: this helps each of them.
    """
    job = Job()
    environ = {"OMP_WAIT_POLICY": "passive"} | os.environ
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ)
    threading.Thread(target=sample, args=(process, job)).start()
    output = []
    for line in process.stdout or ():
        output.append(line)
        if line == "first step\n":
            job.first_step = time.monotonic() - started
        if line.startswith("epoch "):
            job.epochs = time.monotonic() - started
    if process.wait() or not job.first_step:
        raise SystemExit("".join(output))
    job.end = time.monotonic() - started
    return job


def sample(process: subprocess.Popen, job: Job) -> None:
    while process.poll() is None:
        started = time.monotonic()
        job.memory = max(job.memory, memory_mb(process.pid))
        time.sleep((time.monotonic() - started) / MOST_OF_THE_TIME)


def memory_mb(pid: int) -> float:
    """Return the memory of the process and its children in MB; shared memory counts once."""
    kilobytes = 0
    try:
        this = psutil.Process(pid)
        for one in (this, *this.children(recursive=True)):
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon", "Pss_Shmem")))
    except (psutil.NoSuchProcess, OSError):  # it has just ended
        pass
    return kilobytes / 1000
