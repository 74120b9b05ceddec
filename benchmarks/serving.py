"""Compare our server with others in one run: same photos, same trained model, one load generator (wrk).

Usage: python benchmarks/serving.py PHOTOS MODEL [--columns N ...] [--seconds N]

PHOTOS is a folder with JPEG files, MODEL a folder with an artifact. The peers are Flask + gunicorn as in AWS's sample,
LitServe with batching, and TorchServe; each has a worker per core. They run in this script's environment
(requirements/bench.txt), and TorchServe needs Java. Columns: 1, unchanged peers; 2, peers with our prepared model in
our precision; 3, all servers in fp32 without AVX-512, like the processors of ml.t2 and ml.m5, and the peers with our
prepared model.

All servers get OMP_WAIT_POLICY=passive, as ours sets it for itself: with OpenMP's default, any other process on the
machine nearly stops two workers of two threads each.

The limit is decoding and the model alone: one process per core does nothing else.
"""

import argparse
import base64
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).parent
SERVE = HERE.parent / "container" / "serve"
BIN = Path(sys.executable).parent
PORT = 18180
START_S = 120
CONNECTIONS = (1, 8, 32, 128)
CORES = len(os.sched_getaffinity(0))
IMAGE, JSON = "image/jpeg", "application/json"
COLUMNS = {
    1: ("unchanged peers", {}, {"SERVE_PRECISION": "auto"}),
    2: ("peers with our prepared model and precision", {"PREPARED": "auto"}, {"SERVE_PRECISION": "auto"}),
    3: ("fp32 without AVX-512", {"PREPARED": "fp32"}, {"SERVE_PRECISION": "fp32"}),
}


@dataclass
class Server:
    name: str
    command: list
    ping: str
    path: str
    content_type: str = IMAGE


def servers(scratch: Path, model: Path) -> list[Server]:
    """Return all servers; writes their configuration to `scratch`."""
    root = scratch / "root"
    root.mkdir()
    (root / "model").symlink_to(model)
    (scratch / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{PORT}\nmanagement_address=http://127.0.0.1:{PORT + 1}\n"
        f"metrics_address=http://127.0.0.1:{PORT + 2}\nmodel_store={scratch}\nload_models=resnet18.mar\n"
        f'models={{"resnet18":{{"1.0":{{"defaultVersion":true,"marName":"resnet18.mar","minWorkers":{CORES},'
        f'"maxWorkers":{CORES},"batchSize":8,"maxBatchDelay":10,"responseTimeout":120}}}}}}\n'
    )
    archive = ("--model-name", "resnet18", "--version", "1.0", "--handler", HERE / "peers" / "torchserve_handler.py")
    extra = ("--extra-files", HERE / "peers" / "resnet18.py", "--export-path", scratch)
    subprocess.run([BIN / "torch-model-archiver", *archive, *extra], check=True)
    config = scratch / "config.properties"
    gunicorn = [BIN / "gunicorn", "-k", "sync", "-w", str(CORES), "--timeout", "60", "-b", f"127.0.0.1:{PORT}"]
    torchserve = [BIN / "torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth"]
    litserve = [sys.executable, HERE / "peers" / "litserve_app.py", str(PORT)]
    return [
        Server("ours", [sys.executable, SERVE, "--root", root], "/ping", "/invocations"),
        Server("Flask + gunicorn", [*gunicorn, "flask_app:app"], "/ping", "/invocations"),
        Server("LitServe", litserve, "/health", "/predict", JSON),
        Server("TorchServe", [*torchserve, "--ts-config", config], "/ping", "/predictions/resnet18"),
    ]


class Running:
    """A server that is started, with the time that took and its use of CPU and memory."""

    def __init__(self, server: Server, environ: dict[str, str], scratch: Path, body: bytes):
        self.server = server
        self.log = (scratch / f"{server.name}.log").open("ab")
        environ = os.environ | {"SAGEMAKER_BIND_TO_PORT": str(PORT), "WORKERS": str(CORES)} | environ
        environ |= {
            "OMP_WAIT_POLICY": "passive",
            "PYTHONPATH": str(HERE / "peers"),
            "LOG_LOCATION": str(scratch),
            "METRICS_LOCATION": str(scratch),
        }
        environ["PATH"] = f"{BIN}:{environ['PATH']}"
        start = time.monotonic()
        streams = {"stdout": self.log, "stderr": self.log, "cwd": scratch}
        self.process = subprocess.Popen(server.command, env=environ, start_new_session=True, **streams)
        self.wait_for(server.ping)
        self.start_s = time.monotonic() - start
        self.wait_for(server.path, body, {"Content-Type": server.content_type})
        self.first_answer_s = time.monotonic() - start

    def wait_for(self, path: str, body: bytes | None = None, headers: dict | None = None) -> None:
        end = time.monotonic() + START_S
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", body, headers or {})
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(request, timeout=10):
                    return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"{self.server.name} did not start; its log: {self.log.name}")

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_s(self) -> float:
        return sum(process.cpu_times().user + process.cpu_times().system for process in self.processes())

    def memory_mb(self) -> float:
        """Return the memory of all its processes; shared memory counts once."""
        return sum(process.memory_full_info().pss for process in self.processes()) / 1e6

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        time.sleep(1)


