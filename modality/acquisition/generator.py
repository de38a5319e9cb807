"""The X-ray generator as the console sees it: set a technique, watch the preparation, read back the exposure.

Rules of this file:

* What was set is read back and compared; a generator that kept something else is an error, never a surprise.
* 0-4095 stand for 0-150 kV and 0-1000 mA, as agreed with this generator.
* Every fault and every refusal becomes one sentence for the operator.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

from modality.acquisition.model import AcquisitionError, GeneratorSettings, Technique
from modality.acquisition.serialline import LineError, NoAnswer, SerialLine

FULL: Final = 4095
FULL_KV: Final = 150.0
FULL_MA: Final = 1000.0

FAULT_TEXTS: Final = {
    1: "The X-ray tube is too hot.",
    2: "An arc in the X-ray tube cut the exposure short.",
    3: "The tube current was too high.",
    4: "The tube current was too low.",
    5: "The tube voltage was too low.",
    6: "The tube voltage was too high.",
    7: "The generator's watchdog tripped.",
    8: "The generator's power supply failed.",
    9: "The interlock is open: close the door.",
    11: "The X-ray tube becomes hot.",
    33: "The tube's rotor did not come up to speed.",
    34: "The tube's filament is open.",
    35: "The back-up timer ended the exposure: the dose was too high.",
    36: "The preparation took too long: release the hand switch and try again.",
    43: "The generator is due for maintenance.",
}
CODE_TEXTS: Final = {
    "2": "The generator does not know this command.",
    "3": "The generator does not accept this exposure time.",
    "4": "The generator does not accept this tube voltage.",
    "5": "The generator does not accept this tube current.",
    "6": "The generator does not accept this focus.",
    "7": "The generator did not understand the technique.",
    "8": "The generator is busy.",
    "9": "The technique cannot be changed while X-rays are on.",
    "10": "The generator does not allow this combination of voltage, current and time.",
    "11": "The generator is set to another technique mode.",
}


@dataclass(frozen=True)
class Status:
    """What the generator says about itself (command 22)."""

    xray: bool
    interlock_closed: bool
    fault: bool
    prep: bool
    ready: bool
    invalid: bool
    busy: bool
    too_hot: bool
    cooling: bool

    @property
    def phase(self) -> str:
        """One word for the operator's display."""
        if self.fault:
            return "fault"
        if self.xray:
            return "xray"
        if self.ready:
            return "ready"
        if self.prep:
            return "prep"
        return "hot" if self.too_hot else "cooling" if self.cooling else "busy" if self.busy else "standby"


@dataclass(frozen=True)
class Exposure:
    """The last exposure as the generator measured it: kV, mA, ms, mAs, dGy·cm²; None where it cannot say."""

    number: int
    kvp: float | None
    ma: float | None
    ms: float | None
    mas: float | None
    dap_dgycm2: float | None
    truncated: bool


