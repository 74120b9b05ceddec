"""Ask an asynchronous endpoint: pictures and answers go through S3, and the endpoint may have no instance at first.

docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
"""

import json
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

from classifier.errors import UserError
from launch import console, storage
from launch.aws import Aws, split_uri
from local.sending import IMAGE_TYPE

# A picture waits at most this long, while instances start, and is then given up.
WAIT_SECONDS = 3600
# How long after this an answer may still come.
LATE_SECONDS = 300
# After so long without an answer it is said why.
QUIET_SECONDS = 20


def request(endpoint: str, picture: str, attributes: str = "") -> dict[str, Any]:
    """Return InvokeEndpointAsync's parameters for a picture at an S3 URI."""
    asked = {"CustomAttributes": attributes} if attributes else {}
    return asked | {
        "EndpointName": endpoint,
        "ContentType": IMAGE_TYPE,
        "InputLocation": picture,
        "RequestTTLSeconds": WAIT_SECONDS,
    }


@dataclass(frozen=True)
class Answer:
    """The answer of `endpoint` to the `picture` at an S3 URI, which will be at `output`, or an error at `failure`."""

    aws: Aws
    endpoint: str
    picture: str
    output: str
    failure: str

    def __call__(self, _: bytes) -> bytes:
        """Wait for the answer, an error's too, and return it."""
        left = f"{self.output} will be the answer, and {self.picture} stays"
        with console.if_interrupted(f"{self.endpoint} goes on without this script: {left}"):
            found = wait_for(self.aws, self.endpoint, self.output, self.failure)
        self.aws.s3.Object(*split_uri(self.picture)).delete()
        return found


def submit(aws: Aws, endpoint: str, data: bytes, attributes: str = "") -> Answer:
    """Send a picture to the endpoint, and return its answer, which is still to come."""
    picture = f"{aws.home}/async/input/{uuid.uuid4()}"
    storage.put(aws, picture, data)
    runtime = aws.session.client("sagemaker-runtime")
    places = runtime.invoke_endpoint_async(**request(endpoint, picture, attributes))
    return Answer(aws, endpoint, picture, places["OutputLocation"], places.get("FailureLocation", ""))


def wait_for(aws: Aws, endpoint: str, output: str, failure: str) -> bytes:
    """Return what is at the S3 URI `output`, or an error with what is at `failure`, as soon as one of them is there.

    Raises UserError if neither is there in time, or if the endpoint cannot answer any more.
    """
    started, told = time.monotonic(), False
    while (waited := time.monotonic() - started) < WAIT_SECONDS + LATE_SECONDS:
        if (found := aws.patiently(lambda: storage.read(aws, output))) is not None:
            return found
        if (found := aws.patiently(lambda: storage.read(aws, failure))) is not None:
            return json.dumps({"error": " ".join(found.decode(errors="replace").split())}).encode()
        state = aws.patiently(lambda: aws.find("Endpoint", endpoint)).get("EndpointStatus", "gone")
        if state in ("gone", "Deleting", "Failed"):
            raise UserError(f"{endpoint} is {state}, and has not answered; {output} would be the answer")
        if waited > QUIET_SECONDS and not told:
            told = True
            print(f"{endpoint} has not answered yet: if it has no instance, one starts in minutes", file=sys.stderr)
        aws.pause()
    raise UserError(f"{endpoint} has not answered within an hour; {output} would be the answer")
