import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from PIL import Image

from classifier import images
from classifier.formats import jpeg
from classifier.images import ImageError
from classifier.serving import decoding
from classifier.serving.accesslog import Trace
from classifier.serving.batcher import Expired
from classifier.serving.decoding import Decoder
from classifier.serving.share import Share
from helpers import encode, photo
from pngs import empty_blocks
from waits import PATIENCE_S, wait_until

SMALL, LARGE = encode(photo(8, 8), "PNG"), encode(photo(50, 50), "PNG")
SIZE = 8


@pytest.fixture(autouse=True)
def large_is_more_than_1000_pixels(monkeypatch):
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 1000)


class Held:
    """Holds up every decoding until `go_on` is set; `begun` are the numbers of pixels of those that have begun."""

    def __init__(self):
        self.begun: list[int] = []
        self.go_on = threading.Event()

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.begun) >= count, f"{count} decodings have begun")


@pytest.fixture
def held(monkeypatch) -> Held:
    held, conversion = Held(), images._rgb

    def wait(image: Image.Image) -> Image.Image:
        held.begun.append(image.width * image.height)
        assert held.go_on.wait(PATIENCE_S)
        return conversion(image)

    monkeypatch.setattr(images, "_rgb", wait)
    return held


def in_threads(decoder: Decoder, *data: bytes, seconds: float = PATIENCE_S) -> list[Future]:
    pool = ThreadPoolExecutor(len(data))
    return [pool.submit(decoder.pixels, one, SIZE, time.monotonic() + seconds, Trace()) for one in data]


def test_each_core_decodes_one_image_at_a_time(held):
    found = in_threads(Decoder(Share(2)), *[SMALL] * 5)
    held.wait_for(2)
    time.sleep(0.2)  # enough for a third
    assert held.begun == [64, 64]
    held.go_on.set()
    assert {one.result().shape for one in found} == {(SIZE, SIZE, 3)}


