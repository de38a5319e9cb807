"""Small JPEG streams, written by hand: Baseline (DC of each block only) and Lossless SV1.

Rules of this file: no library, always the same bytes; 8 bits, 1 or 3 components.  Baseline is 4:2:2 for three
components (what YBR_FULL_422 says); lossless components are not subsampled.
"""

from __future__ import annotations

from collections.abc import Callable

Shade = Callable[[int, int, int], int]
"""(row, column, component) -> sample 0..255."""


class _Bits:
    def __init__(self) -> None:
        self.out = bytearray()
        self._word = 0
        self._count = 0

    def put(self, value: int, count: int) -> None:
        for at in range(count - 1, -1, -1):
            self._word = self._word << 1 | (value >> at & 1)
            self._count += 1
            if self._count == 8:
                self.out.append(self._word)
                if self._word == 0xFF:
                    self.out.append(0)
                self._word = self._count = 0

    def difference(self, value: int) -> None:
        """A category with a code of four bits, and the bits of the value (ITU-T T.81 F.1.2.1)."""
        size = abs(value).bit_length()
        self.put(size, 4)
        if size:
            self.put(value if value > 0 else value + (1 << size) - 1, size)

    def end(self) -> bytes:
        while self._count:
            self.put(1, 1)
        return bytes(self.out)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def _table(kind: int, codes: int, length: int) -> bytes:
    """A Huffman table: symbols 0..codes-1 with codes of one length."""
    counts = bytearray(16)
    counts[length - 1] = codes
    return _segment(0xC4, bytes((kind,)) + bytes(counts) + bytes(range(codes)))


def _frame(marker: int, rows: int, columns: int, sampling: list[int]) -> bytes:
    body = bytes((8,)) + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes((len(sampling),))
    for number, factors in enumerate(sampling):
        body += bytes((number + 1, factors, 0))
    return _segment(marker, body)


def _scan(components: int, first: int, last: int) -> bytes:
    body = bytes((components,)) + b"".join(bytes((n + 1, 0)) for n in range(components))
    return _segment(0xDA, body + bytes((first, last, 0)))


def baseline(rows: int, columns: int, components: int, shade: Shade) -> bytes:
    """A baseline stream; each 8x8 block has the shade of its middle."""
    sampling = [0x11] if components == 1 else [0x21, 0x11, 0x11]
    bits = _Bits()
    last = [0] * components
    wide = 1 if components == 1 else 2

    def block(component: int, row: int, column: int) -> None:
        value = shade(min(row + 4, rows - 1), min(column + 4, columns - 1), component) - 128
        # The DC coefficient of a flat block is 8 times its level; divided by 8 it is the level itself.
        bits.difference(value - last[component])
        last[component] = value
        bits.put(0, 1)  # end of block

    for row in range(0, rows, 8):
        for column in range(0, columns, 8 * wide):
            for part in range(wide):
                block(0, row, column + 8 * part)
            for component in range(1, components):
                block(component, row, column + 4 * (wide - 1))
    quantization = _segment(0xDB, b"\0" + bytes([8] * 64))
    tables = _table(0x00, 12, 4) + _table(0x10, 1, 1)
    head = b"\xff\xd8" + quantization + _frame(0xC0, rows, columns, sampling) + tables
    return head + _scan(components, 0, 63) + bits.end() + b"\xff\xd9"


def lossless(rows: int, columns: int, components: int, shade: Shade) -> bytes:
    """A lossless stream of Process 14 with selection value 1."""
    bits = _Bits()
    above = [0] * components
    for row in range(rows):
        left = [0] * components
        for column in range(columns):
            for component in range(components):
                sample = shade(row, column, component)
                if column:
                    predicted = left[component]
                else:
                    predicted = above[component] if row else 128
                    above[component] = sample
                bits.difference(sample - predicted)
                left[component] = sample
    head = b"\xff\xd8" + _frame(0xC3, rows, columns, [0x11] * components) + _table(0x00, 9, 4)
    return head + _scan(components, 1, 0) + bits.end() + b"\xff\xd9"
