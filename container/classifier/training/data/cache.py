"""Decoded images of the epochs before: in a file on the local disk, which the kernel keeps in what memory is free."""

import logging
import mmap
import multiprocessing
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path

import numpy as np
import psutil

logger = logging.getLogger(__name__)
# Of what is free, for the caches together: what else the job does needs room too.
MOST_OF_THE_DISK = 0.5
MOST_OF_THE_MEMORY = 0.5
# A core decodes so many bytes a second of pixels (a photo of 400 px takes 1.2 ms): slower disks are no help.
FAST_DISK = 300e6
TRIED_BYTES = 64_000_000


class NoCache:
    """Keeps nothing."""

    def get(self, _position: int) -> np.ndarray | None:
        """The uint8 pixels (height, width, 3) of the image at a position, if they are kept; not to be written to."""
        return None

    def put(self, _position: int, _pixels: np.ndarray) -> None:
        """Keep pixels, if there is room."""


class DiskCache(NoCache):
    """Shared with the processes that are forked from this one; its file has no name, and so ends with them."""

    def __init__(self, images: int, capacity: int, folder: Path):
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, open as long as this
        weakref.finalize(self, self.file.close)
        self.capacity = capacity
        self.file.truncate(self.capacity)  # a size without blocks: these come as they are written
        # Read through memory, so that a crop touches only its own part; written by calls, which report a full disk.
        self.memory = mmap.mmap(self.file.fileno(), self.capacity)
        # Offset, height and width of each image, and where the next one goes. Not in /dev/shm, which may be small.
        self.places = np.frombuffer(mmap.mmap(-1, 24 * (images + 1)), np.int64).reshape(images + 1, 3)
        self.lock = multiprocessing.Lock()

    def get(self, position: int) -> np.ndarray | None:
        offset, height, width = self.places[position]
        return np.ndarray((height, width, 3), np.uint8, self.memory, offset) if height else None

    def put(self, position: int, pixels: np.ndarray) -> None:
        with self.lock:
            offset = int(self.places[-1, 0])
            if offset + pixels.nbytes > self.capacity:
                return
            self.places[-1, 0] += pixels.nbytes
        try:
            written = os.pwrite(self.file.fileno(), np.ascontiguousarray(pixels), offset)
        except OSError:  # the disk is full of something else
            return
        if written == pixels.nbytes:
            self.places[position] = (offset, *pixels.shape[:2])


def make_cache(images: int, image_bytes: int, folder: Path | None = None, caches: int = 1) -> NoCache:
    """One of so many `caches`, for so many images of about so many bytes, in `folder` or else that of temporary files.

    None where it cannot be had.
    """
    if multiprocessing.get_start_method() != "fork":
        return NoCache()
    folder = folder or Path(tempfile.gettempdir())
    try:
        return DiskCache(images, room(images * image_bytes * caches, folder) // caches, folder)
    except (OSError, ValueError) as error:
        logger.warning("decoded images are not kept for later epochs: %s", error)
        return NoCache()


def room(wanted: int, folder: Path) -> int:
    """The bytes that may be kept in `folder`: only as many as stay in memory where its disk is slower than decoding."""
    disk = int(shutil.disk_usage(folder).free * MOST_OF_THE_DISK)
    memory = int(psutil.virtual_memory().available * MOST_OF_THE_MEMORY)
    if min(wanted, disk) <= memory or (speed := writing_speed(folder)) >= FAST_DISK:
        return disk
    slow = "%s takes %.0f MB/s, less than decoding gives: %.1f GB of decoded images are kept, in memory, of about %.1f"
    logger.info(slow, folder, speed / 1e6, memory / 1e9, wanted / 1e9)
    return memory


def writing_speed(folder: Path) -> float:
    """Bytes a second to the disk of `folder`, with nothing left in memory."""
    with tempfile.TemporaryFile(dir=folder) as file:
        started = time.monotonic()
        file.write(bytes(TRIED_BYTES))
        os.fsync(file.fileno())
        return TRIED_BYTES / (time.monotonic() - started)
