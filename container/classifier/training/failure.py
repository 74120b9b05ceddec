"""The error boundary of training: reports a failure in the log and as the job's FailureReason."""

import errno
import logging
import re
import traceback

from classifier.contract import Contract
from classifier.errors import PeerLost, UserError
from classifier.training.data.names import printable

logger = logging.getLogger(__name__)


# A terminal's colours and the like, such as PyTorch's messages have.
ESCAPE_CODES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


def printable(text: str) -> str:
    """Return `text` without a terminal's codes; what else cannot be printed is escaped, line ends excepted."""
    letters = ESCAPE_CODES.sub("", text)
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in letters)


def report_failure(contract: Contract, error: Exception) -> None:
    """Log `error` and write it to the contract's failure file, cause first: SageMaker shows 1,024 characters of it."""
    if isinstance(error, UserError):
        text = f"{printable(error)}\n"  # a line break in it could only be a name's
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = f"the disk is full: {error}; accepted: a volume with room for all files below {contract.root}\n"
    else:
        text = f"{type(error).__name__}: {error}\n\n{''.join(traceback.format_exception(error))}"
    text = printable(text)
    logger.error("%s", text.rstrip())
    if isinstance(error, PeerLost) and contract.failure.exists():
        return  # the lost process has written the cause
    try:
        contract.failure.parent.mkdir(parents=True, exist_ok=True)
        contract.failure.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as unwritable:
        logger.error("the failure file could not be written: %s", unwritable)
