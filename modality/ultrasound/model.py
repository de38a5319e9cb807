"""What the console and the ultrasound acquisition tell each other: settings, frame, clip, region, error.

Rules of this file:

* Values only, frozen; no driver is imported here.
* Pixels are arrays over the very bytes that arrived; they cannot be written to.
* Codes of a :class:`Region` are those of PS3.3 C.8.5.5; all of its numbers come from the front end.
* A :class:`ScannerError` is one sentence that an operator understands, and a code that a program understands.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""(rows, columns) grey or (rows, columns, 3) RGB."""


class ScannerError(Exception):
    """Something could not be done; ``text`` is for the operator, ``code`` for programs.

    Codes: ``no-picture`` (nothing was received yet, or not any more), ``frontend-absent``, ``frontend-refused`` (it
    does not take that knob), ``frontend-silent`` (no answer), ``frontend-protocol``, ``probe-unplugged``, ``stalled``,
    ``frozen`` (a clip of live pictures is impossible), ``picture-changed`` (size, mode or geometry), ``busy``
    (a clip is being recorded), ``clip-length`` (no length, or more than there is memory for), ``timeout``, ``closed``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Region:
    """One item of Sequence of Ultrasound Regions (0018,6011), ready to be written (PS3.3 C.8.5.5).

    The rectangle includes its corners; the reference pixel counts from the rectangle's upper left corner.
    """

    spatial_format: int
    """(0018,6012): 1 two-dimensional, 2 M-mode, 3 spectral."""
    data_type: int
    """(0018,6014): 1 tissue, 2 colour flow, 3 PW spectral Doppler."""
    flags: int
    """(0018,6016)."""
    min_x0: int
    min_y0: int
    max_x1: int
    max_y1: int
    units_x: int
    """(0018,6024): 3 cm, 4 s, 5 Hz, 7 cm/s."""
    units_y: int
    delta_x: float
    """(0018,602C): value per pixel to the right."""
    delta_y: float
    """(0018,602E): value per pixel down."""
    reference_x0: int
    """(0018,6020)."""
    reference_y0: int
    reference_value_x: float
    """(0018,6028): physical value at the reference pixel."""
    reference_value_y: float

    def value(self, x: float, y: float) -> tuple[float, float]:
        """Physical values at a place of the picture (column, row), in this region's units."""
        return (
            self.reference_value_x + (x - self.min_x0 - self.reference_x0) * self.delta_x,
            self.reference_value_y + (y - self.min_y0 - self.reference_y0) * self.delta_y,
        )