def load(running: Running, connections: int, seconds: int, files: list[Path]) -> dict[str, float]:
    """Send requests over `connections`; return requests/s, latencies in ms, errors, and CPU time per request in ms."""
    server = running.server
    url = f"http://127.0.0.1:{PORT}{server.path}"
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "--latency"]
    cpu = running.cpu_s()
    command = [*wrk, "-s", HERE / "peers" / "post.lua", url, "--", server.content_type, *files]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu = running.cpu_s() - cpu
    (requests,) = map(int, re.findall(r"(\d+) requests in", text))
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text)))
    p50, p99 = (_ms(*re.findall(rf"{p}%\s+([\d.]+)(us|ms|s|m)", text)[0]) for p in (50, 99))
    (rate,) = map(float, re.findall(r"Requests/sec:\s+([\d.]+)", text))
    return {
        "rate": rate * (1 - errors / max(1, requests)),
        "p50": p50,
        "p99": p99,
        "errors": errors,
        "cpu": 1000 * cpu / max(1, requests),
    }


def _ms(number: str, unit: str) -> float:
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def limit(model: Path, photos: list[Path], precision: str, seconds: float, images: multiprocessing.Queue) -> None:
    """Decode and classify on one core for `seconds`, and put images/s and ms of CPU per image into `images`.

    Runs in a separate process.
    """
    import numpy as np
    import torch

    from classifier import artifact
    from classifier.images import evaluation_pixels
    from classifier.serving.predictor import Predictor

    torch.set_num_threads(1)
    predictor = Predictor(model, artifact.read(model), precision)
    data, size = [path.read_bytes() for path in photos], predictor.artifact.image_size
    predictor.warm_up()
    done, start, cpu = 0, time.monotonic(), time.process_time()
    while (elapsed := time.monotonic() - start) < seconds:
        batch = [data[(done + i) % len(data)] for i in range(8)]
        predictor.probabilities(np.stack([evaluation_pixels(one, size) for one in batch]))
        done += 8
    images.put((done / elapsed, 1000 * (time.process_time() - cpu) / done))


def measure_limit(model: Path, photos: list[Path], precision: str, seconds: float) -> tuple[float, float]:
    """Return images/s of all cores together, and ms of CPU per image."""
    context = multiprocessing.get_context("spawn")
    images = context.Queue()
    arguments = (model, photos, precision, seconds, images)
    processes = [context.Process(target=limit, args=arguments) for _ in range(CORES)]
    for process in processes:
        process.start()
    rates, cpus = zip(*[images.get() for _ in processes], strict=True)
    for process in processes:
        process.join()
    return sum(rates), sum(cpus) / len(cpus)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--columns", type=int, nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--seconds", type=int, default=8)
    arguments = parser.parse_args()
    model = arguments.model.resolve()
    photos = sorted(arguments.photos.resolve().rglob("*.jpg"))[:100]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        bodies = {IMAGE: photos, JSON: write_json(photos, scratch / "json")}
        all_servers = servers(scratch, model)
        for column in arguments.columns:
            title, peers, ours = COLUMNS[column]
            if column == 3:
                os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
            print(f"\n{column}. {title}; {len(photos)} photos, {CORES} cores, {arguments.seconds} s each")
            rate, cpu = measure_limit(model, photos, ours["SERVE_PRECISION"], arguments.seconds)
            print(f"limit: {rate:.0f} images/s, {cpu:.1f} ms CPU an image", flush=True)
            for server in all_servers:
                files = bodies[server.content_type]
                environ = {"MODEL": str(model)} | peers | ours
                running = Running(server, environ, scratch, files[0].read_bytes())
                try:
                    load(running, 8, 3, files)  # the first requests load what servers load lazily
                    report(running, arguments.seconds, files)
                finally:
                    running.stop()


def report(running: Running, seconds: int, files: list[Path]) -> None:
    print(f"{running.server.name}: /ping after {running.start_s:.1f} s, an image after {running.first_answer_s:.1f} s")
    for connections in CONNECTIONS:
        found = load(running, connections, seconds, files)
        print(
            f"  {connections:3} connections: {found['rate']:6.1f} requests/s, p50 {found['p50']:7.1f} ms, "
            f"p99 {found['p99']:7.1f} ms, {found['errors']} errors, {found['cpu']:5.1f} ms CPU a request",
            flush=True,
        )
    print(f"  memory {running.memory_mb():.0f} MB", flush=True)


def write_json(photos: list[Path], folder: Path) -> list[Path]:
    """Write the photos as the JSON that our LitServe app takes, and return the files."""
    folder.mkdir()
    files = [folder / f"{i}.json" for i in range(len(photos))]
    for photo, file in zip(photos, files, strict=True):
        file.write_text(json.dumps({"image": base64.b64encode(photo.read_bytes()).decode()}))
    return files


if __name__ == "__main__":
    main()
