import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from PIL import Image

from classifier import images
from classifier.images import ImageError
from classifier.serving import decoding
from classifier.serving.accesslog import Trace
from classifier.serving.batcher import Expired
from classifier.serving.decoding import Decoder
from helpers import encode, photo

SMALL, LARGE = encode(photo(8, 8), "PNG"), encode(photo(50, 50), "PNG")
SIZE = 8


@pytest.fixture(autouse=True)
def large_is_more_than_1000_pixels(monkeypatch):
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 1000)


@pytest.fixture
def decoded(monkeypatch) -> Callable[[], list[int]]:
    """Decoding blocks until this is called; it returns the numbers of pixels of the images that were begun."""
    begun, go_on, conversion = [], threading.Event(), images._rgb

    def wait(image: Image.Image) -> Image.Image:
        begun.append(image.width * image.height)
        assert go_on.wait(10)
        return conversion(image)

    def end() -> list[int]:
        time.sleep(0.2)
        found = list(begun)
        go_on.set()
        return found

    monkeypatch.setattr(images, "_rgb", wait)
    return end


def in_threads(decoder: Decoder, *data: bytes, seconds: float = 10) -> list[Future]:
    pool = ThreadPoolExecutor(len(data))
    return [pool.submit(decoder.pixels, one, SIZE, time.monotonic() + seconds, Trace()) for one in data]


def test_each_core_decodes_one_image_at_a_time(decoded):
    found = in_threads(Decoder(cores=2), *[SMALL] * 5)
    assert decoded() == [64, 64]
    assert {one.result().shape for one in found} == {(SIZE, SIZE, 3)}


def test_a_large_image_does_not_wait_for_long(decoded, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE_WAITS_S", 0.05)
    found = in_threads(Decoder(cores=1), LARGE, LARGE, LARGE, SMALL)
    decoded()
    assert [type(one.exception()) for one in found[:3]].count(Expired) >= 2
    assert found[3].result().shape == (SIZE, SIZE, 3)


def test_a_request_has_a_deadline(decoded):
    first, second = in_threads(Decoder(cores=1), SMALL, SMALL, seconds=0.1)
    decoded()
    assert {type(first.exception()), type(second.exception())} == {type(None), Expired}


def test_the_images_of_a_request_share_one_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_PIXELS", 6000)
    decoder, trace, deadline = Decoder(cores=1), Trace(), time.monotonic() + 10
    for _ in range(2):
        assert decoder.pixels(LARGE, SIZE, deadline, trace).shape == (SIZE, SIZE, 3)
    with pytest.raises(ImageError, match="7,500 pixels to decode, .* are too many; accepted in a request: 6,000"):
        decoder.pixels(LARGE, SIZE, deadline, trace)
    assert decoder.pixels(SMALL, SIZE, deadline, trace).shape == (SIZE, SIZE, 3)
    assert decoder.pixels(LARGE, SIZE, deadline, Trace()).shape == (SIZE, SIZE, 3)


def test_a_jpeg_counts_with_the_pixels_that_are_decoded_and_its_scans():
    plain, progressive = Trace(), Trace()
    decoder, deadline, picture = Decoder(cores=1), time.monotonic() + 10, photo(1600, 800)
    decoder.pixels(encode(picture), SIZE, deadline, plain)
    assert plain.decode_pixels == 1600 * 800 // 20
    decoder.pixels(encode(picture, progressive=True), SIZE, deadline, progressive)
    assert 4 <= progressive.decode_pixels * images.SCANS_AS_PIXELS / (1600 * 800) <= 12


def test_waiting_and_decoding_are_told_apart(decoded):
    decoder, traces = Decoder(cores=1), [Trace(), Trace()]
    with ThreadPoolExecutor(2) as pool:
        for trace in traces:
            pool.submit(decoder.pixels, SMALL, SIZE, time.monotonic() + 10, trace)
        decoded()
    assert sorted(trace.queue_ms > 100 for trace in traces) == [False, True]
    assert sorted(trace.decode_ms > 100 for trace in traces) == [False, True]
