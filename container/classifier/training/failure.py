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


def report_failure(contract: Contract, error: Exception) -> None:
    """Log `error` and write it to the contract's failure file, cause first: SageMaker shows 1,024 characters of it."""
    if isinstance(error, UserError):
        text = f"{printable(ESCAPE_CODES.sub('', str(error)))}\n"  # a line break in it could only be a name's
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = f"the disk is full: {error}; accepted: a volume with room for all files below {contract.root}\n"
    else:
        text = f"{type(error).__name__}: {error}\n\n{''.join(traceback.format_exception(error))}"
    text = "\n".join(map(printable, ESCAPE_CODES.sub("", text).split("\n")))
    logger.error("%s", text.rstrip())
    if isinstance(error, PeerLost) and contract.failure.exists():
        return  # the lost process has written the cause
    try:
        contract.failure.parent.mkdir(parents=True, exist_ok=True)
        contract.failure.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as unwritable:
        logger.error("the failure file could not be written: %s", unwritable)
