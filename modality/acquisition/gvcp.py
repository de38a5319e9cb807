"""GigE Vision control protocol from the application's side (GigE Vision 1.2, GVCP over UDP).

Rules of this file:

* Unicast only: this client never sends to a broadcast address and never to a host that was not configured.
* One question at a time per channel; an answer counts only with our request id, from the device's address.
  Request ids are 1..65535, never 0, and a repeated question keeps its id so that the device can recognise it.
* PENDING_ACK extends the wait by what the device asks for, at most :data:`PENDING_MAX_S`.
* No answer after all repetitions is :class:`Silent`; a status other than success is :class:`Refused`.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Final

PORT: Final = 3956
PENDING_MAX_S: Final = 10.0

DISCOVERY: Final = 0x0002
PACKETRESEND: Final = 0x0040
READREG: Final = 0x0080
WRITEREG: Final = 0x0082
READMEM: Final = 0x0084
WRITEMEM: Final = 0x0086
PENDING_ACK: Final = 0x0089

REG_CCP: Final = 0x0A00
REG_CAPABILITY: Final = 0x0934
REG_HEARTBEAT: Final = 0x0938
REG_LINK_SPEED: Final = 0x0670
REG_XML_URL: Final = (0x0200, 0x0400)
REG_STREAM_PORT: Final = 0x0D00
REG_STREAM_PACKET: Final = 0x0D04
REG_STREAM_DELAY: Final = 0x0D08
REG_STREAM_ADDRESS: Final = 0x0D18
REG_STREAM_SOURCE: Final = 0x0D1C
CCP_EXCLUSIVE: Final = 1
CCP_CONTROL: Final = 2
CAN_RESEND: Final = 1 << 2
MEMORY_CHUNK: Final = 512

STATUS: Final = {
    0x8001: "not implemented",
    0x8002: "invalid parameter",
    0x8003: "invalid address",
    0x8004: "write protected",
    0x8005: "bad alignment",
    0x8006: "access denied",
    0x8007: "busy",
    0x8008: "local problem",
    0x800C: "packet unavailable",
}


class ControlError(Exception):
    """A question on the control channel failed."""


class Silent(ControlError):
    """The device did not answer."""


class Refused(ControlError):
    """The device answered with an error status."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{what}: {STATUS.get(status, 'error')} (0x{status:04X})")
        self.status = status


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says in its discovery answer."""

    vendor: str
    model: str
    version: str
    serial: str
    user_name: str
    mac: str
    address: str


def text(field: bytes) -> str:
    """Read a NUL-terminated UTF-8 field; undecodable bytes are replaced."""
    return field.split(b"\0", 1)[0].decode("utf-8", "replace").strip()


class ControlChannel:
    """Questions and answers with one device; may be used by several threads."""

    def __init__(
        self, address: str, port: int = PORT, local: str = "", timeout_s: float = 0.25, retries: int = 4
    ) -> None:
        """Open a socket; sends nothing.  Raises :class:`OSError`."""
        self._lock = threading.Lock()
        self._timeout = timeout_s
        self._retries = retries
        self._id = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((local, 0))
            self._socket.connect((address, port))  # so that nobody else's datagram is read
        except OSError:
            self._socket.close()
            raise
        self.local_address: str = self._socket.getsockname()[0]

    def close(self) -> None:
        """Close the socket; a question in progress fails."""
        self._socket.close()

    def ask(self, command: int, payload: bytes, what: str, tries: int | None = None) -> bytes:
        """Send a command and return the payload of its acknowledge.

        Raises :class:`Silent` or :class:`Refused`.
        """
        with self._lock:
            self._id = self._id % 0xFFFF + 1
            packet = struct.pack(">BBHHH", 0x42, 1, command, len(payload), self._id) + payload
            for _ in range((self._retries if tries is None else tries) + 1):
                try:
                    self._socket.send(packet)
                    answer = self._wait(command + 1, self._id, what)
                except OSError as error:
                    if self._socket.fileno() < 0:
                        raise Silent(f"{what}: the channel is closed") from error
                    time.sleep(min(self._timeout, 0.1))  # e.g. port unreachable while the device starts
                    continue
                if answer is not None:
                    return answer
            raise Silent(f"{what}: no answer")

    def _wait(self, code: int, request: int, what: str) -> bytes | None:
        """Wait for one acknowledge; None when the time is over."""
        deadline = time.monotonic() + self._timeout
        latest = time.monotonic() + PENDING_MAX_S
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(2048)
            except TimeoutError:
                return None
            if len(data) < 8:
                continue
            status, ack, length, ident = struct.unpack_from(">HHHH", data)
            payload = data[8 : 8 + length]
            if ident != request or len(payload) != length:
                continue  # a late answer to an earlier question, or a cut one
            if ack == PENDING_ACK and length >= 4:
                extra = struct.unpack_from(">HH", payload)[1] / 1000.0
                deadline = min(time.monotonic() + extra, latest)
            elif ack == code:
                if status & 0x8000:
                    raise Refused(status, what)
                return payload

    # ---------------------------------------------------------------- registers

    def discover(self) -> DeviceInfo:
        """Ask the configured address who it is (unicast discovery)."""
        d = self.ask(DISCOVERY, b"", "discovery")
        if len(d) < 0xF8:
            raise ControlError(f"discovery answer of {len(d)} bytes is too short")
        return DeviceInfo(
            vendor=text(d[0x48:0x68]),
            model=text(d[0x68:0x88]),
            version=text(d[0x88:0xA8]),
            serial=text(d[0xD8:0xE8]),
            user_name=text(d[0xE8:0xF8]),
            mac=d[0x0A:0x10].hex(":"),
            address=socket.inet_ntoa(d[0x24:0x28]),
        )

    def read_register(self, address: int, tries: int | None = None) -> int:
        """Read one 32-bit register."""
        what = f"reading register 0x{address:X}"
        data = self.ask(READREG, struct.pack(">I", address), what, tries)
        if len(data) != 4:
            raise ControlError(f"{what}: answer of {len(data)} bytes")
        return int(struct.unpack(">I", data)[0])

    def write_register(self, address: int, value: int) -> None:
        """Write one 32-bit register."""
        self.ask(WRITEREG, struct.pack(">II", address, value & 0xFFFFFFFF), f"writing register 0x{address:X}")

    def read_memory(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes from any address; split and aligned as GVCP wants it."""
        start, end = address & ~3, (address + count + 3) & ~3
        out = bytearray()
        for at in range(start, end, MEMORY_CHUNK):
            size = min(MEMORY_CHUNK, end - at)
            what = f"reading {size} bytes at 0x{at:X}"
            data = self.ask(READMEM, struct.pack(">IHH", at, 0, size), what)
            if len(data) != 4 + size or data[:4] != struct.pack(">I", at):
                raise ControlError(f"{what}: answer of {len(data)} bytes")
            out += data[4:]
        return bytes(out[address - start : address - start + count])

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes; address and length must be multiples of 4."""
        if address % 4 or len(data) % 4 or len(data) > MEMORY_CHUNK:
            raise ValueError("address and length must be multiples of 4, at most 512 bytes")
        self.ask(WRITEMEM, struct.pack(">I", address) + data, f"writing {len(data)} bytes at 0x{address:X}")

    def resend(self, block: int, first: int, last: int) -> None:
        """Ask for packets of a frame again; there is no acknowledge.  Safe beside a question in progress."""
        ident = (block + first) % 0xFFFF + 1
        body = struct.pack(">HHII", 0, block, first & 0xFFFFFF, last & 0xFFFFFF)
        try:
            self._socket.send(struct.pack(">BBHHH", 0x42, 0, PACKETRESEND, len(body), ident) + body)
        except OSError:
            pass  # the next round asks again
