"""The error boundary of training: reports a failure in the log and as the job's FailureReason."""

import errno
import logging
import re
import traceback

from classifier import files
from classifier.contract import Contract
from classifier.errors import PeerLost, UserError, lacks_memory, too_little_memory
from classifier.training.data.names import printable
from classifier.training.lock import InUse

logger = logging.getLogger(__name__)
# A terminal's colours and the like, such as PyTorch's messages have.
ESCAPE_CODES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


# SageMaker cuts a failure's reason behind 1,024 characters, to which it adds a few words.
MOST_LETTERS = 1000
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def report_failure(contract: Contract, error: Exception) -> None:
    """Log `error` and write it to the contract's failure file, cause first and no longer than SageMaker shows.

    A traceback may be longer. Nothing is written if the cause stands there, or if the file is another process's.
    """
    if isinstance(error, UserError):
        text = printable(ESCAPE_CODES.sub("", str(error)))  # a line break in it could only be a name's
    elif isinstance(error, OSError) and error.errno in FULL_DISK:
        text = f"the disk is full: {error}; accepted: a volume with room for all files below {contract.root}"
    elif isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename} cannot be used: {error.strerror}"
    elif lacks_memory(error):
        text = too_little_memory(error)
    else:
        text = f"{type(error).__name__}: {error}\n\n{''.join(traceback.format_exception(error))}"
    text = "\n".join(map(printable, ESCAPE_CODES.sub("", text).rstrip().split("\n")))
    logger.error("%s", text)
    # A lost process has written the cause.
    if isinstance(error, InUse) or (isinstance(error, PeerLost) and contract.failure.exists()):
        return
    sentence = text if "\n" in text else shorten(text)
    try:
        contract.failure.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(contract.failure, f"{sentence}\n".encode(errors="backslashreplace"))
    except OSError as unwritable:
        logger.error("the failure file could not be written: %s", unwritable)


def shorten(sentence: str) -> str:
    """Return `sentence` with MOST_LETTERS at most, with what is accepted: of both parts the ends are left out."""
    if len(sentence) <= MOST_LETTERS:
        return sentence
    fault, separator, accepted = sentence.rpartition("; accepted: ")
    if not separator:
        return cut(sentence, MOST_LETTERS)
    half = (MOST_LETTERS - len(separator)) // 2
    accepted = cut(accepted, max(half, MOST_LETTERS - len(separator) - len(fault)))
    return f"{cut(fault, MOST_LETTERS - len(separator) - len(accepted))}{separator}{accepted}"


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