@dataclass(frozen=True)
class Settings:
    """How the front end stood when a picture was made; depth in mm, gain and dynamic range in dB."""

    depth_mm: float = 0.0
    gain_db: float = 0.0
    dynamic_range_db: float = 0.0
    mode: str = ""
    """``B``, ``colour``, ``M``, ``PW``."""
    probe: str = ""
    frozen: bool = False
    geometry: int = 0
    """Number of the geometry; grows with every change."""
    columns: int = 0
    rows: int = 0
    components: int = 1
    spacing_mm: tuple[float, float] = (0.0, 0.0)
    """mm per pixel across and down; 0 where the axes are not lengths (M, PW)."""
    regions: tuple[Region, ...] = ()
    """Empty: the picture is not calibrated."""
    first: int = 0
    """Number of the first picture that was made so; 0: not told."""
    fps: float = 0.0
    model: str = ""
    serial: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture as it was received."""

    pixels: Pixels
    sequence: int
    """The front end's own number; grows by one with every picture it made."""
    t: float
    """``time.monotonic`` of its arrival."""
    settings: Settings
    timestamp_ns: int = 0
    """The front end's clock (since 1970)."""
    connection: int = 1
    """Grows with every new connection: numbers of different connections do not follow each other."""

    @cached_property
    def sha256(self) -> str:
        """Of the pixels as they were received (computed when it is first wanted, then kept)."""
        return hashlib.sha256(self.pixels.data).hexdigest()

    @property
    def mode(self) -> str:
        """Mode of the front end."""
        return self.settings.mode

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def samples(self) -> int:
        """1 grey, 3 RGB."""
        return 1 if self.pixels.ndim == 2 else 3

    def like(self, other: Frame) -> bool:
        """Both may stand in one clip: same size, mode and calibration, and numbers that follow each other."""
        a, b = self.settings, other.settings
        return (
            self.pixels.shape == other.pixels.shape
            and self.connection == other.connection
            and (a.mode, a.probe, a.depth_mm, a.regions) == (b.mode, b.probe, b.depth_mm, b.regions)
            and a.geometry == b.geometry
        )


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures of one geometry in the order they were made."""

    frames: tuple[Frame, ...]
    frame_time_ms: float
    """Between two pictures."""
    ended: str = "whole"
    """``whole``: as long as was asked; else why it is shorter: ``memory`` (there is no more of it), ``frozen``,
    ``picture-changed``, ``probe-unplugged``, ``frontend-absent``, ``stalled``, ``timeout``."""
    gaps: tuple[tuple[int, int], ...] = ()
    """First and last number of pictures that were never received, for every gap."""

    @property
    def first(self) -> int:
        """Number of the first picture."""
        return self.frames[0].sequence

    @property
    def last(self) -> int:
        """Number of the last picture."""
        return self.frames[-1].sequence

    @property
    def missing(self) -> int:
        """How many pictures were never received."""
        return sum(b - a + 1 for a, b in self.gaps)

    @property
    def settings(self) -> Settings:
        """Of the first picture; the calibration is that of all."""
        return self.frames[0].settings

    @property
    def raw_sha256(self) -> str:
        """Of the hexadecimal digests of all frames, one after the other."""
        return hashlib.sha256("".join(f.sha256 for f in self.frames).encode("ascii")).hexdigest()


@dataclass(frozen=True)
class UltrasoundConfig:
    """Where the front end is and how it is used."""

    address: str = ""
    """Empty: no front end."""
    port: int = 18944
    footswitch: str = ""
    """Line of the contacts (``rfc2217://host:port`` or a serial device): CTS foot switch, DSR freeze key."""
    barcode: str = ""
    """Line of the barcode reader (``socket://host:port`` or a serial device); empty: none."""
    cine_frames: int = 600
    """Pictures that the cine memory keeps at most ..."""
    cine_bytes: int = 128 << 20
    """... and their bytes."""
    clip_bytes: int = 512 << 20
    """Longest clip."""
    connect_timeout_s: float = 5.0
    retry_s: float = 0.5
    """Pause before the front end is looked for again."""
    stall_s: float = 1.0
    """A live front end that sends no picture for so long has stalled."""
    silence_s: float = 10.0
    """A connection on which nothing at all comes for so long, though something was asked, is given up."""
    answer_timeout_s: float = 2.0
    """How long a knob may take."""

    @classmethod
    def from_settings(cls, given: Mapping[str, Any]) -> UltrasoundConfig:
        """Build from the console's settings.

        Raises :class:`ValueError` for an unknown key (with a suggestion) or a value that cannot be.
        """
        known: dict[str, Any] = {f.name: f.default for f in fields(cls)}
        for key, value in given.items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
                raise ValueError(f"unknown setting ultrasound.{key}{hint}")
            default = known[key]
            kinds = (int, float) if isinstance(default, float) else (type(default),)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"ultrasound.{key} must be {type(default).__name__}, not {value!r}")
            if not isinstance(value, str) and value <= 0:
                raise ValueError(f"ultrasound.{key} must be more than 0, not {value!r}")
        made = cls(**dict(given))
        if not 1 <= made.port <= 65535:
            raise ValueError(f"ultrasound.port must be 1-65535, not {made.port}")
        return made
