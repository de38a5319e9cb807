"""The acquisition as the console uses it: keep both devices connected, prepare, wait for a shot.

Rules of this file:

* ``open`` returns at once; two threads connect the devices, keep looking after them and connect them
  again after a loss.  ``prepare`` waits for them, so a console that just started may be used at once.
* Between ``prepare`` and the end of ``wait`` (or ``cancel``) nobody else touches the detector.
* Events: ``on_event("state", {device, state, ...})`` and ``on_event("warning", {service, peer, code, text})``.
  They come from any thread, at once, and must not call back.
* There is an image whole and measured, or an :class:`AcquisitionError`; nothing in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from modality.acquisition.frame import Frame
from modality.acquisition.generator import Exposure, Generator
from modality.acquisition.imager import Imager
from modality.acquisition.model import AcquisitionConfig, AcquisitionError, Shot, Technique
from modality.acquisition.panel import DetectorEvents, Panel
from modality.acquisition.shot import make_shot
from modality.acquisition.watch import Watch

RETRY_S: Final = 1.0
STANDBY_S: Final = 10.0
"""How long prepare waits for a generator that cools down."""
MAPS_S: Final = 20.0
"""How much longer prepare waits for a detector that answers but whose maps and dark frame are not ready."""

OnEvent = Callable[[str, dict[str, Any]], None]


class Acquisition:
    """Detector and generator of one console."""

    def __init__(self, config: AcquisitionConfig, on_event: OnEvent) -> None:
        """Remember the settings; nothing is opened yet."""
        self._config = config
        self._on_event = on_event
        self._closed = threading.Event()
        self._wake = threading.Condition()
        """Wakes the threads that look after the devices."""
        self._changed = threading.Condition()
        """Tells who waits for a device that something has become of it."""
        self._panel_lock = threading.RLock()
        events = DetectorEvents(self._detector_lost, self._detector_link, self._detector_fault)
        self._imager = Imager(config, events, self._detector_state)
        self._detector = self._imager.detector
        self._generator = Generator(config.generator) if config.generator.url else None
        self._panel: Panel | None = None
        self._helper = ThreadPoolExecutor(1, "acquisition-read-back")
        self._problems: dict[str, AcquisitionError] = {}
        self._phase = ""
        self._watch: Watch | None = None
        self._preparing = False
        self._threads: list[threading.Thread] = []

    # ---------------------------------------------------------------- life

    def open(self) -> None:
        """Begin to connect the devices, in the background.  Does nothing when that was done already."""
        if self._threads:
            return
        works: list[Callable[[], None]] = []
        if self._config.detector.address:
            works.append(self._keep_detector)
        if self._generator is not None:
            works.append(self._keep_generator)
        for work in works:
            thread = threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Give both devices back and end all threads.  Idempotent."""
        self.cancel()
        self._closed.set()
        self._stir()
        self._tell()
        for thread in self._threads:
            thread.join(10.0)
        self._threads.clear()
        self._imager.close()
        if self._generator is not None:
            self._generator.disconnect()
        self._helper.shutdown()

    # ---------------------------------------------------------------- exposure

    def prepare(self, technique: Technique) -> None:
        """Set the generator and arm the detector; returns when the hand switch may be pressed.

        Raises :class:`AcquisitionError`.
        """
        self._still_open()
        self.cancel()
        self._preparing = True
        try:
            self._prepare(technique)
        finally:
            self._preparing = False

    def _prepare(self, technique: Technique) -> None:
        generator = self._need_generator()
        if generator is not None:  # first: a detector that is still reading its maps goes on meanwhile
            technique = generator.make_ready(technique, self._closed, STANDBY_S)
        panel = self._need_panel()
        window_ms = technique.ms + self._config.detector.window_margin_ms
        watch = Watch(generator, technique, window_ms, self._config.generator.poll_s, self._generator_phase)
        with self._panel_lock:
            if self._imager.dark_due():
                self._imager.take_dark()
            self._arm(window_ms)
            try:
                watch.start()
            except AcquisitionError:
                self._detector.disarm()
                raise
            self._watch = watch
        self._state("detector", "prepared", serial=panel.info.serial, window_ms=window_ms)

    def _arm(self, window_ms: float) -> None:
        """Arm the detector; one that was taken away without a word is connected again first."""
        try:
            self._detector.arm(window_ms)
        except AcquisitionError as error:
            if error.code not in ("detector-lost", "detector-absent"):
                raise
            self._panel = None
            self._connect_detector()
            self._detector.arm(window_ms)

    def wait(self, timeout_s: float) -> Shot:
        """Wait for the image of the exposure that was prepared, and process it.

        Raises :class:`AcquisitionError`; with ``not-exposed`` (nobody pressed the switch in time) the devices
        stay prepared and ``wait`` may be called again.
        """
        watch = self._watch
        if watch is None:
            raise AcquisitionError("not-prepared", "Nothing is prepared.")
        deadline = time.monotonic() + timeout_s
        try:
            frame = self._wait_frame(watch, deadline)
        except AcquisitionError:
            self._finish(watch)
            raise
        if frame is None:
            raise AcquisitionError("not-exposed", "No exposure was made.")
        try:
            return self._shot(watch, frame)
        finally:
            self._finish(watch)

    def cancel(self) -> None:
        """Give up an exposure that was prepared.  Idempotent; a ``wait`` in progress ends with
        ``cancelled``."""
        watch = self._watch
        if watch is not None:
            watch.fail(AcquisitionError("cancelled", "The exposure was cancelled."))
            self._finish(watch)

    def _finish(self, watch: Watch) -> None:
        """The exposure is over, one way or the other."""
        watch.end()
        with self._panel_lock:
            if self._watch is watch:
                self._watch = None
                self._detector.disarm()
        self._stir()

    def _wait_frame(self, watch: Watch, deadline: float) -> Frame | None:
        """Wait for a whole frame; None when the time is over and nothing was exposed."""
        while True:
            if watch.error is not None:
                raise watch.error
            left = deadline - time.monotonic()
            try:
                frame = self._detector.wait(left if 0 < left < 0.05 else 0.05)
            except AcquisitionError:
                if watch.error is not None:
                    raise watch.error from None
                raise
            if frame is not None:
                return frame
            if watch.exposed_at is not None and not self._detector.coming:
                late = time.monotonic() - watch.exposed_at - watch.window_ms / 1000.0
                s = self._config.detector
                if late > s.frame_timeout_s or (late > s.image_timeout_s and not self._detector.working()):
                    raise watch.fault or AcquisitionError(
                        "no-image",
                        "X-rays were on, but the detector sent no image. Check it before repeating.",
                    )
            elif left <= 0 and not self._detector.coming:
                return None

    def _shot(self, watch: Watch, frame: Frame) -> Shot:
        panel = self._panel
        if panel is None:
            raise AcquisitionError("detector-lost", "The detector was lost.")
        asked = self._helper.submit(self._read_back, watch)
        with self._panel_lock:  # nobody may arm the detector, and so reuse the buffer, while it is read
            if not self._detector.has_frame():
                raise watch.error or AcquisitionError("detector-lost", "The detector was lost.")
            picture = self._imager.process(panel, watch.technique.target_ei)
        exposure = asked.result()
        if self._generator is not None and exposure is None and "generator" not in self._problems:
            raise AcquisitionError(
                "no-image", "The detector sent an image, but the generator made no exposure."
            )
        self._remark(watch, frame, exposure)
        shot = make_shot(
            watch.technique,
            watch.window_ms,
            self._config.bits_stored,
            frame,
            panel,
            self._detector.temperature_c,
            picture,
            exposure,
        )
        self._state("detector", "image", repaired=frame.repaired, **shot.timings_ms)
        return shot

    def _read_back(self, watch: Watch) -> Exposure | None:
        try:
            return watch.read_back()
        except AcquisitionError as error:
            self._note("generator", error)
            self._warn("generator", error.code, f"What was exposed is not known. {error.text}")
            return watch.exposure

    def _remark(self, watch: Watch, frame: Frame, exposure: Exposure | None) -> None:
        """Tell the operator what was not as it should be although there is an image."""
        if watch.fault is not None:
            self._warn("generator", watch.fault.code, watch.fault.text)
        elif exposure is not None and exposure.truncated:
            text = f"The exposure was cut short: {exposure.mas:g} of {watch.technique.mas:g} mAs."
            self._warn("generator", "truncated", text)
        if not frame.trailer:
            self._warn("detector", "trailer", "The detector did not mark the end of the image.")

    # ---------------------------------------------------------------- detector

    def _keep_detector(self) -> None:
        """Connect the detector whenever it is not, and take dark frames when nobody needs it."""
        while not self._closed.is_set():
            try:
                with self._panel_lock:
                    if self._panel is None and (self._watch is None or self._watch.error is not None):
                        self._connect_detector()
                    elif self._panel is not None and self._watch is None and self._imager.dark_due():
                        self._imager.take_dark()
            except AcquisitionError as error:
                self._note("detector", error)
                if error.code == "detector-lost":
                    self._panel = None
            with self._wake:
                if not self._closed.is_set():
                    self._wake.wait(RETRY_S)

    def _connect_detector(self) -> None:
        panel = self._imager.connect()
        self._panel = panel
        self._good(
            "detector",
            "connected",
            model=panel.info.model,
            serial=panel.info.serial,
            link_mbps=panel.link_mbps,
        )
        self._detector_link(panel.link_mbps, changed=False)

    def _detector_link(self, mbps: int, *, changed: bool = True) -> None:
        """The detector's link has this speed (now)."""
        if changed:
            self._state("detector", "link", link_mbps=mbps)
        if mbps < 1000:
            text = f"The detector's link runs at {mbps} Mbit/s only: images take longer."
            self._warn("detector", "link", text)

    def _detector_lost(self, code: str, text: str) -> None:
        """The heartbeat found the detector gone (its thread)."""
        error = AcquisitionError(code, text)
        watch = self._watch
        if watch is not None:
            watch.fail(error)
        self._panel = None
        self._note("detector", error)
        self._stir()

    def _detector_fault(self, error: AcquisitionError | None) -> None:
        """The detector reports a fault (None: no longer), seen by the heartbeat's thread."""
        if error is None:
            self._state("detector", "recovered")
            return
        self._state("detector", "fault", code=error.code, text=error.text)
        watch = self._watch
        if watch is not None:
            watch.fail(error)
        elif not self._preparing:
            self._warn("detector", error.code, error.text)

    def _need_panel(self) -> Panel:
        """Wait until the detector is connected and calibrated."""
        if not self._config.detector.address:
            raise AcquisitionError("detector-absent", "No detector is configured.")
        before = self._problems.get("detector")

        def settled() -> bool:
            """It is there, or a new attempt found something that waiting will not mend."""
            problem = self._problems.get("detector")
            failed = problem is not None and problem is not before and problem.code != "detector-absent"
            return self._panel is not None or failed or self._closed.is_set()

        self._stir()
        with self._changed:
            done = self._changed.wait_for(settled, self._config.detector.connect_timeout_s)
            if not done and self._detector.panel is not None:  # it answers, and its maps are being read
                self._changed.wait_for(settled, MAPS_S)
        self._still_open()
        panel = self._panel
        if panel is None:
            raise self._problems.get(
                "detector", AcquisitionError("detector-absent", "The detector is not connected.")
            )
        return panel

    # ---------------------------------------------------------------- generator

    def _keep_generator(self) -> None:
        """Connect the generator whenever it is not, and look at it when nobody else does."""
        generator = self._generator
        assert generator is not None
        while not self._closed.is_set():
            if self._watch is None:
                try:
                    if generator.connected:
                        status = generator.status()
                    else:
                        status = generator.connect()
                    if "generator" in self._problems or not self._phase:
                        self._good("generator", "connected")
                    self._generator_phase(status.phase)
                except AcquisitionError as error:
                    generator.disconnect()
                    self._note("generator", error)
            with self._wake:
                if not self._closed.is_set():
                    self._wake.wait(self._config.generator.idle_poll_s)

    def _generator_phase(self, phase: str) -> None:
        """Tell a change of the generator's phase, once."""
        if phase != self._phase:
            self._phase = phase
            self._state("generator", phase)

    def _need_generator(self) -> Generator | None:
        generator = self._generator
        if generator is None:
            return None
        self._stir()
        with self._changed:
            self._changed.wait_for(
                lambda: generator.connected or self._closed.is_set(), self._config.generator.connect_timeout_s
            )
        self._still_open()
        if not generator.connected:
            raise self._problems.get(
                "generator", AcquisitionError("generator-absent", "The generator is not connected.")
            )
        return generator

    # ---------------------------------------------------------------- events

    def _still_open(self) -> None:
        if self._closed.is_set():
            raise AcquisitionError("closed", "The acquisition is closed.")

    def _state(self, device: str, state: str, **data: Any) -> None:
        self._on_event("state", {"device": device, "state": state, **data})

    def _detector_state(self, state: str, **data: Any) -> None:
        self._state("detector", state, **data)

    def _warn(self, peer: str, code: str, text: str) -> None:
        self._on_event("warning", {"service": "acquisition", "peer": peer, "code": code, "text": text})

    def _note(self, peer: str, error: AcquisitionError) -> None:
        """Remember a problem; warn once per loss, unless ``prepare`` or ``wait`` will tell it anyway."""
        before = self._problems.get(peer)
        self._problems[peer] = error
        if before is None or before.text != error.text:
            self._state(peer, "lost", code=error.code, text=error.text)
            if before is None and not self._preparing and self._watch is None:
                self._warn(peer, error.code, error.text)
        self._tell()

    def _good(self, peer: str, state: str, **data: Any) -> None:
        """All is well (again)."""
        self._problems.pop(peer, None)
        self._state(peer, state, **data)
        self._tell()

    def _stir(self) -> None:
        """Let the threads that look after the devices look now."""
        with self._wake:
            self._wake.notify_all()

    def _tell(self) -> None:
        """Let who waits for a device look again."""
        with self._changed:
            self._changed.notify_all()
