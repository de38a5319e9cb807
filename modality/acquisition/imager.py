"""The detector together with what makes its frames pictures: maps, dark frames, processing.

Rules of this file:

* :meth:`Imager.connect` gives a detector that is ready for use, or raises: without verified maps there
  is none.
* The live dark frame is taken while the maps are read, so that a console is ready sooner.
* Called by one thread at a time; the owner holds a lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modality.acquisition import calibration
from modality.acquisition.calibration import F32, U16, Calibration
from modality.acquisition.detector import Detector
from modality.acquisition.model import AcquisitionConfig, AcquisitionError
from modality.acquisition.panel import DetectorEvents, Panel
from modality.acquisition.processing import Processed, Processor

DEFAULT_COUNTS_PER_UGY: Final = 65535 / 60.0
"""A 16-bit panel that is full at 60 µGy, when neither settings nor detector say more."""
IMPLAUSIBLE_COUNTS: Final = 500.0
IMPLAUSIBLE_FRACTION: Final = 0.2
"""A dark frame that differs by more than both together from the offset map means another calibration."""


@dataclass(frozen=True)
class Picture:
    """A processed frame, the SHA-256 of the raw one, and the date of the maps it was corrected with."""

    processed: Processed
    raw_sha256: str
    calibrated: datetime


class Imager:
    """One detector, calibrated."""

    def __init__(
        self,
        config: AcquisitionConfig,
        events: DetectorEvents,
        on_state: Callable[..., None],
    ) -> None:
        """``events`` as for :class:`Detector`; ``on_state(state, **data)`` tells what happens."""
        self._config = config
        self._on_state = on_state
        self.detector = Detector(config.detector, events)
        self._maps: Calibration | None = None
        self._offset: F32 | None = None
        self._processor: Processor | None = None
        self._reader = ThreadPoolExecutor(1, "acquisition-maps")
        self._dark_at: float | None = None
        self._dark_c: float | None = None

    def close(self) -> None:
        """Give the detector back and end all threads.  Idempotent."""
        self.detector.disconnect()
        if self._processor is not None:
            self._processor.close()
            self._processor = None
        self._reader.shutdown()

    def connect(self) -> Panel:
        """Connect, read the maps if they are not those already, take a dark frame if one is due.

        Raises :class:`AcquisitionError`.
        """
        panel = self.detector.connect()
        maps = self._maps
        if maps is None or (maps.serial, maps.shape) != (panel.info.serial, (panel.height, panel.width)):
            self._maps = self._dark_at = None
            reading = self._reader.submit(self._read, panel)
            dark = self._shoot_dark() if self._config.detector.dark_every_s else None
            self._maps = maps = reading.result()
            self._offset = maps.offset
            if dark is not None:
                self._follow(dark)
        elif self.dark_due():
            self.take_dark()
        return panel

    def _read(self, panel: Panel) -> Calibration:
        """Read the maps of a detector and make room for its images."""
        folder = self._config.detector.calibration
        if not folder:
            raise AcquisitionError("calibration", "No calibration folder is configured for the detector.")
        maps = calibration.load(folder, panel.info.serial, panel.width, panel.height)
        if self._processor is not None:
            self._processor.close()
        self._processor = Processor(panel.width, panel.height, self._config.bits_stored, self._config.threads)
        return maps

    # ---------------------------------------------------------------- dark frames

    def dark_due(self) -> bool:
        """Whether the last dark frame is too old, or the detector's temperature has moved since."""
        s = self._config.detector
        if not s.dark_every_s or self._maps is None:
            return False
        if self._dark_at is None or time.monotonic() - self._dark_at > s.dark_every_s:
            return True
        now = self.detector.temperature_c
        return now is not None and self._dark_c is not None and abs(now - self._dark_c) > s.dark_drift_c

    def take_dark(self) -> None:
        """Take a dark frame and let the offset follow it; raises :class:`AcquisitionError`."""
        self._follow(self._shoot_dark())

    def _shoot_dark(self) -> U16:
        """Take a dark frame; the pixels are good until the detector is armed again."""
        s = self._config.detector
        self.detector.arm(s.dark_ms, dark=True)
        try:
            self.detector.trigger()
            if self.detector.wait(s.dark_ms / 1000.0 + s.frame_timeout_s) is None:
                raise AcquisitionError("no-image", "The detector sent no dark frame.")
            return self.detector.pixels()
        finally:
            self.detector.disarm()

    def _follow(self, dark: U16) -> None:
        assert self._maps is not None
        offset, moved = calibration.follow_dark(self._maps, dark)
        if abs(moved) > IMPLAUSIBLE_FRACTION * float(offset.mean()) + IMPLAUSIBLE_COUNTS:
            raise AcquisitionError(
                "calibration", f"The dark frame differs by {moved:.0f} counts: recalibrate."
            )
        self._offset = offset
        self._dark_at, self._dark_c = time.monotonic(), self.detector.temperature_c
        self._on_state("dark", moved_counts=round(moved, 3))

    # ---------------------------------------------------------------- pictures

    def process(self, panel: Panel, target_ei: float) -> Picture:
        """Process the frame that was received.

        Raises :class:`AcquisitionError` when the detector was lost meanwhile.
        """
        processor, maps, offset = self._processor, self._maps, self._offset
        if processor is None or maps is None or offset is None:
            raise AcquisitionError("detector-lost", "The detector was lost.")
        sensitivity = self._config.detector.counts_per_ugy or panel.counts_per_ugy or DEFAULT_COUNTS_PER_UGY
        done = processor.process(self.detector.pixels(), maps, offset, sensitivity, target_ei)
        return Picture(done, self.detector.sha256(), maps.calibrated)

    def status(self) -> dict[str, Any]:
        """What a service engineer asks: buffer, temperature, age of the dark frame (s)."""
        age = None if self._dark_at is None else round(time.monotonic() - self._dark_at, 1)
        return {
            "receive_buffer_bytes": self.detector.receive_buffer_bytes,
            "temperature_c": self.detector.temperature_c,
            "dark_age_s": age,
        }
