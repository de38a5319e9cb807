"""One exposure from the press of the hand switch to the end of X-rays, as the generator's status tells it.

Rules of this file:

* The console does not see the hand switch: it learns of prep and ready from the generator (command 22).
* A thread asks while the exposure is awaited; every change of phase becomes one event.
* An exposure is known by the number of the generator's read-back, which grows: short ones cannot be missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from modality.acquisition.generator import Exposure, Generator
from modality.acquisition.model import AcquisitionError, Technique

ACTIVE: Final = ("prep", "ready", "xray")
READ_BACK_S: Final = 2.0
"""How long the read-back of an exposure may take after its image."""


class Watch:
    """What becomes of one armed exposure."""

    def __init__(
        self,
        generator: Generator | None,
        technique: Technique,
        window_ms: float,
        poll_s: float,
        on_phase: Callable[[str], None],
    ) -> None:
        self.technique = technique
        self.window_ms = window_ms
        self.exposure: Exposure | None = None
        self.exposed_at: float | None = None
        """``time.monotonic`` when X-rays were known to be over."""
        self.fault: AcquisitionError | None = None
        """A fault of the generator in or after this exposure."""
        self.error: AcquisitionError | None = None
        """Why there will be no image."""
        self._generator = generator
        self._before = 0
        self._poll_s = poll_s
        self._on_phase = on_phase
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Note the exposures so far and begin to watch; raises :class:`AcquisitionError`."""
        if self._generator is None:
            return
        last = self._generator.last_exposure()
        self._before = last.number if last else 0
        self._thread = threading.Thread(target=self._run, name="generator-watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop watching.  Idempotent."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(10.0)
            self._thread = None

    def fail(self, error: AcquisitionError) -> None:
        """There will be no image, for this reason; the first one counts."""
        self.error = self.error or error

    def read_back(self) -> Exposure | None:
        """Return the exposure that made the image; None when the generator cannot say (or there is none)."""
        if self._generator is None:
            return None
        deadline = time.monotonic() + READ_BACK_S
        while self.exposure is None and time.monotonic() < deadline:
            if not self._look_for_exposure():
                time.sleep(0.02)
        self._look_for_fault()
        return self.exposure

    def _look_for_fault(self) -> None:
        """An exposure that was not as it was set may have a fault as its reason: ask, if that was not
        seen yet."""
        exposure, generator = self.exposure, self._generator
        if exposure is None or generator is None or self.fault is not None:
            return
        other = exposure.ms is not None and abs(exposure.ms - self.technique.ms) > 1.0
        if (exposure.truncated or other) and generator.status().fault:
            self.fault = generator.fault_error()

    def _look_for_exposure(self) -> bool:
        assert self._generator is not None
        last = self._generator.last_exposure()
        if last is None or last.number <= self._before:
            return False
        self.exposure = last
        self.exposed_at = self.exposed_at or time.monotonic()
        return True

    def _run(self) -> None:
        generator = self._generator
        assert generator is not None
        phase, silent = "standby", 0
        while not self._ended.is_set() and self.error is None:
            try:
                now = generator.status().phase
                silent = 0
                if now != phase:
                    self._on_phase(now)
                if now == "fault" and self.fault is None:
                    self.fault = generator.fault_error()
                    if not self._look_for_exposure():
                        self.fail(self.fault)
                elif phase in ACTIVE and now not in ACTIVE and self.exposure is None:
                    self._look_for_exposure()
                phase = now
            except AcquisitionError as error:
                silent += 1
                if silent >= 2 or error.code == "generator-protocol":
                    self.fail(error)
            self._ended.wait(self._poll_s)
