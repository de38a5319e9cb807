"""The acquisition as the console uses it: opened in the background, armed, waited for, and its faults told.

Rules of this file:

* The driver is a class ``(AcquisitionConfig, on_event)`` with ``open, prepare, wait, cancel, close`` named by
  the setting ``acquisition.driver``; the default drives detector and generator.
* A fault of a device is a warning of service ``acquisition`` with the driver's code; what the operator did too early is
  only refused.
* A device that was absent at start is looked for again at the next ``prepare``.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...control import Refused
from ...notices import Notices
from ...settings import ConfigError
from .config import VxvueConfig
from .exam import View

if TYPE_CHECKING:
    from ...objects.dx import Shot

_QUIET: Final = frozenset({"cancelled", "closed", "not-prepared", "not-exposed", "technique"})
_TECHNIQUE: Final = {"kvp": 110.0, "ma": 200.0, "ms": 20.0}
_NUMBERS: Final = ("kvp", "ma", "ms", "sid_mm", "target_ei")


def settings(config: VxvueConfig) -> Any:
    """The driver's settings, checked.

    Raises:
        ConfigError: a key or value of ``detector``, ``generator`` or ``acquisition.options`` is wrong.
    """
    from ...acquisition import AcquisitionConfig

    given = config.acquisition
    try:
        return AcquisitionConfig.from_settings(
            given.detector, given.generator, given.options, config.bits_stored
        )
    except (ValueError, TypeError) as error:
        raise ConfigError([str(error)]) from None


def driver_class(name: str) -> Callable[..., Any]:
    """The class that a ``module:Class`` setting names.

    Raises:
        ConfigError: it cannot be loaded.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError([f"acquisition.driver {name!r} cannot be loaded: {error}"]) from None
    return found


class Devices:
    """Detector and generator behind their driver."""

    def __init__(self, config: Callable[[], VxvueConfig], notices: Notices) -> None:
        self._config, self._notices = config, notices
        self._driver: Any = None
        self._lock = threading.Lock()
        self._waiting = False
        self._armed: tuple[int, View] | None = None
        """The exam and view that were prepared last; they do not change while an exposure is awaited."""
        self._closed = False
        self.state = "closed"

    @property
    def waiting(self) -> bool:
        """Tell whether an exposure is being waited for."""
        return self._waiting

    def start(self) -> None:
        """Open the devices in the background."""
        threading.Thread(target=self._open_quietly, name="acquisition-open", daemon=True).start()

    def close(self) -> None:
        """End the driver; idempotent."""
        self._closed = True
        driver = self._driver
        if driver is not None:
            self._guard(driver.close)

    def _guard(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # closing and cancelling must not fail for the operator
            self._notices.state(what="acquisition", state="error", text=str(error))

    def _open_quietly(self) -> None:
        try:
            with self._lock:
                self._open()
        except Refused:
            pass

    def _open(self) -> None:
        """Open when not open; the caller holds the lock."""
        if self.state == "ready" or self._closed:
            return
        self.state = "opening"
        try:
            config = self._config()
            if self._driver is None:
                self._driver = driver_class(config.acquisition.driver)(settings(config), self._on_event)
            self._driver.open()
        except Exception as error:
            self.state = "failed"
            raise self._failed(error) from error
        self.state = "ready"
        self._notices.state(what="acquisition", state="ready")

    def _on_event(self, kind: str, data: Mapping[str, Any]) -> None:
        rest = {
            key: value
            for key, value in data.items()
            if key not in ("service", "peer", "text", "what", "kind")
        }
        if kind.rpartition(".")[2] == "warning":
            peer, text = str(data.get("peer", "detector")), str(data.get("text", kind))
            self._notices.warn("acquisition", peer, text, **rest)
        else:
            self._notices.state(what="acquisition", event=kind, **rest)

    def _failed(self, error: Exception) -> Refused:
        """Turn a driver's error into a warning, when it is one, and a refusal."""
        from ...acquisition import AcquisitionError

        if isinstance(error, AcquisitionError):
            code, text = error.code, error.text
        else:
            code, text = (
                "internal",
                str(error) if isinstance(error, ConfigError) else f"internal error: {error!r}",
            )
        if code.split("-")[0] in ("detector", "generator") and code.endswith(("absent", "lost")):
            self.state = "failed"
        if code not in _QUIET:
            self._notices.warn("acquisition", code.split("-")[0], text, code=code)
        return Refused(text)

    def prepare(self, exam: int, view: View, args: Mapping[str, Any]) -> dict[str, Any]:
        """Arm the detector and set the generator for an exam; return when the hand switch may be pressed.

        Raises:
            Refused: a value is no number, a device is not there, or refuses.
        """
        from ...acquisition import Technique

        numbers = dict(_TECHNIQUE)
        for key in _NUMBERS:
            value = args.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Refused(f"{key} must be a number, not {value!r}")
            numbers[key] = float(value)
        with self._lock:
            if self._waiting:
                raise Refused("an exposure is awaited already")
            self._open()
            technique = Technique(view=view.view, body_part=view.body_part, **numbers)
            self._armed = None
            try:
                self._driver.prepare(technique)
            except Exception as error:
                raise self._failed(error) from error
            self._armed = exam, view
        self._notices.state(what="acquisition", state="prepared", view=view.view, body_part=view.body_part)
        return {"view": view.view, "body_part": view.body_part, "laterality": view.laterality, **numbers}

    def wait(self, exam: int, timeout: float) -> tuple[View, Shot]:
        """The next exposure, and the view it was prepared for.

        Raises:
            Refused: nothing is prepared for this exam, none came in time, or a device failed.
        """
        with self._lock:
            if self._driver is None or self._armed is None or self._armed[0] != exam:
                raise Refused("nothing is prepared")
            if self._waiting:
                raise Refused("an exposure is awaited already")
            self._waiting = True
            view = self._armed[1]
        try:
            return view, self._driver.wait(timeout)
        except Exception as error:
            raise self._failed(error) from error
        finally:
            self._waiting = False

    def cancel(self) -> None:
        """Give up what is prepared; nothing happens when nothing is."""
        driver = self._driver
        if driver is not None and self.state == "ready":
            self._guard(driver.cancel)
