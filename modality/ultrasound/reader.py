"""The barcode reader: codes that end with CR or LF, from a socket or a serial device.

Rules of this file:

* A code may begin with what kind it is (AIM identifier: ``]``, a letter, a digit); that is told apart from its text.
* Text is UTF-8, else Shift JIS; a code that is neither, that is empty or longer than :data:`MAX_CODE` bytes is not
  taken, and whoever uses the reader is told.
* The line is opened again after a loss; one warning per loss.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from modality.ultrasound.contacts import CONNECT_S, RETRY_S, Warn, keep_alive

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


class BarcodeLine:
    """One reader's line, opened again and again."""

    def __init__(self, url: str, on_code: OnCode, warn: Warn) -> None:
        self._url = url
        self._on_code = on_code
        self._warn = warn
        self._closed = threading.Event()
        self._guard = threading.Lock()
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="barcode-line", daemon=True)
        self.ready = threading.Event()
        """The line is open."""

    def open(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; idempotent."""
        self._closed.set()
        with self._guard:
            if self._sock is not None:
                try:
                    self._sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it is gone already
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(CONNECT_S + 5.0)

    def _run(self) -> None:
        told = False
        work = self._remote if self._url.startswith("socket://") else self._local
        while not self._closed.is_set():
            self.ready.clear()
            try:
                work()
            except (OSError, ValueError) as error:
                told = told and not self.ready.is_set()
                if not told and not self._closed.is_set():
                    told = True
                    text = f"The barcode reader does not work: {getattr(error, 'strerror', None) or error}."
                    self._warn("barcode", "barcode-absent", text)
            self._closed.wait(RETRY_S)
        self.ready.clear()

    def _take(self, reader: CodeReader, data: bytes) -> None:
        before = reader.spoiled
        for text, aim in reader.feed(data):
            self._on_code(text, aim)
        if reader.spoiled > before:
            self._warn("barcode", "barcode-spoiled", "A barcode could not be read.")

    def _remote(self) -> None:
        parts = urlsplit(self._url)
        if not parts.hostname or not parts.port:
            raise ValueError(f"{self._url} names no host and port")
        with socket.create_connection((parts.hostname, parts.port), CONNECT_S) as sock:
            sock.settimeout(None)
            keep_alive(sock)
            with self._guard:
                if self._closed.is_set():
                    return
                self._sock = sock
            try:
                self.ready.set()
                reader = CodeReader()
                while data := sock.recv(4096):
                    self._take(reader, data)
                raise OSError("the line was closed")
            finally:
                with self._guard:
                    self._sock = None

    def _local(self) -> None:
        import serial  # here: slow, and not needed where codes come over the network

        port: Any = serial.serial_for_url(self._url, baudrate=9600, timeout=0.1)
        try:
            self.ready.set()
            reader = CodeReader()
            while not self._closed.is_set():
                self._take(reader, port.read(256))
        finally:
            port.close()
