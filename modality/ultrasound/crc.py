"""The checksum of OpenIGTLink: CRC-64 of ECMA-182, most significant bit first, begun at 0, not inverted.

Rules of this file:

* :func:`crc64` is the sum of a whole body; it has to keep up with 150 MB/s.
* Where liblzma is there its CRC-64 does the work: the same polynomial mirrored, so bytes and sum are mirrored.
* Elsewhere numpy does: the data is cut into equal strips that are summed side by side, eight bytes a step, and
  neighbours are then joined two by two (a sum is moved past its neighbour's bytes by eight table look-ups).
* Both agree with the definition, bit by bit (a test says so).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Buffer: TypeAlias = bytes | bytearray | memoryview
Words: TypeAlias = npt.NDArray[np.uint64]

POLYNOMIAL: Final = 0x42F0E1EBA9EA3693
CHECK: Final = 0x6C40DF5F0B497347
"""Sum of b"123456789" (catalogue of CRC algorithms, CRC-64/ECMA-182)."""
MASK: Final = (1 << 64) - 1
STRIPS: Final = 2048
SMALL: Final = 16384
"""Shorter data is not worth numpy."""


def _times_x(value: int, steps: int = 1) -> int:
    """Multiply by x modulo the polynomial, so many times."""
    for _ in range(steps):
        value = (value << 1 & MASK) ^ (POLYNOMIAL if value >> 63 else 0)
    return value


_TABLE: Final = tuple(_times_x(byte << 56, 8) for byte in range(256))


def crc64_bytes(data: Buffer, crc: int = 0) -> int:
    """Byte by byte, going on from ``crc``."""
    for byte in data:
        crc = (crc << 8 & MASK) ^ _TABLE[(crc >> 56) ^ byte]
    return crc


def _linear(columns: list[int]) -> Words:
    """(8, 256) look-ups of a linear map; ``columns[i]`` is the image of bit i, row k takes byte k (0 = lowest)."""
    tables = np.zeros((8, 256), np.uint64)
    for k in range(8):
        for bit in range(8):
            tables[k, 1 << bit] = columns[8 * k + bit]
        for value in range(1, 256):
            low = value & -value
            if low != value:
                tables[k, value] = tables[k, low] ^ tables[k, value ^ low]
    return tables


def _square(columns: list[int]) -> list[int]:
    """A linear map applied twice."""
    out = []
    for column in columns:
        total, bit = 0, 0
        while column:
            if column & 1:
                total ^= columns[bit]
            column >>= 1
            bit += 1
        out.append(total)
    return out


@cache
def _past(power: int) -> tuple[list[int], Words]:
    """How a sum changes when 2^power zero bytes follow it."""
    columns = [_times_x(1 << bit, 8) for bit in range(64)] if power == 0 else _square(_past(power - 1)[0])
    return columns, _linear(columns)


def _apply(tables: Words, values: Words) -> Words:
    parts = values.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
    out: Words = tables[0][parts[:, 0]]
    for k in range(1, 8):
        out ^= tables[k][parts[:, k]]
    return out


def crc64_numpy(data: Buffer) -> int:
    """With numpy alone."""
    view = memoryview(data)
    exponent = max(0, (len(view) // STRIPS).bit_length() - 1)
    length = 1 << exponent  # of one strip in bytes
    head = len(view) - STRIPS * length
    if len(view) < SMALL or head > len(view):
        return crc64_bytes(view)
    strips = np.frombuffer(view[head:], ">u8").reshape(STRIPS, length // 8).astype(np.uint64)
    step = _past(3)[1]
    sums = np.zeros(STRIPS, np.uint64)
    for i in range(length // 8):
        sums = _apply(step, sums ^ strips[:, i])
    while len(sums) > 1:
        sums = _apply(_past(exponent)[1], sums[0::2].copy()) ^ sums[1::2]
        exponent += 1
    if not head:
        return int(sums[0])
    # What comes before the strips is shorter than they are; it is moved past all of them.
    first = np.array([crc64_numpy(view[:head])], np.uint64)
    return int((_apply(_past(exponent)[1], first) ^ sums)[0])


_MIRROR: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _load() -> Any:
    """liblzma's function, or None where it is not to be had."""
    for name in ("liblzma.so.5", "liblzma.5.dylib", "liblzma.dll"):
        try:
            function = ctypes.CDLL(name).lzma_crc64
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_uint64
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64)
        return function
    return None


_FUNCTION: Final = _load()


def _by_library(data: Buffer) -> int:
    plain = data if isinstance(data, bytearray) else bytearray(data)
    mirrored = plain.translate(_MIRROR)
    array = (ctypes.c_char * len(mirrored)).from_buffer(mirrored)
    # liblzma inverts before and after; ours does not.
    value = ~_FUNCTION(ctypes.addressof(array), len(mirrored), MASK) & MASK
    return int.from_bytes(value.to_bytes(8, "little").translate(_MIRROR), "big")


crc64_library: Final[Callable[[Buffer], int] | None] = (
    _by_library if _FUNCTION is not None and _by_library(b"123456789") == CHECK else None
)
"""The sum by liblzma, or None where it is not to be had."""


def crc64(data: Buffer) -> int:
    """The sum of a body."""
    if len(data) < 64:
        return crc64_bytes(data)
    return crc64_numpy(data) if crc64_library is None else crc64_library(data)
