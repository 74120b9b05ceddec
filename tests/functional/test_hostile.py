"""Whatever is sent to the real server is answered in JSON with a 2xx or a 4xx, after little work.

Work is the worker's processor time: on a busy machine a clock says little. How long a large image waits for its turn
is in tests/unit/serving/test_decoding.py.
"""

import base64
import json
import random
import socket
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from classifier.machine import usable_cores
from classifier.serving.decoding import MOST_PIXELS
from helpers import Answer, Server, encode, photo, serve
from jpegs import repeated_scan, segment
from pngs import empty_blocks, png_of
from waits import PATIENCE_S

# For one request. With LARGE_WAITS_S before it, that answers within 2 s on a machine that is slower than most.
MOST_WORK_S = 1.25
MUTANTS = 600
TYPES = ("image/jpeg", "image/png", "application/octet-stream", "application/json", "text/plain", "", "a/b;c=\xff")
EXIF = Image.Exif()
EXIF[0x0112] = 6
ICC = b"\0" * 40 + b"acsp" + b"\xff" * 500
FRAMES = {"save_all": True, "append_images": [photo(30, 20, seed) for seed in range(3)]}


def json_of(*images: bytes, **others: object) -> bytes:
    return json.dumps({"images": [base64.b64encode(image).decode() for image in images]} | others).encode()


SMALL = encode(photo(60, 50))
SAMPLES = [
    encode(photo(90, 70), exif=EXIF, icc_profile=ICC),
    encode(photo(90, 70), progressive=True),
    encode(photo(90, 70).convert("CMYK")),
    encode(photo(60, 50), "PNG", exif=EXIF, icc_profile=ICC),
    encode(photo(60, 50).quantize(9), "PNG", transparency=1),
    encode(photo(30, 20), "PNG", **FRAMES),
    encode(photo(60, 50), "WEBP", exif=EXIF, icc_profile=ICC),
    encode(photo(30, 20), "WEBP", **FRAMES),
    encode(photo(60, 50), "GIF"),
    json_of(SMALL, SMALL, k=3),
]


@pytest.fixture(scope="module")
def server(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(artifact_folder.parent, tmp_path_factory.mktemp("log") / "log") as running:
        running.wait_for_ping(200)
        yield running


def post(server: Server, body: bytes, content_type: str = "image/jpeg", **headers: str) -> Answer:
    return server.request("POST", "/invocations", body, {"Content-Type": content_type} | headers)


def assert_answered(answer: Answer) -> None:
    assert 200 <= answer.status < 300 or 400 <= answer.status < 500, (answer.status, answer.body)
    assert json.loads(answer.body).keys() <= {"error", "predictions", "results"}


def work(server: Server) -> float:
    """Return the seconds that the worker has computed for so far, on all cores together."""
    times = psutil.Process(server.workers[0]).cpu_times()
    return times.user + times.system


def mutant(seed: int) -> tuple[bytes, str]:
    """Return a sample with bits flipped, cut, doubled, filled or mixed with another, and any content type."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(SAMPLES))
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(data) + 1), chance.randint(0, 40)
        other = chance.choice(SAMPLES)
        start = chance.randrange(len(other))
        pieces = [b"", chance.randbytes(length), b"\xff" * length, b"\0" * length, bytes(data[at : at + length]) * 5]
        piece = chance.choice([*pieces, other[start : start + chance.randint(0, 400)]])
        data[at : at + chance.choice([0, 1, len(piece), len(data)])] = piece
    return bytes(data), chance.choice(TYPES)


def test_mutants(server):
    before = work(server)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda seed: post(server, *mutant(seed)), range(MUTANTS)))
    assert work(server) - before < 4 * MOST_WORK_S  # of all together
    for answer in answers:
        assert_answered(answer)
    statuses = [answer.status for answer in answers]
    assert {200, 400, 415} <= set(statuses)
    assert post(server, SMALL).status == 200
    assert len(server.workers) == 1
    assert "Traceback" not in server.log


def scan_bomb(width: int, height: int, scans: int) -> bytes:
    """Return a small JPEG of many scans, which Pillow calls an MPO because of one segment."""
    data = repeated_scan(Image.new("RGB", (width, height), (90, 20, 200)), scans)
    return data[:2] + segment(0xE2, b"MPF\0" + bytes(80)) + data[2:]


SCAN_BOMB = scan_bomb(5000, 4800, 300)


def png_bomb(width: int, height: int) -> bytes:
    """Return a valid PNG of these dimensions in a thousandth of their bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    rows = zlib.compress(bytes((width + 1) * height), 9)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BOMB = png_bomb(6000, 4000)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "image/jpeg", 400),
        (random.Random(0).randbytes(100_000), "image/jpeg", 400),
        (SMALL + b"PK\x03\x04<script>" + b"\0" * 1000, "image/jpeg", 200),  # two formats at once
        (SMALL[:-2], "image/jpeg", 200),
        (SMALL[: len(SMALL) // 2] + SMALL[-2:], "image/jpeg", 400),  # pixels are lost
        (b"GIF89a" + SMALL, "image/jpeg", 400),
        (SCAN_BOMB, "image/jpeg", 400),
        (scan_bomb(2000, 2000, 100), "image/jpeg", 400),  # few enough to be decoded
        (SMALL[:2] + segment(0xFE, b"") * 4_000_000 + SMALL[2:], "image/jpeg", 400),
        (SMALL[:-2] + b"\xff\xd0" * 8_000_000, "image/jpeg", 200),
        (BOMB, "image/png", 200),
        (png_bomb(6000, 4001), "image/png", 400),
        (empty_blocks(60, 50, 24_000_000), "image/png", 400),
        (json_of(*[empty_blocks(60, 50, 550_000)] * 32), "application/json", 400),
        (json_of(*[SMALL[:2] + segment(0xFE, b"") * 130_000 + SMALL[2:]] * 32), "application/json", 400),
        (png_of(60, 50, 8, 2, zlib.compress(bytes(181 * 50 - 1)) + bytes(20_000_000)), "image/png", 400),
        (json_of(*[BOMB] * 32), "application/json", 200),
        (json_of(*[SMALL] * 33), "application/json", 400),
        (json_of(k=10**500), "application/json", 400),
        (b"[" * 1_000_000, "application/json", 400),
        (b'{"images": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json", 400),
        (b'{"images": ["' + b"A" * 8_000_000 + b'"]}', "application/json", 400),
        (b'{"images": ["' + b"!" * 1_000_000 + b'"]}', "application/json", 400),
        (b"{" + b'"a": 1, ' * 500_000 + b'"b": 1}', "application/json", 400),
        (b'{"images": [' + b"[]," * 6_600_000 + b"[]]}", "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
    ],
)
def test_hostile_bodies(server, body, content_type, status):
    before = work(server)
    answer = post(server, body, content_type)
    assert_answered(answer)
    assert work(server) - before < MOST_WORK_S
    assert answer.status == status, answer.body


def test_work_and_memory_stay_bounded_under_bombs(server):
    bomb = encode(Image.new("RGBA", (6000, 4000), (200, 30, 30, 90)), "PNG", compress_level=1)
    of_palette = Image.new("P", (6000, 4000), 3)
    of_palette.putpalette(bytes(range(12)))  # of which 3 is the last colour
    palette = encode(of_palette, "PNG", transparency=3)
    worker = psutil.Process(server.workers[0])
    work_before, before, most = work(server), worker.memory_info().rss, 0
    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(post, server, body, "image/png") for body in (bomb, palette) * 4]
        small = pool.submit(post, server, SMALL)
        while not all(answer.done() for answer in waiting):
            most = max(most, worker.memory_info().rss)
            time.sleep(0.01)
        answers = [answer.result() for answer in waiting]
    # An image that would have to wait for too long is refused.
    statuses = Counter(answer.status for answer in answers)
    assert {200} <= statuses.keys() <= {200, 503}
    assert work(server) - work_before < statuses[200] * MOST_WORK_S
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)
    assert_answered(small.result())
    assert most - before < usable_cores() * 10 * MOST_PIXELS


