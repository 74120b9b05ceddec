import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.errors import UserError
from launch import console
from local import places

PRINTS = "from launch import console; console.run(lambda: print('x' * 100_000))"
SHOWS = "from launch import console; from local import tables; console.run(lambda: tables.terminal().print('x'))"


def run(**streams):
    return subprocess.run([sys.executable, "-c", PRINTS], cwd=places.ROOT, stderr=subprocess.PIPE, text=True, **streams)


def test_output_that_cannot_be_written_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        done = run(stdout=full)
    assert (done.returncode, done.stderr) == (1, "-c: No space left on device\n")


def test_a_full_disk_is_named():
    """Python names no file when writing fails, only when opening does."""
    code = """if True:
        import errno, os, shutil
        from launch import console
        def main():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        shutil.disk_usage = lambda folder: shutil._ntuple_diskusage(1, 1, 0)
        console.run(main)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=places.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"-c: {places.RUNS}: No space left on device\n")


@pytest.mark.parametrize("prints", [PRINTS, SHOWS])
def test_a_reader_that_has_gone_is_one_sentence(prints):
    process = subprocess.Popen(
        [sys.executable, "-c", prints], cwd=places.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == "-c: standard output: Broken pipe\n"
    assert process.wait() == 1
    process.stderr.close()


def test_ctrl_c_that_ends_the_reader_too_needs_no_word():
    """As where the output goes to tee."""
    ends = "import os, signal; print('begun', end=''); os.kill(os.getpid(), signal.SIGINT)"
    code = f"from launch import console; console.run(lambda: exec({ends!r}))"
    reader, writer = os.pipe()
    os.close(reader)
    command, environ = [sys.executable, "-c", code], os.environ | {"PYTHONUNBUFFERED": ""}
    done = subprocess.run(command, cwd=places.ROOT, env=environ, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (130, b"")


def test_the_end_of_the_terminal_ends_in_order_unless_nohup_ignores_it():
    hangs_up = "import os, signal; os.kill(os.getpid(), signal.SIGHUP); print('goes on', flush=True)"
    code = f"from launch import console; console.run(lambda: exec({hangs_up!r}))"
    for before, expected in (([], (130, "")), (["nohup"], (0, "goes on\n"))):
        command = [*before, sys.executable, "-c", code]
        done = subprocess.run(command, cwd=places.ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == expected, done.stderr


def test_lines_come_before_those_of_a_program_started_later():
    """In a file too, as behind `2>&1 | tee log`."""
    code = "from launch import console; import os; console.run(lambda: print('ours') or os.system('echo theirs'))"
    command, environ = [sys.executable, "-c", code], os.environ | {"PYTHONUNBUFFERED": ""}
    done = subprocess.run(command, cwd=places.ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "ours\ntheirs\n")


class Terminal:
    def isatty(self):
        return True


def test_ctrl_d_is_no(monkeypatch):
    def end(question):
        raise EOFError

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(UserError, match="nothing was done"):
        console.ask("Upload?", yes=False)


def test_without_a_terminal_the_question_is_told(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UserError, match=r"Upload\? There is no terminal to answer on: repeat the command with --yes"):
        console.ask("Upload?", yes=False)


POOL = """
def fail():
    try:
        raise RuntimeError("can't start new thread")
    finally:
        [].terminate()  # as a pool fails that has begun too few threads
from launch import console
console.run(fail)
"""


def test_too_little_memory_is_one_sentence():
    done = subprocess.run([sys.executable, "-c", POOL], cwd=places.ROOT, capture_output=True, text=True)
    sentence = "-c: too little memory is left; accepted: a machine, or a limit (ulimit), of more\n"
    assert (done.returncode, done.stderr) == (1, sentence)
