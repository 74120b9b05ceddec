"""gunicorn's settings and the format of its log."""

from gunicorn.glogging import Logger

from classifier import machine
from classifier.serving import accesslog
from classifier.serving.worker import SPARE_THREADS, Worker

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
# One process has the only copy of the model. More would compete for the same cores; decoding, which takes most of the
# time besides the model, runs outside Python's lock.
WORKERS = 1
# A core's threads hold a batch of 8 in the model and the next 8 images, which are being decoded.
THREADS_PER_CORE = 16
MOST_THREADS = 256


class Log(Logger):
    """Writes gunicorn's log lines in the format of all others."""

    error_fmt = LOG_FORMAT
    datefmt = None  # pyright: ignore[reportAssignmentType]: it is handed to logging.Formatter, which accepts None

    def access(self, resp, req, environ, request_time) -> None:
        """gunicorn calls this once for each request that it has answered."""
        if req.path != "/ping" or resp.status_code != 200:
            accesslog.log_request(accesslog.current.get(), resp.status_code, resp.sent)


SETTINGS = {
    "worker_class": Worker,
    "workers": WORKERS,
    "threads": min(MOST_THREADS, THREADS_PER_CORE * max(2, machine.usable_cores())) + SPARE_THREADS,
    # Idle connections occupy no thread. Beyond this number, those whose request began to arrive first are closed.
    "worker_connections": 900,
    "logger_class": Log,
    # Seconds without a heartbeat from the worker's main thread, which no request occupies: only a worker that hangs
    # altogether is replaced. A request may take SageMaker's 60 s.
    "timeout": 120,
    # SageMaker kills the container 30 s after SIGTERM: accepted requests have 25 s, and the exit has the rest.
    "graceful_timeout": 25,
    # At least as long as a router keeps an idle connection, else it may send a request on one that is just closing.
    # nginx, which is in front of the server in AWS's own sample, waits this long.
    "keepalive": 75,
    # It would be in the home folder, which may be read-only. The worker's heartbeat file is in /tmp, which never is.
    "control_socket_disable": True,
}