def test_an_ordinary_request_does_not_wait_for_scan_bombs(server):
    before = work(server)
    with ThreadPoolExecutor(9) as pool:
        bombs = [pool.submit(post, server, SCAN_BOMB) for _ in range(8)]
        assert pool.submit(post, server, SMALL).result().status == 200
    for bomb in bombs:
        assert json.loads(bomb.result().body)["error"].endswith("5000 x 4800 pixels in 309 scans are too many")
    assert work(server) - before < MOST_WORK_S  # of all together


def raw(server: Server, request: bytes) -> bytes:
    """Return the server's answer to these bytes, after which the client sends no more."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def chunks(data: bytes, size: int) -> bytes:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (LENGTH % len(SMALL) + SMALL, 200),
        (LENGTH % (len(SMALL) + 50) + SMALL, 400),  # more than is sent
        (LENGTH % (len(SMALL) - 50) + SMALL, 400),  # less
        (LENGTH % 10**15 + SMALL, 413),
        (LENGTH.replace(b"%d", b"abc") + SMALL, 400),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(SMALL, 99), 400),
        (CHUNKED + chunks(SMALL, 1), 200),
        (CHUNKED + chunks(SMALL, 99), 200),
        (CHUNKED + chunks(SMALL + bytes(20_000_000), 60_000), 200),
        (CHUNKED + chunks(SMALL + bytes(30_000), 1), 200),
        (CHUNKED + chunks(bytes(1_000_000), 1), 400),
        (CHUNKED + chunks(SMALL, 99)[:-30], 400),
        (CHUNKED + b"ffffffffffffffff\r\n" + SMALL + b"0\r\n\r\n", 400),
        (HEAD + b"\r\n", 400),
        (random.Random(1).randbytes(3000), 400),
        (LENGTH % len(SMALL) + SMALL[:100], 400),
    ],
)
def test_bodies_that_are_not_what_their_head_says(server, request_bytes, status):
    head, _, body = raw(server, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    json.loads(body.splitlines()[0])
    assert post(server, SMALL).status == 200


def test_requests_that_do_not_wait_for_answers(server):
    first = (LENGTH % len(SMALL)).replace(b"Connection: close\r\n", b"") + SMALL
    chunked = CHUNKED.replace(b"Connection: close\r\n", b"") + chunks(SMALL, 500)
    ping = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = raw(server, first + ping + first + chunked + ping + LENGTH % len(SMALL) + SMALL)
    assert answers.count(b"HTTP/1.1 200 OK") == 6
    assert answers.count(b'"predictions"') == 4
