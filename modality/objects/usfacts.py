"""What the console knows of an ultrasound image beside its pixels and its order, and what comes out of building one.

Rules of this file: values only; identifiers are made and kept by the console, nothing is invented here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

US: Final = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTIFRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

CHARSETS: Final = (  # MX-CHR-002 … 007
    ("", "ISO 2022 IR 87"),
    ("ISO 2022 IR 13", "ISO 2022 IR 87"),
    ("", "ISO 2022 IR 87", "ISO 2022 IR 13"),
    ("ISO_IR 100",),
    ("ISO_IR 192",),
    ("GB18030",),
)
"""The only values of Specific Character Set that are written."""


class Region(Protocol):
    """One calibrated region; codes and units are those of PS3.3 C.8.5.5 (see modality.ultrasound)."""

    @property
    def spatial_format(self) -> int: ...
    @property
    def data_type(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def min_x0(self) -> int: ...
    @property
    def min_y0(self) -> int: ...
    @property
    def max_x1(self) -> int: ...
    @property
    def max_y1(self) -> int: ...
    @property
    def units_x(self) -> int: ...
    @property
    def units_y(self) -> int: ...
    @property
    def delta_x(self) -> float: ...
    @property
    def delta_y(self) -> float: ...
    @property
    def reference_x0(self) -> int: ...
    @property
    def reference_y0(self) -> int: ...
    @property
    def reference_value_x(self) -> float: ...
    @property
    def reference_value_y(self) -> float: ...


class Settings(Protocol):
    """How the front end stood."""

    @property
    def depth_mm(self) -> float: ...
    @property
    def mode(self) -> str: ...
    @property
    def probe(self) -> str: ...
    @property
    def regions(self) -> Sequence[Region]: ...


class Frame(Protocol):
    """One picture: (rows, columns) gray or (rows, columns, 3) RGB, 8 bits."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...
    @property
    def settings(self) -> Settings: ...


class Clip(Protocol):
    """Pictures of one geometry."""

    @property
    def frames(self) -> Sequence[Frame]: ...
    @property
    def frame_time_ms(self) -> float: ...


@dataclass(frozen=True)
class Device:
    """The machine, as its objects name it."""

    software_version: str = "V1.20"
    manufacturer: str = "KONICA MINOLTA"
    model: str = "SONIMAGE MX1"
    serial: str = ""
    station_name: str = ""
    institution: str = ""
    institution_address: str = ""
    department: str = ""
    operator: str = ""
    implementation: tuple[str, str] = ("1.2.392.200036.9107.804", "KM_SMGMX1_1.00")
    """Class UID and version name in the masters' file meta information (MX-STO-008, 009)."""


@dataclass(frozen=True)
class UsFacts:
    """What the console knows of one image."""

    sop_instance: str
    number: int
    study_uid: str
    study_id: str
    study_started: datetime
    series_uid: str
    series_number: int
    series_started: datetime
    acquired: datetime
    """When the still was frozen, the clip began, the screen was captured."""
    device: Device = Device()
    charset: tuple[str, ...] = ("", "ISO 2022 IR 87")
    """Configured; used when the order has none of :data:`CHARSETS` (MX-D-11)."""
    body_part: str = "ABDOMEN"
    protocol: str = ""
    description: str = ""
    """Of the series."""
    start_trim: int | None = 1
    """First frame to show, from 1 (clips)."""
    stop_trim: int | None = None
    """Last frame to show; None leaves it out."""


@dataclass(frozen=True, eq=False)
class Instance:
    """A Part 10 file in Explicit VR Little Endian: what stands before the pixel values, and these.

    The pixels are views of the frames' own memory: a clip is not copied.
    """

    sop_class: str
    sop_instance: str
    start: bytes
    pixels: tuple[memoryview, ...]
    rows: int
    columns: int
    samples: int
    frames: int

    @property
    def parts(self) -> tuple[bytes | memoryview, ...]:
        """The file in pieces, one behind the other."""
        return (self.start, *self.pixels)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.start) + sum(part.nbytes for part in self.pixels)

    def pixels_sha256(self) -> str:
        """Of the native value of Pixel Data, with its padding byte when there is one."""
        digest = hashlib.sha256()
        for part in self.pixels:
            digest.update(part)
        return digest.hexdigest()

    def write(self, target: Path) -> None:
        """Write the file, unbuffered; not yet synchronised with the disk."""
        with target.open("wb", buffering=0) as file:
            for part in self.parts:
                view = memoryview(part)
                while view:
                    view = view[file.write(view) :]
