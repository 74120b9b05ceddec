"""What is said of errors that tests/unit/local/test_sending.py does not bring about with a server."""

import pytest
from urllib3 import exceptions

from local.damaged_answers import damage


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.InvalidHeader("Content-Length contained multiple unmatching values"), "it has several lengths"),
        (exceptions.ProtocolError("anything else"), "it is not HTTP"),
        (TimeoutError(), ""),
        (UnicodeError("label too long"), ""),
    ],
)
def test_the_innermost_error_decides(error, expected):
    assert damage([exceptions.HTTPError(), error]) == expected
