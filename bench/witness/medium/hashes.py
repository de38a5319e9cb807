"""The SHA-256 of every file of a medium: what a file system alone cannot show, a wrong byte inside a file, shows here.

Rules of this file:

* Files are named by their raw 8.3 names with ``/`` between them, never by a path of the host.
* Bounded: what is beyond :data:`MOST` bytes in all is told as not hashed, never as wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.witness.medium.model import Medium
from bench.witness.medium.part10 import pieces
from bench.witness.medium.source import Source

MOST: Final = 1 << 33
"""Bytes that are hashed in all."""
LARGE: Final = 1 << 29
"""A file above this size is hashed only when somebody asks for it by name."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file as the medium holds it: ``bytes`` is the size in its entry; ``sha256`` is empty when it was not hashed.

    ``whole``: all its bytes are on the medium; ``shown``: its long name.
    """

    path: str
    bytes: int
    sha256: str
    whole: bool = True
    shown: str = ""


def files_of(path: Path, medium: Medium, wanted: frozenset[str] = frozenset()) -> Mapping[str, Held]:
    """Hash the files of an image, by their names.

    Args:
        path: the image that *medium* was read from.
        medium: its files and where their bytes are.
        wanted: names of files that are hashed however large they are.

    Raises:
        OSError: the image cannot be read any more.
    """
    found: dict[str, Held] = {}
    left = MOST
    with Source(path) as source:
        for entry in medium.entries:
            if entry.folder:
                continue
            name = "/".join(entry.short)
            size = sum(length for _, length in entry.runs)
            whole = not entry.cut and size == entry.size
            if (size > LARGE and name not in wanted) or size > left:
                found[name] = Held(name, entry.size, "", whole, entry.shown)
                continue
            left -= size
            digest = hashlib.sha256()
            count = 0
            for piece in pieces(entry.runs, source.read):
                digest.update(piece)
                count += len(piece)
            found[name] = Held(
                name, entry.size, digest.hexdigest(), whole and count == entry.size, entry.shown
            )
    return found


__all__ = ["Held", "files_of"]
