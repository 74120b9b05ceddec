import json
import time

import pytest

from classifier.serving import accesslog
from classifier.serving.accesslog import Trace


def test_a_line_is_json_with_all_that_is_known(caplog):
    trace = Trace(time.monotonic() - 0.1, 1234, "POST /invocations", "abc", 2, 5000, 5.04, 20.06, 9.99, 4)
    with caplog.at_level("INFO", logger="access"):
        accesslog.log_request(trace, 200, 567)
    line = json.loads(caplog.messages[0])
    assert 100 <= line.pop("total_ms") < 100_000
    assert line == {
        "bytes_in": 1234,
        "request": "POST /invocations",
        "request_id": "abc",
        "images": 2,
        "decode_pixels": 5000,
        "decode_ms": 5.0,
        "decode_cpu_ms": 0,
        "queue_ms": 20.1,
        "model_ms": 10.0,
        "batch_size": 4,
        "status": 200,
        "bytes_out": 567,
    }


def test_it_is_off_by_its_level(caplog):
    with caplog.at_level("WARNING", logger="access"):
        accesslog.log_request(Trace(), 200, 1)
    assert caplog.messages == []


@pytest.mark.parametrize(("ids", "expected"), [(("abc", "d"), "abc"), ((None, "d"), "d"), (("two words", "d"), "d")])
def test_the_first_usable_id_is_taken(ids, expected):
    assert accesslog.name_request("GET /", *ids).request_id == expected


def test_the_trace_that_a_server_began_is_used_once():
    began = Trace()
    accesslog.current.set(began)
    assert accesslog.name_request("GET /") is began
    assert accesslog.name_request("GET /") is not began
