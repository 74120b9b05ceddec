"""What an endpoint captures: the request that switches it on, and the files that it leaves in S3.

docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

import base64
import hashlib
import json
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.words import plural
from launch.aws import Aws
from local.sending import read_answer

# Files begin so.
SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp"}


@dataclass
class Counts:
    """What became of the captured requests; pictures that the folder has already are not new."""

    written: int = 0
    known: int = 0
    certain: int = 0
    unfit: int = 0

    def __str__(self) -> str:
        return (
            f"{plural(self.written, 'new picture')}, {self.known} that were there already, {self.certain} more certain "
            f"than asked for, {plural(self.unfit, 'request')} without one picture and its answer"
        )


def config(settings: Namespace, aws: Aws) -> dict[str, Any]:
    """Return DataCaptureConfig of CreateEndpointConfig."""
    key = {"KmsKeyId": settings.kms_key} if settings.kms_key else {}
    return key | {
        "EnableCapture": True,
        "InitialSamplingPercentage": settings.capture_percent,
        "DestinationS3Uri": f"{aws.home}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }


def write_pictures(aws: Aws, endpoint: str, folder: Path, below: float) -> Counts:
    """Write the pictures that the endpoint answered with a probability below `below` to a folder for each class.

    A picture that is anywhere below `folder`, since it was written before and perhaps moved, is not written again.
    """
    known, counts = {path.name for path in folder.rglob("*")}, Counts()
    for item in aws.objects_below(f"{aws.home}/captured/{endpoint}/"):
        for line in item.get()["Body"].iter_lines():
            if (found := read_event(line)) is None:
                counts.unfit += 1
                continue
            data, suffix, best = found
            name = f"{hashlib.sha256(data).hexdigest()[:20]}{suffix}"
            if best["probability"] >= below:
                counts.certain += 1
            elif name in known:
                counts.known += 1
            else:
                write(folder / best["class"] / name, data)
                known.add(name)
                counts.written += 1
    return counts


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def read_event(line: bytes) -> tuple[bytes, str, dict[str, Any]] | None:
    """Return picture, suffix and best prediction of a line of a capture file; None if it has none of these."""
    try:
        event = json.loads(line)["captureData"]
        sent, answered = event["endpointInput"], event["endpointOutput"]
        data, answer = base64.b64decode(sent["data"], validate=True), plain(answered)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    suffix = next((suffix for start, suffix in SUFFIXES.items() if data.startswith(start)), "")
    best = next(iter(read_answer(answer).get("predictions", ())), None)
    if not suffix or best is None or best["class"] in ("", ".", "..") or "/" in best["class"]:
        return None
    return data, suffix, best


def plain(captured: dict[str, str]) -> bytes:
    """Return the bytes of a captured answer, which has its encoding beside it."""
    data = captured["data"]
    return base64.b64decode(data, validate=True) if captured.get("encoding") == "BASE64" else data.encode()
