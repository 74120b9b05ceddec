"""The servers that are compared, and one of them while it runs: its start, answers, load, processor time and memory."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from machine import CORES

import environment

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
PORT = 18180
PATH = "/invocations"
START_S = 120
STOP_S = 2
OURS = "ours"


@dataclass(frozen=True)
class Server:
    """A server's name, how to start it, and how it takes a photo: in the body, in JSON or in a form."""

    name: str
    command: tuple[str | Path, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    takes: str = "body"


def all_servers(scratch: Path, model: Path, before: tuple[Path, Path] | None) -> list[Server]:
    """Return ours and the peers; `before` is the checkout of an earlier commit and an artifact for it."""
    peers = {"MODEL": str(model), "PYTHONPATH": str(HERE / "peers"), "PATH": f"{BIN}:{os.environ['PATH']}"}
    uvicorn = (BIN / "uvicorn", "--host", "127.0.0.1", "--port", str(PORT), "--no-access-log", "--log-level", "warning")
    openvino = (*uvicorn, "fastapi_openvino:app")
    gunicorn = (BIN / "gunicorn", "-k", "sync", "-w", str(CORES), "--timeout", "60", "-b", f"127.0.0.1:{PORT}")
    bentoml = (BIN / "bentoml", "serve", "bentoml_service:Classifier", "--host", "127.0.0.1", "--port", str(PORT))
    litserve = (sys.executable, HERE / "peers" / "litserve_app.py", str(PORT))
    through, latency, floating = {"HINT": "THROUGHPUT"}, {"HINT": "LATENCY"}, {"FILE": "model.onnx"}
    quiet = {"BENTOML_DO_NOT_TRACK": "true"}
    return [
        _our_server(OURS, HERE.parent, model, scratch),
        *([_our_server("ours before", *before, scratch)] if before else []),
        Server("FastAPI + OpenVINO, int8", openvino, peers | through),
        Server("FastAPI + OpenVINO, int8, LATENCY", openvino, peers | latency),
        Server("FastAPI + OpenVINO, its default", openvino, peers | through | floating),
        Server("FastAPI + ONNX Runtime, int8", (*uvicorn, "fastapi_onnxruntime:app"), peers),
        Server("BentoML + OpenVINO, int8", bentoml, peers | quiet, "form"),
        Server("LitServe + OpenVINO, int8", litserve, peers, "json"),
        Server("Flask + OpenVINO, int8", (*gunicorn, "flask_app:app"), peers),
    ]


def _our_server(name: str, checkout: Path, model: Path, scratch: Path) -> Server:
    root = scratch / name
    root.mkdir()
    (root / "model").symlink_to(model.resolve())
    serve = checkout.resolve() / "container" / "serve"
    return Server(name, (sys.executable, serve, "--root", root), {"SAGEMAKER_BIND_TO_PORT": str(PORT)})


class Running:
    """A server from its start to its end; leaving the context ends it."""

    def __init__(self, server: Server, scratch: Path, body: tuple[str, Path]):
        """Start it; `body` is the media type and the file of one request."""
        environment.ask_no_proxy_for_this_computer()
        self.server = server
        self._log = scratch / f"{server.name}.log"
        with self._log.open("ab") as log:
            start = time.monotonic()
            streams = {"stdout": log, "stderr": log, "cwd": scratch}
            self._process = subprocess.Popen(
                server.command, env=os.environ | server.environ, start_new_session=True, **streams
            )
        try:
            self._wait(*body)
        except BaseException:
            self.stop()
            raise
        self.first_answer_s = time.monotonic() - start

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait(self, media_type: str, file: Path) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self.top_class(media_type, file)
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit(f"{self.server.name} did not start; its log:\n{self._log.read_text()[-2000:]}")

    def top_class(self, media_type: str, file: Path) -> str:
        """Return the class that it answers to a request."""
        headers = {"Content-Type": media_type}
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}{PATH}", file.read_bytes(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        # BentoML answers a batch.
        (answer,) = answer if isinstance(answer, list) else [answer]
        return answer["predictions"][0]["class"]

    def load(self, media_type: str, files: list[Path], connections: int, seconds: float) -> dict[str, float]:
        """Send the files in turn over `connections`; return CPU ms a request, requests/s, latencies in ms, errors."""
        url = f"http://127.0.0.1:{PORT}{PATH}"
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "--latency"]
        command = [*wrk, "-s", HERE / "peers" / "post.lua", url, "--", media_type, *files]
        self._settle()
        cpu = self._cpu_s()
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        cpu = self._cpu_s() - cpu
        (requests,) = map(int, re.findall(r"(\d+) requests in", text))
        errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text)))
        p50, p99 = (_milliseconds(*re.findall(rf"{p}%\s+([\d.]+)(us|ms|s|m)", text)[0]) for p in (50, 99))
        (rate,) = map(float, re.findall(r"Requests/sec:\s+([\d.]+)", text))
        good = max(1, requests - errors)
        return {
            "cpu": 1000 * cpu / good,
            "rate": rate * good / max(1, requests),
            "p50": p50,
            "p99": p99,
            "errors": errors,
        }

    def _settle(self) -> None:
        """Wait for the requests that wrk left behind after the last load, for which the next is not to pay."""
        before, end = 0.0, time.monotonic() + 10
        while (now := self._cpu_s()) - before > 0.02 and time.monotonic() < end:
            before = now
            time.sleep(0.1)

    def memory_mb(self) -> float:
        """Return the memory of all its processes (PSS): what they share counts once."""
        return sum(process.memory_full_info().pss for process in self._processes()) / 1e6

    def _cpu_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self) -> None:
        processes = self._processes() if self._process.poll() is None else []
        self._process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=STOP_S)
        for process in alive:
            process.kill()
        self._process.wait()


def _milliseconds(number: str, unit: str) -> float:
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
