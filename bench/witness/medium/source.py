"""The bytes of an image: random access to a file, or to one that is compressed with gzip.

Rules of this file: read-only; what lies behind the end is missing, never invented; a compressed image is unpacked
into a temporary file that keeps its holes, up to a bound.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

PAGE: Final = 1 << 16
PAGES: Final = 256
UNPACKED: Final = 1 << 36
"""Bytes that a compressed image may become; holes cost nothing."""
UNPACKED_DATA: Final = 1 << 33


class TooBig(Exception):
    """A compressed image that becomes more than is looked at."""


class Source:
    """The bytes of an image file."""

    def __init__(self, path: Path) -> None:
        """Open an image; OSError when it cannot be read, TooBig when it is unpacked to too much."""
        self._file: IO[Any] = path.open("rb")
        try:
            if self._file.read(2) == b"\x1f\x8b":
                self._file = _unpacked(self._file)
            self.size = self._file.seek(0, os.SEEK_END)
        except BaseException:
            self._file.close()
            raise
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, fewer where the image ends."""
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        if length > PAGE:
            self._file.seek(offset)
            return bytes(self._file.read(min(length, self.size - offset)))
        first, last = offset // PAGE, (offset + length - 1) // PAGE
        data = b"".join(self._page(number) for number in range(first, last + 1))
        return data[offset - first * PAGE : offset - first * PAGE + length]

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            self._file.seek(number * PAGE)
            page = self._pages[number] = self._file.read(PAGE)
            if len(self._pages) > PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(number)
        return page


def _unpacked(packed: IO[bytes]) -> IO[Any]:
    packed.seek(0)
    out: IO[Any] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the source
    at = data = 0
    zeros = bytes(1 << 20)
    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            while True:
                try:
                    chunk = stream.read(1 << 20)
                except (EOFError, zlib.error, gzip.BadGzipFile):
                    break  # what was unpacked so far is looked at
                if not chunk:
                    break
                if chunk != zeros[: len(chunk)]:
                    out.seek(at)
                    out.write(chunk)
                    data += len(chunk)
                at += len(chunk)
                if at > UNPACKED or data > UNPACKED_DATA:
                    raise TooBig("the compressed image becomes more than is looked at")
        out.truncate(at)
    except BaseException:
        out.close()
        raise
    finally:
        packed.close()
    return out


__all__ = ["PAGE", "Source", "TooBig"]
