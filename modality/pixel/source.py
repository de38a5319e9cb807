"""A Part 10 file as it lies on the disk: its header in memory, its pixels where they are (PS3.10 7.1).

Rules of this file:

* The pixels are read in pieces with ``pread``: a medium that fails gives an ``OSError``, never a signal as a memory
  map would, and memory stays small whatever the size of the clip.
* What the header says of the pixels is checked against what is there before anybody gets the first of them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from . import elements as E
from .elements import Element, NeedMore, Reader
from .syntaxes import NATIVE, SYNTAXES, PixelError, is_big, is_implicit

PIECE: Final = 1 << 20
_FIRST: Final = 1 << 16
_LONGEST_HEADER: Final = 1 << 24
_TRAILING_PADDING: Final = 0xFFFCFFFC
_MOST_FRAMES: Final = 1 << 20
_MOST_FRAGMENTS: Final = 1 << 18
"""Fragments that are remembered; no clip of this device has more than one for each frame."""


@dataclass(frozen=True)
class Shape:
    """The Image Pixel module of an 8 or 16 bit image."""

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    photometric: str
    planar: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame without padding."""
        return self.rows * self.columns * self.samples * (self.allocated // 8)

    @property
    def total_bytes(self) -> int:
        """Bytes of all frames without padding."""
        return self.frame_bytes * self.frames


class Source:
    """One open file; use as a context manager.

    Raises:
        PixelError: it is no Part 10 file with pixels in one of the five syntaxes, or it contradicts itself.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._fd = os.open(self.path, os.O_RDONLY)
        try:
            self.size = os.fstat(self._fd).st_size
            self._read_header()
            self.shape = self._shape()
            self.fragments: tuple[tuple[int, int], ...] = ()
            self.offsets: tuple[int, ...] = ()
            if self.encapsulated:
                self._read_fragments()
            else:
                self._check_length()
        except PixelError as error:
            os.close(self._fd)
            raise PixelError(f"{self.path.name}: {error}") from None
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # -- the header

    def _read_header(self) -> None:
        want = _FIRST
        while True:
            data = self.read(0, min(want, self.size))
            try:
                self._parse(data)
                return
            except NeedMore:
                if want >= min(self.size, _LONGEST_HEADER):
                    raise PixelError(f"no Pixel Data within the first {len(data)} bytes") from None
                want *= 8

    def _parse(self, data: bytes) -> None:
        if len(data) < 144 or data[128:132] != b"DICM":
            raise PixelError("this is no DICOM file (no DICM at byte 128)")
        reader = Reader(data, self.size, implicit=False, big=False)
        length = reader.header(132, self.size)
        if length.tag != 0x00020000 or length.length != 4:
            raise PixelError("the file meta information has no group length")
        start = length.at + 4 + int(struct.unpack_from("<I", data, length.at)[0])
        if start > self.size:
            raise PixelError("the file meta information is cut off")
        meta, _ = reader.elements(132, start)
        self.meta = {element.tag: element.raw for element in meta}
        self.syntax = self.meta_text(0x00020010)
        if self.syntax not in SYNTAXES:
            raise PixelError(f"transfer syntax {self.syntax or 'missing'} cannot be read")
        self.start = start
        """Where the data set begins."""
        implicit, big = is_implicit(self.syntax), is_big(self.syntax)
        reader = Reader(data, self.size, implicit=implicit, big=big)
        self.elements, pixel = reader.elements(start, self.size, stop=E.PIXEL_DATA)
        if pixel is None:
            raise PixelError("there is no Pixel Data")
        self.pixel_vr, self.pixel_at, self.pixel_length = pixel.vr or "OW", pixel.at, pixel.length
        if (self.pixel_length == E.UNDEFINED) != self.encapsulated:
            raise PixelError(f"Pixel Data is not as transfer syntax {self.syntax} wants it (PS3.5 A.4)")

    @property
    def encapsulated(self) -> bool:
        """The pixels lie in fragments."""
        return self.syntax not in NATIVE

    @property
    def word_swapped(self) -> bool:
        """Pairs of bytes are exchanged against little endian (OW in Big Endian, PS3.5 A.3)."""
        return is_big(self.syntax) and self.pixel_vr == "OW"

    def meta_text(self, tag: int) -> str:
        """A text of the file meta information; empty when absent."""
        return self.meta.get(tag, b"").decode("latin-1").strip(" \0")

    def text(self, tag: int) -> str:
        """A text of the data set (codes and numbers, no names); empty when absent."""
        element = E.find(self.elements, tag)
        return element.raw.decode("latin-1").strip(" \0") if element else ""

    def number(self, tag: int, default: int | None = None) -> int:
        """A US.

        Raises:
            PixelError: it is absent and has no default.
        """
        element = E.find(self.elements, tag)
        if element is None or len(element.raw) != 2:
            if default is None:
                raise PixelError(f"{E.name(tag)} is missing")
            return default
        return int(struct.unpack("<H", element.raw)[0])

    @property
    def sop_class(self) -> str:
        """SOP Class UID."""
        return self.text(0x00080016) or self.meta_text(0x00020002)

    @property
    def sop_instance(self) -> str:
        """SOP Instance UID."""
        return self.text(0x00080018) or self.meta_text(0x00020003)

    def _shape(self) -> Shape:
        frames = self.text(0x00280008) or "1"
        if not frames.isdecimal() or len(frames) > 12 or not 1 <= int(frames) <= _MOST_FRAMES:
            raise PixelError(f"Number of Frames is {frames[:20]!r}")
        shape = Shape(
            self.number(0x00280010), self.number(0x00280011), self.number(0x00280002), int(frames),
            self.number(0x00280100), self.text(0x00280004), self.number(0x00280006, 0),
        )  # fmt: skip
        if not shape.rows or not shape.columns:
            raise PixelError(f"an image of {shape.columns} x {shape.rows} pixels")
        if shape.allocated not in (8, 16) or shape.samples not in (1, 3) or shape.planar not in (0, 1):
            raise PixelError(
                f"{shape.samples} sample(s) of {shape.allocated} bits, planar {shape.planar}: not supported"
            )
        if self.encapsulated and shape.allocated != 8:
            raise PixelError(f"compressed pixels of {shape.allocated} bits are not supported")
        return shape

    # -- the pixels

    def _check_length(self) -> None:
        wanted = self.shape.total_bytes
        if self.pixel_length != wanted + wanted % 2:
            raise PixelError(
                f"Pixel Data has {self.pixel_length} bytes; {self.shape.frames} frame(s) of "
                f"{self.shape.frame_bytes} are {wanted}"
            )
        end = self.pixel_at + self.pixel_length
        if end > self.size:
            raise PixelError(f"cut off: Pixel Data ends at byte {end}, the file at {self.size}")
        self._check_tail(end)

    def _check_tail(self, at: int) -> None:
        """Only padding may follow the pixels, and it belongs to the file (PS3.10 7.2)."""
        self.end = at
        """Where the data set ends."""
        if at == self.size:
            return
        data = self.read(at, min(16, self.size - at))
        reader = Reader(data, self.size - at, implicit=is_implicit(self.syntax), big=is_big(self.syntax))
        if reader.header(0, self.size - at).tag != _TRAILING_PADDING:
            raise PixelError(f"something follows Pixel Data at byte {at}")

    def _read_fragments(self) -> None:
        at = self.pixel_at
        found: list[tuple[int, int]] = []
        while True:
            if at + 8 > self.size:
                raise PixelError("cut off: the fragments of Pixel Data have no end")
            group, element, length = struct.unpack("<HHI", self.read(at, 8))
            tag = group << 16 | element
            if tag == E.SEQUENCE_END:
                break
            if tag != E.ITEM or length == E.UNDEFINED:
                raise PixelError(f"{E.name(tag)} at byte {at} where a fragment begins")
            if at + 8 + length > self.size:
                raise PixelError("cut off in the middle of a fragment")
            if len(found) > _MOST_FRAGMENTS:
                raise PixelError(f"Pixel Data has more than {_MOST_FRAGMENTS} fragments")
            found.append((at + 8, length))
            at += 8 + length
        if len(found) < 2:
            raise PixelError("Pixel Data has no fragment")
        if found[0][1] == 4 * self.shape.frames:
            self.offsets = struct.unpack(f"<{self.shape.frames}I", self.read(*found[0]))
        self.fragments = tuple(found[1:])
        self._check_tail(at + 8)
        if len(self.fragments) < self.shape.frames:
            raise PixelError(f"{len(self.fragments)} fragment(s) for {self.shape.frames} frame(s)")

    def streams(self) -> Iterator[bytes]:
        """The compressed stream of each frame."""
        frames, fragments = self.shape.frames, self.fragments
        if frames == 1:
            groups = [list(fragments)]
        elif len(fragments) == frames:
            groups = [[fragment] for fragment in fragments]
        elif len(self.offsets) == frames:
            first = fragments[0][0] - 8
            starts = {at - 8 - first: number for number, (at, _) in enumerate(fragments)}
            cuts = [starts.get(offset, -1) for offset in self.offsets] + [len(fragments)]
            if cuts[0] != 0 or any(a >= b for a, b in pairwise(cuts)):
                raise PixelError(f"{self.path.name}: the offset table does not lead from frame to frame")
            groups = [list(fragments[a:b]) for a, b in pairwise(cuts)]
        else:
            raise PixelError(
                f"{self.path.name}: the frames in {len(fragments)} fragments cannot be told apart"
            )
        for group in groups:
            yield b"".join(self.read(at, length) for at, length in group)

    def frame(self, number: int) -> bytes:
        """One frame of native pixels, little endian."""
        size = self.shape.frame_bytes
        begin, end = number * size, (number + 1) * size
        if not self.word_swapped:
            return self.read(self.pixel_at + begin, size)
        first = begin - begin % 2  # a frame of odd length shares a word with its neighbour
        words = np.frombuffer(self.read(self.pixel_at + first, end + end % 2 - first), "<u2").byteswap()
        return words.tobytes()[begin - first : end - first]

    def read(self, at: int, count: int) -> bytes:
        """Bytes of the file.

        Raises:
            PixelError: the file has become shorter.
        """
        data = os.pread(self._fd, count, at)
        while len(data) < count:
            more = os.pread(self._fd, count - len(data), at + len(data))
            if not more:
                raise PixelError(f"{self.path.name}: {count} bytes at {at} are no longer there")
            data += more
        return data

    def pieces(self, at: int, end: int) -> Iterator[bytes]:
        """A range of the file in pieces."""
        while at < end:
            count = min(PIECE, end - at)
            yield self.read(at, count)
            at += count

    def with_changes(self, *changes: tuple[int, str, bytes | str | None]) -> list[Element]:
        """A copy of the elements with some set, or taken away."""
        copy = list(self.elements)
        for tag, vr, value in changes:
            E.put(copy, tag, vr, value)
        return copy
