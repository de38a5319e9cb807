"""The generator's serial line from the console's side: frames, checksums, repetition.

Rules of this file:

* Frame: STX, two digits, arguments each followed by a comma, checksum, ETX (Spellman PMX 118165-001).  The
  checksum is 0x40 + the low six bits of the negated byte sum, with bit 6 always set.
* A question is repeated when no answer, a spoiled answer, or the device's own "bad checksum" (code 1) comes.  All
  commands of this dialect may be repeated without harm.
* An answer counts only if it names the command that was asked; anything else on the line is skipped, and
  at most :data:`MAX_REPLY` bytes are looked at per try.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

STX: Final = 0x02
ETX: Final = 0x03
MAX_REPLY: Final = 1024


class LineError(Exception):
    """The line failed: it cannot be opened, broke, or no good answer came."""


class NoAnswer(LineError):
    """The generator said nothing, or nothing that could be read."""


def check_byte(body: bytes) -> int:
    """Return the checksum of the bytes between STX and checksum."""
    total = 0
    for value in body:
        total = (total + value) & 0xFFFF
    return (0x10000 - total) & 0x7F | 0x40


def write_frame(command: str, arguments: tuple[int, ...] = ()) -> bytes:
    """Return the bytes of a command."""
    body = "".join(f"{part}," for part in (command, *arguments)).encode("ascii")
    return b"%c%s%c%c" % (STX, body, check_byte(body), ETX)


def read_frame(data: bytes) -> tuple[str, list[str]] | None:
    """Read the bytes up to and including an ETX: command and arguments, or None when they are no good
    frame."""
    start = data.rfind(STX)
    inner = data[start + 1 : -1]
    if start < 0 or data[-1:] != bytes([ETX]) or len(inner) < 4:
        return None
    body, check = inner[:-1], inner[-1]
    if check != check_byte(body) or not body.isascii():
        return None
    fields = body.decode("ascii").split(",")
    if fields[-1] == "":
        fields.pop()
    return fields[0], fields[1:]


class SerialLine:
    """Questions and answers over any pyserial URL; may be used by several threads."""

    def __init__(self, url: str, baud: int, timeout_s: float, retries: int) -> None:
        """Open the line; raises :class:`LineError`."""
        import serial  # here: slow, and not needed where there is no generator

        self._lock = threading.Lock()
        self._retries = retries
        self._timeout = timeout_s
        self.spoiled = 0
        """Answers that could not be used, since the line was opened."""
        extra: dict[str, Any] = (
            {} if url.startswith("rfc2217:") else {"write_timeout": 2.0}
        )  # pyserial: not supported there
        try:
            self._port: Any = serial.serial_for_url(url, baudrate=baud, timeout=0.05, **extra)
        except (OSError, ValueError, NotImplementedError) as error:  # SerialException is an OSError
            raise LineError(f"{url}: {error}") from None

    def close(self) -> None:
        """Close the line; a question in progress fails."""
        try:
            self._port.close()
        except (OSError, AttributeError, TypeError):
            pass  # pyserial stumbles when the peer is gone already

    def ask(self, command: str, *arguments: int) -> list[str]:
        """Send a command and return the arguments of its answer.

        Raises :class:`NoAnswer` after all repetitions, :class:`LineError` when the line broke.
        """
        packet = write_frame(command, arguments)
        last = "no answer"
        with self._lock:
            for _ in range(self._retries + 1):
                try:
                    self._port.write(packet)
                    answer = self._read(command)
                except (OSError, AttributeError, TypeError, ValueError) as error:
                    raise LineError(f"serial line failed: {error}") from error
                if answer is None:
                    continue
                if answer == ["1"]:
                    last = "the generator did not understand the command (checksum)"
                    continue
                return answer
        raise NoAnswer(f"command {command}: {last}")

    def _read(self, command: str) -> list[str] | None:
        """Wait for the answer to this command; None when none comes in time."""
        deadline = time.monotonic() + self._timeout
        data = bytearray()
        seen = 0
        while time.monotonic() < deadline and seen < MAX_REPLY:
            byte = self._port.read(1)
            if not byte:
                continue
            seen += 1
            data += byte
            if byte[0] != ETX:
                continue
            frame = read_frame(bytes(data))
            data.clear()
            if frame is None:
                self.spoiled += 1
                return None
            if frame[0] == command:
                return frame[1]
        return None
