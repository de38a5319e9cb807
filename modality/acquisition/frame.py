"""What frame is expected of a stream, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OVERHEAD: Final = 36
"""Bytes of a packet that are no payload: IP 20, UDP 8, GVSP 8."""


@dataclass(frozen=True)
class Format:
    """What frame is expected."""

    width: int
    height: int
    pixel_format: int
    packet_size: int

    @property
    def size(self) -> int:
        """Bytes of the frame (16 bits per pixel)."""
        return self.width * self.height * 2

    @property
    def step(self) -> int:
        """Pixel bytes per full packet."""
        return self.packet_size - OVERHEAD

    @property
    def count(self) -> int:
        """Number of payload packets."""
        return -(-self.size // self.step)


@dataclass(frozen=True)
class Frame:
    """What became of a frame.  ``problem`` is "" when it is whole, else a code of :data:`PROBLEMS`."""

    problem: str
    text: str
    block: int = 0
    timestamp: int = 0
    missing: int = 0
    """Packets that did not come."""
    repaired: int = 0
    """Packets that came after they had been asked for again."""
    requests: int = 0
    trailer: bool = True
    first_s: float = 0.0
    """``time.monotonic`` of the first packet."""
    last_s: float = 0.0
    """``time.monotonic`` of the last packet that was needed."""


PROBLEMS: Final = ("cancelled", "incomplete", "size", "socket", "no-image")
