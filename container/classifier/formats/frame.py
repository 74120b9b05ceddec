"""A JPEG's frame: its size, its kind, its components, and what a scan of some of them consists of."""

import math
import struct
from dataclasses import dataclass

from classifier.errors import ImageError
from classifier.words import plural

MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS = {0xC0, 0xC1}, {0xC2}, {0xC3}
_ARITHMETIC = {0xC9, 0xCA, 0xCB}
LAYERS = (1, 3, 4)
COEFFICIENTS = 64
_NO_BITS = 99


@dataclass
class Frame:
    """What the segment of a frame says, and in `unknown` what its scans did not say yet.

    By identifier of a component, `components` has how often it is sampled horizontally and vertically in a unit, and
    `unknown` how many lower bits of each coefficient are unknown.
    """

    marker: int
    width: int
    height: int
    layers: int
    components: dict[int, tuple[int, int]]
    unknown: dict[int, list[int]]

    @property
    def is_sequential(self) -> bool:
        return self.marker in _SEQUENTIAL

    @property
    def is_progressive(self) -> bool:
        return self.marker in _PROGRESSIVE

    @property
    def is_lossless(self) -> bool:
        return self.marker in _LOSSLESS

    @property
    def samples(self) -> int:
        """How many samples all components have together."""
        horizontal, vertical = zip(*self.components.values(), strict=True)
        share = sum(map(math.prod, self.components.values())) / (max(horizontal) * max(vertical))
        return math.ceil(self.width * self.height * share)

    @property
    def is_whole(self) -> bool:
        """Whether the scans had every bit of every coefficient."""
        return not any(any(bits) for bits in self.unknown.values())

    def learn(self, components: bytes, first: int, last: int, unknown: int) -> None:
        """Note a scan of the coefficients from `first` to `last`, without so many lower bits.

        Only progressive JPEGs have several scans of a component.
        """
        if not self.is_progressive:
            first, last, unknown = 0, COEFFICIENTS - 1, 0
        last = min(last, COEFFICIENTS - 1)
        for component in components:
            self.unknown[component][first : last + 1] = [unknown] * (last + 1 - first)

    def restarts(self, components: bytes, interval: int) -> int:
        """Return how many restart markers a scan of these components needs, one after each `interval` of units."""
        if not interval or self.is_lossless:
            return 0
        sides, most = (
            (self.width, self.height),
            [max(factors) for factors in zip(*self.components.values(), strict=True)],
        )
        units = [math.ceil(side / 8 / factor) for side, factor in zip(sides, most, strict=True)]
        if len(components) == 1:  # then a unit is one block
            factors = self.components[components[0]]
            samples = [math.ceil(side * part / all_) for side, part, all_ in zip(sides, factors, most, strict=True)]
            units = [math.ceil(number / 8) for number in samples]
        return math.ceil(math.prod(units) / interval) - 1


def read_frame(marker: int, body: bytes) -> Frame | None:
    """Return the frame, or None if the segment is not one.

    Raises ImageError if its components are not in LAYERS, or if its coding is arithmetic, which cameras do not
    write: of such data libjpeg-turbo does not notice that some is missing.
    """
    if len(body) < 9 or len(body) != 6 + 3 * body[5]:
        return None
    if marker in _ARITHMETIC:
        raise ImageError("a JPEG in arithmetic coding; accepted: a JPEG in Huffman coding, as all cameras write it")
    _, height, width, layers = struct.unpack_from(">BHHB", body)
    if layers not in LAYERS:
        raise ImageError(f"a JPEG with {plural(layers, 'component')}; accepted: 1, 3 or 4")
    components = {body[i]: (body[i + 1] >> 4 or 1, body[i + 1] & 15 or 1) for i in range(6, len(body), 3)}
    unknown = {identifier: [_NO_BITS] * COEFFICIENTS for identifier in components}
    return Frame(marker, width, height, layers, components, unknown)
