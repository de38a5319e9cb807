"""The ultrasound scanner as the console uses it: keep the front end connected, freeze, still, clip, screen.

Rules of this file:

* ``open`` returns at once; threads connect the front end, the contacts and the barcode reader, and connect them again
  after a loss.
* Events come one after the other from a thread of their own, so they may call back:
  ``("state", {device, state, ...})``, ``("warning", {service, peer, code, text})``,
  ``("footswitch", {pressed, sequence})``, ``("freeze", {on, by})``, ``("barcode", {text, aim})``.
* What is frozen here stays, whatever the front end sends; it is told so that it stops too.
* A picture that is older than the stream it belongs to is never given as a live one: no still while the front end is
  absent, stalled or without probe, unless the picture is frozen.
* What was before a freeze, another probe or another connection is never in one clip with what came after.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from modality.ultrasound.cine import Recording, make_clip
from modality.ultrasound.contacts import ContactLine
from modality.ultrasound.igtl import Answer, Message, Picture, Refused, Status, Text
from modality.ultrasound.intake import IMAGE, PROBE, SETTINGS, Intake
from modality.ultrasound.knobs import KNOB_ANSWER, Requests, read_answer, shown
from modality.ultrasound.link import Link
from modality.ultrasound.model import Clip, Frame, Pixels, ScannerError, UltrasoundConfig
from modality.ultrasound.reader import BarcodeLine
from modality.ultrasound.stream import Stream
from modality.ultrasound.teller import OnEvent, Teller

REASONS: Final = {
    "absent": ("frontend-absent", "The ultrasound front end is not connected."),
    "unplugged": ("probe-unplugged", "No probe is plugged in."),
    "stalled": ("stalled", "The ultrasound front end sends no pictures."),
    "starting": ("no-picture", "There is no ultrasound picture yet."),
    "frozen": ("frozen", "The picture is frozen."),
    "closed": ("closed", "The scanner is closed."),
}
"""State -> why there is no live picture."""


class Scanner:
    """Front end, contacts and barcode reader of one console."""

    def __init__(self, config: UltrasoundConfig, on_event: OnEvent) -> None:
        """Remember the settings; nothing is opened yet."""
        self._config = config
        self._cond = threading.Condition(threading.RLock())
        self._teller = Teller(on_event)
        self._warn = self._teller.warn
        self._intake = Intake(lambda code, text: self._warn("ultrasound", code, text))
        self._stream = Stream(config, self._intake)
        self._link = Link(config, self)
        self._requests = Requests(self._link.send, self._cond)
        self._lines: list[ContactLine | BarcodeLine] = []
        self._opened = False
        self._absence = ""
        """Code of the last loss that was told."""
        self._said_frozen: bool | None = None
        """What the front end said last of its own freezing; None: nothing on this connection."""
        self._restated = False
        """It was told again that the picture is frozen, and has not frozen since."""
        self._freezing = 0
        """Freeze commands that were not answered yet."""
        self._told: tuple[Any, ...] = ()

    # ---------------------------------------------------------------- life

    def open(self) -> None:
        """Begin to connect, in the background.  Does nothing when that was done already."""
        with self._cond:
            if self._opened or self._stream.closed:
                return
            self._opened = True
        self._teller.open()
        if self._config.address:
            self._link.open()
        if self._config.footswitch:
            self._lines.append(ContactLine(self._config.footswitch, self._contact, self._warn))
        if self._config.barcode:
            self._lines.append(BarcodeLine(self._config.barcode, self._barcode, self._warn))
        for line in self._lines:
            line.open()

    def close(self) -> None:
        """Give everything back and end all threads; who waits gets a :class:`ScannerError`.  Idempotent."""
        with self._cond:
            if self._stream.closed:
                return
            self._stream.closed = True
            self._stream.end_recording("closed")
            self._report()
            self._cond.notify_all()
        self._link.close()
        for line in self._lines:
            line.close()
        self._teller.close()

    # ---------------------------------------------------------------- what the console asks

    def state(self) -> dict[str, Any]:
        """Plain data: ``state`` (absent, starting, live, frozen, stalled, unplugged, closed), ``connected``,
        ``size`` ("640x480"), ``fps`` (measured), ``sequence``, ``dropped``, ``refused``, ``received``, ``mode``,
        ``depth_mm``, ``gain_db``, ``probe``, ``recording``, ``cine`` {frames, bytes}."""
        with self._cond:
            return self._stream.to_json(time.monotonic())

    def freeze(self, on: bool = True) -> None:
        """Stop the picture where it is, or let it go on; the front end is told too.

        Returns when the front end has answered; that it did not is a warning, the picture is frozen all the same.
        Raises :class:`ScannerError` when there is no live picture to freeze.
        """
        self._freeze(on, "console")

    def still(self, sequence: int | None = None) -> Frame:
        """The frozen picture, else the newest; or the one of a number, while the cine memory has it.

        Raises :class:`ScannerError`.
        """
        with self._cond:
            if sequence is None:
                return self._current()
            found = self._stream.find(sequence)
            if found is None:
                raise ScannerError("no-picture", f"Picture {sequence} is not in the cine memory.")
            return found

    def clip(
        self,
        frames: int | None = None,
        seconds: float | None = None,
        *,
        before: bool = False,
        timeout: float = 60.0,
    ) -> Clip:
        """Record what comes, or with ``before`` take what the cine memory has.

        Give ``frames`` (that many received pictures) or ``seconds`` (by the front end's frame rate, lost pictures
        included).  A clip that had to end before has its reason in ``ended``; one of a single picture, though more
        was wanted, is a :class:`ScannerError` with that code.
        """
        with self._cond:
            if not before:
                self._need_live()  # first: how long a clip can be depends on the pictures
            recording = self._plan(frames, seconds)
            if before:
                found, whole = self._look_back(recording)
                return make_clip(found, "whole" if whole else "memory")
            if self._stream.recording is not None:
                raise ScannerError("busy", "A clip is being recorded.")
            self._stream.recording = recording
            try:
                if not self._cond.wait_for(lambda: bool(recording.ended), timeout):
                    recording.end("timeout")
            finally:
                self._stream.recording = None
            got, why = recording.frames, recording.ended
            stalled = why == "timeout" and self._state() == "stalled"
            why = "stalled" if stalled else why
            if why == "closed" or (why != "whole" and len(got) < 2):
                raise ScannerError(why, f"The clip could not be recorded: {why} after {len(got)} pictures.")
            clip = make_clip(got, why)
            if why != "whole":
                self._warn("ultrasound", "clip-short", f"The clip has {len(got)} pictures: {why}.")
            if clip.gaps:
                self._warn("ultrasound", "clip-gaps", f"{clip.missing} pictures are missing in the clip.")
            return clip

    def screen(self, lines: Sequence[str] = (), frame: Frame | None = None) -> Pixels:
        """What the operator sees, (rows, columns, 3): the picture with ``lines`` of text, knobs and a ruler in mm.

        The picture is ``frame`` when it is given: one that :meth:`still` gave, so that both show the same.
        Raises :class:`ScannerError` as :meth:`still`.
        """
        from modality.ultrasound.overlay import draw_screen  # here: Pillow is slow to import

        with self._cond:
            frame = frame or self._current()
            frozen = frame is self._stream.held
        return draw_screen(frame, lines, frozen=frozen)

    def set(self, **knobs: Any) -> None:
        """Turn knobs of the front end: depth (mm), gain (dB), dynamic_range (dB), mode, probe.

        Returns when the picture shows it (at the latest after ``answer_timeout_s``).  Raises :class:`ScannerError`:
        ``frontend-absent``, ``frontend-refused``, ``frontend-silent``.
        """
        wait = self._config.answer_timeout_s
        with self._cond:
            self._requests.ask(knobs, wait, self._alive, self._intake.version)
            self._cond.wait_for(
                lambda: (
                    self._stream.frozen
                    or not self._alive()
                    or not self._intake.plugged
                    or (self._stream.newest is not None and shown(knobs, self._stream.newest.settings))
                ),
                wait,
            )

    # ---------------------------------------------------------------- inside, lock held

    def _alive(self) -> bool:
        return self._stream.connected and not self._stream.closed

    def _state(self) -> str:
        return self._stream.state(time.monotonic())

    def _begun(self) -> str:
        """The state; that of a stream that is just beginning is waited for."""
        self._cond.wait_for(lambda: self._state() != "starting", self._config.stall_s)
        return self._state()

    def _need_live(self) -> None:
        """Raises :class:`ScannerError` when there is no live picture."""
        state = self._begun()
        if state != "live":
            raise ScannerError(*REASONS[state])

    def _current(self) -> Frame:
        if self._begun() == "frozen":
            if self._stream.held is None:
                raise ScannerError("no-picture", "The front end is frozen and has not sent a picture.")
            return self._stream.held
        self._need_live()
        assert self._stream.newest is not None
        return self._stream.newest

    def _plan(self, frames: int | None, seconds: float | None) -> Recording:
        if (frames is None) == (seconds is None):
            raise ScannerError("clip-length", "Say how many pictures or seconds the clip shall have.")
        settings = self._stream.settings
        if frames is not None:
            recording = Recording(frames, None, self._config.clip_bytes)
        else:
            assert seconds is not None
            fps = settings.fps if settings and settings.fps else 30.0
            span = round(seconds * fps) if 0 < seconds < 86400 else 0
            recording = Recording(None, span, self._config.clip_bytes)
        size = settings.columns * settings.rows * settings.components if settings else 1
        if recording.most < 1 or recording.most * size > self._config.clip_bytes:
            raise ScannerError("clip-length", f"A clip of {recording.most} pictures is not possible.")
        return recording

    def _look_back(self, recording: Recording) -> tuple[Sequence[Frame], bool]:
        newest = self._stream.held if self._stream.frozen else self._stream.newest or self._stream.cine.newest
        if self._stream.closed:
            raise ScannerError(*REASONS["closed"])
        if newest is None or not len(self._stream.cine):
            raise ScannerError("no-picture", "The cine memory is empty.")
        return self._stream.cine.run(newest, recording)

    def _hold(self, on: bool, by: str) -> None:
        """Freeze or go on, here."""
        self._stream.hold(on, time.monotonic())
        self._teller.post("freeze", {"on": on, "by": by})
        self._report()
        self._cond.notify_all()

    def _freeze(self, on: bool, by: str) -> None:
        with self._cond:
            if self._stream.closed:
                raise ScannerError(*REASONS["closed"])
            if on == self._stream.frozen:
                return
            if on:
                self._need_live()
            self._hold(on, by)
            self._freezing += 1
            try:
                self._requests.ask(
                    {"freeze": int(on)}, self._config.answer_timeout_s, self._alive, self._intake.version
                )
            except ScannerError as error:
                self._warn(
                    "ultrasound", "freeze-not-told", f"The front end was not told to freeze: {error.text}"
                )
            finally:
                self._freezing -= 1

    # ---------------------------------------------------------------- from the link's thread

    def joined(self) -> None:
        """There is a connection."""
        with self._cond:
            self._absence = ""
            self._intake.joined()
            self._requests.forget()
            self._said_frozen, self._restated = None, False
            self._stream.joined(time.monotonic())
            self._report()

    def lost(self, code: str, text: str) -> None:
        """There is no connection, or not any more."""
        with self._cond:
            was, self._stream.connected = self._stream.connected, False
            self._requests.forget()
            self._stream.end_recording("frontend-absent")
            if not self._stream.closed and (was or not self._absence):
                self._absence = code
                self._warn("ultrasound", code, text)
            self._report()
            self._cond.notify_all()

    def arrived(self, message: Message | Refused, now: float) -> None:
        """A message came."""
        with self._cond:
            if isinstance(message, Refused):
                self._intake.refuse(message)
            else:
                self._intake.version = message.version
                self._message(message, now)
            if self._intake.wanting:
                self._intake.wanting = False
                self._requests.question("GET_STRING", SETTINGS)
            self._report()

    def tick(self, now: float) -> None:
        """Time passes."""
        with self._cond:
            self._report()

    def _message(self, message: Message, now: float) -> None:
        content = message.content
        if isinstance(content, Picture) and message.device == IMAGE:
            frame = self._intake.picture(message, content, now)
            if frame is not None and self._stream.add(frame, now):
                self._cond.notify_all()
        elif isinstance(content, Text) and message.device == SETTINGS:
            if self._intake.settings is None:
                self._stream.alive(now)
            settings = self._intake.text(content)
            if settings is not None:
                self._follow(settings.frozen)
        elif isinstance(content, Status) and message.device == PROBE:
            if self._intake.status(content):
                self._stream.plugged(self._intake.plugged, now)
                self._cond.notify_all()
        elif isinstance(content, Answer):
            answer = read_answer(content.text)
            if answer is not None:
                self._requests.answered(content.number, *answer)
        elif isinstance(content, Status) and message.device == KNOB_ANSWER:
            self._requests.answered(None, content.code, content.text)

    def _follow(self, frozen: bool) -> None:
        """The front end says whether it is frozen.

        Freezing it freezes the picture.  Only one that was frozen and goes on lets the picture go on; one that has
        not frozen yet is told (once more) that the picture is.
        """
        before, self._said_frozen = self._said_frozen, frozen
        self._restated = self._restated and not frozen
        if self._freezing or frozen == self._stream.frozen:
            return
        if frozen or before:
            self._hold(frozen, "frontend")
        elif not self._restated:
            self._restated = True
            self._requests.tell({"freeze": 1}, self._intake.version)

    def _report(self) -> None:
        """Tell what has changed."""
        state, looks = self._state(), self._stream.looks()
        told = (state, *looks.values())
        if told == self._told:
            return
        before = self._told[0] if self._told else ""
        self._told = told
        counts = {"dropped": self._intake.dropped, "refused": self._intake.refused}
        self._teller.post("state", {"device": "ultrasound", "state": state, **looks, **counts})
        if state != before:
            if state in ("stalled", "unplugged"):
                self._warn("ultrasound", *REASONS[state])
            self._cond.notify_all()

    # ---------------------------------------------------------------- from the contacts' and the barcode's thread

    def _contact(self, name: str, pressed: bool) -> None:
        with self._cond:
            frame = self._stream.shown
            if name == "footswitch":
                self._teller.post(
                    "footswitch", {"pressed": pressed, "sequence": frame.sequence if frame else 0}
                )
                return
            on = not self._stream.frozen
        if pressed:
            try:
                self._freeze(on, "key")
            except ScannerError as error:
                self._warn("contacts", error.code, f"The freeze key did nothing: {error.text}")

    def _barcode(self, text: str, aim: str) -> None:
        self._teller.post("barcode", {"text": text, "aim": aim})
