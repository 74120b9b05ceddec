"""Coverage-guided fuzzing of the application, and of the front over a socket: any bytes are answered in JSON.

Usage: python tests/fuzz.py [atheris' options, such as -max_total_time=300]     (`make fuzz`)

It starts from small images and JSON, and mutates them towards code that was not reached yet. The application has no
model here, so torch is not imported: pixels of the right shape get a fixed answer. An input that fails is left in the
working directory.
"""

import asyncio
import base64
import io
import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

import atheris
import numpy as np
from gunicorn.config import Config
from PIL import Image

with atheris.instrument_imports(include=["classifier", "gunicorn", "PIL", "werkzeug"]):
    from classifier import images
    from classifier.serving.app import create_app
    from classifier.serving.batcher import Outcome
    from classifier.serving.connection import Connection
    from classifier.serving.front import Front
    from classifier.serving.fronts import Fronts
    from classifier.serving.model import Model
    from classifier.serving.settings import SETTINGS
    from classifier.serving.share import Share
    from classifier.serving.worker import Worker

TYPES = ("image/jpeg", "application/json", "application/octet-stream", "text/plain", "application/jsonlines")
SECONDS = 2
SIZE = 32


def submit(pixels: np.ndarray, deadline: float) -> Future:
    assert pixels.shape == (SIZE, SIZE, 3)
    answer: Future = Future()
    answer.set_result(Outcome(np.array([0.3, 0.7], np.float32), 0, 0, 1))
    return answer


def make_application():
    model: Future = Future()
    model.set_result(Model("fuzzed", ("a", "b"), SIZE, submit))
    return create_app(model, max_payload_mb=25, share=Share(1))


class Reception:
    """The front, on a socket of this process."""

    def __init__(self, application) -> None:
        config = Config()
        for name, value in SETTINGS.items():
            config.set(name, value)
        self.worker = Worker(1, os.getppid(), [], None, 30, config, config.logger_class(config))
        self.loop = self.worker.loop = asyncio.new_event_loop()
        self.worker.asgi = Front(application, 25, Share(1))
        self.worker.seat = Fronts(1).take()
        self.server = self.loop.run_until_complete(
            self.loop.create_server(lambda: Connection(self.worker), "127.0.0.1", 0)
        )

    def answers_to(self, *pieces: bytes) -> bytes:
        """Return all that is answered to a client that sends these pieces and then no more."""
        return self.loop.run_until_complete(asyncio.wait_for(self._ask(pieces), SECONDS))

    async def _ask(self, pieces: tuple[bytes, ...]) -> bytes:
        reader, writer = await asyncio.open_connection(*self.server.sockets[0].getsockname())
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.001)
            writer.write_eof()
            return await reader.read()
        finally:
            writer.close()


APPLICATION = make_application()
CLIENT = APPLICATION.test_client()
RECEPTION = Reception(APPLICATION)
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2} [A-Z][A-Za-z -]+\r\n")


def test_one_input(data: bytes) -> None:
    """Send `data`, whose first byte says what the rest is: a body of some type, or a whole request in two pieces."""
    if not data:
        return
    kind, body = data[0], data[1:]
    if kind & 0x80:
        cut = len(body) * (kind & 0x7F) // 0x7F
        answers = RECEPTION.answers_to(body[:cut], body[cut:])
        assert STATUS_LINE.match(answers) or not body.strip(b"\r\n"), answers
        assert b"Traceback" not in answers
        return
    start = time.process_time()  # so that other programs do not count
    response = CLIENT.post("/invocations", data=body, content_type=TYPES[kind % len(TYPES)])
    assert response.status_code == 200 or 400 <= response.status_code < 500, response.text
    for line in response.data.rstrip(b"\n").split(b"\n"):
        assert json.loads(line).keys() <= {"predictions", "results", "error"}
    assert time.process_time() - start < SECONDS


def write_seeds(folder: Path) -> None:
    image = Image.effect_noise((20, 16), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [
        (image, "JPEG", {"exif": exif}),
        (image, "JPEG", {"progressive": True}),
        (image, "JPEG", {"restart_marker_rows": 1}),
        (image.convert("CMYK"), "JPEG", {}),
        (image, "PNG", {}),
        (image.quantize(7), "PNG", {"transparency": 0}),
        (image.convert("L"), "PNG", {"transparency": 90, "exif": exif}),
        (image.convert("RGBA"), "WEBP", {"lossless": True}),
        (image, "WEBP", {"exif": exif, "save_all": True, "append_images": [image.rotate(90)]}),
    ]
    for i, (picture, name, options) in enumerate(kinds):
        stream = io.BytesIO()
        picture.save(stream, name, **options)
        (folder / f"image-{i}").write_bytes(b"\0" + stream.getvalue())
    text = json.dumps({"images": [base64.b64encode(stream.getvalue()).decode()], "k": 1})
    (folder / "json").write_bytes(b"\1" + text.encode())
    (folder / "lines").write_bytes(b"\4" + f"{text}\n{text}\n".encode())
    requests = [
        b"POST /invocations HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: gzip,chunked\r\n\r\n3;x=y\r\nabc\r\n000\r\nX-Sum: 1\r\n\r\n",
        b"HEAD http://a/ping?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    ]
    for i, request in enumerate(requests):
        (folder / f"request-{i}").write_bytes(b"\xc0" + request)


def main() -> None:
    images.warm_up()
    with tempfile.TemporaryDirectory() as seeds, tempfile.TemporaryDirectory() as corpus:
        write_seeds(Path(seeds))
        atheris.Setup([*sys.argv, "-max_len=20000", "-rss_limit_mb=4096", "-timeout=10", corpus, seeds], test_one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
