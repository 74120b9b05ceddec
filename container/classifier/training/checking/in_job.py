"""The check of a training job's own data, in a process beside the first epoch: nothing waits for it."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile
from multiprocessing.connection import Connection

from classifier.training.checking.finding import Finding
from classifier.training.checking.findings import find_faults
from classifier.training.checking.survey import Survey, survey
from classifier.training.data.folders import Dataset
from classifier.words import plural

logger = logging.getLogger(__name__)
# 10,000 photos of 400 px take 20 s of two idle cores; beside training it has a tenth of them.
MOST_SECONDS = 300
# What the job waits at its end for the findings: a GPU is paid for meanwhile.
LAST_SECONDS = 1
NICENESS = 10


@dataclass(frozen=True)
class DataCheck:
    """A survey, without its thumbnails, and the faults that it shows, the worst first."""

    survey: Survey
    findings: list[Finding]


class Checking:
    """Looks at the images of `dataset` in another process, and logs what is wrong as soon as that is known.

    The process ends with the context.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.found: DataCheck | None = None
        self.is_over = False
        context = multiprocessing.get_context("fork")
        self.enough = context.Event()
        self.results, results = context.Pipe(duplex=False)
        arguments = (dataset, self.enough.is_set, results)
        self.process = context.Process(target=_check, args=arguments, daemon=True)
        self.process.start()
        results.close()  # so that the other end is the only one, and its end can be noticed
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def look_no_further(self) -> None:
        """Have the images that were looked at until now suffice for the findings, which are made meanwhile."""
        self.enough.set()

    def finish(self, seconds: float = LAST_SECONDS) -> DataCheck | None:
        """Return what was found, within `seconds`; None if that is not enough, or if the check failed."""
        self.look_no_further()
        self.listener.join(seconds)
        if self.listener.is_alive():  # it may wait for a file forever
            logger.warning("the data were not checked: the job was over before")
        self._end()
        return self.found

    def __enter__(self) -> "Checking":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self.process.kill()
        self.process.join()
        self.listener.join()

    def _listen(self) -> None:
        try:
            found = self.results.recv()
        except (EOFError, OSError):
            if self.is_over:
                return
            found = "its process has ended"
        if isinstance(found, str):  # the job can do without
            logger.warning("the data were not checked: %s", found)
            return
        paths = Survey.of(self.dataset).paths
        self.found = found = replace(found, survey=replace(found.survey, dataset=self.dataset, paths=paths))
        _log(found)


def _check(dataset: Dataset, is_enough: Callable[[], bool], results: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes to both; the job decides when this is over
    os.nice(NICENESS)
    job = os.getppid()

    def goes_on(_look: object) -> bool:
        return not is_enough() and os.getppid() == job

    try:
        found = survey(dataset, MOST_SECONDS, lambda looks, **_about: takewhile(goes_on, looks))
        findings = find_faults(found)
        # The job has the names, and needs no pixels: of a million images these are 3.3 GB.
        pixels = {name: getattr(found, name)[:0] for name in ("thumbnails", "details", "digests")}
        little = replace(found, dataset=None, paths=[], **pixels)
        results.send(DataCheck(little, findings))
    except Exception as error:
        results.send(f"{type(error).__name__}: {error}")


def _log(check: DataCheck) -> None:
    for finding in check.findings:
        logger.warning("data: %s; %s", finding.what, finding.advice)
    found = check.survey
    looked = f"{found.looked_at:,} of {plural(len(found), 'image')} were looked at in {found.seconds:.1f} s"
    rest = "; launch/check.py looks at all" if found.looked_at < len(found) else ""
    logger.info("data: %s%s%s", looked, "" if check.findings else ", and no fault was found", rest)
