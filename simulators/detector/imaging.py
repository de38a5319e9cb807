"""Between the panel's read-out and the physics of the world: makes a frame's pixels and the picture of the truth.

Rules of this file:

* Maps come from the cache folder where there is one, so that a second process is ready at once.
* The truth is written beside, never into, what the modality can see.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simulators.detector.config import Config
from simulators.world.bus import Beam
from simulators.world.phantom import PHANTOMS, Scene, Sensor, scene
from simulators.world.physics import Picture, Region, expose, ideal, in_field
from simulators.world.physics_panel import Panel, panel

TRUTH_SIZE = 512
TRUTH_ARRAY = 256


class Imager:
    """Makes the frames of one panel."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sensor = Sensor(config.width, config.height, config.pixel_pitch_mm)
        self.panel: Panel = panel(
            self.sensor, config.bits, config.seed, config.full_scale_ugy, config.cache_dir
        )
        self._drawing = threading.Lock()
        self._last: tuple[list[Scene], list[Beam], Region] = ([], [], (0, 0, 0, 0))

    def scene(self, name: str) -> Scene:
        """A phantom by name; one that does not exist is air.  Who comes while it is drawn waits for the drawing."""
        with self._drawing:
            return scene(name if name in PHANTOMS else "air", self.sensor, self.config.cache_dir)

    def expose(
        self,
        beams: Sequence[Beam],
        *,
        number: int,
        region: Region,
        bits: int,
        integration_s: float,
        out: npt.NDArray[np.uint16],
    ) -> Picture:
        """Fill ``out`` with frame ``number`` of this panel."""
        scenes = [self.scene(b.phantom) for b in beams]
        self._last = (scenes, list(beams), region)
        return expose(
            self.panel,
            scenes,
            beams,
            shot=number,
            region=region,
            bits=bits,
            integration_s=integration_s,
            out=out,
        )

    def write_truth(self, number: int) -> str | None:
        """Write what a perfect panel would have shown of the last frame; returns the picture's file name.

        ``NAME.png``: 512 wide, 8 bit, logarithmic, bone white.  ``NAME.npy``: 256 x 256 float32, kerma in µGy.
        """
        if self.config.truth_dir is None:
            return None
        from PIL import Image

        scenes, beams, region = self._last
        kerma = ideal(self.panel, scenes, beams, region)
        safe = re.sub(r"[^A-Za-z0-9]+", "_", self.config.serial)
        folder = Path(self.config.truth_dir)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{safe}-{number:04d}.png"
        picture = Image.fromarray(kerma)
        shape = (TRUTH_SIZE, max(1, TRUTH_SIZE * region[3] // region[2]))
        shown = np.asarray(picture.resize(shape, Image.Resampling.BOX), np.float32)
        field = in_field(self.panel, scenes, beams, region, shown.shape[:2])
        Image.fromarray(render(shown, field)).save(folder / name, compress_level=3)
        small = picture.resize((TRUTH_ARRAY, TRUTH_ARRAY), Image.Resampling.BOX)
        np.save(folder / f"{safe}-{number:04d}.npy", np.asarray(small, np.float32))
        return name


def render(kerma: npt.NDArray[np.float32], field: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """A kerma map as a person expects a radiograph: logarithmic, much attenuation is white, black outside the field."""
    if not field.any() or not kerma.max() > 0:
        return np.zeros(kerma.shape, np.uint8)
    log = np.log(np.maximum(kerma, kerma.max() * 1e-5))
    low, high = np.percentile(log[field], (0.7, 99.3))
    shown = np.clip((high - log) / max(high - low, 1e-6), 0, 1)
    return np.asarray(255 * shown * field, np.uint8)
