"""A raw DICOM requestor for benchmarks: two prepared byte strings, no parsing beyond the PDU header.

Rules of this file:

* The client must cost next to nothing, so that the servers are compared and not the client.
* The same client, the same bytes, for every server.
"""

from __future__ import annotations

import socket
import struct
import time

VERIFICATION = b"1.2.840.10008.1.1"
IMPLICIT_LE = b"1.2.840.10008.1.2"


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def associate_rq(called: str, calling: str = "RAWCLIENT") -> bytes:
    """An A-ASSOCIATE-RQ that proposes Verification in implicit VR little endian."""
    context = _item(0x20, b"\1\0\0\0" + _item(0x30, VERIFICATION) + _item(0x40, IMPLICIT_LE))
    user = _item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4"))
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    return _pdu(1, body + _item(0x10, b"1.2.840.10008.3.1.1.1") + context + user)


def echo_rq(msgid: int = 1) -> bytes:
    """A C-ECHO-RQ in presentation context 1."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHI", 0, number, len(value)) + value

    body = b"".join(
        (
            element(0x0002, VERIFICATION + b"\0"),
            element(0x0100, struct.pack("<H", 0x0030)),
            element(0x0110, struct.pack("<H", msgid)),
            element(0x0800, struct.pack("<H", 0x0101)),
        )
    )
    command = element(0x0000, struct.pack("<I", len(body))) + body
    return _pdu(4, struct.pack(">IBB", len(command) + 2, 1, 3) + command)


RELEASE_RQ = _pdu(5, b"\0\0\0\0")


class RawClient:
    """One TCP connection; every method waits for the whole answer."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection((host, port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def pdu(self) -> tuple[int, bytes]:
        """The next PDU: type and body."""
        while len(self._buffer) < 6 or len(self._buffer) < 6 + int.from_bytes(self._buffer[2:6], "big"):
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._buffer += data
        length = 6 + int.from_bytes(self._buffer[2:6], "big")
        whole, self._buffer = self._buffer[:length], self._buffer[length:]
        return whole[0], whole[6:]

    def ask(self, data: bytes, answer: int) -> bytes:
        """Send and wait for a PDU of that type."""
        self.sock.sendall(data)
        kind, body = self.pdu()
        if kind != answer:
            raise ConnectionError(f"PDU type {kind}, not {answer}")
        return body

    def close(self) -> None:
        """Close."""
        self.sock.close()


def echo_rate(port: int, called: str, count: int) -> float:
    """C-ECHOs per second on one association."""
    client = RawClient(port)
    client.ask(associate_rq(called), 2)
    request = echo_rq()
    for _ in range(10):
        client.ask(request, 4)
    start = time.perf_counter()
    for _ in range(count):
        # DCMTK sends a response in one PDU, as we do; a server that sends two would be counted once.
        client.ask(request, 4)
    seconds = time.perf_counter() - start
    client.ask(RELEASE_RQ, 6)
    client.close()
    return count / seconds


def association_rate(port: int, called: str, count: int) -> float:
    """Associations (connect, request, accept, release, close) per second, one after the other."""
    request = associate_rq(called)
    start = time.perf_counter()
    for _ in range(count):
        client = RawClient(port)
        client.ask(request, 2)
        client.ask(RELEASE_RQ, 6)
        client.close()
    return count / (time.perf_counter() - start)
