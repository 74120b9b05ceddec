"""Makes smdebug 1.0.34 work on a modern stack: call `load()` before anything is imported from smdebug.

The package was last released for protobuf 3 and numpy 1. Its format and its classes are still good, so the four
places that broke are replaced here, from outside: generated protobuf modules, numpy's `tostring`, a writer whose
thread hangs the training when the disk is full, and framework profiling, which no torch since 2.0 supports and
which would import pandas and pyinstrument.
"""

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

PROTOBUF = "smdebug.core.tfevent.proto."
# Modules of framework profiling, and the names that others import from them.
UNUSED = {
    "smdebug.profiler": (),
    "smdebug.profiler.python_profiler": ("PythonProfiler",),
    "smdebug.trials.profiler_trial": ("ProfilerTrial",),
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the modules of smdebug that Python cannot load unchanged."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        generated = fullname.startswith(PROTOBUF) and fullname.endswith("_pb2")
        if not generated and fullname not in UNUSED:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=found.origin)
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in UNUSED:
            vars(module).update(dict.fromkeys(UNUSED[module.__name__]))
        else:
            _build_messages(module)


def load() -> None:
    """Make smdebug importable, with a writer that works. Raises ImportError if it is not installed."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    # Its logger would repeat in its own format what the debugger logs in one line.
    os.environ.setdefault("SMDEBUG_LOG_LEVEL", "off")
    # A profilerconfig.json asks for framework profiling; the service's own monitoring does not need this process.
    os.environ["SMPROFILER_CONFIG_PATH"] = os.devnull
    # The rules are told when training has ended, so they need not wait for late files.
    os.environ.setdefault("SMDEBUG_TRAINING_END_DELAY_REFRESH", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports distutils, and its regexes have invalid escapes
        writer: Any = importlib.import_module("smdebug.core.writer")
        tfevent: Any = importlib.import_module("smdebug.core.tfevent.util")
    from classifier.training.debugging.event_files import EventFileWriter, make_tensor_proto

    writer.make_tensor_proto = tfevent.make_tensor_proto = make_tensor_proto
    writer.EventFileWriter = EventFileWriter
    writer._get_default_bins = functools.cache(writer._get_default_bins)
    # All tensors of a step have the same metadata.
    writer.FileWriter._get_metadata = staticmethod(functools.lru_cache(1)(writer.FileWriter._get_metadata))


def _build_messages(module: ModuleType) -> None:
    """Fill a generated module from the descriptor in its source, as protobuf 4 and newer do."""
    from google.protobuf import descriptor_pool
    from google.protobuf.internal import builder

    assert module.__spec__ and module.__spec__.origin
    tree = ast.parse(Path(module.__spec__.origin).read_text(encoding="utf-8"))
    for node in tree.body:  # the pool needs the descriptors that this one depends on first
        if isinstance(node, ast.ImportFrom) and f"{node.module}." == PROTOBUF:
            for alias in node.names:
                importlib.import_module(PROTOBUF + alias.name)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    keywords = (keyword for call in calls for keyword in call.keywords if keyword.arg == "serialized_pb")
    descriptor = descriptor_pool.Default().AddSerializedFile(ast.literal_eval(next(keywords).value))
    builder.BuildMessageAndEnumDescriptors(descriptor, vars(module))
    builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, vars(module))
