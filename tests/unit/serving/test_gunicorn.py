"""The version of gunicorn, and the undocumented names in it that serving/ overrides or uses."""

import asyncio
import logging
import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.asgi import protocol
from gunicorn.config import Config
from gunicorn.workers.gasgi import ASGIWorker

REQUIREMENTS = Path(__file__).parents[3] / "requirements" / "image.in"
IN_MASTER = (
    *("LISTENERS", "WORKERS", "WORKER_BOOT_ERROR", "handle_hup", "handle_int", "handle_term"),
    *(
        "handle_ttin",
        "handle_ttou",
        "handle_usr2",
        "init_signals",
        "murder_workers",
        "reap_workers",
        "spawn_worker",
        "spawn_workers",
    ),
)
IN_WORKER = (
    *("_serve", "init_process", "init_signals", "load_wsgi"),
    *("alive", "app", "cfg", "log", "loop", "notify", "ppid", "servers", "sockets", "worker_connections"),
)
IN_CONNECTION = (
    *("_arm_keepalive_timer", "_close_transport", "_feed_callback_parser", "_is_websocket_upgrade"),
    *("_on_body", "_on_message_complete", "_send_error_response"),
    *("connection_lost", "connection_made", "data_received"),
    *("_body_receiver", "_callback_parser", "_closed", "_current_request", "_request_ready", "_safe_write"),
    *("_send_informational", "app", "req_count", "transport", "worker"),
)


@pytest.fixture
def worker() -> Iterator[ASGIWorker]:
    worker = ASGIWorker(1, os.getppid(), [], None, 30, Config(), logging.getLogger())
    worker.asgi = None
    yield worker
    worker.tmp.close()


def missing(thing: object, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not hasattr(thing, name)]


def test_the_version_is_the_pinned_one():
    (pinned,) = re.findall(r"^gunicorn==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert metadata.version("gunicorn") == pinned


def test_the_names_exist(worker):
    assert missing(worker, IN_WORKER) == []
    assert missing(protocol.ASGIProtocol(worker), IN_CONNECTION) == []
    assert missing(protocol, ("_CACHED_SERVER_HEADER", "_REASON_PHRASES")) == []
    assert missing(protocol.PythonProtocol(), ("_chunk_remaining", "_chunk_size")) == []
    assert missing(protocol.BodyReceiver, ("expect_continue", "signal_disconnect")) == []
    assert missing(Arbiter, IN_MASTER) == []
    assert missing(asyncio.selector_events._SelectorSocketTransport, ("max_size",)) == []
