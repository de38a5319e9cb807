"""Where the bytes of a file that goes to a medium come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """``start``, and then those of ``path`` from ``offset`` on."""

    path: Path
    offset: int
    length: int
    start: bytes

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.start) + self.length
