"""The metrics of every epoch as TensorBoard reads them: scalars in an event file, whose format smdebug has."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from classifier.files import errors_named
from classifier.training.debugging import smdebug_compat

# TensorBoard takes files with "tfevents" in their names.
FILE = "metrics.tfevents"


class TensorBoard:
    """Writes the event file in `folder`. Raises OSError."""

    def __init__(self, folder: Path):
        smdebug_compat.load()
        self.path = folder / FILE

    def start(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Start the file with the `rows` of an interrupted run, if any."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with errors_named(self.path):
            self.path.write_bytes(b"")
        for row in rows:
            values = dict(row)
            self.write(int(values.pop("epoch")), values)

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Append the values; train:loss becomes train/loss, which TensorBoard shows below train."""
        from smdebug.core.tfevent.proto import summary_pb2

        from classifier.training.debugging.event_files import Event, record

        summary = getattr(summary_pb2, "Summary")()  # noqa: B009, protobuf makes it when the module is loaded
        for name, value in values.items():
            summary.value.add(tag=name.replace(":", "/"), simple_value=value)
        event = Event(summary=summary, wall_time=time.time(), step=epoch).SerializeToString()
        with errors_named(self.path), self.path.open("ab") as file:
            file.write(record(event, write_checksum=True))
