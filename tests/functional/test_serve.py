"""container/serve as SageMaker runs it: a process, signals, HTTP. The deadlines are those of the contract."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import pytest

from classifier import artifact, images
from classifier.serving.predictor import load_predictor
from conftest import CLASSES, IMAGE_SIZE
from helpers import SERVE, Answer, Server, free_port, serve
from serving_helpers import (
    ANSWER_SECONDS,
    JPEG,
    PING_SECONDS,
    START_SECONDS,
    STOP_SECONDS,
    THREADS,
    assert_error,
    held,
    invoke,
    slowed,
    status_of,
    stop,
)
from waits import PATIENCE_S, wait_until


@pytest.fixture(scope="module")
def server(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log_file = tmp_path_factory.mktemp("log") / "log"
    with serve(artifact_folder.parent, log_file, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as running:
        start = time.monotonic()
        running.pings = running.wait_for_ping(200)
        running.start_seconds = time.monotonic() - start
        yield running


# Start


def test_ping_is_prompt_and_becomes_200_with_an_empty_body(server):
    assert {answer.status for answer in server.pings} <= {503, 200}
    assert max(answer.seconds for answer in server.pings) < PING_SECONDS
    assert server.start_seconds < START_SECONDS
    assert all(answer.body == b"" for answer in server.pings)


def test_while_the_model_loads(artifact_folder, tmp_path):
    (hold := tmp_path / "hold").touch()
    with serve(artifact_folder.parent, tmp_path / "log", held(hold)) as server:
        answer = server.wait_for_ping(503)[-1]
        assert answer.seconds < PING_SECONDS
        assert answer.body == b""
        refused = invoke(server)
        assert_error(refused, 503, "the model is still loading")
        assert int(refused.headers["Retry-After"]) >= 1
        hold.unlink()
        assert max(answer.seconds for answer in server.wait_for_ping(200)) < PING_SECONDS
        assert invoke(server).status == 200


def test_the_log_says_what_is_served(server, artifact_folder):
    size = (artifact_folder / "model.safetensors").stat().st_size
    assert f"model folder {artifact_folder}: model.json (" in server.log
    assert f"model.safetensors ({size:,} bytes)" in server.log
    assert f"resnet18 with 7 classes ({', '.join(CLASSES[:5])}, ...), images of 32 px" in server.log
    assert f"port {server.port}, processes: 1, each with " in server.log
    assert re.search(r"ready after [\d.]+ s: device cpu, precision \w+, \d+ cores", server.log)


def test_each_request_but_a_good_ping_has_a_line_in_the_log(server):
    invoke(server, **{"X-Request-Id": "of-an-image"})
    invoke(server, b"hello", **{"X-Request-Id": "of-no-image"})
    wait_until(lambda: "of-no-image" in server.log, "the line of a request that was answered")
    lines = [json.loads(line[line.index("{") :]) for line in server.log.splitlines() if "request_id" in line]
    image, none = (
        next(line for line in lines if line["request_id"] == name) for name in ("of-an-image", "of-no-image")
    )
    assert (image["request"], image["status"], none["status"]) == ("POST /invocations", 200, 400)
    assert image["total_ms"] >= image["model_ms"] > 0
    assert image["decode_ms"] > 0
    assert (image["images"], image["batch_size"], none["batch_size"]) == (1, 1, 0)
    assert image["bytes_in"] > len(JPEG)
    assert not any("/ping" in line["request"] and line["status"] == 200 for line in lines)


def test_the_log_of_requests_can_be_turned_off(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log", SERVE_ACCESS_LOG="off", SERVE_ACESS_LOG="on") as server:
        server.wait_for_ping(200)
        assert invoke(server).status == 200
        assert stop(server, signal.SIGTERM) < STOP_SECONDS
        assert "request_id" not in server.log
        assert (
            server.log.count("the server has no variable 'SERVE_ACESS_LOG', which has no effect; the nearest is ") == 1
        )


# A mount namespace in which only /tmp is writable, and a user id without a name or a home. In the image any user can
# read Python; here the capability to read all files allows it.
READ_ONLY = """
mount --make-rprivate / && mount --bind /tmp /tmp && mount --bind {model} {model}
for folder in $(findmnt -rno TARGET | grep -vE '^/(proc|tmp$)' | sort -r); do
    mount -o remount,ro,bind $folder 2> /dev/null
