"""Receives one frame of a GigE Vision stream whole, or says why not (GigE Vision 1.2, GVSP).

Rules of this file:

* Packets go straight to their place in one preallocated buffer; a bit per packet says what is there.
* Packets count only from the connected device, with the block id of the frame, a good status and the
  right length.
* Gaps are asked for again while the frame is still coming (older than :data:`REORDER` packets), after
  the trailer, and when the stream stalls; every packet at most :data:`MAX_TRIES` times, at most
  :data:`MAX_RUNS` requests at once.
* A frame is whole when the leader said what was expected and every payload packet is there.  A trailer
  that never comes is noted; a missing leader or a single missing payload packet is a failure: there are
  no half images.
* The block id of the frame before is remembered, so that its stragglers are not taken for a new frame.
"""

from __future__ import annotations

import hashlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from modality.acquisition.datagrams import Batch, widen
from modality.acquisition.frame import PROBLEMS, Format, Frame

REORDER: Final = 96
MAX_TRIES: Final = 12
MAX_RUNS: Final = 256
AGAIN_S: Final = 0.03
"""A packet that was asked for is asked for again after so long, then after twice that, and so on."""
STALL_S: Final = 0.25
"""After so long without packets those that were never seen are asked for too."""
UNAVAILABLE: Final = 0x800C
__all__ = ["PROBLEMS", "Format", "Frame", "Receiver"]

_LEADER: Final = struct.Struct(">HHIIIIIIIHH")


class Receiver:
    """The stream channel of one detector."""

    def __init__(self, local_address: str, *, slots: int = 128, plain: bool = False) -> None:
        """Open the socket; raises :class:`OSError`."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.buffer_bytes = widen(self._socket)
            self._socket.bind((local_address, 0))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._slots = slots
        self._plain = plain
        self._format: Format | None = None
        self._last_block = 0
        self.begun = False
        """Whether the frame that is awaited has begun to come."""
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def close(self) -> None:
        """Close the socket; a receive in progress ends."""
        self._socket.close()

    def connect(self, address: str, port: int) -> None:
        """Accept packets of the device's stream port only."""
        self._socket.connect((address, port))

    def forget_blocks(self) -> None:
        """The device begins to count anew (control was taken again)."""
        self._last_block = 0

    def expect(self, wanted: Format) -> None:
        """Prepare for frames of this format: allocate (once) and throw away what is waiting."""
        if wanted != self._format:
            n = wanted.count
            self._format = wanted
            self._bytes: npt.NDArray[np.uint8] = np.zeros(n * wanted.step, np.uint8)
            self._rows = self._bytes.reshape(n, wanted.step)
            self._got: npt.NDArray[np.bool_] = np.zeros(n + 2, np.bool_)
            self._tries: npt.NDArray[np.uint8] = np.zeros(n + 2, np.uint8)
            self._asked: npt.NDArray[np.float64] = np.zeros(n + 2)
            self._batch = Batch(self._slots, (wanted.packet_size - 28 + 3) & ~3, plain=self._plain)
        self.begun = False
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._got[:] = False
        self._tries[:] = 0
        self._asked[:] = 0.0
        for _ in range(10_000):
            if not self._batch.receive(self._socket)[0]:
                break

    def pixels(self) -> npt.NDArray[np.uint16]:
        """The frame as (rows, columns); a view of the buffer, good until the next :meth:`expect`."""
        wanted = self._format
        assert wanted is not None
        return self._bytes[: wanted.size].view("<u2").reshape(wanted.height, wanted.width)

    def sha256(self) -> str:
        """The SHA-256 of the frame's bytes; most of it was computed while the frame came."""
        self._hash_until(self._bytes_of_frame())
        return self._digest.hexdigest()

    def _bytes_of_frame(self) -> int:
        wanted = self._format
        assert wanted is not None
        return wanted.size

    def _hash_until(self, end: int) -> None:
        """Hash the bytes before ``end``, which will not change any more."""
        if end > self._hashed:
            self._digest.update(self._bytes[self._hashed : end].data)
            self._hashed = end

    def receive(
        self,
        resend: Callable[[int, int, int], None] | None,
        cancelled: threading.Event,
        stall_s: float,
        whole_s: float,
    ) -> Frame:
        """Wait for one frame (as long as not cancelled), then for all of it.

        ``resend(block, first, last)`` asks the device for packets again; None when it cannot.
        ``stall_s`` and ``whole_s`` bound the time without any progress and for the whole frame, from its
        first packet on.
        """
        assert self._format is not None
        return _Run(self, self._format, resend, cancelled, stall_s, whole_s).run()


