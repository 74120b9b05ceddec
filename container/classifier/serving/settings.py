"""gunicorn's settings, and the form of its log."""

from gunicorn.glogging import Logger

from classifier import device
from classifier.serving import accesslog
from classifier.serving.worker import SPARE_THREADS, Worker

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
# One copy of the model in memory. More processes would compete for the same cores; decoding, which takes most of
# the time besides the model, runs outside Python's lock.
WORKERS = 1
# What a core's threads hold: a batch of 8 in the model, and the next one being decoded.
THREADS_PER_CORE = 16
MOST_THREADS = 256


class Log(Logger):
    """gunicorn's log lines in the form of all others."""

    error_fmt = LOG_FORMAT
    datefmt = None

    def access(self, resp, req, environ, request_time) -> None:
        """gunicorn calls this once for each request that it has answered."""
        if req.path != "/ping" or resp.status_code != 200:
            accesslog.write(accesslog.current.get(), resp.status_code, resp.sent)


SETTINGS = {
    "worker_class": Worker,
    "workers": WORKERS,
    "threads": min(MOST_THREADS, THREADS_PER_CORE * max(2, device.usable_cores())) + SPARE_THREADS,
    # Idle ones cost no thread. Beyond them those that have sent their request least completely are closed.
    "worker_connections": 900,
    "logger_class": Log,
    # Seconds without a sign of life from the worker's main thread, which no request occupies: only a worker that
    # hangs altogether is replaced. A request may take SageMaker's 60 s.
    "timeout": 120,
    # SageMaker kills 30 s after SIGTERM; what was accepted has this long, and the exit the rest.
    "graceful_timeout": 25,
    # Longer than a router keeps an idle connection, else it may send a request into one that is just closing.
    # nginx, which stands in front in AWS's own sample, waits this long.
    "keepalive": 75,
    # A socket in the home folder, which may be read-only. The worker's heartbeat file goes to /tmp, which never is.
    "control_socket_disable": True,
}
