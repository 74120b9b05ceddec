"""container/fetch_weights against an HTTP server on this machine."""

import hashlib
import http.server
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "container" / "fetch_weights"
DATA = b"weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def url(tmp_path):
    """The address of a file with DATA."""
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote" / "file.pth").write_bytes(DATA)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "remote")) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/file.pth"
        server.shutdown()


def fetch(folder, *arguments):
    """The exit code, standard output and standard error."""
    command = [sys.executable, "-I", PROGRAM, *arguments, folder]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


def test_fetches_once_and_writes_what_sha256sum_reads(tmp_path, url):
    folder = tmp_path / "new" / "weights"
    code, _, error = fetch(folder, "--url", url, "--sha256", SHA256.upper())
    assert code == 0, error
    assert (folder / "resnet18.pth").read_bytes() == DATA
    assert (folder / "resnet18.pth.sha256").read_text() == f"{SHA256}  resnet18.pth\n"
    assert sorted(path.name for path in folder.iterdir()) == ["resnet18.pth", "resnet18.pth.sha256"]
    code, out, _ = fetch(folder, "--url", "http://127.0.0.1:1/gone", "--sha256", SHA256)
    assert (code, out) == (0, f"{folder}/resnet18.pth is there already\n")


def test_damaged_file_is_fetched_again(tmp_path, url):
    (tmp_path / "resnet18.pth").write_bytes(DATA[:-1])
    assert fetch(tmp_path, "--url", url, "--sha256", SHA256)[0] == 0
    assert (tmp_path / "resnet18.pth").read_bytes() == DATA


def test_wrong_hash_is_one_sentence_and_leaves_nothing(tmp_path, url):
    folder = tmp_path / "weights"
    code, _, error = fetch(folder, "--url", url)  # torchvision's file has another hash
    assert code == 1
    assert error.startswith(f"fetch_weights: {url} has the SHA-256 {SHA256}; expected: f37072fd")
    assert error.count("\n") == 1
    assert not folder.exists()


@pytest.mark.parametrize("path", ["gone", "file.pth\n"])
def test_unreachable_file_is_one_sentence(tmp_path, url, path):
    address = url.replace("file.pth", path)
    code, _, error = fetch(tmp_path / "weights", "--url", address)
    assert code == 1
    assert error.startswith("fetch_weights: ")
    assert "Traceback" not in error
    assert not (tmp_path / "weights").exists()


def test_a_proxy_is_named_and_not_taken_to_this_computer(tmp_path, url, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert fetch(tmp_path / "weights", "--url", url, "--sha256", SHA256)[0] == 0
    code, out, error = fetch(tmp_path, "--url", "https://elsewhere.example/file.pth")
    assert code == 1
    assert "could not be downloaded through the proxy 127.0.0.1:9: " in error
    assert "secret" not in out + error


def test_server_that_is_not_there_is_one_sentence(tmp_path):
    code, _, error = fetch(tmp_path, "--url", "http://127.0.0.1:1/file.pth")
    assert code == 1
    assert error.startswith("fetch_weights: http://127.0.0.1:1/file.pth could not be downloaded: ")
    assert error.count("\n") == 1
