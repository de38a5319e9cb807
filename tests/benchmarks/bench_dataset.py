"""The walk of data sets: big images by chunks, small data sets against pydicom.

* ``dataset.pixels``: an 18 MB image in 16 KB chunks, with the extremes of its pixels, against 800 MB/s.
* ``dataset.digest``: the same with SHA-256 against SHA-256 alone.
* ``dataset.small``: a worklist query of 50 elements, read and every value decoded, against pydicom.

``python tests/benchmarks/bench_dataset.py [--quick]``; exit 1 below a committed ratio (``--quick``: below half of it).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pydicom

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from bench.witness.dataset import Limits, Reader, read  # noqa: E402
from tests.lab.elements import EXPLICIT_LE, DataSet  # noqa: E402
from tests.lab.products.vxvue import worklist_keys  # noqa: E402

CHUNK: Final = 16384


def best(work: Callable[[], object], rounds: int) -> float:
    """The least processor time of some rounds, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def image() -> bytes:
    """A DX image of 3000 x 3000 pixels of 14 bits."""
    pixels = np.random.default_rng(1).integers(0, 1 << 14, 9_000_000, dtype="<u2")
    data = DataSet(
        Rows=3000, Columns=3000, BitsAllocated=16, BitsStored=14, HighBit=13, PixelRepresentation=0
    )
    return data.put("PixelData", pixels.tobytes(), vr="OW").encode()


def streamed(data: bytes, limits: Limits) -> None:
    """Read by chunks."""
    reader = Reader(EXPLICIT_LE, limits=limits)
    view = memoryview(data)
    for at in range(0, len(view), CHUNK):
        reader.feed(view[at : at + CHUNK])
    pixels = reader.finish().pixels
    if pixels is None or pixels.largest != (1 << 14) - 1:
        raise SystemExit("the pixels were not looked at")


def mine(data: bytes) -> None:
    """Read a small data set, every value as text."""
    for _, owner, element in read(data).walk():
        owner.texts_of(element)


def theirs(data: bytes) -> None:
    """The same by pydicom."""
    found = pydicom.dcmread(io.BytesIO(data), force=True)
    for element in found.iterall():
        str(element.value)


def often(work: Callable[[bytes], None], data: bytes) -> None:
    """Fifty times, since one is too short to be measured."""
    for _ in range(50):
        work(data)


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rounds = 3 if quick else 15
    data = image()
    ratios: dict[str, float] = {}
    plain = best(lambda: streamed(data, Limits()), rounds)
    ratios["dataset.pixels"] = len(data) / plain / 800e6
    digest = best(lambda: streamed(data, Limits(digest=True)), rounds)
    alone = best(lambda: hashlib.sha256(data), rounds)
    ratios["dataset.digest"] = alone / digest
    keys = worklist_keys(1_750_000_000.0, "VXVUE").encode()
    mine(keys)
    theirs(keys)
    ours = best(lambda: often(mine, keys), rounds) / 50
    ratios["dataset.small"] = best(lambda: often(theirs, keys), rounds) / 50 / ours
    print(f"{len(data) / 1e6:.0f} MB image: {len(data) / plain / 1e6:.0f} MB/s; query: {ours * 1e3:.3f} ms")
    committed = json.loads((HERE / "ratios.json").read_text("utf-8"))
    bad = 0
    for name, ratio in ratios.items():
        least = committed.get(name, 0.0) * (0.5 if quick else 1.0)
        bad += ratio < least
        print(f"{name:16s} {ratio:7.2f}  (at least {least})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
