"""Ask an asynchronous endpoint: pictures and answers go through S3, and the endpoint may have no instance at first.

docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
"""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from classifier.errors import UserError
from launch.aws import Aws, split_uri
from local.sending import IMAGE_TYPE

# A picture waits at most this long, while instances start, and is then given up.
WAIT_SECONDS = 3600
# How long after this an answer may still come.
LATE_SECONDS = 300


def request(endpoint: str, picture: str, attributes: str = "") -> dict[str, Any]:
    """Return InvokeEndpointAsync's parameters for a picture at an S3 URI."""
    asked = {"CustomAttributes": attributes} if attributes else {}
    return asked | {
        "EndpointName": endpoint,
        "ContentType": IMAGE_TYPE,
        "InputLocation": picture,
        "RequestTTLSeconds": WAIT_SECONDS,
    }


def submit(aws: Aws, endpoint: str, data: bytes, attributes: str = "") -> Callable[[bytes], bytes]:
    """Send a picture to the endpoint, and return a function that waits for its answer, an error's too."""
    picture = f"{aws.home}/async/input/{uuid.uuid4()}"
    aws.s3.Object(*split_uri(picture)).put(Body=data)
    runtime = aws.session.client("sagemaker-runtime")
    places = runtime.invoke_endpoint_async(**request(endpoint, picture, attributes))

    def answer(_: bytes) -> bytes:
        end = time.monotonic() + WAIT_SECONDS + LATE_SECONDS
        while time.monotonic() < end:
            if (found := read(aws, places["OutputLocation"])) is not None:
                break
            if (failure := read(aws, places.get("FailureLocation", ""))) is not None:
                found = json.dumps({"error": " ".join(failure.decode(errors="replace").split())}).encode()
                break
            aws.pause()
        else:
            raise UserError(
                f"{endpoint} has not answered within an hour; {places['OutputLocation']} would be the answer"
            )
        aws.s3.Object(*split_uri(picture)).delete()
        return found

    return answer


def read(aws: Aws, uri: str) -> bytes | None:
    """Return what the object at an S3 URI holds; None if there is none."""
    try:
        return aws.s3.Object(*split_uri(uri)).get()["Body"].read() if uri else None
    except aws.s3.meta.client.exceptions.NoSuchKey:
        return None