class Generator:
    """One generator; may be used by several threads."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings
        self._line: SerialLine | None = None

    @property
    def connected(self) -> bool:
        """Whether the line is open and answered last time."""
        return self._line is not None

    def connect(self) -> Status:
        """Open the line and ask for the status; raises :class:`AcquisitionError`."""
        self.disconnect()
        s = self._settings
        try:
            self._line = SerialLine(s.url, s.baud, s.reply_timeout_s, s.retries)
        except LineError as error:
            raise AcquisitionError(
                "generator-absent", f"The generator cannot be reached: {error}."
            ) from error
        return self.status()

    def disconnect(self) -> None:
        """Close the line.  Idempotent."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def status(self) -> Status:
        """Ask for the status."""
        answer = self._ask("22")
        if len(answer) < 16 or any(flag not in ("0", "1") for flag in answer):
            raise AcquisitionError("generator-protocol", "The generator's status cannot be read.")
        flags = [flag == "1" for flag in answer] + [False] * 26
        return Status(
            xray=flags[0],
            interlock_closed=flags[1],
            fault=flags[2],
            prep=flags[3],
            ready=flags[12],
            invalid=flags[13],
            busy=flags[14],
            too_hot=flags[19],
            cooling=flags[21],
        )

    def set(self, technique: Technique) -> Technique:
        """Set kV, mA and ms, read them back, and return what the generator will really do.

        Raises :class:`AcquisitionError` with the generator's own reason.
        """
        kv, ma, ms = (
            round(technique.kvp * FULL / FULL_KV),
            round(technique.ma * FULL / FULL_MA),
            round(technique.ms),
        )
        if not (0 <= kv <= FULL and 0 <= ma <= FULL and 0 < ms <= 99_999):
            raise AcquisitionError(
                "technique",
                f"{technique.kvp:g} kV, {technique.ma:g} mA, {technique.ms:g} ms are outside the range.",
            )
        self._set("50", ms, kv, ma, 1)
        for command, wanted, name in (("14", kv, "voltage"), ("15", ma, "current")):
            got = self._number(self._ask(command), command)
            if got != wanted:
                raise AcquisitionError(
                    "generator-protocol", f"The generator kept another tube {name} than was set."
                )
        return Technique(
            kv * FULL_KV / FULL,
            ma * FULL_MA / FULL,
            float(ms),
            technique.view,
            technique.body_part,
            technique.sid_mm,
            technique.target_ei,
        )

    def make_ready(self, technique: Technique, give_up: threading.Event, standby_s: float) -> Technique:
        """Clear old faults, wait for standby, set a technique; returns what the generator will really do.

        Raises :class:`AcquisitionError` when it has a fault, is too hot, is not in standby in time, or
        refuses.
        """
        status = self.status()
        if status.fault:
            self.clear_faults()
            status = self.status()
        deadline = time.monotonic() + standby_s
        while status.phase in ("cooling", "xray", "busy") and time.monotonic() < deadline:
            if give_up.wait(0.05):
                break
            status = self.status()
        if status.fault:
            raise self.fault_error()
        if status.too_hot:
            raise AcquisitionError("generator-fault", "The X-ray tube is too hot. Let it cool down.")
        if status.phase in ("cooling", "xray", "busy"):
            raise AcquisitionError(
                "generator-refused", f"The generator is not ready for a new exposure ({status.phase})."
            )
        return self.set(technique)

    def clear_faults(self) -> None:
        """Clear a fault whose cause is gone; raises :class:`AcquisitionError` with the fault that stays."""
        answer = self._ask("52")
        if answer != ["$"]:
            raise self.fault_error()

    def fault_code(self) -> int:
        """Return the code of the present fault, 0 for none."""
        try:
            return self._number(self._ask("62"), "62")
        except AcquisitionError as error:
            if error.code != "generator-protocol":
                raise
            return -1  # a generator without this command has a fault it does not name

    def fault_error(self) -> AcquisitionError:
        """Return the present fault as an error."""
        code = self.fault_code()
        text = FAULT_TEXTS.get(
            code, f"The generator reports fault {code}." if code > 0 else "Generator fault."
        )
        return AcquisitionError("generator-fault", text)

    def last_exposure(self) -> Exposure | None:
        """Read back the last exposure; None when there was none, or the generator cannot say."""
        answer = self._ask("61")
        if len(answer) < 7:
            return None
        try:
            number, kv, ma, ms, mas, dap, cut = (int(a) for a in answer[:7])
        except ValueError:
            raise AcquisitionError(
                "generator-protocol", "The generator's exposure read-back cannot be read."
            ) from None
        if number == 0:
            return None
        return Exposure(number, kv / 10, ma / 10, ms / 10, mas / 1000, dap / 1000, bool(cut))

    # ---------------------------------------------------------------- line

    def _set(self, command: str, *arguments: int) -> None:
        answer = self._ask(command, *arguments)
        if answer != ["$"]:
            code = answer[0] if answer else ""
            text = CODE_TEXTS.get(code, f"The generator refused the technique (code {code}).")
            raise AcquisitionError("generator-refused", text)

    def _ask(self, command: str, *arguments: int) -> list[str]:
        line = self._line
        if line is None:
            raise AcquisitionError("generator-absent", "The generator is not connected.")
        try:
            return line.ask(command, *arguments)
        except NoAnswer as error:
            raise AcquisitionError("generator-absent", "The generator does not answer.") from error
        except LineError as error:
            if self._line is line:
                self.disconnect()
            raise AcquisitionError("generator-absent", "The line to the generator is broken.") from error

    @staticmethod
    def _number(answer: list[str], command: str) -> int:
        if len(answer) != 1 or not answer[0].isdigit():
            raise AcquisitionError(
                "generator-protocol", f"The generator's answer to command {command} cannot be read."
            )
        return int(answer[0])