done
for file in /written {model}/written; do touch $file 2> /dev/null && exit 9; done
exec env -u HOME -u USER -u LOGNAME setpriv --reuid=4321 --regid=4321 --clear-groups \
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search {python} {serve} --root {model}/..
"""


def may_unshare() -> bool:
    return (
        shutil.which("setpriv") is not None and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0
    )


@pytest.mark.skipif(not may_unshare(), reason="needs root and a kernel that allows mount namespaces")
def test_a_read_only_file_system_and_a_user_without_a_name(artifact_folder, tmp_path):
    port, log_file = free_port(), tmp_path / "log"
    script = READ_ONLY.format(model=artifact_folder, python=sys.executable, serve=SERVE)
    environ = os.environ | {"SAGEMAKER_BIND_TO_PORT": str(port)}
    with (
        log_file.open("wb") as stream,
        subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=stream, stderr=stream, env=environ) as process,
    ):
        server = Server(process, port, log_file)
        try:
            server.wait_for_ping(200)
            assert re.search(r"^Uid:\s+4321\s", Path(f"/proc/{server.workers[0]}/status").read_text(), re.MULTILINE)
            assert invoke(server).status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        finally:
            process.kill()


def test_help_names_the_root_and_does_not_wait_for_torch():
    environ = with_python() | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([SERVE, "--help"], capture_output=True, text=True, check=True, env=environ)
    assert "argparse" in done.stderr
    assert "torch" not in done.stderr
    assert "--root" in done.stdout
    assert "/opt/ml" in done.stdout


def test_a_variable_of_gunicorn_decides_nothing(tmp_path):
    environ = with_python() | {"WEB_CONCURRENCY": "two"}
    done = subprocess.run([SERVE, "--root", tmp_path], capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("serve: no model artifact")


def with_python() -> dict[str, str]:
    """Return an environment in which `#!/usr/bin/env python3` is this Python."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


# Requests


def test_the_answer_is_that_of_the_model(server, artifact_folder):
    predictor = load_predictor(artifact_folder, artifact.read(artifact_folder))
    row = predictor.in_lane(1)(images.evaluation_pixels(JPEG, IMAGE_SIZE)[None])[0]
    predictions = json.loads(invoke(server).body)["predictions"]
    assert [p["index"] for p in predictions] == list(np.argsort(-row)[:5])
    assert [p["class"] for p in predictions] == [CLASSES[p["index"]] for p in predictions]
    np.testing.assert_allclose([p["probability"] for p in predictions], -np.sort(-row)[:5], atol=1e-5)


def test_several_images_as_csv(server):
    body = json.dumps({"images": [base64.b64encode(data).decode() for data in (JPEG, b"hello")], "k": 1}).encode()
    answer = invoke(server, body, **{"Content-Type": "application/json", "Accept": "text/csv"})
    lines = answer.body.decode().splitlines()
    assert lines[0] == "image,class,index,probability,error,known"
    assert len(lines) == 3
    assert lines[2] == '1,,,,"not a JPEG, PNG or WebP image",'


