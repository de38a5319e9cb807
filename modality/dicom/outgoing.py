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

from ..pixel import Source, dataset_pieces


@dataclass(frozen=True)
class Outgoing:
    """A data set in pieces, and what the command says of it."""

    sop_class: str
    sop_instance: str
    pieces: Iterable[bytes | memoryview]


@contextmanager
def outgoing(path: Path, syntax: str, spool: Path) -> Iterator[Outgoing]:
    """The data set of one of our files in a transfer syntax.

    Raises:
        PixelError: the file is broken, or cannot be written in this syntax.
        OSError: it cannot be read.
    """
    with Source(path) as source:
        same = source.syntax == syntax
        sop_class, sop_instance, start = source.sop_class, source.sop_instance, source.start
    if not same:
        with dataset_pieces(path, syntax, spool=spool) as pieces:
            yield Outgoing(sop_class, sop_instance, pieces)
        return
    with path.open("rb") as file:
        # Not closed here: slices of it may still stand in a traceback. It ends with the last of them.
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    yield Outgoing(sop_class, sop_instance, [memoryview(whole)[start:]])
