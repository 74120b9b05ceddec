"""Decoded images of earlier epochs, in files on the local disk that the kernel keeps in free memory."""

import logging
import mmap
import multiprocessing
import os
import shutil
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from classifier.headroom import free_memory

logger = logging.getLogger(__name__)
# The shares of free disk and memory that all caches together may take: the rest of the job needs room too.
MOST_OF_THE_DISK = 0.5
MOST_OF_THE_MEMORY = 0.5
# Bytes of pixels that a core decodes in a second (a photo of 400 px takes 1.2 ms): a slower disk does not help.
FAST_DISK = 300e6
TRIED_BYTES = 64_000_000


class Cache(ABC):
    """Keeps decoded images by their position in a phase."""

    @abstractmethod
    def get(self, position: int) -> np.ndarray | None:
        """Return the uint8 pixels (height, width, 3) of an image, if they are kept; they must not be written to."""

    @abstractmethod
    def put(self, position: int, pixels: np.ndarray, writer: int = 0) -> None:
        """Keep the pixels of an image, if there is room; processes with different `writer` do not wait for another."""


class NoCache(Cache):
    """Keeps nothing."""

    def get(self, position: int) -> np.ndarray | None:
        return None

    def put(self, position: int, pixels: np.ndarray, writer: int = 0) -> None:
        pass


class DiskCache(Cache):
    """A cache of up to `capacity` bytes in `folder`, shared with the processes that are forked from this one.

    Each of `writers` processes has a file of its own: in one file each would wait while another writes. The files have
    no names, so they disappear with the last of these processes.
    """

    def __init__(self, images: int, capacity: int, folder: Path, writers: int = 1):
        self.capacity = capacity // writers
        self.files = [tempfile.TemporaryFile(dir=folder) for _ in range(writers)]  # noqa: SIM115, open as long as this
        for file in self.files:
            weakref.finalize(self, file.close)
            file.truncate(self.capacity)  # sets the size; the disk allots blocks as they are written
        # Read through memory, so that a crop touches only its own part; written by calls, which report a full disk.
        self.memories = [mmap.mmap(file.fileno(), self.capacity) for file in self.files]
        # Each image's file, offset in it, height and width; and each file's end.
        self.places = np.frombuffer(mmap.mmap(-1, 32 * images), np.int64).reshape(images, 4)
        self.ends = np.frombuffer(mmap.mmap(-1, 8 * writers), np.int64)
        self.lock = multiprocessing.Lock()

    def get(self, position: int) -> np.ndarray | None:
        file, offset, height, width = self.places[position]
        return np.ndarray((height, width, 3), np.uint8, self.memories[file], offset) if height else None

    def put(self, position: int, pixels: np.ndarray, writer: int = 0) -> None:
        with self.lock:
            offset = int(self.ends[writer])
            # Two epochs may meet at an image: its batch of the next one is made while this one ends.
            if self.places[position, 2] or offset + pixels.nbytes > self.capacity:
                return
            self.ends[writer] += pixels.nbytes
        try:
            written = os.pwrite(self.files[writer].fileno(), np.ascontiguousarray(pixels).data, offset)
        except OSError:  # something else has filled the disk
            return
        if written < pixels.nbytes:
            return
        with self.lock:
            if not self.places[position, 2]:
                self.places[position, [0, 1, 3]] = writer, offset, pixels.shape[1]
                self.places[position, 2] = pixels.shape[0]  # last: get() looks for it


def make_cache(images: int, image_bytes: int, folder: Path | None = None, caches: int = 1, writers: int = 1) -> Cache:
    """Return a cache for `images` images of about `image_bytes` each, which takes 1/`caches` of the room.

    It is in `folder`, by default that of temporary files, and `writers` processes put images into it. If no cache can
    be made there, nothing is kept.
    """
    if multiprocessing.get_start_method() != "fork":
        return NoCache()
    folder = folder or Path(tempfile.gettempdir())
    try:
        return DiskCache(images, room(images * image_bytes * caches, folder) // caches, folder, writers)
    except (OSError, ValueError) as error:
        logger.warning("decoded images are not kept for later epochs: %s", error)
        return NoCache()


def room(wanted: int, folder: Path) -> int:
    """Return the bytes that may be kept in `folder`: only what fits into memory if its disk is slower than decoding."""
    disk = int(shutil.disk_usage(folder).free * MOST_OF_THE_DISK)
    memory = int(free_memory() * MOST_OF_THE_MEMORY)
    if min(wanted, disk) <= memory or (speed := writing_speed(folder)) >= FAST_DISK:
        return disk
    slow = "%s writes %.0f MB/s, slower than decoding: of about %.1f GB of decoded images %.1f GB are kept, in memory"
    logger.info(slow, folder, speed / 1e6, wanted / 1e9, memory / 1e9)
    return memory


def writing_speed(folder: Path) -> float:
    """Return the bytes per second that the disk of `folder` takes, with nothing left in memory."""
    with tempfile.TemporaryFile(dir=folder) as file:
        started = time.monotonic()
        file.write(bytes(TRIED_BYTES))
        os.fsync(file.fileno())
        return TRIED_BYTES / (time.monotonic() - started)
