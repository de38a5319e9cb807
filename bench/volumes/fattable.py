"""The file allocation table: held in memory whole, written back sector by sector, to all its copies.

Rules of this file:
- A chain read from the medium is never trusted: what points outside, comes back to itself or ends in a free
  cluster is an OSError(EIO) that says so, after a bounded number of steps.
- New clusters form chains of their own, ended properly, before anything points to them; the caller links them
  after `flush()`. So whatever part of the written sectors survives a yank, a chain in use is a whole one.
- The FAT on the medium changes only in flush(); the first copy's sectors go before the second's.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.layout import Layout

#: (first cluster, number of clusters), one after the other on the medium
Run = tuple[int, int]


class FatTable:
    """The cells of one volume's FAT."""

    def __init__(self, device: BlockDevice, layout: Layout, corrupt: Callable[[str], OSError]) -> None:
        """Read the (active) FAT. `corrupt(text)` makes the error for a chain that cannot be."""
        self._device = device
        self._layout = layout
        self._corrupt = corrupt
        wide = layout.fat == "FAT32"
        raw = device.read(layout.fat_offset(layout.active_fat or 0), layout.fat_sectors * SECTOR)
        cells: npt.NDArray[Any] = np.frombuffer(raw, dtype="<u4" if wide else "<u2").astype(
            np.uint32 if wide else np.uint16
        )
        self._high: npt.NDArray[Any] | None = (
            None  # FAT32's upper four bits are not ours: they stay as they are
        )
        if wide:
            high: npt.NDArray[Any] = cells & 0xF0000000
            cells &= 0x0FFFFFFF
            if high.any():
                self._high = high
        self.cells: npt.NDArray[Any] = cells
        self._view = memoryview(cells.data)
        self._wide = wide
        self._per = SECTOR // (4 if wide else 2)
        self.end = 0x0FFFFFFF if wide else 0xFFFF
        self._last = 0x0FFFFFF8 if wide else 0xFFF8  # from here on: end of chain
        self.stop = layout.clusters + 2
        self.free = int(np.count_nonzero(cells[2 : self.stop] == 0))
        self.hint = 2
        self.withheld = 0  # clusters that allocate() leaves alone: a medium that is fuller than it is
        self.reclaim: Callable[[], object] = lambda: (
            None
        )  # called where there is no room: there may be some then
        self._dirty: set[int] = set()

    def next(self, cluster: int) -> int:
        """The cluster after this one, 0 at the end of the chain."""
        value = self._view[cluster]
        if value >= self._last:
            return 0
        if not 2 <= value < self.stop:
            what = "a free cluster" if value == 0 else "a bad cluster" if value == self._last - 1 else value
            raise self._corrupt(f"cluster {cluster} is followed by {what}")
        return int(value)

    def follow(self, start: int, limit: int) -> list[Run]:
        """The runs of a chain of at most `limit` clusters; a loop or a longer one is corrupt."""
        if not 2 <= start < self.stop:
            raise self._corrupt(f"a chain begins at cluster {start} of {self.stop - 2}")
        view, last, stop = self._view, self._last, self.stop
        runs: list[Run] = []
        first = cluster = start
        count = steps = 1
        mark, power = start, 1
        while True:
            value = view[cluster]
            if value == cluster + 1 and value < stop:
                count += 1
            elif value >= last:
                runs.append((first, count))
                return runs
            else:
                runs.append((first, count))
                value = self.next(cluster)
                first, count = value, 1
            cluster = value
            steps += 1
            if cluster == mark:
                raise self._corrupt(f"the chain that begins at cluster {start} comes back to {cluster}")
            if steps > limit:
                raise self._corrupt(
                    f"the chain that begins at cluster {start} has more than {limit} clusters"
                )
            if steps == power * 2:
                mark, power = cluster, steps

    def allocate(self, count: int) -> list[Run]:
        """`count` free clusters as one ended chain that nothing points to. OSError(ENOSPC), nothing taken."""
        if count > self.free - self.withheld:
            self.reclaim()
        if count > self.free - self.withheld:
            raise OSError(errno.ENOSPC, "no space left on the medium")
        picked: list[npt.NDArray[Any]] = []
        left = count
        position = self.hint if 2 <= self.hint < self.stop else 2
        spans = [(position, self.stop), (2, position)]
        for low, high in spans:
            while left and low < high:
                window = self.cells[low : min(high, low + max(left, 4096))]
                found = np.flatnonzero(window == 0)[:left]
                if len(found):
                    picked.append(found + low)
                    left -= len(found)
                low += len(window)
        if left:
            raise OSError(errno.ENOSPC, "no space left on the medium")
        clusters = picked[0] if len(picked) == 1 else np.concatenate(picked)
        self.cells[clusters[:-1]] = clusters[1:]
        self.cells[clusters[-1]] = self.end
        self.free -= count
        self.hint = int(clusters[-1]) + 1
        if count == 1:
            self._dirty.add(int(clusters[0]) // self._per)
            return [(int(clusters[0]), 1)]
        self._dirty.update(np.unique(clusters // self._per).tolist())
        breaks = np.flatnonzero(np.diff(clusters) != 1) + 1
        edges = [0, *breaks.tolist(), count]
        return [(int(clusters[a]), b - a) for a, b in pairwise(edges)]

    def link(self, tail: int, head: int) -> None:
        """Let the chain that ends in `tail` go on with `head`; 0 ends it there."""
        self.cells[tail] = head or self.end
        self._dirty.add(tail // self._per)

    def release(self, runs: Iterable[Run]) -> None:
        """Free these clusters; nothing on the medium may point to them any more."""
        for first, count in runs:
            self.cells[first : first + count] = 0
            self.free += count
            self._dirty.update(range(first // self._per, (first + count - 1) // self._per + 1))

    def flush(self) -> None:
        """Write the changed sectors to every copy in use."""
        if not self._dirty:
            return
        groups: list[list[int]] = []
        for sector in sorted(self._dirty):
            if groups and groups[-1][1] == sector:
                groups[-1][1] = sector + 1
            else:
                groups.append([sector, sector + 1])
        layout = self._layout
        copies = range(layout.fats) if layout.active_fat is None else (layout.active_fat,)
        blocks = [(low * SECTOR, self._bytes(low * self._per, high * self._per)) for low, high in groups]
        for copy in copies:
            base = layout.fat_offset(copy)
            for offset, data in blocks:
                self._device.write(base + offset, data)
        self._dirty.clear()

    def set_clean(self, clean: bool) -> None:
        """The clean-shutdown bit of cell 1 (fatgen103, FAT[1]); written by the next flush()."""
        bit = 0x08000000 if self._wide else 0x8000
        value = int(self.cells[1])
        self.cells[1] = value | bit if clean else value & ~bit
        self._dirty.add(0)

    @property
    def is_clean(self) -> bool:
        """Whether cell 1 says that the volume was unmounted properly."""
        return bool(int(self.cells[1]) & (0x08000000 if self._wide else 0x8000))

    def _bytes(self, low: int, high: int) -> bytes:
        cells = self.cells[low:high]
        if self._high is not None:
            cells = cells | self._high[low:high]
        return cells.astype("<u4" if self._wide else "<u2").tobytes()
