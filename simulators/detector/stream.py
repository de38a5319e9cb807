"""The stream channel: sends frames at the line's pace and repeats packets while doing so.

Rules of this file:

* One thread sends everything; PACKETRESEND requests are queued by the control thread and served between the batches
  of a running frame, under the same pace.
* The last :data:`KEPT` frames can be asked for again; older ones are answered with PACKET_UNAVAILABLE.
* Requests are bounded: more than :data:`MAX_REQUESTS` waiting ones are dropped, oldest first.
"""

from __future__ import annotations

import heapq
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.base import Emit
from simulators.detector import gvsp
from simulators.detector.faults import Plan
from simulators.detector.gvcp import PacketResend, Status
from simulators.detector.gvsp import ETHERNET, OVERHEAD, Packets
from simulators.detector.transmit import Burst, Pacer, hurry, tune

KEPT: Final = 2
MAX_REQUESTS: Final = 4096
QUIET_S: Final = 0.25
"""After so long without a request the resends of a block are told to the journal."""


@dataclass
class Frame:
    """One frame on its way; ``pixels`` are its bytes as on the wire."""

    block: int
    number: int
    pixels: npt.NDArray[np.uint8]
    cut: Packets
    leader: bytes
    trailer: bytes
    destination: tuple[str, int]
    gap_s: float = 0.0
    generation: int = 0
    """Which opening of the stream it belongs to; set when it is queued."""
    told: threading.Event = field(default_factory=threading.Event)
    """Set when the journal knows what the frame contains."""
    headers: npt.NDArray[np.void] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = self.cut.headers(self.block)


@dataclass(frozen=True)
class Hooks:
    """What the stream asks and tells the device while it works."""

    plan: Callable[[Frame], Plan]
    refuse: Callable[[int], bool]
    """Whether resends of a block are refused just now (a fault)."""
    progress: Callable[[Frame, int], None]
    """So many payload packets of a frame are out."""
    sent: Callable[[Frame], None]


