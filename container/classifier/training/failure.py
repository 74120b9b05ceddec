"""The error boundary of training: reports a failure in the log and as the job's FailureReason."""

import errno
import logging
import traceback

from classifier.contract import Contract
from classifier.errors import PeerLost, UserError

logger = logging.getLogger(__name__)


def report_failure(contract: Contract, error: Exception) -> None:
    """Log `error` and write it to the contract's failure file, cause first: SageMaker shows 1,024 characters of it."""
    if isinstance(error, UserError):
        text = f"{error}\n"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = f"the disk is full: {error}; accepted: a volume with room for all files below {contract.root}\n"
    else:
        text = f"{type(error).__name__}: {error}\n\n{''.join(traceback.format_exception(error))}"
    logger.error("%s", text.rstrip())
    if isinstance(error, PeerLost) and contract.failure.exists():
        return  # the lost process has written the cause
    try:
        contract.failure.parent.mkdir(parents=True, exist_ok=True)
        contract.failure.write_text(text, encoding="utf-8")
    except OSError as unwritable:
        logger.error("the failure file could not be written: %s", unwritable)
