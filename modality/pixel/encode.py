"""One instance in any of the five transfer syntaxes: as a data set for the network, as a file for a medium.

Rules of this file:

* Memory does not grow with the clip: native pixels pass in pieces of 1 MB, compressed frames wait in a spool that
  goes to the disk when it grows; only a handful of frames is in the codec at a time.
* The header is rewritten, never decoded; in the file's own syntax the bytes of the data set pass unchanged.
* 8-bit pixels are OB where a VR is written, so that Big Endian does not exchange them, and OW in Implicit VR
  (PS3.5 8.2, A.1 to A.3).
* Who was lossy once stays lossy: flag, ratio and method survive decompression, and a second loss is added to the
  first (MX-D-15, PS3.3 C.7.6.1.1.5).
* One fragment of even length for each frame, told by the Basic Offset Table (PS3.5 A.4).
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Final, TypeVar

import numpy as np

from . import elements as E
from .codec import QUALITY, Pixels, decode_frame, encode_frame
from .part10 import file_start
from .source import PIECE, Shape, Source
from .syntaxes import (
    COMPRESSED,
    JPEG_BASELINE,
    METHOD,
    SYNTAXES,
    PixelError,
    is_big,
    is_implicit,
    offered,
)

Pieces = Generator[bytes, None, None]
Given = TypeVar("Given")
Made = TypeVar("Made")
Change = tuple[int, str, bytes | str | None]
Progress = Callable[[int, int], None]
"""Told (bytes of pixels done, of how many); what it raises ends the work."""

_IN_MEMORY: Final = 16 << 20
_WORKERS: Final = min(4, os.cpu_count() or 1)
_PHOTOMETRIC: Final = 0x00280004
_PLANAR: Final = 0x00280006
_LOSSY: Final = 0x00282110
_RATIO: Final = 0x00282112
_METHOD: Final = 0x00282114
_OF_THE_FRAGMENTS: Final = (0x7FE00001, 0x7FE00002, 0x7FE00003)
"""Extended Offset Table, its lengths, total length: true only of the fragments that they came with (C.7.6.3.1.8)."""


@dataclass(frozen=True)
class Encoded:
    """What was written: a whole Part 10 file."""

    sha256: str
    """Of the whole file."""
    bytes: int
    syntax: str
    lossy_ratio: float | None
    """Of the compression done now; None when nothing was lost now."""
    sop_class: str
    sop_instance: str


class DataSetPieces:
    """A data set on its way: iterate once for its bytes; use as a context manager."""

    def __init__(
        self,
        source: Source,
        syntax: str,
        length: int,
        pieces: Pieces,
        stack: ExitStack,
        ratio: float | None = None,
    ) -> None:
        self._pieces, self._stack = pieces, stack
        self.length = length
        """Bytes of the whole data set."""
        self.syntax = syntax
        self.sop_class, self.sop_instance = source.sop_class, source.sop_instance
        self.lossy_ratio = ratio
        self.meta = dict(source.meta)
        """Values of the file meta information of the source by tag."""

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def __enter__(self) -> DataSetPieces:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the work, close the source and throw the spool away; idempotent."""
        self._pieces.close()
        self._stack.close()


def dataset_pieces(
    source: Path,
    syntax: str,
    *,
    quality: int = QUALITY,
    spool: Path | None = None,
    progress: Progress | None = None,
) -> DataSetPieces:
    """The data set of a file, without its file meta information, in a transfer syntax (for C-STORE).

    Compression happens before this returns (its length must be known); decompression while iterating.

    Args:
        source: a Part 10 file in any of the five syntaxes.
        spool: where compressed frames wait; None takes the system's folder for temporary files.

    Raises:
        PixelError: the source is broken, or cannot be written in this syntax.
        OSError: reading failed.
    """
    if syntax not in SYNTAXES:
        raise PixelError(f"transfer syntax {syntax} is not offered")
    with ExitStack() as stack:
        opened = stack.enter_context(Source(source))
        if not offered(opened.sop_class, syntax):
            raise PixelError(
                f"{opened.path.name}: JPEG Lossless is not offered for multi-frame images (MX-E-07)"
            )
        tell = _Teller(progress, opened.shape.total_bytes)
        if syntax == opened.syntax:
            length = opened.end - opened.start
            return DataSetPieces(opened, syntax, length, _whole(opened, tell), stack.pop_all())
        if syntax in COMPRESSED:
            return _compressed(opened, syntax, quality, spool, tell, stack)
        header, length = _native_header(opened, syntax)
        pieces = _decompressed(opened, header, tell) if opened.encapsulated else _rewritten(
            opened, header, is_big(syntax), tell
        )  # fmt: skip
        return DataSetPieces(opened, syntax, length, pieces, stack.pop_all())


