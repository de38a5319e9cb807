"""The disc that comes with the panel: offset, gain and defect map, measured as a factory would.

Rules of this file:

* Everything is measured from simulated frames (darks, and flats without an object); the panel's true maps are never
  looked at.
* A map file is a 32-byte big-endian header and a little-endian body, row by row:
  ``XM``, version 1, type (1 offset uint16, 2 gain float32, 3 defect uint8), serial (16 bytes, NUL padded), CRC-32 of
  the body, columns, rows, binning 1, reserved 0.
* corrected = (raw - offset) x gain; the gain map is 1 on average, so counts per µGy stay the panel's.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulators.detector.config import Config
from simulators.world import phantom, physics_panel
from simulators.world.bus import Beam, air_kerma_ugy
from simulators.world.phantom import Sensor, scene
from simulators.world.physics import expose
from simulators.world.physics_cache import folder as cache_folder
from simulators.world.physics_cache import publish

HEADER: Final = struct.Struct(">2sBB16sIHHHH")
MAGIC: Final = b"XM"
TYPES: Final = {"offset": (1, "<u2"), "gain": (2, "<f4"), "defect": (3, "u1")}
VERSION: Final = 1
DARKS: Final = 8
FLATS: Final = 6
INTEGRATION_S: Final = 0.5
_KVP: Final = 70.0
_SID_MM: Final = 1800.0
_SHOTS: Final = 1_000_000
"""Shot numbers of the factory's frames: none that a detector ever reaches."""

F32 = npt.NDArray[np.float32]


def encode(kind: str, serial: str, pixels: npt.NDArray[Any]) -> bytes:
    """A map file's bytes; ``kind`` is offset, gain or defect."""
    number, dtype = TYPES[kind]
    body = np.ascontiguousarray(pixels, dtype).tobytes()
    rows, columns = pixels.shape
    name = serial.encode()[:16].ljust(16, b"\0")
    return HEADER.pack(MAGIC, 1, number, name, zlib.crc32(body), columns, rows, 1, 0) + body


def decode(data: bytes) -> tuple[str, str, npt.NDArray[Any]]:
    """Kind, serial and pixels of a map file; raises :class:`ValueError` for anything else."""
    if len(data) < HEADER.size:
        raise ValueError("too short for a map file")
    magic, version, number, name, crc, columns, rows, binning, _ = HEADER.unpack_from(data)
    if magic != MAGIC or version != 1 or binning != 1:
        raise ValueError("no map file of version 1")
    kind = next((k for k, (n, _) in TYPES.items() if n == number), None)
    if kind is None:
        raise ValueError(f"unknown map type {number}")
    body = data[HEADER.size :]
    if zlib.crc32(body) != crc:
        raise ValueError("the body does not match its CRC")
    dtype = np.dtype(TYPES[kind][1])
    if len(body) != rows * columns * dtype.itemsize:
        raise ValueError(f"{len(body)} bytes are not {columns} x {rows} pixels")
    return kind, name.rstrip(b"\0").decode(), np.frombuffer(body, dtype).reshape(rows, columns)


def measure(config: Config) -> tuple[F32, F32, npt.NDArray[np.uint8]]:
    """Offset (counts), gain (factor) and defects (1 = bad) as found from darks and flats."""
    sensor = Sensor(config.width, config.height, config.pixel_pitch_mm)
    panel = physics_panel.panel(sensor, config.bits, config.seed, config.full_scale_ugy, config.cache_dir)
    air = scene("air", sensor)
    wide = 2 * max(sensor.width, sensor.height) * sensor.pitch_mm
    mas = 0.35 * config.full_scale_ugy / air_kerma_ugy(_KVP, 1.0, _SID_MM)
    beam = Beam(_KVP, mas * 10, 0, 100_000_000, _SID_MM, "air", 0, (wide, wide))
    out = np.empty((config.height, config.width), "<u2")

    def mean(count: int, first: int, beams: list[Beam]) -> F32:
        total = np.zeros(out.shape, np.uint32)
        for number in range(first, first + count):
            expose(
                panel,
                [air] * len(beams),
                beams,
                shot=number,
                region=(0, 0, config.width, config.height),
                bits=config.bits,
                integration_s=INTEGRATION_S,
                out=out,
            )
            total += out
        return np.asarray(total / np.float32(count), np.float32)

    dark = mean(DARKS, _SHOTS, [])
    response = mean(FLATS, _SHOTS + DARKS, [beam])
    response -= dark
    usual_dark, usual = np.float32(np.median(dark[::7, ::7])), np.float32(np.median(response[::7, ::7]))
    spread = np.float32(1.4826) * np.median(np.abs(dark[::7, ::7] - usual_dark))
    bad = np.abs(dark - usual_dark) > 12 * spread
    bad |= response < 0.6 * usual
    bad |= response > 1.4 * usual
    average = np.float32(response[~bad].mean(dtype=np.float64))
    gain = np.where(bad, np.float32(1), average / np.where(bad, average, response)).astype(np.float32)
    return dark, gain, bad.astype(np.uint8)


def _make(config: Config, folder: Path) -> None:
    dark, gain, bad = measure(config)
    offset = np.clip(np.rint(dark), 0, 65535)
    for kind, pixels in (("offset", offset), ("gain", gain), ("defect", bad)):
        (folder / f"{kind}.map").write_bytes(encode(kind, config.serial, pixels))


def write(config: Config, folder: Path) -> None:
    """Write the three maps into ``folder``; linked or copied from the cache where they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    if config.cache_dir is None:
        _make(config, folder)
        return
    key = (
        "calibration",
        (VERSION, physics_panel.VERSION, phantom.VERSION),
        (config.serial, config.width, config.height, config.pixel_pitch_mm),
        (config.bits, config.seed, config.full_scale_ugy),
    )
    kept = cache_folder(config.cache_dir, key)
    if not kept.is_dir():
        publish(kept, lambda new: _make(config, new))
    for kind in TYPES:
        target = folder / f"{kind}.map"
        target.unlink(missing_ok=True)
        try:
            os.link(kept / target.name, target)
        except OSError:
            shutil.copyfile(kept / target.name, target)
