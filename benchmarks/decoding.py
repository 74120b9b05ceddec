"""Compare our JPEG decoder with Pillow's: milliseconds per image, and how many damaged photos each notices, as tables.

Usage: python benchmarks/decoding.py PHOTOS

PHOTOS is a folder with JPEG files. Each is also stored as a progressive one, and a large picture is made of noise.
"""

import argparse
import io
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from classifier import images, memory
from classifier.words import percent

SIZE, SHORT_SIDE, REPETITIONS = 224, 256, 15
LOST = {
    "the last half": lambda data: data[: len(data) // 2],
    "the last half; with an end": lambda data: data[: len(data) // 2] + b"\xff\xd9",
    "512 bytes, now zeros": lambda data: replaced(data, bytes(512)),
    "2 kB, now zeros": lambda data: replaced(data, bytes(2048)),
    "2 kB, cut out": lambda data: replaced(data, bytes(2048)).replace(bytes(2048), b""),
    "512 bytes, now noise": lambda data: replaced(data, CHANCE.randbytes(512)),
    "2 kB, now noise": lambda data: replaced(data, CHANCE.randbytes(2048)),
    "nothing but the end": lambda data: data[:-2],
}
CHANCE = random.Random(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    files = sorted(parser.parse_args().photos.rglob("*.jpg"))[:100]
    memory.keep_small()  # as the server and the processes that read images do
    photos = [file.read_bytes() for file in files]
    progressive = [encode(Image.open(file).convert("RGB"), progressive=True) for file in files]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8))
    large = noise.resize((4000, 3000), Image.Resampling.BICUBIC)
    print("| images | ours | Pillow's |\n|---|---|---|")
    sets = {"the photos": photos, "the same, progressive": progressive}
    sets |= {"12 million pixels": [encode(large)], "as many, progressive": [encode(large, progressive=True)]}
    for name, data in sets.items():
        print(f"| {name} | {' | '.join(f'{ms:.2f}' for ms in milliseconds(data))} |", flush=True)
    print("\n| lost | ours notices | Pillow's |\n|---|---|---|")
    for name, lose in LOST.items():
        damaged = [lose(data) for data in photos + progressive if len(data) > 10_000]
        noticed = [sum(fails(decode, data) for data in damaged) / len(damaged) for decode in (ours, pillow)]
        print(f"| {name} | {' | '.join(percent(share, 1) for share in noticed)} |", flush=True)


def replaced(data: bytes, block: bytes) -> bytes:
    start = CHANCE.randrange(data.index(b"\xff\xda") + 20, len(data) - len(block) - 2)
    return data[:start] + block + data[start + len(block) :]


def encode(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def ours(data: bytes) -> Image.Image:
    return images.decode(data, SHORT_SIDE)


def pillow(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (SHORT_SIDE, SHORT_SIDE))
    return image.convert("RGB")


def fails(decode: Callable[[bytes], Image.Image], data: bytes) -> bool:
    try:
        decode(data)
    except (OSError, ValueError):
        return True
    return False


def milliseconds(data: list[bytes]) -> list[float]:
    """Return the processor time per image, the median of several passes, of ours and of Pillow's in turns."""
    times: dict[Callable, list[float]] = {ours: [], pillow: []}
    for _ in range(REPETITIONS):
        for decode, found in times.items():
            start = time.process_time()
            for one in data:
                decode(one)
            found.append(1000 * (time.process_time() - start) / len(data))
    return [statistics.median(found) for found in times.values()]


if __name__ == "__main__":
    main()
