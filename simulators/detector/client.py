"""The smallest GigE Vision application: enough to configure the detector and take frames, for tests and benchmarks.

Rules of this file:

* Unicast only: it talks to the address it is given and never broadcasts.
* Not a product's driver: the modality has its own; nothing here is shared with it, nor is it proof of anything
  that a client of somebody else (viva-genicam, aravis) does not prove too.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.detector import gvcp, gvsp
from simulators.detector.bootstrap import Ccp, Reg, address
from simulators.detector.gvsp import Packets

SO_RCVBUFFORCE: Final = 33
SIOCGSTAMPNS: Final = 0x8907


class GvcpError(Exception):
    """The device refused a command, or did not answer."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{what}: 0x{status:04x}" if status else f"{what}: no answer")
        self.status = status


@dataclass
class Grab:
    """One received frame: its bytes and what was missing."""

    block: int = 0
    leader: gvsp.Leader | None = None
    data: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    missing: list[int] = field(default_factory=list)
    """Packets that never came (leader 0, trailer count + 1)."""
    lost: int = 0
    """Packets missing when the frame should have been complete, before any resend."""
    seconds: float = 0.0
    """From reading the first packet to reading the last one."""
    line_seconds: float = 0.0
    """From the first packet's arrival to the last one's, as the kernel stamped them."""
    unavailable: int = 0
    """Packets the device said it does not have."""

    @property
    def complete(self) -> bool:
        """Whether every packet came."""
        return not self.missing


class Client:
    """One application of one device."""

    def __init__(self, device: tuple[str, int], local: str = "127.0.0.1", timeout: float = 0.5) -> None:
        self.device = device
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.control.bind((local, 0))
        self.control.settimeout(timeout)
        self.stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.stream.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        except OSError:
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.stream.bind((local, 0))
        self._arrival()  # from now on packets are stamped
        self.local = local
        self.pending = 0
        """PENDING_ACKs seen."""
        self._id = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; control is not given back."""
        self.control.close()
        self.stream.close()

    # ---------------------------------------------------------------- GVCP

    def send(self, body: gvcp.Body, flags: int = gvcp.FLAG_ACK) -> int:
        """Send one command; returns its request id."""
        self._id = self._id % 0xFFFF + 1
        self.control.sendto(gvcp.encode_command(gvcp.Command(body, self._id, flags)), self.device)
        return self._id

    def ask(self, body: gvcp.Body, tries: int = 3) -> bytes:
        """Send a command and return its acknowledge's payload; raises :class:`GvcpError`."""
        self._id = self._id % 0xFFFF + 1
        packet = gvcp.encode_command(gvcp.Command(body, self._id))
        for _ in range(tries):
            self.control.sendto(packet, self.device)
            try:
                while True:
                    answer = gvcp.decode_answer(self.control.recv(2048))
                    if answer is None or answer.request_id != self._id:
                        continue
                    if answer.ack == gvcp.Code.PENDING + 1:
                        self.pending += 1
                        continue
                    if answer.status:
                        raise GvcpError(answer.status, type(body).__name__)
                    return answer.payload
            except TimeoutError:
                continue
        raise GvcpError(0, type(body).__name__)

    def read(self, register: int) -> int:
        """READREG."""
        return int(struct.unpack(">I", self.ask(gvcp.ReadReg((register,))))[0])

    def write(self, register: int, value: int) -> None:
        """WRITEREG."""
        self.ask(gvcp.WriteReg(((register, value),)))

    def memory(self, start: int, count: int) -> bytes:
        """READMEM, in pieces."""
        out = b""
        while len(out) < count:
            step = min(512, -(-(count - len(out)) // 4) * 4)
            out += self.ask(gvcp.ReadMem(start + len(out), step))[4:]
        return out[:count]

    def open(self, packet_size: int = 1500, ccp: int = Ccp.CONTROL) -> None:
        """Take control and have the stream sent here."""
        self.write(Reg.CCP, ccp)
        self.write(Reg.SCPS, packet_size)
        self.write(Reg.SCDA, address(self.local))
        self.write(Reg.SCP, self.stream.getsockname()[1])

    def xml(self) -> bytes:
        """The device description that the first URL points to."""
        url = self.memory(Reg.XML_URL_1, 512).rstrip(b"\0").decode()
        _, start, size = url.split(";")
        return self.memory(int(start, 16), int(size, 16))

    # ---------------------------------------------------------------- GVSP

    def _arrival(self) -> float:
        """When the packet just read arrived at this machine (s), whoever read it late; 0 where unknown."""
        try:
            seconds, nanoseconds = struct.unpack("@ll", fcntl.ioctl(self.stream, SIOCGSTAMPNS, bytes(16)))
        except OSError:
            return 0.0
        return float(seconds + nanoseconds / 1e9)

    def grab(
        self,
        size: int,
        packet_size: int = 1500,
        *,
        timeout: float = 5.0,
        resend: bool = True,
        quiet: float = 0.1,
    ) -> Grab:
        """Receive one frame of ``size`` bytes; ask for what is missing until nothing comes any more.

        Once it has begun, ``quiet`` seconds without a packet mean that what has not come is missing.
        """
        cut = Packets(size, packet_size)
        result = Grab(data=np.zeros(size, np.uint8))
        view = result.data.data
        got = bytearray(cut.total)
        buffer = bytearray(16384)
        step, left = cut.step, cut.total
        end = time.monotonic() + timeout
        started = first_arrival = 0.0
        asked = 0
        self.stream.settimeout(timeout)
        while left:
            try:
                n = self.stream.recv_into(buffer)
            except TimeoutError:
                if started and not result.lost:
                    result.lost = left
                if not (resend and started and asked < 8) or time.monotonic() > end:
                    break
                asked += 1
                for first, last in _runs([i for i, seen in enumerate(got) if not seen]):
                    self.send(gvcp.PacketResend(0, result.block, first, last), 0)
                continue
            word = int.from_bytes(buffer[4:8], "big")
            packet, kind = word & 0xFFFFFF, word >> 24
            if buffer[0] & 0x80:
                result.unavailable += 1
                continue
            if not started:
                started = time.monotonic()
                first_arrival = self._arrival()
                result.block = int.from_bytes(buffer[2:4], "big")
                self.stream.settimeout(quiet)
            if int.from_bytes(buffer[2:4], "big") != result.block or packet >= cut.total or got[packet]:
                continue
            got[packet] = 1
            left -= 1
            if kind == gvsp.Kind.PAYLOAD:
                at = (packet - 1) * step
                view[at : at + n - 8] = buffer[8:n]
            elif kind == gvsp.Kind.LEADER:
                decoded = gvsp.decode(bytes(buffer[:n]))
                result.leader = decoded if isinstance(decoded, gvsp.Leader) else None
        if started:
            result.seconds = time.monotonic() - started
            result.line_seconds = self._arrival() - first_arrival
        result.missing = [i for i, seen in enumerate(got) if not seen]
        return result


def _runs(ids: list[int]) -> list[tuple[int, int]]:
    """[1, 2, 3, 7] -> [(1, 3), (7, 7)]."""
    runs: list[tuple[int, int]] = []
    for i in ids:
        if runs and runs[-1][1] == i - 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs
