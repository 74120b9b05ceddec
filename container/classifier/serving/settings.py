"""gunicorn's settings and the format of its log."""

from gunicorn.glogging import Logger

from classifier.serving.worker import Worker

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class Log(Logger):
    """Writes gunicorn's log lines in the format of all others."""

    error_fmt = LOG_FORMAT
    datefmt = None  # pyright: ignore[reportAssignmentType]: it is handed to logging.Formatter, which accepts None


SETTINGS = {
    "worker_class": Worker,
    # Whatever else is installed: others would behave differently.
    "asgi_loop": "asyncio",
    "http_parser": "python",
    # A client that has left does not wait for its answer.
    "asgi_disconnect_grace_period": 0,
    "logger_class": Log,
    # Seconds without a heartbeat from the worker's event loop, which neither requests nor loading occupy: only a worker
    # that hangs altogether is replaced, within what a client waits for.
    "timeout": 15,
    # SageMaker kills the container 30 s after SIGTERM: accepted requests have 25 s, and the exit has the rest.
    "graceful_timeout": 25,
    # Connections are kept at all; connection.State says for how long.
    "keepalive": 75,
    # It would be in the home folder, which may be read-only. The worker's heartbeat file is in /tmp, which never is.
    "control_socket_disable": True,
}
