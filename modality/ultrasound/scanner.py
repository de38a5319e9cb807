"""The ultrasound scanner as the console uses it: keep the front end connected, freeze, still, clip, screen.

Rules of this file:

* ``open`` returns at once; threads connect the front end, the contacts and the barcode reader, and connect them again
  after a loss.
* Events come one after the other from a thread of their own, so they may call back:
  ``("state", {device, state, ...})``, ``("warning", {service, peer, code, text})``,
  ``("footswitch", {pressed, sequence})``, ``("freeze", {on, by})``, ``("barcode", {text, aim})``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modality.ultrasound.model import Clip, Frame, Pixels, ScannerError, UltrasoundConfig

OnEvent = Callable[[str, dict[str, Any]], None]


class Scanner:
    """Front end, contacts and barcode reader of one console."""

    def __init__(self, config: UltrasoundConfig, on_event: OnEvent) -> None:
        """Remember the settings; nothing is opened yet."""
        self._config = config
        self._on_event = on_event

    def open(self) -> None:
        """Begin to connect, in the background.  Does nothing when that was done already."""

    def close(self) -> None:
        """Give everything back and end all threads.  Idempotent."""

    def state(self) -> dict[str, Any]:
        """Plain data: ``state`` (absent, starting, live, frozen, stalled, unplugged, closed), ``size``, ``fps``,
        ``dropped``, ``refused``, ``sequence``, ``mode``, ``depth_mm``, ``probe``, ``cine`` {frames, bytes}."""
        return {"state": "absent"}

    def freeze(self, on: bool = True) -> None:
        """Stop the picture where it is, or let it go on; the front end is told too."""
        raise ScannerError("frontend-absent", "The ultrasound front end is not connected.")

    def still(self, sequence: int | None = None) -> Frame:
        """The frozen picture, else the newest; or the one of a number, while the memory has it."""
        raise ScannerError("no-picture", "There is no ultrasound picture.")

    def clip(
        self,
        frames: int | None = None,
        seconds: float | None = None,
        *,
        before: bool = False,
        timeout: float = 60.0,
    ) -> Clip:
        """Record what comes, or with ``before`` take what the cine memory has."""
        raise ScannerError("no-picture", "There is no ultrasound picture.")

    def screen(self, lines: Sequence[str] = ()) -> Pixels:
        """What the operator sees, (rows, columns, 3): the picture with ``lines`` of text, knobs and a ruler."""
        raise ScannerError("no-picture", "There is no ultrasound picture.")

    def set(self, **knobs: Any) -> None:
        """Turn knobs of the front end: depth (mm), gain (dB), dynamic_range (dB), mode, probe."""
        raise ScannerError("frontend-absent", "The ultrasound front end is not connected.")