def encode_instance(
    source: Path,
    target: BinaryIO | Path,
    syntax: str,
    *,
    implementation: tuple[str, str] | None = None,
    source_ae: str | None = None,
    quality: int = QUALITY,
    spool: Path | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Write a complete Part 10 file in a transfer syntax.

    Args:
        source: a Part 10 file in any of the five syntaxes.
        target: an open binary file (written from where it stands, neither flushed nor closed), or a path: then a
            file that fails half-way is removed again.
        implementation: Implementation Class UID and Version Name; None takes those of the source.
        source_ae: Source Application Entity Title (0002,0016); None leaves it out (MX-D-27).

    Raises:
        PixelError, OSError: as :func:`dataset_pieces`; whatever ``progress`` raises.
    """
    with dataset_pieces(source, syntax, quality=quality, spool=spool, progress=progress) as pieces:
        start = file_start(
            pieces.sop_class,
            pieces.sop_instance,
            syntax,
            implementation or _implementation(pieces),
            source_ae,
        )
        if not isinstance(target, Path):
            return _write(pieces, start, target)
        if target.exists() and target.samefile(source):
            raise PixelError(f"{source.name} cannot be written over itself")
        file = target.open("wb")
        try:
            with file:
                return _write(pieces, start, file)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _implementation(pieces: DataSetPieces) -> tuple[str, str]:
    uid, version = (pieces.meta.get(tag, b"").decode("latin-1").strip(" \0") for tag in (0x20012, 0x20013))
    return uid, version


def _write(pieces: DataSetPieces, start: bytes, target: IO[bytes]) -> Encoded:
    digest = hashlib.sha256(start)
    target.write(start)
    size = len(start)
    for piece in pieces:
        digest.update(piece)
        target.write(piece)
        size += len(piece)
    return Encoded(
        digest.hexdigest(), size, pieces.syntax, pieces.lossy_ratio, pieces.sop_class, pieces.sop_instance
    )


class _Teller:
    """Tells progress, if anybody listens."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self.total = progress, total

    def __call__(self, done: int) -> None:
        if self._progress is not None:
            self._progress(min(done, self.total), self.total)


# -- without compression


def _whole(source: Source, tell: _Teller) -> Pieces:
    """The data set as it is."""
    span, done = source.end - source.start, 0
    for piece in source.pieces(source.start, source.end):
        yield piece
        done += len(piece)
        tell(tell.total * done // span)


def _native_header(source: Source, syntax: str) -> tuple[bytes, int]:
    """The elements and the header of Pixel Data in a native syntax, and the length of the whole data set."""
    implicit, big = is_implicit(syntax), is_big(syntax)
    shape = source.shape
    changes: list[Change] = [(tag, "", None) for tag in _OF_THE_FRAGMENTS]
    if source.encapsulated and shape.samples == 3:
        changes += [(_PHOTOMETRIC, "CS", "RGB"), (_PLANAR, "US", b"\0\0")]
    length = shape.total_bytes + shape.total_bytes % 2
    vr = "OB" if shape.allocated == 8 and not implicit else "OW"
    header = E.write(source.with_changes(*changes), implicit=implicit, big=big)
    header += E.head(E.PIXEL_DATA, vr, length, implicit=implicit, big=big)
    return header, len(header) + length


def _rewritten(source: Source, header: bytes, big: bool, tell: _Teller) -> Pieces:
    """Native pixels behind another header; bytes change places only where words change their order."""
    yield header
    swap = source.word_swapped != (big and source.shape.allocated == 16)
    done = 0
    for piece in source.pieces(source.pixel_at, source.pixel_at + source.pixel_length):
        yield np.frombuffer(piece, "<u2").byteswap().tobytes() if swap else piece
        done += len(piece)
        tell(done)


def _decompressed(source: Source, header: bytes, tell: _Teller) -> Pieces:
    """The frames of a compressed source as native pixels."""
    yield header
    done = 0
    with closing(_in_order(source, lambda stream: _decode(source, stream), source.streams())) as frames:
        for pixels in frames:
            yield pixels.tobytes()
            done += pixels.nbytes
            tell(done)
    if done % 2:
        yield b"\0"


def _decode(source: Source, stream: bytes) -> Pixels:
    shape = source.shape
    return decode_frame(stream, shape.rows, shape.columns, shape.samples, shape.photometric)


# -- with compression


def _compressed(
    source: Source, syntax: str, quality: int, spool: Path | None, tell: _Teller, stack: ExitStack
) -> DataSetPieces:
    shape = source.shape
    _check_compressible(source)
    spooled = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=None if spool is None else str(spool))  # noqa: SIM115
    file = stack.enter_context(spooled)
    lengths: list[int] = []
    compressed = 0
    if source.encapsulated:
        frames: Iterator[bytes] = source.streams()
    else:
        frames = (source.frame(number) for number in range(shape.frames))

    def work(data: bytes) -> bytes:
        pixels = _decode(source, data) if source.encapsulated else _pixels(source, data)
        return encode_frame(pixels, syntax, quality)

    with closing(_in_order(source, work, frames)) as streams:
        for number, stream in enumerate(streams, 1):
            compressed += len(stream)
            file.write(stream + b"\0" * (len(stream) % 2))
            lengths.append(len(stream) + len(stream) % 2)
            tell(number * shape.frame_bytes)

    changes: list[Change] = [(tag, "", None) for tag in _OF_THE_FRAGMENTS]
    if shape.samples == 3:
        photometric = "YBR_FULL_422" if syntax == JPEG_BASELINE else "RGB"
        changes += [(_PHOTOMETRIC, "CS", photometric), (_PLANAR, "US", b"\0\0")]
    ratio = None
    if syntax == JPEG_BASELINE:
        ratio = max(0.01, round(shape.total_bytes / compressed, 2))
        changes += [
            (_LOSSY, "CS", "01"),
            (_RATIO, "DS", _more(source.text(_RATIO), f"{ratio:.2f}")),
            (_METHOD, "CS", _more(source.text(_METHOD), METHOD)),
        ]
    header = E.write(source.with_changes(*changes), implicit=False, big=False)
    header += E.head(E.PIXEL_DATA, "OB", E.UNDEFINED, implicit=False, big=False) + _offset_table(lengths)
    total = len(header) + sum(lengths) + 8 * len(lengths) + 8
    return DataSetPieces(source, syntax, total, _fragments(header, file, lengths), stack.pop_all(), ratio)


def _more(before: str, value: str) -> str:
    """A value added to those of earlier losses."""
    return f"{before}\\{value}" if before else value


def _check_compressible(source: Source) -> None:
    shape = source.shape
    usual = {1: ("MONOCHROME1", "MONOCHROME2"), 3: ("RGB",)}[shape.samples]
    if source.encapsulated and shape.samples == 3:
        usual = ("RGB", "YBR_FULL", "YBR_FULL_422")
    if shape.allocated != 8 or shape.photometric not in usual:
        raise PixelError(
            f"{source.path.name}: {shape.allocated} bits of {shape.photometric or 'no photometric interpretation'} "
            f"with {shape.samples} sample(s) cannot be compressed here"
        )


def _pixels(source: Source, data: bytes) -> Pixels:
    """A native frame as (rows, columns) or (rows, columns, 3)."""
    shape: Shape = source.shape
    flat = np.frombuffer(data, np.uint8)
    if shape.samples == 1:
        return flat.reshape(shape.rows, shape.columns)
    if shape.planar:
        return flat.reshape(3, shape.rows, shape.columns).transpose(1, 2, 0)
    return flat.reshape(shape.rows, shape.columns, 3)


def _offset_table(lengths: list[int]) -> bytes:
    """The Basic Offset Table item; empty when the offsets do not fit 32 bits (PS3.5 A.4)."""
    offsets, at = [], 0
    for length in lengths:
        offsets.append(at)
        at += length + 8
    table = b"" if offsets[-1] > 0xFFFFFFFF else struct.pack(f"<{len(offsets)}I", *offsets)
    return E.head(E.ITEM, "", len(table), implicit=True, big=False) + table


def _fragments(header: bytes, file: IO[bytes], lengths: list[int]) -> Pieces:
    """Header, offset table and one item for each frame, gathered to pieces of a useful size."""
    file.seek(0)
    waiting = bytearray(header)
    for length in lengths:
        waiting += E.head(E.ITEM, "", length, implicit=True, big=False)
        waiting += file.read(length)
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting) + E.head(E.SEQUENCE_END, "", 0, implicit=True, big=False)


def _in_order(
    source: Source, work: Callable[[Given], Made], given: Iterator[Given]
) -> Generator[Made, None, None]:
    """Work on several frames at a time and hand them over in order; at most a few are in memory."""
    if source.shape.frames == 1 or _WORKERS == 1:
        yield from map(work, given)
        return
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="pixels")
    waiting: deque[Future[Made]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(work, one))
            if len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
