"""Pictures, orders and masters of the ultrasound product for tests of its objects and pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from modality.objects.sc import build_screen
from modality.objects.us import build_still
from modality.objects.usfacts import Device, Instance, UsFacts
from modality.objects.usmf import build_clip

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """What modality.ultrasound says of a region (names are those of its contract)."""

    spatial_format: int
    data_type: int
    flags: int
    min_x0: int
    min_y0: int
    max_x1: int
    max_y1: int
    units_x: int
    units_y: int
    delta_x: float
    delta_y: float
    reference_x0: int
    reference_y0: int
    reference_value_x: float
    reference_value_y: float


@dataclass(frozen=True)
class Settings:
    """What modality.ultrasound says of the front end."""

    depth_mm: float = 0.0
    mode: str = ""
    probe: str = ""
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture."""

    pixels: Pixels
    settings: Settings


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures."""

    frames: tuple[Frame, ...]
    frame_time_ms: float


NOW = datetime(2026, 11, 21, 9, 30, 15, 250000)
FACTS = UsFacts("2.25.71", 1, "2.25.72", "S1", NOW, "2.25.73", 1, NOW, NOW)
ALL_KINDS = ("us-gray", "us-colour", "clip-gray", "clip-colour", "sc")


@dataclass(frozen=True)
class Truth:
    """A master and what its pixels are: (frames, rows, columns[, 3])."""

    instance: Instance
    pixels: Pixels


def soft(rows: int, columns: int, *, colour: bool, number: int = 0) -> Pixels:
    """A picture without sharp edges, different for every number, in which every colour stands for itself."""
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    planes = [
        127 + 100 * np.sin((x + number) / 17 + phase) * np.cos((y - number) / 23 + 2 * phase)
        for phase in (0.0, 0.8, 1.9)
    ]
    made = np.stack(planes, -1) if colour else planes[0]
    return np.ascontiguousarray(made.astype(np.uint8))


def settings(rows: int, columns: int, mode: str = "B") -> Settings:
    """A calibrated picture of the whole field."""
    region = Region(1, 1, 0, 0, 0, columns - 1, rows - 1, 3, 3, 0.02, 0.02, columns // 2, 0, 0.0, 0.0)
    return Settings(depth_mm=120.0, mode=mode, probe="C5-2", regions=(region,))


def order(
    charset: list[str] | str = "ISO_IR 192", name: str = "Yamada^Tarou", text: str = "Abdomen"
) -> Dataset:
    """A worklist item as the console keeps it."""
    item = Dataset()
    item.SpecificCharacterSet = charset
    item.PatientName, item.PatientID = name, "US1"
    item.PatientBirthDate, item.PatientSex = "19700102", "F"
    item.AccessionNumber, item.RequestedProcedureID, item.StudyInstanceUID = "A1", "RP1", "2.25.72"
    item.RequestedProcedureDescription = text
    step = Dataset()
    step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = "SPS1", text
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20261121", "0915"
    step.ScheduledPerformingPhysicianName = name
    item.ScheduledProcedureStepSequence = [step]
    return item


def clip_of(pictures: list[Pixels], mode: str = "B", frame_time_ms: float = 33.33) -> Clip:
    """A clip."""
    rows, columns = pictures[0].shape[:2]
    shared = settings(rows, columns, mode)
    return Clip(tuple(Frame(p, shared) for p in pictures), frame_time_ms)


def master(
    kind: str, rows: int = 48, columns: int = 64, frames: int = 3, *, of: Dataset | None = None, **facts: Any
) -> Truth:
    """One of :data:`ALL_KINDS`."""
    colour = not kind.endswith("gray")
    pictures = [soft(rows, columns, colour=colour, number=n) for n in range(frames)]
    return from_pictures(kind, pictures, of=of, **facts)


def from_pictures(kind: str, pictures: list[Pixels], *, of: Dataset | None = None, **facts: Any) -> Truth:
    """A master of given pictures; a still and a screen take the first."""
    number = ALL_KINDS.index(kind) + 1
    known = replace(
        FACTS,
        sop_instance=f"2.25.71{number}",
        series_uid=f"2.25.73{number}",
        series_number=number,
        device=Device(institution="Hospital", station_name="MX1", serial="SN1"),
    )
    known = replace(known, **facts)
    item = order() if of is None else of
    mode = "B" if kind.endswith("gray") else "colour"
    builders: dict[str, Callable[[], Instance]] = {
        "us": lambda: build_still(known, item, clip_of(pictures, mode).frames[0]),
        "clip": lambda: build_clip(known, item, clip_of(pictures, mode)),
        "sc": lambda: build_screen(known, item, pictures[0]),
    }
    made = builders[kind.split("-")[0]]()
    return Truth(made, np.stack(pictures if kind.startswith("clip") else pictures[:1]))


def write(truth: Truth, folder: Path) -> Path:
    """The master as a file."""
    path = folder / f"{truth.instance.sop_instance}.dcm"
    truth.instance.write(path)
    return path
