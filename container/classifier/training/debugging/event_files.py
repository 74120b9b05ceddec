"""smdebug's event files, for smdebug_compat to put into its modules. Imports smdebug: its load() comes first."""

import functools
import struct
import time
from pathlib import Path
from typing import Any

from smdebug.core.locations import TensorLocation
from smdebug.core.tfevent import util
from smdebug.core.tfevent.proto import event_pb2, tensor_pb2, tensor_shape_pb2
from smdebug.core.tfrecord.record_writer import CHECKSUM_MAGIC_BYTES, masked_crc32c
from smdebug.core.utils import get_relative_event_file_path, parse_worker_name_from_file

# protobuf makes these classes when the modules are loaded.
Event: Any = event_pb2.Event
TensorProto: Any = tensor_pb2.TensorProto
TensorShapeProto: Any = tensor_shape_pb2.TensorShapeProto

FOOTER = struct.pack("I", masked_crc32c(CHECKSUM_MAGIC_BYTES))  # smdebug's readers check the header alone


def make_tensor_proto(nparray_data, tag):
    """Return the message of an array of numbers, as smdebug's own function does; the hook writes no text."""
    _, dtype = util._get_proto_dtype(nparray_data.dtype)
    dimensions = [TensorShapeProto.Dim(size=size, name=f"{tag}_{size}") for size in nparray_data.shape]
    shape = TensorShapeProto(dim=dimensions)
    return TensorProto(dtype=dtype, tensor_content=nparray_data.tobytes(), tensor_shape=shape)


@functools.cache
def header(length: int) -> bytes:
    """Return the length of a record with its checksum, which smdebug computes in Python, byte by byte."""
    packed = struct.pack("Q", length)
    return packed + struct.pack("I", masked_crc32c(packed))


def record(event: bytes, write_checksum: bool) -> bytes:
    """Return an event as event files have it; TensorBoard's readers want its checksum, smdebug's do not."""
    return header(len(event)) + event + (struct.pack("I", masked_crc32c(event)) if write_checksum else FOOTER)


class EventFileWriter:
    """Writes a step's events when it is closed, in the caller's thread, so that the caller gets every error.

    smdebug's own hands each value to a thread through a queue of ten; when that thread dies of a full disk,
    training waits for ever. It also makes a saved step many times slower.
    """

    def __init__(self, path: str, index_writer: Any = None, write_checksum: bool = False, **_: object):
        self.write_checksum = write_checksum
        self.path = Path(path)
        self.index_writer = index_writer
        self.relative_path = get_relative_event_file_path(str(self.path))
        self.worker = parse_worker_name_from_file(str(self.path))
        self.records = bytearray()
        self.start = 0  # of the records in the file
        self.locations: list[TensorLocation] = []

    def write_summary_with_index(self, summary, step, tname, mode, mode_step, timestamp=None) -> None:
        start = len(self.records)
        self.write_summary(summary, step, timestamp)
        self.locations.append(
            TensorLocation(
                tname=tname,
                mode=mode.name,
                mode_step=mode_step,
                event_file_name=self.relative_path,
                start_idx=start,
                length=len(self.records) - start,
                worker=self.worker,
            )
        )

    def write_summary(self, summary, step, timestamp=None) -> None:
        event = Event(summary=summary, wall_time=timestamp or time.time(), step=step).SerializeToString()
        self.records += record(event, self.write_checksum)

    def flush(self) -> None:
        """Do nothing: the step is written as a whole."""

    def join(self, other: "EventFileWriter") -> None:
        """Append the events to the file of `other`, which must be closed first: readers follow the index."""
        self.relative_path, self.start = other.relative_path, len(other.records)
        other.records += self.records
        self.records = bytearray()

    def close(self) -> None:
        if self.records:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(f"{self.path.name}.tmp")
            partial.write_bytes(self.records)
            partial.replace(self.path)
        for location in self.locations:  # a reader looks for events only once they are in the index
            location.event_file_name = self.relative_path
            location.start_idx += self.start
            self.index_writer.add_index(location)
