"""CRC-64 of OpenIGTLink: ECMA-182, most significant bit first, initial value 0, no final inversion.

Rules of this file:

* :func:`crc64` goes on from an earlier value: ``crc64(b, crc64(a)) == crc64(a + b)``.
* Fast where liblzma is there: its ``lzma_crc64`` is the same polynomial reflected, so it is fed mirrored bytes.
  Elsewhere numpy folds the data, and bytes that are left are done one by one.  All three agree (a test says so).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Buffer: TypeAlias = bytes | bytearray | memoryview

POLYNOMIAL: Final = 0x42F0E1EBA9EA3693
MASK: Final = (1 << 64) - 1
CHECK: Final = 0x6C40DF5F0B497347
"""CRC of b"123456789" (the catalogue's check value of CRC-64/ECMA-182)."""
FOLDS: Final = (16384, 1024)
"""Row lengths in bytes of the numpy variant, long rows first."""


def _double(value: int) -> int:
    """Multiply by x modulo the polynomial."""
    return (value << 1 ^ POLYNOMIAL) & MASK if value >> 63 else value << 1


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte << 56
        for _ in range(8):
            value = _double(value)
        rows.append(value)
    return tuple(rows)


_TABLE: Final = _table()
_MIRROR: Final = bytes(int(f"{b:08b}"[::-1], 2) for b in range(256))


def crc64_bytes(data: Buffer, crc: int = 0) -> int:
    """One byte after the other: short data, and the reference for the others."""
    for byte in data:
        crc = (crc << 8 & MASK) ^ _TABLE[crc >> 56 ^ byte]
    return crc


@lru_cache(maxsize=4)
def _fold_tables(row: int) -> npt.NDArray[np.uint64]:
    """(8, 256): what byte k (0 = first) of a word becomes when ``row`` bytes follow it."""
    value = 1
    for _ in range(8 * row):
        value = _double(value)
    bits = []  # x^i * x^(8 row)
    for _ in range(64):
        bits.append(value)
        value = _double(value)
    tables = np.zeros((8, 256), np.uint64)
    byte = np.arange(256)
    for k in range(8):
        for bit in range(8):
            hit = (byte >> bit & 1).astype(bool)
            tables[k][hit] ^= np.uint64(bits[8 * (7 - k) + bit])
    return tables


def _fold(data: npt.NDArray[np.uint8], row: int) -> bytes:
    """Shorten data to less than two rows without changing its CRC."""
    count = len(data) // row
    if count < 2:
        return data.tobytes()
    tables = _fold_tables(row)
    words = data[: count * row].reshape(count, row).view(">u8").astype(np.uint64)
    sum_ = words[0]
    for i in range(1, count):
        parts = sum_.astype(">u8").view(np.uint8).reshape(-1, 8)
        sum_ = words[i].copy()
        for k in range(8):
            sum_ ^= tables[k].take(parts[:, k])
    folded: bytes = sum_.astype(">u8").tobytes() + data[count * row :].tobytes()
    return folded


def crc64_numpy(data: Buffer, crc: int = 0) -> int:
    """Whole words at a time."""
    if len(data) < 4 * FOLDS[-1]:
        return crc64_bytes(data, crc)
    array = np.frombuffer(data, np.uint8)
    if crc:  # what went before is added to the first eight bytes
        array = array.copy()
        array[:8] ^= np.frombuffer(crc.to_bytes(8, "big"), np.uint8)
    for row in FOLDS:
        array = np.frombuffer(_fold(array, row), np.uint8)
    return crc64_bytes(array.tobytes())


def _reversed64(value: int) -> int:
    return int.from_bytes(value.to_bytes(8, "little").translate(_MIRROR), "big")


def _load() -> Callable[[Buffer, int], int] | None:
    """liblzma's function in our terms, or None where it is not to be had."""
    for name in ("liblzma.so.5", "liblzma.5.dylib", "liblzma.dll"):
        try:
            function = ctypes.CDLL(name).lzma_crc64
            break
        except (OSError, AttributeError):
            continue
    else:
        return None
    function.restype = ctypes.c_uint64
    function.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)

    def fast(data: Buffer, crc: int = 0) -> int:
        mirrored = bytes(data).translate(_MIRROR)
        return _reversed64(~function(mirrored, len(mirrored), ~_reversed64(crc) & MASK) & MASK)

    return fast if fast(b"6789", fast(b"12345")) == CHECK else None


crc64_library: Final = _load()


def crc64(data: Buffer, crc: int = 0) -> int:
    """CRC of data, continued from ``crc``."""
    if len(data) < 64:
        return crc64_bytes(data, crc)
    return crc64_library(data, crc) if crc64_library is not None else crc64_numpy(data, crc)
