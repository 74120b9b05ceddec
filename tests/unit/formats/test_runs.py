import pytest

from classifier.formats.runs import longest_run

NO_RUN = bytes(range(256)) * 4


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("start", range(0, 40, 7))
def test_a_run_is_found_wherever_it_begins(value, start):
    assert longest_run(NO_RUN + bytes(start) + bytes([value]) * 63 + NO_RUN, 32) >= 32


def test_the_length_is_rounded_down():
    assert longest_run(NO_RUN + b"\1" * 256 + NO_RUN, 32) == 256
    assert longest_run(NO_RUN + b"\1" * 200 + NO_RUN + b"\2" * 100, 32) == 192
    assert longest_run(NO_RUN, 32) == longest_run(b"", 32) == longest_run(bytes(31), 32) == 0