class Stream:
    """The sending side of stream channel 0."""

    def __init__(self, host: str, emit: Emit, hooks: Hooks, *, plain: bool) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self._emit = emit
        self._hooks = hooks
        self._plain = plain
        self._wake = threading.Condition()
        self._queue: deque[Frame] = deque()
        self._kept: deque[Frame] = deque(maxlen=KEPT)
        self._requests: deque[PacketResend] = deque(maxlen=MAX_REQUESTS)
        self._busy = False
        self._generation = 0
        self._stopping = False
        self._pacer = Pacer(1e8)
        self._resent: dict[int, int] = {}
        self._refused: dict[int, int] = {}
        self._line_mbps = 0.0
        self.unavailable = 0
        self._thread = threading.Thread(target=self._run, name="detector-stream", daemon=True)

    @property
    def port(self) -> int:
        """Where packets come from (SCSP register)."""
        return int(self.socket.getsockname()[1])

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def set_pace(self, line_mbps: float) -> None:
        """Use so much of the line from the next batch on (Mbit/s of line bytes)."""
        self._pacer.bytes_per_s = line_mbps * 1e6 / 8
        tune(self.socket, line_mbps)

    # ---------------------------------------------------------------- called by other threads

    def put(self, frame: Frame) -> None:
        """Queue a frame."""
        with self._wake:
            frame.generation = self._generation
            self._queue.append(frame)
            self._wake.notify_all()

    def wait_room(self, depth: int, timeout: float | None) -> bool:
        """Wait until fewer than ``depth`` frames are waiting or being sent."""
        with self._wake:
            return self._wake.wait_for(
                lambda: self._stopping or len(self._queue) + self._busy < depth, timeout
            )

    def request(self, request: PacketResend) -> None:
        """Queue a PACKETRESEND."""
        with self._wake:
            self._requests.append(request)
            self._wake.notify_all()

    def drop(self) -> None:
        """The stream was closed: forget what is waiting, end what is running."""
        with self._wake:
            self._generation += 1
            self._queue.clear()
            self._requests.clear()
            self._wake.notify_all()

    def test_packet(self, destination: tuple[str, int], size: int, dont_fragment: bool) -> None:
        """Send one test packet of ``size`` bytes (IP datagram); one that does not fit the line never arrives."""
        ip_mtu_discover, do, dont = 10, 2, 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((self.socket.getsockname()[0], 0))
            sock = self.socket if not dont_fragment else probe
            sock.setsockopt(socket.IPPROTO_IP, ip_mtu_discover, do if dont_fragment else dont)
            try:
                sock.sendto(bytes(max(0, size - 28)), destination)
            except OSError:
                pass

    def stop(self) -> None:
        """End the thread and close the socket."""
        with self._wake:
            self._stopping = True
            self._generation += 1
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(5)
        self.socket.close()

    # ---------------------------------------------------------------- the sending thread

    def _run(self) -> None:
        hurry()
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._stopping or bool(self._queue) or bool(self._requests),
                    QUIET_S if self._resent or self._refused else None,
                )
                if self._stopping:
                    break
                frame = self._queue.popleft() if self._queue and not self._requests else None
                self._busy = frame is not None
                idle = frame is None and not self._requests
            try:
                if idle or frame is not None:
                    self._tell_resent()
                if frame is not None:
                    self._send(frame)
                elif not idle:
                    self._pacer.begin()
                    self._serve()
            except OSError as error:
                self._emit("bench.error", where="detector stream", message=str(error))
            finally:
                with self._wake:
                    self._busy = False
                    self._wake.notify_all()
        self._tell_resent()

    def _over(self, frame: Frame) -> bool:
        """The stream that this frame belongs to was closed."""
        return frame.generation != self._generation

    def _single(self, data: bytes, destination: tuple[str, int]) -> None:
        try:
            self.socket.sendto(data, destination)
        except OSError:
            return  # a dead line loses packets; so does a real one
        self._pacer.spend(len(data) + 28 + ETHERNET)

    def _send(self, frame: Frame) -> None:
        plan = self._hooks.plan(frame)
        self._kept.append(frame)
        burst = Burst(
            frame.cut, frame.headers, frame.pixels, plan.order, frame.destination, plain=self._plain
        )
        self._pacer.gap_s = frame.gap_s
        self._pacer.begin()
        started = time.monotonic()
        if plan.leader:
            self._single(frame.leader, frame.destination)
        late: list[tuple[float, int]] = [(started + delay, packet) for packet, delay in plan.late]
        heapq.heapify(late)
        at, total = 0, len(burst)
        while at < total and not self._over(frame):
            at += self._send_some(burst, at, total)
            self._hooks.progress(frame, at)
            if self._requests:
                self._serve()
            while late and late[0][0] <= time.monotonic():
                self._repeat(frame, heapq.heappop(late)[1])
        if plan.trailer and not self._over(frame):
            self._single(frame.trailer, frame.destination)
        seconds = time.monotonic() - started
        resent = self._resent.pop(frame.block, 0)
        while late and not self._over(frame):
            due, packet = heapq.heappop(late)
            with self._wake:
                self._wake.wait_for(lambda: self._over(frame), max(0.0, due - time.monotonic()))
            self._repeat(frame, packet)
        frame.told.wait(5)
        self._emit(
            "detector.sent",
            block=frame.block,
            packets=at + int(plan.leader) + int(plan.trailer) + len(plan.late),
            bytes=frame.cut.size,
            seconds=round(seconds, 6),
            resent=resent,
            dropped=len(plan.dropped) + int(not plan.leader) + int(not plan.trailer),
            aborted=self._over(frame),
        )
        self._hooks.sent(frame)

    def _send_some(self, burst: Burst, at: int, total: int) -> int:
        size = self._pacer.batch(burst.cut.packet_size + ETHERNET)
        stop = min(total, at + size)
        try:
            sent = burst.send(self.socket, at, stop)
        except OSError:
            sent = stop - at  # the line is dead: what was sent is lost
        if sent:
            self._pacer.spend(int(burst.line[at : at + sent].sum()), sent)
        return sent

    def _repeat(self, frame: Frame, packet: int) -> None:
        header = frame.headers[packet - 1 : packet].tobytes()
        self._single(header + frame.pixels[frame.cut.piece(packet)].tobytes(), frame.destination)

    def _serve(self) -> None:
        """Serve the requests that are waiting."""
        for _ in range(len(self._requests)):
            with self._wake:
                if not self._requests:
                    return
                request = self._requests.popleft()
            frame = next((f for f in self._kept if f.block == request.block), None)
            if frame is not None and self._over(frame):
                continue
            if frame is None or self._hooks.refuse(request.block):
                self._refuse(request, frame)
            else:
                self._resend(frame, request)

    def _refuse(self, request: PacketResend, frame: Frame | None) -> None:
        frame = frame or (self._kept[-1] if self._kept else None)
        if frame is None:
            return
        self.unavailable += 1
        self._refused[request.block] = self._refused.get(request.block, 0) + 1
        last = min(request.last, request.first + 511, frame.cut.trailer)
        for packet in range(request.first, last + 1):
            data = gvsp.encode(gvsp.Payload(request.block, packet, b"", Status.PACKET_UNAVAILABLE))
            self._single(data, frame.destination)

    def _resend(self, frame: Frame, request: PacketResend) -> None:
        first, last = request.first, min(request.last, frame.cut.trailer)
        count = 0
        if first == 0:
            self._single(frame.leader, frame.destination)
            count += 1
        ids = np.arange(max(1, first), min(last, frame.cut.count) + 1)
        if len(ids):
            burst = Burst(frame.cut, frame.headers, frame.pixels, ids, frame.destination, plain=self._plain)
            at = 0
            while at < len(burst) and not self._over(frame):
                at += self._send_some(burst, at, len(burst))
            count += at
        if last >= frame.cut.trailer:
            self._single(frame.trailer, frame.destination)
            count += 1
        self._resent[frame.block] = self._resent.get(frame.block, 0) + count

    def _tell_resent(self) -> None:
        for block in sorted({*self._resent, *self._refused}):
            self._emit(
                "detector.resent",
                block=block,
                packets=self._resent.pop(block, 0),
                refused=self._refused.pop(block, 0),
            )


def line_share(link_mbps: float, rate_mbps: float) -> float:
    """Mbit/s of line bytes to use: 97 % of the link, or less when so configured."""
    share = link_mbps * 0.97
    return min(share, rate_mbps) if rate_mbps else share


def expected_seconds(size: int, packet_size: int, line_mbps: float) -> float:
    """How long a frame takes on the line at this pace."""
    cut = Packets(size, packet_size)
    return (size + cut.count * (OVERHEAD + ETHERNET)) * 8 / (line_mbps * 1e6)
