"""smdebug 1.0.34 on a modern stack. `load()` before anything is imported from smdebug.

The package was last released for protobuf 3 and numpy 1. Its format and its classes are still good, so the four
places that broke are mended here, from outside: generated protobuf modules, numpy's `tostring`, a writer whose
thread hangs the training when the disk is full, and framework profiling, which no torch since 2.0 supports and
which would import pandas and pyinstrument.
"""

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import struct
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType

PROTOBUF = "smdebug.core.tfevent.proto."
# Modules of framework profiling, and the names that others import from them.
UNUSED = {
    "smdebug.profiler": (),
    "smdebug.profiler.python_profiler": ("PythonProfiler",),
    "smdebug.trials.profiler_trial": ("ProfilerTrial",),
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the modules of smdebug that cannot be loaded as they are."""

    def find_spec(self, name, path, target=None):
        generated = name.startswith(PROTOBUF) and name.endswith("_pb2")
        if not generated and name not in UNUSED:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        if found is None:
            return None
        spec = importlib.util.spec_from_loader(name, self, origin=found.origin)
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in UNUSED:
            vars(module).update(dict.fromkeys(UNUSED[module.__name__]))
        else:
            _build_messages(module)


def load() -> None:
    """Make smdebug importable, with its writer mended. Raises ImportError where it is not installed."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    # Its logger would repeat in its own format what the debugger tells in one line.
    os.environ.setdefault("SMDEBUG_LOG_LEVEL", "off")
    # A profilerconfig.json asks for framework profiling: the service's own monitoring does not need this process.
    os.environ["SMPROFILER_CONFIG_PATH"] = os.devnull
    # The rules are told when training has ended; they need not wait for late files.
    os.environ.setdefault("SMDEBUG_TRAINING_END_DELAY_REFRESH", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports distutils, and its regexes have invalid escapes
        writer = importlib.import_module("smdebug.core.writer")
        tfevent = importlib.import_module("smdebug.core.tfevent.util")
    writer.make_tensor_proto = tfevent.make_tensor_proto = _make_tensor_proto
    writer.EventFileWriter = _event_file_writer()
    writer._get_default_bins = functools.cache(writer._get_default_bins)
    # The same for all of a step.
    writer.FileWriter._get_metadata = staticmethod(functools.lru_cache(1)(writer.FileWriter._get_metadata))


def _build_messages(module: ModuleType) -> None:
    """Fill a generated module from the descriptor that its source holds, as protobuf 4 and newer do it."""
    from google.protobuf import descriptor_pool
    from google.protobuf.internal import builder

    tree = ast.parse(Path(module.__spec__.origin).read_text(encoding="utf-8"))
    for node in tree.body:  # what a descriptor depends on must be in the pool before it
        if isinstance(node, ast.ImportFrom) and f"{node.module}." == PROTOBUF:
            for alias in node.names:
                importlib.import_module(PROTOBUF + alias.name)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    keywords = (keyword for call in calls for keyword in call.keywords if keyword.arg == "serialized_pb")
    descriptor = descriptor_pool.Default().AddSerializedFile(ast.literal_eval(next(keywords).value))
    builder.BuildMessageAndEnumDescriptors(descriptor, vars(module))
    builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, vars(module))


def _make_tensor_proto(nparray_data, tag):
    """As smdebug's own, for numbers; a tensor of text is nothing that the hook writes."""
    from smdebug.core.tfevent import util
    from smdebug.core.tfevent.proto.tensor_pb2 import TensorProto
    from smdebug.core.tfevent.proto.tensor_shape_pb2 import TensorShapeProto

    _, dtype = util._get_proto_dtype(nparray_data.dtype)
    dimensions = [TensorShapeProto.Dim(size=size, name=f"{tag}_{size}") for size in nparray_data.shape]
    shape = TensorShapeProto(dim=dimensions)
    return TensorProto(dtype=dtype, tensor_content=nparray_data.tobytes(), tensor_shape=shape)


def _event_file_writer() -> type:
    from smdebug.core.locations import TensorLocation
    from smdebug.core.tfrecord.record_writer import CHECKSUM_MAGIC_BYTES, masked_crc32c
    from smdebug.core.utils import get_relative_event_file_path, parse_worker_name_from_file

    footer = struct.pack("I", masked_crc32c(CHECKSUM_MAGIC_BYTES))  # its readers check the header alone

    @functools.cache
    def header(length: int) -> bytes:
        """The length of a record with its checksum, which smdebug computes in Python, byte by byte."""
        packed = struct.pack("Q", length)
        return packed + struct.pack("I", masked_crc32c(packed))

    class EventFileWriter:
        """Writes a step's events when it is closed, in the caller's thread, so that the caller meets every error.

        smdebug's own hands each value to a thread through a queue of ten; when that thread dies of a full disk,
        training waits for ever. It also makes a saved step many times slower.
        """

        def __init__(self, path, index_writer=None, write_checksum=False, **_):
            self.write_checksum = write_checksum  # TensorBoard's readers want one
            self.path = Path(path)
            self.index_writer = index_writer
            self.relative_path = get_relative_event_file_path(str(self.path))
            self.worker = parse_worker_name_from_file(str(self.path))
            self.records = bytearray()
            self.start = 0  # of the records in the file
            self.locations = []

        def write_summary_with_index(self, summary, step, tname, mode, mode_step, timestamp=None):
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

        def write_summary(self, summary, step, timestamp=None):
            from smdebug.core.tfevent.proto.event_pb2 import Event

            event = Event(summary=summary, wall_time=timestamp or time.time(), step=step).SerializeToString()
            checksum = struct.pack("I", masked_crc32c(event)) if self.write_checksum else footer
            self.records += header(len(event)) + event + checksum

        def flush(self):
            """There is nothing to flush before the step is whole."""

        def join(self, other):
            """Have all events in the file of `other`, which is to be closed before: readers go by the index."""
            self.relative_path, self.start = other.relative_path, len(other.records)
            other.records += self.records
            self.records = bytearray()

        def close(self):
            if self.records:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                partial = self.path.with_name(f"{self.path.name}.tmp")
                partial.write_bytes(self.records)
                partial.replace(self.path)
            for location in self.locations:  # a reader looks for events only once they are in the index
                location.event_file_name = self.relative_path
                location.start_idx += self.start
                self.index_writer.add_index(location)

    return EventFileWriter
