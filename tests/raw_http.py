"""Requests to container/serve as bytes, for what no library of clients would send."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from helpers import Answer, Server, encode, photo, serve
from waits import PATIENCE_S

# SageMaker waits for a /ping for so long.
PING_S = 2
JPEG = encode(photo(60, 50))
POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
LENGTH = POST + b"Content-Length: %d\r\n\r\n" % len(JPEG)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = CHUNKED + b"%x\r\n%s\r\n" % (len(JPEG), JPEG)
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def raw(server: Server, *pieces: bytes) -> bytes:
    """Return the answer to these bytes, after which the client sends no more."""
    with connect(server) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def post(server: Server) -> Answer:
    return server.request("POST", "/invocations", JPEG, {"Content-Type": "image/jpeg"})


def send(server: Server, connections: int, data: bytes, stack: ExitStack) -> list[socket.socket]:
    """Send the data on each of these connections, which the stack closes."""
    clients = [stack.enter_context(connect(server)) for _ in range(connections)]
    for client in clients:
        client.sendall(data)
    return clients


def leave(server: Server, data: bytes) -> None:
    """Send the data and close the connection, as a client whose patience ends."""
    with connect(server) as connection:
        connection.sendall(data)


def reset(server: Server, data: bytes) -> None:
    """Send the data and break the connection off."""
    with connect(server) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def small_server(artifact_folder: Path, log: Path, patch: str = "") -> Iterator[Server]:
    """Yield a server that takes 1 MB a request, whose log has no traceback in the end."""
    with serve(artifact_folder.parent, log, patch, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as running:
        running.wait_for_ping(200)
        yield running
        assert "Traceback" not in running.log
