"""Finds lost blocks in the data of a JPEG's scans.

Disks and downloads lose blocks and leave one value in their place, mostly 0. It may decode as pixels, and as more of
them than were lost; then libjpeg-turbo says that bytes remain once all pixels are decoded. It says the same if cameras
pad the last scan or programs leave notes there, which costs nothing.
"""

import numpy as np

from classifier.formats.runs import longest_run
from classifier.formats.segments import Scan

BLOCK = 512
# libjpeg-turbo holds up to 8 bytes that it has not decoded yet, and does not count them among those that remain.
AHEAD = 8
# Kaggle's cats and dogs have up to 2,226 bytes behind their pixels. Within the image nobody was seen to write any.
FEW = 64


def has_hole(scans: list[Scan]) -> bool:
    """Whether a scan has bytes in a row that cannot be pixels."""
    return any(map(_has_impossible_run, scans))


def explains_rest(scans: list[Scan], rest: int, is_at_end: bool) -> bool:
    """Whether lost blocks explain why `rest` bytes of a scan remain, of the last one if `is_at_end`."""
    if not all(map(_has_restarts, scans)) or (rest > FEW and not is_at_end):
        return True
    *others, last = scans
    if not is_at_end:
        return has_hole(scans)
    used = len(last.data) - rest
    edge = bytes(last.data[max(0, used - 2 * AHEAD) : used + 1])
    if len(edge) > 2 * AHEAD and len(set(edge)) == 1:
        return True
    last = last._replace(data=last.data[:used])
    # If zeros are an area and nothing is lost, what remains is padding, which is short.
    longest = longest_run(last.data, BLOCK // 2)
    is_hole = BLOCK <= longest <= rest if last.may_have_zeros else longest >= BLOCK // 2
    return is_hole or has_hole([*others, last])


def _has_impossible_run(scan: Scan) -> bool:
    if not scan.may_repeat:
        return len(scan.data) >= BLOCK and longest_run(scan.data, BLOCK // 2) >= BLOCK // 2
    return not scan.may_have_zeros and bytes(BLOCK // 2) in bytes(scan.data)


def _has_restarts(scan: Scan) -> bool:
    """Whether the scan has as many restart markers as it needs, or more, in their order."""
    data = np.frombuffer(scan.data, np.uint8)
    numbers = data[1:][(data[:-1] == 0xFF) & (data[1:] >> 3 == 0xD0 >> 3)] & 7
    return len(numbers) >= scan.restarts and not numbers[:1].any() and bool((np.diff(numbers) & 7 == 1).all())
