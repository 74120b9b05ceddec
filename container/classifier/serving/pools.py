"""Pools of threads that all run from the start: where the machine allows no more, no request meets that."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from classifier.serving.exits import exit_worker
from classifier.words import plural

log = logging.getLogger(__name__)

# The engine, the batcher and what watches them start threads later.
OTHER_THREADS = 16


def start_pool(most: int, name: str) -> ThreadPoolExecutor:
    """Return a pool of `most` threads, or of fewer if the machine would allow no others beside them.

    Ends this process if it allows none at all.
    """
    with ThreadPoolExecutor(most + OTHER_THREADS) as trial:
        allowed = _start(trial)
    if not allowed:
        exit_worker("serve: no thread can be started; raise the limit on processes, such as docker's --pids-limit")
    number = min(most, max(1, allowed - OTHER_THREADS))
    if number < most:
        log.warning(
            "the machine allows %s more: requests are answered by %d, not %d", plural(allowed, "thread"), number, most
        )
    pool = ThreadPoolExecutor(number, name)
    _start(pool)
    return pool


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
