"""The job's output folders: checked before hours of training, and emptied of what an earlier job wrote there.

Without torch, so that what is wrong is said at once.
"""

import os
import stat
import tempfile
from pathlib import Path

from classifier.artifact import METADATA_FILE
from classifier.artifact_fields import FILES
from classifier.contract import Contract
from classifier.errors import UserError
from classifier.files import partial_of
from classifier.training.answers import sample
from classifier.training.debugging.config import CONFIG, TENSORS
from classifier.training.labels.columns import LABELS_FILE
from classifier.training.tensorboard import FILE as EVENTS_FILE

METRICS_FILE, REPORT_FILE, DEBUG_FILE, PROFILE_FILE = "metrics.jsonl", "report.html", "debug.json", "profile.json"
TRACE_FILE, SKIPPED_FILE = "trace.json.gz", "skipped_images.csv"
# torch packs a trace if the end of its name says so.
PARTIAL_TRACE = f".partial.{TRACE_FILE}"
# The tables of an evaluation, behind the phase's name.
PREDICTIONS, MATRIX, PER_CLASS = "predictions.csv", "confusion_matrix.csv", "per_class.csv"
TABLES = [f"{phase}_{table}" for phase in ("validation", "test") for table in (PREDICTIONS, MATRIX, PER_CLASS)]
# All that a job writes to output/data, besides what the debugger saves there.
WRITTEN = (
    *(METRICS_FILE, REPORT_FILE, DEBUG_FILE, PROFILE_FILE, TRACE_FILE, PARTIAL_TRACE),
    *(sample.FILE, SKIPPED_FILE, LABELS_FILE, *TABLES),
)


def check_outputs(contract: Contract) -> None:
    """Raise UserError if a folder or file that this job will write cannot be one, and remove an earlier failure."""
    folders = contract.output_data, contract.tensorboard, contract.model, contract.checkpoints
    for folder in (contract.failure.parent, *folders):
        _check_folder(folder)
    if contract.failure.is_dir():
        raise UserError(f"{contract.failure} is a folder; accepted: nothing there, or a regular file")
    contract.failure.unlink(missing_ok=True)
    for path in [contract.model / name for name in (METADATA_FILE, *FILES)] + _written(contract):
        _check_file(path)
    _check_file(contract.output_data / CONFIG)
    tensors = contract.output_data / TENSORS
    if os.path.lexists(tensors) and (tensors.is_symlink() or not tensors.is_dir()):
        raise UserError(f"{tensors} is not a folder; accepted: nothing there, or a folder that this job may replace")


def remove_earlier_outputs(contract: Contract) -> None:
    """Remove from the outputs what an earlier job wrote, of which a reader could not tell that it is not this one's.

    What it was writing when it was killed goes too.
    """
    for path in _written(contract):
        path.unlink(missing_ok=True)
        partial_of(path).unlink(missing_ok=True)


def _written(contract: Contract) -> list[Path]:
    return [contract.output_data / name for name in WRITTEN] + [contract.tensorboard / EVENTS_FILE]


def _check_folder(folder: Path) -> None:
    """Raise UserError if `folder` is none or, where it is yet to be made, cannot be."""
    place = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not place.is_dir():
        raise UserError(f"{place} is not a folder; accepted: nothing there, or a folder that this job can write to")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        fault = f"user {os.geteuid()} cannot write to {place}: {error.strerror}"
        raise UserError(f"{fault}; accepted: a folder that this user may change") from error


def _check_file(path: Path) -> None:
    """Raise UserError if there is something other than a file or a link, which both can be replaced."""
    if os.path.lexists(path) and stat.S_IFMT(path.lstat().st_mode) not in (stat.S_IFREG, stat.S_IFLNK):
        raise UserError(f"{path} is not a regular file; accepted: nothing there, or a file that this job may replace")
