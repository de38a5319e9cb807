"""An image on its way out: the data set that goes over the wire, straight from the file when it can be.

Rules of this file: the file on the disk is only read; what has to be written in another syntax is made by
:mod:`modality.pixel` while it is sent.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..pixel import Source, dataset_pieces

_FETCHED: Final = 4 << 20
"""Bytes of a file that are asked for when it is opened; the rest comes as it is read."""


@dataclass(frozen=True)
class Outgoing:
    """A data set in pieces, and what the command says of it."""

    sop_class: str
    sop_instance: str
    pieces: Iterable[bytes | memoryview]


@contextmanager
def outgoing(path: Path, syntax: str, spool: Path, opened: Outgoing | None = None) -> Iterator[Outgoing]:
    """The data set of one of our files in a transfer syntax; ``opened``: what :func:`straight` gave before.

    Raises:
        PixelError: the file is broken, or cannot be written in this syntax.
        OSError: it cannot be read.
    """
    if opened is not None:
        yield opened
        return
    with Source(path) as source:
        sop_class, sop_instance = source.sop_class, source.sop_instance
        image = _as_it_lies(source) if source.syntax == syntax else None
    if image is not None:
        yield image
        return
    with dataset_pieces(path, syntax, spool=spool) as pieces:
        yield Outgoing(sop_class, sop_instance, pieces)


def straight(path: Path, syntax: str) -> Outgoing | None:
    """The data set as it lies in the file; None when this syntax is not the file's.

    The disk is told to fetch its beginning, so that one who opens a file ahead finds it in memory.

    Raises:
        PixelError: the file is broken.
        OSError: it cannot be read.
    """
    with Source(path) as source:
        return _as_it_lies(source) if source.syntax == syntax else None


def _as_it_lies(source: Source) -> Outgoing:
    with source.path.open("rb") as file:
        # Not closed here: slices of it may still stand in a traceback. It ends with the last of them.
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    whole.madvise(mmap.MADV_WILLNEED, 0, min(len(whole), _FETCHED))
    return Outgoing(source.sop_class, source.sop_instance, [memoryview(whole)[source.start :]])
