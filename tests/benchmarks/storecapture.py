"""Large captures of a VXvue that stores images, for the benchmarks of witness and judge.

Exams (worklist, MPPS, one image of 3072 x 3072, MPPS final) in 16 KB PDUs and segments of 1460 bytes, every second
segment acknowledged.  What is said comes from ``tests.lab``; frames are written
here without checksums and one connection after the other, so that 800 MB need little memory.

``python tests/benchmarks/storecapture.py FILE MEGABYTES ECHOES``.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import IO, Final

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lab import network  # noqa: E402
from tests.lab.conversation import Lab, Outgoing  # noqa: E402
from tests.lab.elements import DataSet  # noqa: E402
from tests.lab.products.facts import Exam, Exposure  # noqa: E402
from tests.lab.products.vxvue import Peer, VXvue  # noqa: E402

ROWS: Final = 3072
BITS: Final = 14
MSS: Final = 1460


def pixels(seed: int) -> bytes:
    """A smooth picture with noise, within 14 bits."""
    dice = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:ROWS, 0:ROWS]
    picture = 4000 + rows + columns + dice.integers(0, 200, (ROWS, ROWS))
    return bytes(picture.astype("<u2").tobytes())


def write(path: Path, megabytes: int, *, echoes: int = 0) -> int:
    """Write a pcap of about that size (or, with ``echoes``, of so many C-ECHO associations).  Returns its size."""
    peer = Peer("PACS", "10.0.0.9")
    lab = Lab()
    product = VXvue(lab)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        if echoes:
            for _ in range(echoes):
                product.verify(peer)
                _flush(lab, file)
            return file.tell()
        images = max(1, round(megabytes * 1e6 / (ROWS * ROWS * 2 * 1.075)))
        shown = [pixels(1), pixels(2)]

        def enlarge(out: Outgoing) -> None:
            if isinstance(out.dataset, DataSet) and out.name == "C-STORE-RQ":
                data = shown[len(lab.conversations) % 2]
                words = np.frombuffer(data, "<u2")
                out.dataset.put("PixelData", data, vr="OW")
                out.dataset.put("Rows", ROWS)
                out.dataset.put("Columns", ROWS)
                out.dataset.put("SmallestImagePixelValue", int(words.min()))
                out.dataset.put("LargestImagePixelValue", int(words.max()))

        lab.edit(enlarge)
        for number in range(1, images + 1):
            exam = Exam(number=number, exposures=(Exposure(rows=1, columns=1, bits=BITS),))
            product.worklist(peer, [exam])
            product.begin(peer, exam)
            product.store(peer, exam)
            product.end(peer, exam)
            _flush(lab, file)
        return file.tell()


def _flush(lab: Lab, file: IO[bytes]) -> None:
    """Write what was said since the last time, and forget it."""
    for stream in lab.streams:
        ends = []
        for side in (0, 1):
            ethernet = stream.macs[1 - side] + stream.macs[side] + b"\x08\0"
            addresses = b"".join(bytes(map(int, stream.ends[s][0].split("."))) for s in (side, 1 - side))
            ports = struct.pack(">HH", stream.ends[side][1], stream.ends[1 - side][1])
            ends.append((ethernet, addresses + ports))
        for segment in sorted(stream.segments(MSS), key=lambda s: s.time):
            file.write(_frame(segment, *ends[segment.side]))
        stream.acts.clear()
    lab.streams.clear()


def _frame(s: network.Segment, ethernet: bytes, ends: bytes) -> bytes:
    options = s.options
    size = 40 + len(options) + len(s.data)
    ticks = round(s.time * 1e6)
    return b"".join(
        (
            struct.pack("<IIII", ticks // 1_000_000, ticks % 1_000_000, size + 14, size + 14),
            ethernet,
            struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 6, 0),
            ends,
            struct.pack(">IIBBHI", s.seq, s.ack, (20 + len(options)) // 4 << 4, s.flags, s.window, 0),
            options,
            s.data,
        )
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), echoes=int(sys.argv[3]))
