"""Walks a JPEG's segments once, within a budget, and gathers those that decide its pixels."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from classifier.errors import ImageError
from classifier.formats import frame
from classifier.formats.budget import most_parts
from classifier.formats.frame import Frame

SIGNATURE = b"\xff\xd8"
# The most tables a scan uses have 2.7 kB, and real JPEGs have up to some dozen scans.
MAX_TABLE_BYTES = 250_000
MAX_SCANS = 500
# Segments of Exif, and of XMP; a camera writes one of each.
MAX_METADATA = 8

SOI, EOI, SOS, DHT, DRI, APP0, APP1, APP14 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xE0, 0xE1, 0xEE
TABLES = {DHT, DRI, 0xCC, 0xDB}
HAVE_LENGTH = TABLES | frame.MARKERS | {SOS, 0xDC, 0xFE} | set(range(0xE0, 0xF0))

_MARKER = re.compile(rb"\xff[\x01-\xfe]")
# In the data of a scan, FF 00 is a byte FF, and FF D0 to FF D7 are restarts.
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# The rest is a version, a density and a thumbnail.
_JFIF = b"JFIF\0" + bytes([1, 1, 0, 0, 1, 0, 1, 0, 0])
_ADOBE = b"Adobe" + bytes(6)
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/"


class Part(NamedTuple):
    """A segment: its marker, its body, the data behind the segment of a scan, and whether a marker follows."""

    marker: int
    body: bytes
    data: memoryview
    is_closed: bool


class Scan(NamedTuple):
    """The data of a scan, and what it must be like."""

    data: memoryview
    is_closed: bool  # whether a marker follows
    restarts: int  # how many restart markers it needs
    may_have_zeros: bool  # whether many zeros may be pixels: an area of one colour, in some JPEGs
    may_repeat: bool  # whether any byte may be there many times in a row


@dataclass
class Segments:
    """What decides a JPEG's pixels, without comments, junk between segments, and what follows the image.

    `parts` are tables, frame and scans in their order; `exif` and `xmp` have no other metadata.
    """

    frame: Frame | None = None
    scans: list[Scan] = field(default_factory=list)
    parts: list[bytes | memoryview] = field(default_factory=list)
    exif: list[bytes] = field(default_factory=list)
    xmp: list[bytes] = field(default_factory=list)
    _table_bytes: int = 0
    _zeros_are_flat: bool = True  # whether bits that are 0 decode as an area of one colour
    _interval: int = 0
    _is_jfif: bool = False
    _transform: int | None = None  # Adobe's number for how colours are stored

    def stream(self) -> bytes:
        """Return a JPEG of these segments, which libjpeg warns of only if pixels are missing."""
        start = [bytes([0xFF, SOI])]
        if self._is_jfif:
            start.append(segment(APP0, _JFIF))
        if self._transform is not None and self.frame:
            # Of other values than these libjpeg warns, and takes them for these.
            start.append(segment(APP14, _ADOBE + bytes([self._transform and (2 if self.frame.layers == 4 else 1)])))
        return b"".join([*start, *self.parts, bytes([0xFF, EOI])])

    def add(self, part: Part) -> None:
        """Keep a segment, or pass over it if it does not decide pixels."""
        marker, body = part.marker, part.body
        if marker in TABLES:
            self._add_table(marker, body)
        elif marker in frame.MARKERS and not self.frame:
            self.frame = frame.read_frame(marker, body)
            if self.frame:
                self.parts.append(segment(marker, body))
        elif marker == SOS and self.frame:
            self._add_scan(self.frame, part)
        elif marker == APP0 and body.startswith(b"JFIF\0") and len(body) >= len(_JFIF):
            self._is_jfif = True
        elif marker == APP14 and body.startswith(b"Adobe") and len(body) > len(_ADOBE):
            self._transform = body[len(_ADOBE)]
        elif marker == APP1 and body.startswith(_EXIF) and len(self.exif) < MAX_METADATA:
            self.exif.append(body[len(_EXIF) :])
        elif marker == APP1 and body.startswith(_XMP) and len(self.xmp) < MAX_METADATA:
            self.xmp.append(body)

    def _add_table(self, marker: int, body: bytes) -> None:
        self._table_bytes += len(body)
        if self._table_bytes > MAX_TABLE_BYTES:
            raise ImageError(f"the JPEG's tables are too long; accepted: up to {MAX_TABLE_BYTES:,} bytes")
        self.parts.append(segment(marker, body))
        if marker == DRI:
            self._interval = int.from_bytes(body[:2])
        elif marker == DHT:
            # Each has a number, how many codes there are of 1 to 16 bits, and their symbols. The first symbol's code is
            # all zeros; it stands for "as the block before" and for "no more in this block" if it is 0.
            start = 0
            while len(body) > start + 17:
                self._zeros_are_flat &= body[start + 17] == 0
                start += 17 + sum(body[start + 1 : start + 17])

    def _add_scan(self, frame: Frame, part: Part) -> None:
        body, components = part.body, part.body[1:-3:2]
        if len(body) < 6 or len(body) != 4 + 2 * body[0] or not frame.components.keys() >= set(components):
            return
        if len(self.scans) == MAX_SCANS:
            raise ImageError(f"the JPEG has too many scans; accepted: up to {MAX_SCANS:,}")
        frame.learn(components, body[-3], body[-2], body[-1] & 15)
        if frame.is_sequential:  # these three bytes say nothing there, but libjpeg warns of some
            body = body[:-3] + bytes([0, 63, 0])
        self.parts += [segment(SOS, body), part.data]
        # Behind a progressive JPEG's first coefficients, one code stands for all blocks of an area.
        may_repeat = not frame.is_progressive or body[-3] == 0
        may_have_zeros = may_repeat and (not frame.is_sequential or self._zeros_are_flat)
        restarts = frame.restarts(components, self._interval)
        self.scans.append(Scan(part.data, part.is_closed, restarts, may_have_zeros, may_repeat))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def read_segments(data: bytes) -> tuple[Frame, Segments]:
    """Return frame and segments up to the last scan needed. Raises ImageError if scans are missing."""
    found = Segments()
    for part in _walk(data):
        found.add(part)
        if part.marker == SOS and found.scans and found.frame and found.frame.is_whole:
            return found.frame, found
    if not found.scans:
        raise ImageError("damaged image: the JPEG ends before its pixels")
    raise ImageError(f"damaged image: the JPEG ends after scan {len(found.scans)}, and its last ones are missing")


def _walk(data: bytes) -> Iterator[Part]:
    """Yield each segment that has a body, up to the end of the image."""
    position, most = len(SIGNATURE), most_parts(data)
    for _ in range(most):
        found = _MARKER.search(data, position)
        if not found or found[0][1] == EOI:
            return
        marker, position = found[0][1], found.end()
        length = int.from_bytes(data[position : position + 2])
        body = data[position + 2 : position + length]
        if marker not in HAVE_LENGTH or len(body) + 2 != length:  # junk, or cut off
            continue
        position = end = position + length
        following = _END_OF_SCAN.search(data, position) if marker == SOS else None
        if marker == SOS:
            end = following.start() if following else len(data)
        yield Part(marker, body, memoryview(data)[position:end], following is not None)
        position = end
    raise ImageError(f"the JPEG has too many segments; accepted: up to {most:,}")