class _Run:
    """One frame on its way."""

    def __init__(
        self,
        owner: Receiver,
        wanted: Format,
        resend: Callable[[int, int, int], None] | None,
        cancelled: threading.Event,
        stall_s: float,
        whole_s: float,
    ) -> None:
        self.o = owner
        self.wanted = wanted
        self.n = wanted.count
        self.last_length = wanted.size - (self.n - 1) * wanted.step + 8
        self.resend = resend
        self.cancelled = cancelled
        self.stall_s = stall_s
        self.whole_s = whole_s
        self.block = 0
        self.timestamp = 0
        self.high = -1
        self.scan = 0
        self.first = self.progress = 0.0
        self.repaired = self.requests = 0
        self.refused: set[int] = set()
        self.wrong = ""

    def run(self) -> Frame:
        o = self.o
        while True:
            if self.cancelled.is_set():
                return self._end("cancelled", "")
            try:
                count, lengths = o._batch.receive(o._socket)
                if count:
                    self._take(count, lengths)
                elif not o._poll.poll(20.0 if not self.block else 4.0):
                    pass
            except (OSError, ValueError) as error:  # ValueError: the socket was closed under us
                return self._end("socket", f"the acquisition link failed: {error}")
            if not self.block:
                continue
            if self.wrong:
                return self._end("size", self.wrong)
            now = time.monotonic()
            if count:
                self._ask_behind(now)
            if o._got[self.n + 1] or now - self.progress > 0.01:
                if o._got[: self.n + 1].all() and o._got[self.n + 1]:
                    return self._end("", "")
                if failure := self._ask_all(now):
                    return failure

    def _end(self, problem: str, text: str) -> Frame:
        if self.block:
            self.o._last_block = self.block
        got = self.o._got
        return Frame(
            problem,
            text,
            self.block,
            self.timestamp,
            int(len(got) - np.count_nonzero(got)),
            self.repaired,
            self.requests,
            bool(got[self.n + 1]),
            self.first,
            self.progress,
        )

    # ---------------------------------------------------------------- packets

    def _take(self, count: int, lengths: npt.NDArray[np.uint32]) -> None:
        o, step = self.o, self.wanted.step
        words = o._batch.words[:count]
        head, info = words[:, 0].astype(np.uint32), words[:, 1].astype(np.uint32)
        if not self.block and not self._begin(head, info, lengths):
            return
        ours = np.uint32(self.block)
        first = int(info[0]) & 0xFFFFFF
        # the usual case: nothing but full payload packets of this frame, in order
        if (
            0 < first <= self.n - count
            and int(info[0]) >> 24 == 3
            and bool((head == ours).all())
            and bool((lengths == step + 8).all())
            and bool((info == info[0] + np.arange(count, dtype=np.uint32)).all())
        ):
            window = o._got[first : first + count]
            if not window.any():
                o._rows[first - 1 : first - 1 + count] = o._batch.slab[:count, 8 : 8 + step]
                self._came(np.arange(first, first + count))
                return
        self._take_mixed(head, info, lengths)

    def _begin(
        self, head: npt.NDArray[np.uint32], info: npt.NDArray[np.uint32], lengths: npt.NDArray[np.uint32]
    ) -> bool:
        """Find the block id of the new frame in the first packets; False when there is none among them."""
        blocks = head & 0xFFFF
        kinds = (info >> 24) & 0x7F
        good = (lengths >= 8) & (head >> 31 == 0) & (blocks != 0) & (blocks != self.o._last_block)
        good &= (kinds >= 1) & (kinds <= 3)
        if not good.any():
            return False
        self.block = int(blocks[int(np.argmax(good))])
        self.first = self.progress = time.monotonic()
        self.o.begun = True
        return True

    def _take_mixed(
        self, head: npt.NDArray[np.uint32], info: npt.NDArray[np.uint32], lengths: npt.NDArray[np.uint32]
    ) -> None:
        o, n = self.o, self.n
        status, block = head >> 16, head & 0xFFFF
        kind, packet = (info >> 24) & 0x7F, (info & 0xFFFFFF).astype(np.int64)
        if not o._got[0]:  # what came first may have been a straggler: a leader knows better
            leads = np.flatnonzero(
                (lengths >= 8) & (status < 0x8000) & (kind == 1) & (block != 0) & (block != o._last_block)
            )
            if len(leads) and int(block[leads[0]]) != self.block:
                self._change_block(int(block[leads[0]]))
        ours = (lengths >= 8) & (block == self.block)
        good = ours & (status < 0x8000)
        expected = np.where(packet == n, self.last_length, self.wanted.step + 8)
        payload = good & (kind == 3) & (packet >= 1) & (packet <= n) & (lengths == expected)
        rows = np.flatnonzero(payload)
        if len(rows):
            ids = packet[rows]
            fresh = ~o._got[ids]
            rows, ids = rows[fresh], ids[fresh]
            if len(rows):
                o._rows[ids - 1] = o._batch.slab[rows, 8 : 8 + self.wanted.step]
                self._came(np.unique(ids))
        for row in np.flatnonzero(good & (kind == 1) & (packet == 0)):
            self._leader(o._batch.slab[row, : int(lengths[row])].tobytes())
        for row in np.flatnonzero(good & (kind == 2)):
            if int(packet[row]) == n + 1:
                self._came(np.array([n + 1]))
            else:
                self.wrong = f"the detector sent {int(packet[row]) - 1} packets instead of {n}"
        for row in np.flatnonzero(ours & (status == UNAVAILABLE)):
            self.refused.add(int(packet[row]))

    def _change_block(self, block: int) -> None:
        """Begin again with another block; what was kept of the wrong one is forgotten."""
        o = self.o
        self.block, self.high, self.scan = block, -1, 0
        self.refused.clear()
        o._got[:] = False
        o._tries[:] = 0
        o._asked[:] = 0.0

    def _leader(self, data: bytes) -> None:
        if len(data) < 8 + _LEADER.size:
            return
        _, kind, high, low, pixel_format, width, height, _, _, _, _ = _LEADER.unpack_from(data, 8)
        w = self.wanted
        if kind != 1 or (pixel_format, width, height) != (w.pixel_format, w.width, w.height):
            self.wrong = (
                f"the detector sent {width} x {height} pixels of format 0x{pixel_format:08X} instead of"
                f" {w.width} x {w.height} of 0x{w.pixel_format:08X}"
            )
            return
        self.timestamp = high << 32 | low
        self._came(np.array([0]))

    def _came(self, ids: npt.NDArray[np.int64]) -> None:
        """Mark packets that are new."""
        o = self.o
        new = ids[~o._got[ids]]
        if not len(new):
            return
        o._got[new] = True
        if self.requests:
            self.repaired += int(np.count_nonzero(o._tries[new]))
        top = int(new[-1])
        if top <= self.n or self.high >= self.n:
            self.high = max(self.high, top)
        self.progress = time.monotonic()

    # ---------------------------------------------------------------- asking again

    def _ask_behind(self, now: float) -> None:
        """Ask for gaps well behind the newest packet, while the frame is still coming."""
        limit = self.high - REORDER
        if limit - self.scan < 128:
            return
        gaps = np.flatnonzero(~self.o._got[self.scan : limit]) + self.scan
        if len(gaps):
            self._ask(gaps, now)
            self.scan = int(gaps[0])
        else:
            self.scan = limit
        if self.o._got[0] and self.scan > 1:  # payload packets 1..scan-1 are here
            self.o._hash_until(min(self.scan - 1, self.n - 1) * self.wanted.step)

    def _ask_all(self, now: float) -> Frame | None:
        """Ask for everything that should be here; returns the failure when hope is gone."""
        o = self.o
        ended = bool(o._got[self.n + 1])
        idle = now - self.progress
        limit = self.n + 2 if ended or idle > STALL_S else self.high + 1
        gaps = np.flatnonzero(~o._got[:limit])
        missing = int(len(o._got) - np.count_nonzero(o._got))
        hopeless = idle > self.stall_s or now - self.first > self.whole_s
        if self.resend is None:
            hopeless = hopeless or (ended and idle > 0.1)
        tired = len(gaps) and bool((o._tries[gaps] >= MAX_TRIES).any()) and idle > 0.1
        refused = any(not o._got[p] and o._tries[p] >= 2 for p in self.refused if 0 <= p <= self.n + 1)
        if hopeless or tired or refused:
            if missing == 1 and not ended:  # every pixel and the leader are here
                return self._end("", "")
            why = "cannot send them again" if refused or self.resend is None else "did not send them again"
            return self._end(
                "incomplete",
                f"{missing} of {self.n + 2} packets of the image are missing, the detector {why}",
            )
        if len(gaps):
            self._ask(gaps[: 4 * MAX_RUNS] if not ended else gaps, now)
        return None

    def _ask(self, gaps: npt.NDArray[np.int64], now: float) -> None:
        if self.resend is None:
            return
        o = self.o
        pause = AGAIN_S * np.minimum(np.exp2(o._tries[gaps].astype(np.float64)), 16.0)
        gaps = gaps[(now - o._asked[gaps] > pause) & (o._tries[gaps] < MAX_TRIES)]
        if not len(gaps):
            return
        runs = np.split(gaps, np.flatnonzero(np.diff(gaps) > 1) + 1)[:MAX_RUNS]
        for run in runs:
            self.resend(self.block, int(run[0]), int(run[-1]))
            o._asked[run] = now
            o._tries[run] += 1
        self.requests += len(runs)
