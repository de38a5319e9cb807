"""What the console and the acquisition tell each other: settings, technique, shot, error.

Rules of this file:

* Values only, frozen; no driver is imported here.
* An :class:`AcquisitionError` is one sentence that an operator understands, and a code that a program
  understands.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt


class AcquisitionError(Exception):
    """An image could not be acquired; ``text`` is for the operator, ``code`` for programs.

    Codes: ``detector-absent``, ``detector-refused``, ``detector-lost``, ``detector-fault``, ``detector-hot``,
    ``no-image``, ``image-incomplete``, ``image-size``, ``generator-absent``, ``generator-refused``,
    ``generator-fault``, ``generator-protocol``, ``calibration``, ``technique``, ``not-prepared``,
    ``not-exposed``, ``cancelled``, ``closed``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Technique:
    """How to expose: tube voltage in kV, current in mA, time in ms, and what is in the beam."""

    kvp: float
    ma: float
    ms: float
    view: str = ""
    body_part: str = ""
    sid_mm: float = 1800.0
    target_ei: float = 400.0

    @property
    def mas(self) -> float:
        """Set charge in mAs."""
        return self.ma * self.ms / 1000.0


@dataclass(frozen=True)
class DetectorInfo:
    """What the detector said about itself when the image was taken."""

    manufacturer: str
    model: str
    serial: str
    temperature_c: float | None
    pixel_pitch_mm: float
    calibrated: datetime | None


@dataclass(frozen=True, eq=False)
class Shot:
    """One processed exposure.

    ``pixels`` is (rows, columns) uint16 with ``bits_stored`` bits, MONOCHROME2, bone bright: the logarithm of
    the exposure, so PixelIntensityRelationship LOG with sign -1.  ``raw_sha256`` is of the detector's
    frame as it came (little endian, row by row).  Technique values are what the generator measured, None
    if it could not say; DAP in dGy·cm²; ``ei`` and ``di`` after IEC 62494-1.
    """

    pixels: npt.NDArray[np.uint16]
    bits_stored: int
    window_center: float
    window_width: float
    raw_sha256: str
    kvp: float | None
    ma: float | None
    ms: float | None
    mas: float | None
    dap_dgycm2: float | None
    ei: float | None
    target_ei: float | None
    di: float | None
    started: datetime
    detector: DetectorInfo
    truncated: bool = False
    """The exposure was cut short."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Where the time between the last packet and this shot went."""


@dataclass(frozen=True)
class DetectorSettings:
    """Where the detector is and how it is used."""

    address: str = ""
    """Empty: no detector."""
    gvcp_port: int = 3956
    local_address: str = ""
    """Our own address on the acquisition link; empty: what the system chooses for that detector."""
    calibration: str = ""
    """Folder of offset.map, gain.map and defect.map."""
    packet_size: int = 1500
    heartbeat_ms: int = 3000
    window_margin_ms: float = 60.0
    """How much longer than the exposure the panel integrates."""
    frame_timeout_s: float = 60.0
    """Longest time for one frame on the line (10BASE-T needs 16 s for 3072 x 3072)."""
    stall_timeout_s: float = 2.0
    """A frame of which nothing more comes for so long is incomplete."""
    image_timeout_s: float = 3.0
    """An image that has not begun so long after X-rays and integration window, from a detector that neither
    integrates nor reads out, will not come."""
    connect_timeout_s: float = 5.0
    counts_per_ugy: float = 0.0
    """Counts per µGy of a corrected pixel; 0: what the detector says (feature DetectorSensitivity), else
    1092."""
    dark_every_s: float = 900.0
    """A dark frame is taken when the last one is older, and before the first exposure; 0: never."""
    dark_drift_c: float = 2.0
    """... or when the detector's temperature has changed by so much."""
    dark_ms: float = 100.0


@dataclass(frozen=True)
class GeneratorSettings:
    """Where the generator is: a pyserial URL (``rfc2217://``, ``socket://``, ``/dev/tty...``); empty:
    none."""

    url: str = ""
    baud: int = 19200
    reply_timeout_s: float = 1.0
    retries: int = 2
    poll_s: float = 0.05
    """Pause between two status questions while an exposure is prepared."""
    idle_poll_s: float = 1.0
    connect_timeout_s: float = 5.0


@dataclass(frozen=True)
class AcquisitionConfig:
    """All settings of the acquisition."""

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    bits_stored: int = 14
    threads: int = 2
    """How many threads process an image."""

    @classmethod
    def from_settings(
        cls,
        detector: Mapping[str, Any],
        generator: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        bits_stored: int = 14,
    ) -> AcquisitionConfig:
        """Build from the console's settings.

        Raises :class:`ValueError` for an unknown key (with a suggestion) or a value of the wrong type.
        """
        given = {"bits_stored": bits_stored, **(options or {})}
        top = _checked(cls, given, "acquisition.options", skip=("detector", "generator"))
        if top["bits_stored"] not in (12, 14):
            raise ValueError(f"bits_stored must be 12 or 14, not {top['bits_stored']}")
        if not 1 <= top.get("threads", 2) <= 32:
            raise ValueError("acquisition.options.threads must be 1-32")
        made = cls(
            DetectorSettings(**_checked(DetectorSettings, detector, "detector")),
            GeneratorSettings(**_checked(GeneratorSettings, generator, "generator")),
            **top,
        )
        size = made.detector.packet_size
        if not 576 <= size <= 9000 or size % 4:
            raise ValueError(f"detector.packet_size must be a multiple of 4 from 576 to 9000, not {size}")
        if not 500 <= made.detector.heartbeat_ms <= 600_000:
            raise ValueError("detector.heartbeat_ms must be 500-600000")
        if not 1 <= made.detector.gvcp_port <= 65535:
            raise ValueError("detector.gvcp_port must be 1-65535")
        return made


def _checked(
    kind: type[Any], given: Mapping[str, Any], where: str, skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    known = {f.name: f.default for f in fields(kind) if f.name not in skip}
    out: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ValueError(f"unknown setting {where}.{key}{hint}")
        default = known[key]
        if isinstance(default, str):
            good = isinstance(value, str)
        elif isinstance(default, float):
            good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        else:
            good = isinstance(value, int) and not isinstance(value, bool)
        if not good:
            raise ValueError(f"{where}.{key} must be {type(default).__name__}, not {value!r}")
        out[key] = value
    return out
