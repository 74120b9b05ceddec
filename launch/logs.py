"""Logs in CloudWatch, which shows lines some seconds after they were written, and not always in their order."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from launch.advice import is_gone, is_passing, sentence_for
from launch.aws import Aws

# The log groups of what runs containers.
GROUPS = {
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
    "Endpoint": "/aws/sagemaker/Endpoints/",
}
# A line is shown at most this long after a later one; after a job's end, nothing new for this long is the end.
LATE_SECONDS, QUIET_SECONDS = 60, 15
LAST_LINES = 10


class Log:
    """The log of a job or an endpoint. Each reading starts where the one before ended, so that no line is read again.

    `since` leaves out earlier lines.
    """

    def __init__(self, aws: Aws, kind: str, name: str, since: datetime | None = None):
        self.aws, self.client = aws, aws.session.client("logs")
        of_endpoint = kind == "Endpoint"  # which has a group for itself, and a job has streams in its kind's group
        self.where: dict[str, Any] = {"logGroupName": GROUPS[kind] + (name if of_endpoint else "")}
        self.where |= {} if of_endpoint else {"logStreamNamePrefix": f"{name}/"}
        self.latest = int(since.timestamp() * 1000) if since else 0
        self.seen: dict[str, int] = {}
        self.refused = False

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were not there at the last reading. That it cannot be read is said once."""
        start = max(0, self.latest - 1000 * LATE_SECONDS)
        self.seen = {event: at for event, at in self.seen.items() if at >= start}
        pages = self.client.get_paginator("filter_log_events").paginate(**self.where, startTime=start)
        try:
            for event in pages.search("events[]"):
                if event["eventId"] not in self.seen:
                    self.seen[event["eventId"]] = event["timestamp"]
                    self.latest = max(self.latest, event["timestamp"])
                    yield event["message"]
        except self.aws.errors as error:  # the job itself matters more
            if not (is_gone(error) or is_passing(error) or self.refused):  # nothing has been logged yet, or just now
                self.refused = True
                yield f"the log cannot be read: {sentence_for(error)}"

    def rest(self) -> Iterator[str]:
        """Yield the lines that appear after the end, until none has for a while."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            self.aws.pause()
            for line in self.new_lines():
                quiet_since = time.monotonic()
                yield line


def print_last_lines(aws: Aws, kind: str, name: str, since: datetime | None = None) -> None:
    """Print the last lines that the container has logged; nothing if it has logged none."""
    lines = deque(Log(aws, kind, name, since).new_lines(), LAST_LINES)
    if lines:
        print(f"the last lines of {name}'s log:", *lines, sep="\n", flush=True)
