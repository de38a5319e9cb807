"""From messages to pictures with their settings: counts what is missing, refuses what cannot be true.

Rules of this file:

* Sans-I/O, one thread.  What an operator should know goes to ``warn(code, text)``, once per burst (which ends
  with :data:`CALM` good pictures in a row).
* Settings hold from the picture on that follows them, and no earlier than from the number that they name.  A picture
  whose own words (geometry number, mode, size, scale) do not fit the settings is kept without calibration, depth and
  probe, and the settings are asked for again; so is every picture after settings that came but could not be read.
* Numbers grow by one per picture.  A number that was missed is a lost picture, unless a picture was refused instead;
  the same number again is a repeated picture and refused; a smaller one is a front end that counts anew.
* A front end that numbers nothing (header version 1) is counted here; its losses cannot be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from modality.ultrasound.geometry import read_settings
from modality.ultrasound.igtl import NOT_PRESENT, OK, Message, Picture, Refused, Status, Text
from modality.ultrasound.model import Frame, Settings

IMAGE: Final = "Image_Probe"
SETTINGS: Final = "UsSettings"
PROBE: Final = "UsProbe"

CALM: Final = 30
"""Good pictures in a row that end a burst of trouble."""
BURSTS: Final = frozenset({"pictures-lost", "picture-spoiled", "picture-refused", "picture-repeated"})

Warn = Callable[[str, str], None]


class Intake:
    """One front end, over all connections to it."""

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self.settings: Settings | None = None
        self._doubt = False
        """Settings were sent after these that could not be read."""
        self.plugged = True
        self.connection = 0
        self.sequence = 0
        """Newest number."""
        self.received = 0
        self.dropped = 0
        """Pictures that were made but never came."""
        self.refused = 0
        """Pictures that came and could not be used."""
        self.version = 1
        """Of the front end's headers."""
        self.wanting = False
        """The settings should be asked for."""
        self._told: set[str] = set()
        self._spoiled = 0
        """Pictures refused since the last good one."""
        self._calm = 0
        """Good pictures since the last trouble."""

    def joined(self) -> None:
        """A new connection."""
        self.connection += 1
        self.settings = None
        self._doubt = False
        self.plugged = True
        self.sequence = 0
        self.wanting = False
        self._spoiled = self._calm = 0
        self._told.clear()

    def refuse(self, message: Refused) -> None:
        """A message that cannot be used."""
        if message.type == "IMAGE":
            self.refused += 1
            self._spoiled += 1
            what = "picture"
        else:
            what = message.type
            if message.type == "STRING":
                self._doubt = self.wanting = True
        code = "picture-spoiled" if message.spoiled else "picture-refused"
        self._once(code, f"The front end sent a {what} that cannot be used: {message.reason}.")

    def status(self, content: Status) -> bool:
        """STATUS UsProbe; True when it has changed something."""
        if content.code not in (OK, NOT_PRESENT):
            self._once(f"status {content.code}", f"The front end reports: {content.text or content.name}.")
            return False
        before, self.plugged = self.plugged, content.code == OK
        return before != self.plugged

    def text(self, content: Text) -> Settings | None:
        """STRING UsSettings."""
        try:
            self.settings, left_out = read_settings(content.text)
        except ValueError as error:
            self._doubt = True
            self._once("settings", f"The front end's settings cannot be read: {error}.")
            return None
        self._doubt = self.wanting = False
        self._told.discard("settings")
        self._told.discard("calibration")
        if left_out:
            self._once("region", f"The picture is not wholly calibrated: {'; '.join(left_out)}.")
        else:
            self._told.discard("region")
        return self.settings

    def picture(self, message: Message, content: Picture, now: float) -> Frame | None:
        """IMAGE; ``now`` in s is kept with it.  None: it was refused."""
        said = message.metadata.get("sequence", "")
        if said.isascii() and said.isdigit() and len(said) < 19:
            sequence = int(said)
        else:
            sequence = message.number or self.sequence + 1
        if self.sequence and sequence == self.sequence:
            self.refused += 1
            self._once("picture-repeated", f"The front end sent picture {sequence} twice.")
            return None
        if sequence < self.sequence:
            self.connection += 1
            self.sequence = 0
        self._count(sequence)
        settings = self._settings_of(message, content, sequence)
        return Frame(content.pixels, sequence, now, settings, message.timestamp_ns, self.connection)

    def _count(self, sequence: int) -> None:
        missing = sequence - self.sequence - 1 if self.sequence else 0
        lost = max(0, missing - self._spoiled)
        if lost:
            self.dropped += lost
            self._once(
                "pictures-lost", f"{lost} of the front end's pictures did not arrive before {sequence}."
            )
        self._calm = 0 if missing else self._calm + 1
        if self._calm >= CALM:
            self._told -= BURSTS
        self._spoiled = 0
        self.sequence = sequence
        self.received += 1

    def _settings_of(self, message: Message, content: Picture, sequence: int) -> Settings:
        rows, columns = content.pixels.shape[:2]
        components = 1 if content.pixels.ndim == 2 else content.pixels.shape[2]
        settings = self.settings
        said = message.metadata
        numbered = bool(message.number or "sequence" in said)
        why = ""
        if settings is None:
            why = "it has not told its settings"
        elif self._doubt:
            why = "its newest settings could not be read"
        elif (settings.columns, settings.rows, settings.components) != (columns, rows, components):
            why = f"its settings are those of {settings.columns} x {settings.rows}"
        elif said.get("geometry", str(settings.geometry)) != str(settings.geometry):
            why = "its settings are those of another geometry"
        elif said.get("mode", settings.mode) != settings.mode:
            why = "its settings are those of another mode"
        elif numbered and sequence < settings.first:
            why = "its settings are those of later pictures"
        elif settings.spacing_mm[0] and not all(
            math.isclose(a, b, rel_tol=1e-5)
            for a, b in zip(content.spacing, settings.spacing_mm, strict=True)
        ):
            why = "picture and settings differ about the scale"
        if not why:
            assert settings is not None
            self._told.discard("calibration")
            return settings
        self.wanting = True
        self._once("calibration", f"The front end's picture is not calibrated: {why}.")
        # Nothing of settings that are not this picture's: only how fast it comes and from whom.
        fps, model, serial = (settings.fps, settings.model, settings.serial) if settings else (0.0, "", "")
        number = said.get("geometry", "")
        return Settings(
            mode=said.get("mode", "")[:16],
            geometry=int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0,
            columns=columns,
            rows=rows,
            components=components,
            fps=fps,
            model=model,
            serial=serial,
        )

    def _once(self, code: str, text: str) -> None:
        """Warn once until the burst is over."""
        if code not in self._told:
            self._told.add(code)
            self._warn(code.split(" ", 1)[0], text[:400])
