"""Where the bytes of a file that goes to a medium come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .model import MediaError


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


def unreadable(source: Source, why: str | None) -> MediaError:
    """What the operator has to know when the device's own disk does not give an image."""
    return MediaError("image", f"The image {source.path.name} on the device cannot be read: {why}.")
