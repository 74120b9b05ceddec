"""A plugin for tests of the launch scripts: what boto3 and the SageMaker SDK read for each client is read once."""

from collections.abc import Iterator
from functools import cache

import pytest
from botocore import session
from jsonschema import Draft202012Validator


@pytest.fixture(scope="session", autouse=True)
def read_once() -> Iterator[None]:
    """Share the services' models among all sessions, and let the SDK not check its own schema at each look-up.

    Both take most of the time of these tests, and change nothing that is tested.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", cache(session.create_loader))
        patch.setattr(Draft202012Validator, "check_schema", lambda *_, **__: None)
        yield
