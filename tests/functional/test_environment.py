"""Every program goes on in .venv, under the oldest Python there is; without .venv it says what to do."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from waits import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "launch").glob("*.py") if "__main__" in path.read_text())
PROGRAMS = [
    *(f"launch/{name}.py" for name in SCRIPTS),
    "demo/demo.py",
    *(f"container/{name}" for name in ("train", "serve", "self_test")),
]
ISOLATED = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def python_version(python: Path) -> tuple[int, ...]:
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True)
    return tuple(map(int, done.stdout.split()))


def oldest_python() -> Path:
    """Return the oldest Python 3 of this machine, from 3.6 on; at least the one that .venv was made with has none."""
    on_path = [shutil.which(f"python3.{minor}") for minor in range(6, 15)]
    built = Path.home().glob(".pyenv/versions/3.*/bin/python3")
    candidates = [Path(sys.base_prefix) / "bin/python3", *map(Path, filter(None, on_path)), *built]
    versions = {python: python_version(python) for python in candidates}
    return min((python for python in versions if versions[python] >= (3, 6)), key=versions.__getitem__)


OLDEST = oldest_python()


def test_every_script_is_tried():
    assert {"tune", "train", "deploy", "cleanup"} <= set(SCRIPTS)
    assert all("import boot" in (ROOT / "launch" / f"{name}.py").read_text() for name in SCRIPTS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_goes_on_in_venv(program, tmp_path):
    checkout = copy_of_checkout(tmp_path)
    (checkout / ".venv").symlink_to(Path(sys.prefix))
    done = start(OLDEST, program, checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_the_home_of_another_python_is_not_that_of_venv(tmp_path):
    checkout = copy_of_checkout(tmp_path)
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho ${PYTHONHOME-none}\n")
    python.chmod(0o755)
    home = Path(sys.base_prefix)
    assert start(home / "bin/python3", "launch/status.py", checkout, PYTHONHOME=str(home)).stdout == "none\n"


def test_a_working_folder_that_was_removed_is_named(tmp_path):
    """A relative path would have no meaning."""
    for number, program in enumerate(PROGRAMS):
        command = f"mkdir {number} && cd {number} && rmdir ../{number} && exec {sys.executable} {ROOT / program} --help"
        done = subprocess.run(command, cwd=tmp_path, shell=True, capture_output=True, text=True)
        sentence = f"{Path(program).stem}: the working folder: No such file or directory; cd to one that exists\n"
        assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_python_that_leaves_out_the_programs_folder_finds_ours(program):
    """Isolated, as with PYTHONSAFEPATH=1; started where it lies, whose path older Pythons leave empty."""
    command = [sys.executable, "-I", Path(program).name, "--help"]
    done = subprocess.run(command, cwd=(ROOT / program).parent, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")


def test_streams_that_are_closed_hold_nothing(tmp_path):
    """A file that is opened later must not become standard output, and get what is printed."""
    for program in PROGRAMS:
        command = f"exec {sys.executable} {ROOT / program} --help <&- >&- 2>{tmp_path}/errors"
        assert subprocess.run(command, shell=True).returncode == 0, program
        assert (tmp_path / "errors").read_text() == ""
    code = "import environment; environment.enter(); file = open('made', 'w'); print('printed'); file.write('own')"
    command = f'PYTHONPATH={ROOT / "container"} exec {sys.executable} -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(command, shell=True, cwd=tmp_path).returncode == 0
    assert (tmp_path / "made").read_text() == "own"


@pytest.mark.parametrize("others", ["", "example.org", "*"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_is_asked_for_this_computer(others, name):
    code = """if True:
        import environment, requests.utils, urllib.request
        environment.enter()
        for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0", "example.org", "example.com"):
            print(int(requests.utils.should_bypass_proxies(f"http://{host}:8080/ping", None)), end="")
        print(urllib.request.proxy_bypass("127.0.0.1:8080"), end="")
    """
    proxies = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": "", name: others}
    environ = ISOLATED | proxies | {"PYTHONPATH": str(ROOT / "container")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == {"": "1111100", "example.org": "1111110", "*": "1111111"}[others] + "True"


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_the_packages_are_imported_is_no_traceback(program):
    """The program interrupts itself at the first import of ours."""
    code = f"""if True:
        import importlib.abc, os, runpy, signal, sys
        class Interrupting(importlib.abc.MetaPathFinder):
            def find_spec(self, name, *_):
                if name == "classifier":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Interrupting())
        sys.argv = [{str(ROOT / program)!r}, "--help"]
        runpy.run_path(sys.argv[0], run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", code], env=ISOLATED, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_ends_the_self_test_and_what_it_made(tmp_path):
    command, environ = [sys.executable, ROOT / "container/self_test"], ISOLATED | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_until(lambda: list(tmp_path.glob("*/input/config/*.json")), "training is about to begin")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("*/input"))


def test_without_venv_one_sentence_says_what_to_do(tmp_path):
    checkout = copy_of_checkout(tmp_path)
    for program in PROGRAMS:
        done = start(OLDEST, program, checkout)
        assert done.returncode == 1
        assert re.fullmatch(rf"{Path(program).stem}: not installed yet: make demo, or .*\n", done.stderr)


def test_a_venv_that_is_not_complete_is_not_tried_for_ever(tmp_path):
    checkout = copy_of_checkout(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    done = start(OLDEST, "launch/status.py", checkout)
    assert (done.returncode, done.stderr.partition(": make")[0]) == (1, "status: not installed yet")


def test_a_python_that_has_all_packages_stays(tmp_path):
    """With -c there is no script that could be started again."""
    checkout = copy_of_checkout(tmp_path)
    code = f"import sys; sys.path[0] = {str(checkout / 'launch')!r}; import boot; print(sys.executable)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == sys.executable


PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")


def test_a_server_here_is_asked_without_a_proxy(tmp_path):
    class Ours(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"predictions": [{"class": "pug", "probability": 1}]}')

    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"a picture")
    with HTTPServer(("127.0.0.1", 0), Ours) as server:
        threading.Thread(target=server.serve_forever).start()
        command = [sys.executable, ROOT / "launch/predict.py", "--url", f"127.0.0.1:{server.server_port}", picture]
        environ = os.environ | PROXIES | {"no_proxy": "", "NO_PROXY": ""}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "pug" in done.stdout


@pytest.mark.parametrize("python", [OLDEST, Path(sys.executable)])
def test_names_are_utf_8_in_every_locale(python, tmp_path):
    environ = ISOLATED | {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [python, ROOT / "launch/predict.py", "--url", "127.0.0.1:1", "Käse/狗.jpg"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, encoding="utf-8", timeout=PATIENCE_S)
    assert (done.returncode, done.stderr.partition(" is not")[0]) == (1, "predict: Käse/狗.jpg")


def copy_of_checkout(folder: Path) -> Path:
    for name in ("container", "demo", "launch", "local"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    return folder


def start(python: Path, program: str, checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command, environ = [python, program, "--help"], ISOLATED | environ
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
