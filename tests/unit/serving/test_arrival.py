import pytest

from classifier.serving.arrival import MOST_DISCARDED, MOST_HEAD, MOST_LINES, Arrival

GET = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def arrived(*pieces: bytes) -> Arrival:
    arrival = Arrival()
    for piece in pieces:
        arrival.feed(piece)
    return arrival


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("data", [GET, POST + b"0123456789", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_request_is_whole_with_its_last_byte(data, size):
    arrival = Arrival()
    for piece in pieces(data, size):
        assert not arrival.is_whole
        arrival.feed(piece)
    assert arrival.is_whole
    assert arrival.data == data


def test_what_follows_stays_behind_it():
    arrival = arrived(POST + b"0123456789" + GET)
    assert arrival.is_whole
    assert arrival.data.endswith(GET)


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 99\r\n\r\n",
    ],
)
def test_what_makes_no_sense_is_left_to_the_parser(head):
    assert arrived(head).is_whole


def test_an_endless_head_is_left_to_the_parser():
    assert not arrived(b"x" * MOST_HEAD).is_whole
    assert arrived(b"x" * MOST_HEAD, b"x").is_whole


def test_the_size_is_known_from_the_head():
    arrival = arrived(POST.replace(b"10", b"999999"))
    assert arrival.size == len(POST) + 4 + 999999
    assert not arrival.is_endless
    assert arrived(POST.replace(b"10", b"%d" % MOST_DISCARDED)).is_endless


def test_tiny_chunks_are_told_from_others():
    body = b"1\r\nx\r\n" * (MOST_LINES // 2) + b"0\r\n\r\n"
    assert arrived(CHUNKED + body).has_tiny_chunks
    assert not arrived(CHUNKED + body[1000:]).has_tiny_chunks
    assert not arrived(POST + body).has_tiny_chunks


def test_only_post_is_work():
    assert arrived(POST).is_work
    assert not arrived(GET).is_work


def test_the_expect_header_is_hidden_from_the_parser():
    arrival = arrived(POST.replace(b"Host", b"expect: 100-Continue\r\nHost"))
    assert arrival.expects_continue
    assert arrival.data == POST
    assert not arrival.is_whole
    arrival.feed(b"0123456789")
    assert arrival.is_whole


def test_a_request_that_expects_continue_can_be_refused():
    arrival = arrived(POST.replace(b"Host", b"Expect: 100-continue\r\nHost"))
    arrival.refuse()
    assert len(arrival.data) <= 7
    arrival.feed(b"0123456789")
    assert arrival.is_whole


@pytest.mark.parametrize("size", [1, 3, 4096])
@pytest.mark.parametrize(
    "data", [POST.replace(b"10", b"5000") + b"x" * 5000, CHUNKED + b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n"]
)
def test_a_refused_request_is_read_to_its_end_and_not_kept(data, size):
    arrival = arrived(data[:100])
    arrival.refuse()
    for piece in pieces(data[100:], size):
        assert not arrival.is_whole
        arrival.feed(piece)
        assert len(arrival.data) <= 7
    assert arrival.is_whole
    assert arrival.received == len(data)
