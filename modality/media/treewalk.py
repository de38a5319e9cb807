"""The way through a tree of records that lead to a next one and to a lower one, depth first.

Rules of this file:

* Long rows of images, each of which leads to the record behind it, are one step: cost grows with the other records.
* Bounded whatever the links say: no record is passed twice.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

NONE = -1
ASTRAY = -2


def depth_first(then: Ints, below: Ints, first: int) -> Ints | None:
    """The records in the order of their links (-1: none); None when a link leads nowhere (-2), or two to the same."""
    count = len(then)
    if first < 0:
        return np.zeros(0, np.int64) if first == NONE else None
    plain = (below == NONE) & (then == np.arange(1, count + 1))
    if count:
        plain[-1] = False
    stops = np.flatnonzero(~plain).tolist()
    after, lower = then[stops].tolist(), below[stops].tolist()
    rows: list[tuple[int, int]] = []
    waiting: list[int] = []
    passed = 0
    at = first
    while True:
        while at >= 0:
            number = bisect_left(stops, at)
            end = stops[number] + 1
            rows.append((at, end))
            passed += end - at
            if passed > count:
                return None
            if after[number] != NONE:
                waiting.append(after[number])
            at = lower[number]
        if at == ASTRAY:
            return None
        if not waiting:
            break
        at = waiting.pop()
    order = np.concatenate([np.arange(begin, end, dtype=np.int64) for begin, end in rows])
    seen = np.zeros(count, np.bool_)
    seen[order] = True
    return order if int(seen.sum()) == len(order) else None
