"""What is known of a detector, what it tells, and how its protocol's failures read to an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modality.acquisition.gvcp import DeviceInfo, Refused, Silent
from modality.acquisition.model import AcquisitionError

BITS: Final = {0x01100003: 10, 0x01100005: 12, 0x01100025: 14, 0x01100007: 16}
"""PFNC code -> bits of a pixel; all of them come in 16."""


@dataclass(frozen=True)
class Panel:
    """What is known of a connected detector."""

    info: DeviceInfo
    width: int
    height: int
    pixel_format: int
    pixel_pitch_mm: float
    counts_per_ugy: float
    """0 when the detector does not say."""
    can_resend: bool
    link_mbps: int

    @property
    def full_scale(self) -> int:
        """Largest raw value."""
        return (1 << BITS.get(self.pixel_format, 16)) - 1


@dataclass(frozen=True)
class DetectorEvents:
    """What the heartbeat's thread tells: ``lost(code, text)`` once when a connection is lost, ``link(mbps)`` when
    the link has changed its speed, ``fault(error)`` when the detector begins (None: ceases) to report a fault."""

    lost: Callable[[str, str], None]
    link: Callable[[int], None]
    fault: Callable[[AcquisitionError | None], None]


def as_error(error: Exception) -> AcquisitionError:
    """Turn a failure of protocol into what an operator is told."""
    if isinstance(error, Silent):
        return AcquisitionError("detector-absent", "The detector does not answer.")
    if isinstance(error, OSError):
        return AcquisitionError(
            "detector-absent", f"The detector cannot be reached: {error.strerror or error}."
        )
    if isinstance(error, Refused) and error.status == 0x8006:
        return AcquisitionError("detector-lost", "The detector was taken away from this station.")
    if isinstance(error, Refused):
        return AcquisitionError("detector-refused", f"The detector refused: {error}.")
    return AcquisitionError("detector-fault", f"The detector cannot be used: {error}.")
