"""The check of a training job's own data, before its first step."""

import logging
from dataclasses import dataclass
from itertools import takewhile

from classifier.training.checking.findings import Finding, find_faults
from classifier.training.checking.survey import Survey, survey
from classifier.training.data.folders import Dataset
from classifier.training.interrupt import Interrupt
from classifier.words import plural

logger = logging.getLogger(__name__)
# The other processes of a job wait meanwhile, and give up after two minutes. 10,000 photos of 400 px take 20 s.
MOST_SECONDS = 60


@dataclass(frozen=True)
class DataCheck:
    """A survey and the faults that it shows, the worst first."""

    survey: Survey
    findings: list[Finding]


def check_data(dataset: Dataset, interrupt: Interrupt, seconds: float = MOST_SECONDS) -> DataCheck | None:
    """Look at the images of `dataset`, at most for so many seconds, and log what is wrong; None if the check fails.

    It ends at a signal, and raises Interrupted if it waits for a file then.
    """
    try:
        found = survey(
            dataset,
            seconds,
            lambda looks, **_about: takewhile(lambda _look: not interrupt.signal, interrupt.watch(looks)),
        )
        findings = find_faults(found)
    except Exception as error:  # the job can do without
        logger.warning("the data were not checked: %s: %s", type(error).__name__, error)
        return None
    for finding in findings:
        logger.warning("data: %s; %s", finding.what, finding.advice)
    looked = f"{found.looked_at:,} of {plural(len(found), 'image')} were looked at in {found.seconds:.1f} s"
    logger.info("data: %s%s", looked, "" if findings else ", and no fault was found")
    return DataCheck(found, findings)