def test_json_lines_as_a_batch_transform_job_sends_them(server):
    body = json.dumps({"images": [base64.encodebytes(JPEG).decode()], "k": 1}).encode()
    answer = invoke(server, body + b"\n{}\n" + body, **{"Content-Type": "application/jsonlines"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/jsonlines")
    first, bad, last = map(json.loads, answer.body.splitlines())
    assert first == last
    assert len(first["results"][0]["predictions"]) == 1
    assert bad.keys() == {"error"}


def test_execution_parameters(server):
    assert json.loads(server.request("GET", "/execution-parameters").body)["MaxPayloadInMB"] == 1


def test_errors_are_sentences(server):
    assert_error(invoke(server, b"\xffhello"), 400, "not a JPEG, PNG or WebP image")
    assert_error(server.request("GET", "/x"), 404, "no such path")
    assert_error(server.request("PUT", "/ping"), 405, "does not take PUT")
    assert_error(invoke(server, Accept="text/html"), 406, "no answer in the type")
    assert_error(invoke(server, **{"Content-Type": "video/mp4"}), 415, "content type 'video/mp4'")
    assert_error(invoke(server, **{"Content-Encoding": "gzip"}), 415, "Content-Encoding 'gzip' is not accepted")
    coding = {"Transfer-Encoding": "gzip, chunked"}
    assert_error(invoke(server, b"5\r\nhello\r\n0\r\n\r\n", **coding), 415, "Transfer-Encoding 'gzip, chunked'")
    assert "Traceback" not in server.log


def test_one_connection_serves_many_requests(server):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    for body, status in [(JPEG, 200), (b"hello", 400), (b"\0" * 3_000_000, 413), (JPEG, 200)]:
        connection.request("POST", "/invocations", body, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (status, True)
    connection.close()


@pytest.mark.parametrize(("size", "status"), [(1 << 20, 200), ((1 << 20) + 1, 413), (40 << 20, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_largest_body(server, size, status, chunked):
    body = JPEG + b"\0" * (size - len(JPEG))
    pieces = (body[i : i + 100_000] for i in range(0, size, 100_000))
    answer = invoke(server, pieces if chunked else body)  # http.client sends an iterator in chunks
    assert answer.status == status
    if status == 413:
        assert_error(answer, 413, "the request body is larger than 1 MB, the most that is accepted")


def test_a_body_that_is_too_large_and_announced_by_expect(server):
    """As curl sends every large body."""
    answer = invoke(server, b"\0" * (2 << 20), Expect="100-continue")
    assert_error(answer, 413, "the request body is larger than 1 MB, the most that is accepted")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"HELLO\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nX: " + b"a" * 10_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", 400),
    ],
)
def test_bytes_that_are_not_http_are_answered_in_json(server, request_bytes, status):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head
    assert json.loads(body).keys() == {"error"}


def test_a_client_that_goes_away_does_no_harm(server):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nabc")
    assert invoke(server).status == 200


def overload(server: Server, connections: int) -> tuple[list[Answer], list[Answer]]:
    """Send this many requests at once, and return their answers and those of /ping meanwhile."""
    with ThreadPoolExecutor(connections) as pool:
        waiting = [pool.submit(invoke, server) for _ in range(connections)]
        pings = []
        while not all(answer.done() for answer in waiting):
            pings.append(server.request("GET", "/ping"))
            time.sleep(0.1)
        return [answer.result() for answer in waiting], pings


def test_everybody_is_answered_and_ping_is_prompt_under_load(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log", slowed(0.2)) as server:
        server.wait_for_ping(200)
        answers, pings = overload(server, 256)
        assert {answer.status for answer in answers} == {200}
        assert 2 < max(answer.seconds for answer in answers) < ANSWER_SECONDS  # there was a load
        assert len(pings) > 10
        assert {ping.status for ping in pings} == {200}
        assert max(ping.seconds for ping in pings) < PING_SECONDS


def test_when_the_queue_is_full_the_rest_is_refused_at_once(artifact_folder, tmp_path):
    """At once: while none of the others is answered."""
    queue, too_many, hold = 20, 30, tmp_path / "hold"
    number = THREADS + queue + too_many
    patch = f"import classifier.serving.front as f; f.QUEUE = {queue}\n" + held(hold)
    with ThreadPoolExecutor(number) as pool, serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        hold.touch()
        waiting = [pool.submit(invoke, server) for _ in range(number)]
        wait_until(lambda: sum(answer.done() for answer in waiting) >= too_many, f"{too_many} answers")
        refused = [answer.result() for answer in waiting if answer.done()]
        assert server.request("GET", "/ping").seconds < PING_SECONDS
        hold.unlink()
        for answer in refused:
            assert_error(answer, 503, "as many requests as it can answer")
            assert int(answer.headers["Retry-After"]) >= 1
        assert Counter(answer.result().status for answer in waiting) == {200: THREADS + queue, 503: too_many}
        assert invoke(server).status == 200


def test_slow_clients_hold_up_nobody(artifact_folder, tmp_path):
    """While 300 requests arrive, others are answered. Once `hold` is gone, a minute has passed for the server."""
    (hold := tmp_path / "hold").touch()
    patch = f"""
import os
from classifier.serving.worker import Worker
end = Worker.end_late
Worker.end_late = lambda self, now, patience: end(self, now + 60 * (not os.path.exists({str(hold)!r})), patience)
"""
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n"
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) for _ in range(300)]
        for i, connection in enumerate(slow):
            connection.sendall(head[: 20 + i] + b"abc" * (i > 280))
        server.wait_for_connections(300)
        assert invoke(server).status == 200
        assert server.request("GET", "/ping").seconds < PING_SECONDS
        hold.unlink()
        assert {status_of(connection) for connection in slow} == {b"HTTP/1.1 408 Request Timeout"}


def test_a_worker_that_dies_under_load_is_replaced(artifact_folder, tmp_path):
    """Only its own requests are lost, and /ping answers 503 until the new worker is ready."""
    patch = held(hold := tmp_path / "hold")
    with ThreadPoolExecutor(30) as pool, serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        hold.touch()
        lost = [pool.submit(invoke, server) for _ in range(30)]
        server.wait_for_connections(30)
        os.kill(server.workers[0], signal.SIGKILL)
        assert all(isinstance(request.exception(), (ConnectionError, HTTPException)) for request in lost)
        hold.unlink()
        pings = server.wait_for_ping(200)
        assert {ping.status for ping in pings[:-1]} <= {503}
        assert max(ping.seconds for ping in pings) < PING_SECONDS
        assert len(server.workers) == 2
        assert re.search("SIGKILL.*out of memory", server.log)
        assert {answer.status for answer in pool.map(lambda _: invoke(server), range(30))} == {200}


# What serving never does


def test_serving_on_a_processor_imports_neither_training_nor_torch(artifact_folder):
    code = """
import pathlib, sys
from classifier import artifact
from classifier.serving import server
folder = pathlib.Path(sys.argv[1])
server.load_predictor(folder, artifact.read(folder))
print([m for m in sys.modules if m.startswith("classifier.train") or m in ("torch", "torchvision", "onnx", "pandas")])
"""
    command = [sys.executable, "-c", code, str(artifact_folder)]
    environ = os.environ | {"PYTHONPATH": str(SERVE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert done.stdout == "[]\n"


def test_serving_loads_no_pickle():
    folder = SERVE.parent / "classifier"
    sources = [SERVE, *folder.glob("*.py"), *(folder / "serving").glob("*.py")]
    assert len(sources) > 10
    for source in sources:
        assert not re.search(r"(?<!safetensors\.)torch\.load|import pickle|joblib", source.read_text()), source
