"""The version of gunicorn, and the undocumented names in it that serving/ overrides or uses."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

REQUIREMENTS = Path(__file__).parents[3] / "requirements" / "image.in"
OVERRIDDEN_IN_WORKER = (
    *("accept", "enqueue_req", "finish_request", "handle", "handle_error"),
    *("init_process", "init_signals", "murder_pending", "set_accept_enabled"),
)
USED_IN_WORKER = ("alive", "app", "cfg", "log", "nr_conns", "poller", "sockets", "worker_connections")


@pytest.fixture
def worker() -> Iterator[ThreadWorker]:
    worker = ThreadWorker(1, os.getppid(), [], None, 30, Config(), logging.getLogger())
    yield worker
    worker.tmp.close()


@pytest.fixture
def connection(worker) -> Iterator[TConn]:
    server, client = socket.socketpair()
    with server, client:
        yield TConn(worker.cfg, server, "", "")


def test_the_version_is_the_pinned_one():
    (pinned,) = re.findall(r"^gunicorn==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert metadata.version("gunicorn") == pinned


def test_the_names_exist(worker, connection):
    connection.init()
    reader = connection.parser.unreader
    assert isinstance(reader, SocketUnreader)
    for thing, names in (
        (worker, OVERRIDDEN_IN_WORKER + USED_IN_WORKER),
        (Arbiter, ("LISTENERS", "WORKER_BOOT_ERROR", "handle_int", "handle_term")),
        (connection, ("close", "init", "parser", "sock")),
        (reader, ("chunk", "sock", "take_buffered", "unread")),
    ):
        assert [name for name in names if not hasattr(thing, name)] == []
