"""Pools of threads that all run from the start: where the machine allows no more, no request meets that."""

import errno
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from classifier.serving.exits import exit_worker
from classifier.words import plural

log = logging.getLogger(__name__)

# The engine, the batcher and what watches them start threads later: this many are left to them, and with fewer than the
# least the engine for two cores does not start.
OTHER_THREADS, LEAST_OTHERS = 16, 10
TOO_FEW = "serve: too few threads can be started; raise the limit on processes, such as docker's --pids-limit"
# Python's words, and those of the system, which an engine passes on.
NO_THREAD = ("can't start new thread", os.strerror(errno.EAGAIN))


def start_pool(most: int, name: str) -> ThreadPoolExecutor:
    """Return a pool of `most` threads, or of fewer if the machine would allow no others beside them.

    Ends this process if that is too few.
    """
    with ThreadPoolExecutor(most + OTHER_THREADS) as trial:
        allowed = _start(trial)
    if allowed <= LEAST_OTHERS:
        exit_worker(TOO_FEW)
    number = min(most, max(1, allowed - OTHER_THREADS))
    if number < most:
        log.warning(
            "the machine allows %s more: requests are answered by %d, not %d", plural(allowed, "thread"), number, most
        )
    pool = ThreadPoolExecutor(number, name)
    _start(pool)
    return pool


def exit_without_threads(error: Exception) -> None:
    """End this process if `error` says that no thread could be started: other processes may take them at any time."""
    if any(words in str(error) for words in NO_THREAD):
        exit_worker(TOO_FEW)


def _start(pool: ThreadPoolExecutor) -> int:
    """Start the pool's threads, each with something to wait for, and return how many the machine allows."""
    all_run = threading.Event()
    started = 0
    try:
        while started < pool._max_workers:
            pool.submit(all_run.wait)
            started += 1
    except RuntimeError:  # can't start new thread
        pass
    finally:
        all_run.set()
    return started
