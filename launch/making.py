"""Create SageMaker's resources one after another, and take all away again if a later one is refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from launch.aws import Aws

# AWS may take this long to know what it has just made, as CreateEndpoint's documentation says.
KNOWN_SECONDS = 60


class Made:
    """The models and endpoint configurations that were created so far."""

    def __init__(self, aws: Aws):
        self.aws = aws
        self.resources: list[tuple[str, str]] = []
        self.in_use = False  # whether something that AWS runs needs them

    def create(self, kind: str, request: dict[str, Any]) -> None:
        """Create a resource of this kind; those created before may be part of the request."""
        self.when_known(lambda: self.aws.operation("Create", kind)(**request))
        self.resources.append((kind, request[f"{kind}Name"]))

    def use(self, call: Callable[[], Any]) -> None:
        """Make a call that starts something with the resources."""
        self.when_known(call)
        self.in_use = True

    def when_known(self, call: Callable[[], Any]) -> None:
        """Make a call, and repeat it for a while as long as AWS does not find what was created a moment ago."""
        end = time.monotonic() + KNOWN_SECONDS
        while True:
            try:
                call()
                return
            except self.aws.sagemaker.exceptions.ClientError as error:
                if not self.resources or "Could not find" not in str(error) or time.monotonic() > end:
                    raise
                self.aws.pause()

    def take_away(self) -> None:
        """Delete all, the latest first. What AWS does not let go stays for cleanup.py."""
        while self.resources:
            with suppress(self.aws.sagemaker.exceptions.ClientError):
                self.aws.call("Delete", *self.resources.pop())


@contextmanager
def all_or_nothing(aws: Aws) -> Iterator[Made]:
    """Yield a Made, whose resources are taken away again if the block raises and nothing uses them."""
    made = Made(aws)
    try:
        yield made
    except BaseException:
        if not made.in_use:
            made.take_away()
        raise
