"""The barcode reader: codes that end with CR or LF, from a socket or a serial device.

Rules of this file:

* A code may begin with what kind it is (AIM identifier: ``]``, a letter, a digit); that is told apart from its text.
* Text is UTF-8, else Shift JIS; a code that is neither, that is empty or longer than :data:`MAX_CODE` bytes is not
  taken, and whoever uses the reader is told.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any, Final

from modality.ultrasound.sideline import SideLine, Warn

MAX_CODE: Final = 1024
_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")

OnCode = Callable[[str, str], None]


class CodeReader:
    """Bytes in, (text, AIM identifier) out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False
        self.spoiled = 0
        """Codes that were not taken."""

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Take what arrived; the codes that are whole now."""
        codes = []
        for byte in data:
            if byte not in b"\r\n":
                if len(self._buffer) < MAX_CODE:
                    self._buffer.append(byte)
                else:
                    self._skipping = True
                continue
            raw, self._buffer = bytes(self._buffer), bytearray()
            skip, self._skipping = self._skipping, False
            if not raw:
                continue
            code = None if skip else _decode(raw)
            if code is None:
                self.spoiled += 1
            else:
                codes.append(code)
        return codes


def _decode(raw: bytes) -> tuple[str, str] | None:
    for encoding in ("utf-8", "shift_jis"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        found = _AIM.match(text)
        aim = found.group() if found else ""
        text = text[len(aim) :]
        return (text, aim) if text.strip() else None
    return None


class BarcodeLine(SideLine):
    """One reader's line."""

    name = "barcode"
    scheme = "socket"
    absent = "The barcode reader does not work"

    def __init__(self, url: str, on_code: OnCode, warn: Warn) -> None:
        self._on_code = on_code
        super().__init__(url, warn)

    def _take(self, reader: CodeReader, data: bytes) -> None:
        before = reader.spoiled
        for text, aim in reader.feed(data):
            self._on_code(text, aim)
        if reader.spoiled > before:
            self._warn("barcode", "barcode-spoiled", "A barcode could not be read.")

    def remote(self, sock: socket.socket) -> None:
        """Take codes until the connection is over."""
        self.ready.set()
        reader = CodeReader()
        while data := sock.recv(4096):
            self._take(reader, data)
        raise OSError("the line was closed")

    def local(self, url: str) -> None:
        """Take codes from a serial device until it fails."""
        import serial  # here: slow, and not needed where codes come over the network

        port: Any = serial.serial_for_url(url, baudrate=9600, timeout=0.1)
        try:
            self.ready.set()
            reader = CodeReader()
            while not self._closed.is_set():
                self._take(reader, port.read(256))
        finally:
            port.close()