def test_a_large_image_does_not_wait_for_long(held, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE_WAITS_S", 0.05)
    found = in_threads(Decoder(Share(1)), LARGE, LARGE, LARGE, SMALL)
    wait_until(lambda: sum(one.done() for one in found[:3]) >= 2, "two large images are refused")
    held.go_on.set()
    assert [type(one.exception()) for one in found[:3]].count(Expired) >= 2
    assert found[3].result().shape == (SIZE, SIZE, 3)


def test_a_request_has_a_deadline(held):
    decoder = Decoder(Share(1))
    (first,) = in_threads(decoder, SMALL)
    held.wait_for(1)
    (late,) = in_threads(decoder, SMALL, seconds=0.05)
    assert isinstance(late.exception(PATIENCE_S), Expired)
    held.go_on.set()
    assert first.exception() is None


def test_the_images_of_a_request_share_one_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_PIXELS", 6000)
    decoder, trace, deadline = Decoder(Share(1)), Trace(), time.monotonic() + PATIENCE_S
    for _ in range(2):
        assert decoder.pixels(LARGE, SIZE, deadline, trace).shape == (SIZE, SIZE, 3)
    with pytest.raises(ImageError, match="counts, with the images before it, as 7,500 pixels to decode; accepted in a"):
        decoder.pixels(LARGE, SIZE, deadline, trace)
    assert decoder.pixels(SMALL, SIZE, deadline, trace).shape == (SIZE, SIZE, 3)
    assert decoder.pixels(LARGE, SIZE, deadline, Trace()).shape == (SIZE, SIZE, 3)


def test_a_webp_that_is_decoded_twice_counts_twice_and_no_image_before_it_is_named(monkeypatch):
    """A long run of one value in its data may be lost blocks, or a flat area."""
    flat = Image.new("RGB", (1000, 800), "black")
    flat.paste("white", (500, 0, 1000, 800))
    monkeypatch.setattr(decoding, "MOST_PIXELS", 1_000_000)
    with pytest.raises(ImageError) as refused:
        Decoder(Share(1)).pixels(encode(flat, "WEBP"), SIZE, time.monotonic() + PATIENCE_S, Trace())
    sentence = "the image counts as 1,600,000 pixels to decode; accepted in a request: 1,000,000, of which a JPEG"
    assert str(refused.value).startswith(sentence)


def test_a_jpeg_counts_with_the_pixels_that_are_decoded_and_its_scans():
    plain, progressive = Trace(), Trace()
    decoder, deadline, picture = Decoder(Share(1)), time.monotonic() + PATIENCE_S, photo(1600, 800)
    decoder.pixels(encode(picture), SIZE, deadline, plain)
    assert plain.decode_pixels == 1600 * 800 // 20
    decoder.pixels(encode(picture, progressive=True), SIZE, deadline, progressive)
    assert 4 <= progressive.decode_pixels * jpeg.SCANS_AS_PIXELS / (1600 * 800) <= 12


def test_waiting_and_decoding_are_told_apart(held):
    decoder, traces = Decoder(Share(1)), [Trace(), Trace()]
    with ThreadPoolExecutor(2) as pool:
        for trace in traces:
            pool.submit(decoder.pixels, SMALL, SIZE, time.monotonic() + PATIENCE_S, trace)
        wait_until(lambda: held.begun and all(trace.decode_pixels for trace in traces), "both want their turn")
        time.sleep(0.2)
        held.go_on.set()
    first, second = sorted(traces, key=lambda trace: trace.queue_ms)
    assert first.queue_ms < 100 < second.queue_ms
    assert second.decode_ms < 100 < first.decode_ms


def test_reading_does_not_wait_behind_pixels(held):
    """Else what is refused at once would wait too."""
    decoder = Decoder(Share(1))
    (first,) = in_threads(decoder, SMALL)
    held.wait_for(1)
    (refused,) = in_threads(decoder, b"hello")
    assert isinstance(refused.exception(PATIENCE_S), ImageError)
    assert not first.done()
    held.go_on.set()


def test_each_core_reads_one_image_at_a_time(monkeypatch):
    begun, go_on, read = [], threading.Event(), images._read

    def wait(data: bytes) -> images.Picture:
        begun.append(data)
        assert go_on.wait(PATIENCE_S)
        return read(data)

    monkeypatch.setattr(images, "_read", wait)
    found = in_threads(Decoder(Share(2)), *[SMALL] * 5)
    wait_until(lambda: len(begun) >= 2, "two readings have begun")
    time.sleep(0.2)  # enough for a third
    assert len(begun) == 2
    go_on.set()
    assert {one.result().shape for one in found} == {(SIZE, SIZE, 3)}


@pytest.fixture
def free(monkeypatch) -> Callable[[int], None]:
    """Return what sets the bytes of memory that are free when a Decoder decodes its first image."""
    monkeypatch.setattr(decoding, "LEAST_MEMORY", 0)
    return lambda free: monkeypatch.setattr(decoding, "free_memory", lambda: free)


def test_an_image_that_takes_more_memory_than_there_is_is_refused(free):
    free(4_000_000)
    decoder, deadline = Decoder(Share(2)), time.monotonic() + PATIENCE_S
    assert decoder.pixels(LARGE, SIZE, deadline, Trace()).shape == (SIZE, SIZE, 3)
    with pytest.raises(ImageError, match="^it may take 7 MB of memory to decode; accepted on this machine: 3 MB$"):
        decoder.pixels(encode(photo(1000, 1000), "PNG"), SIZE, deadline, Trace())


def test_an_ordinary_image_is_decoded_however_little_is_free(monkeypatch):
    monkeypatch.setattr(decoding, "free_memory", lambda: 0)
    data = encode(photo(2000, 2000), "PNG")
    assert Decoder(Share(1)).pixels(data, SIZE, time.monotonic() + PATIENCE_S, Trace()).shape == (SIZE, SIZE, 3)


def test_images_wait_for_the_memory_of_others(held, free):
    free(30_000)
    found = in_threads(Decoder(Share(3)), *[encode(photo(30, 30), "PNG")] * 6)
    held.wait_for(3)
    held.go_on.set()
    assert {one.result().shape for one in found} == {(SIZE, SIZE, 3)}
    held.begun.clear()
    held.go_on.clear()
    free(10_000)
    found = in_threads(Decoder(Share(3)), *[encode(photo(30, 30), "PNG")] * 6)
    held.wait_for(1)
    time.sleep(0.2)  # enough for a second
    assert held.begun == [900]
    held.go_on.set()
    assert {one.result().shape for one in found} == {(SIZE, SIZE, 3)}


def test_images_that_take_long_for_their_pixels_end_the_decoding_of_a_request():
    trace, decoder, deadline = Trace(), Decoder(Share(1)), time.monotonic() + PATIENCE_S
    decoder.pixels(LARGE, SIZE, deadline, trace)
    slow, sentences = empty_blocks(64, 48, 1_000_000), set()
    for _ in range(32):
        with pytest.raises(ImageError) as error:
            decoder.pixels(slow, SIZE, deadline, trace)
        sentences.add(str(error.value))
    assert {
        "damaged image: the last 48 of its 48 rows are missing",
        "the images before it took too long to decode",
    } == sentences
    assert trace.decode_cpu_ms < 1500
    assert decoder.pixels(LARGE, SIZE, deadline, Trace()).shape == (SIZE, SIZE, 3)
