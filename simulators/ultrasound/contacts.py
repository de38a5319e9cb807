"""What hangs beside the probe: a foot switch and a freeze key (one serial line), a barcode reader (another).

Rules of this file:

* Contacts are modem lines over RFC 2217, as a pedal on a serial adapter closes them: CTS is the foot switch, DSR the
  freeze key.  A console opens ``rfc2217://host:port`` and reads its CTS and DSR.
* A barcode comes as text and CR, as from a reader in serial mode, over ``socket://host:port`` for one console at
  a time, or into any port of pyserial that is handed over (``loop://``).
* A code is read whether or not anybody listens; the event says what was read, the answer whether it went anywhere.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any, Final, Protocol

from simulators.base import CommandError, Emit

CONTACTS: Final = {"footswitch": "panel.footswitch", "freeze": "panel.freeze"}
MAX_TEXT: Final = 200


class Port(Protocol):
    """A serial port of pyserial, as far as a reader needs it."""

    def write(self, data: bytes, /) -> int | None:
        """Send."""


class Contacts:
    """Foot switch and freeze key; verbs ``press``, ``release`` and ``tap`` with ``contact``."""

    def __init__(self, emit: Emit, host: str = "127.0.0.1", port: int = 0) -> None:
        from simulators.generator.config import Config as LineConfig
        from simulators.generator.line import SerialServer

        self._emit = emit
        self._guard = threading.Lock()
        self._closed = dict.fromkeys(CONTACTS, False)
        self._line = SerialServer(
            LineConfig(transport="rfc2217", host=host, port=port, strict_baud=False, pace=False),
            on_bytes=lambda data: b"",
            on_client=lambda how, baud: emit("panel.line", how=how),
            on_noise=lambda data, why: None,
        )

    def start(self) -> Mapping[str, Any]:
        """Open the line."""
        return self._line.start()

    def stop(self) -> None:
        """Close it; idempotent."""
        self._line.stop()

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Move a contact."""
        if verb == "state" and not args:
            return dict(self._closed)
        if verb not in ("press", "release", "tap"):
            raise CommandError(f"a contact cannot {verb!r}; it can press, release, tap, state")
        name = str(args.get("contact", "footswitch"))
        if name not in CONTACTS or set(args) - {"contact"}:
            raise CommandError(f"{verb}: give contact, one of {', '.join(CONTACTS)}")
        for closed in (True, False) if verb == "tap" else (verb == "press",):
            self._set(name, closed)
        return dict(self._closed)

    def _set(self, name: str, closed: bool) -> None:
        with self._guard:
            if self._closed[name] == closed:
                return
            self._closed[name] = closed
            self._emit(CONTACTS[name], pressed=closed)
            self._line.lines(prep=self._closed["footswitch"], expose=self._closed["freeze"])


class BarcodeReader:
    """Reads patient ids; verb ``scan`` with ``text`` and, for a reader that says what kind of code it was, ``aim``."""

    def __init__(self, emit: Emit, host: str = "127.0.0.1", port: int = 0, wired: Port | None = None) -> None:
        self._emit = emit
        self._where = (host, port)
        self._wired = wired
        self._guard = threading.Lock()
        self._listener: socket.socket | None = None
        self._console: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Mapping[str, Any]:
        """Listen, unless a port was handed over."""
        if self._wired is not None:
            return {}
        self._listener = socket.create_server(self._where, backlog=2)
        host, port = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name="barcode", daemon=True)
        self._thread.start()
        return {"url": f"socket://{host}:{port}", "host": host, "port": port}

    def stop(self) -> None:
        """Close; idempotent."""
        with self._guard:
            socks, self._listener, self._console = (self._listener, self._console), None, None
        for sock in socks:
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
        if self._thread is not None:
            self._thread.join(5.0)

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hold a code under the reader."""
        if verb != "scan" or "text" not in args or set(args) - {"text", "aim"}:
            raise CommandError("a barcode reader can scan: give text, and aim if wanted (']C1')")
        text, aim = args["text"], args.get("aim", "")
        if not isinstance(text, str) or not isinstance(aim, str) or not 1 <= len(text) <= MAX_TEXT:
            raise CommandError(f"scan: text must have 1 to {MAX_TEXT} characters")
        if "\r" in text + aim or "\n" in text + aim:
            raise CommandError("scan: a code has no line ends in it")
        data = (aim + text).encode() + b"\r"
        self._emit("panel.barcode", text=text)
        return {"delivered": self._write(data)}

    def _write(self, data: bytes) -> bool:
        if self._wired is not None:
            self._wired.write(data)
            return True
        with self._guard:
            console = self._console
        if console is None:
            return False
        try:
            console.sendall(data)
        except OSError:
            return False
        return True

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        while True:
            try:
                console, _ = listener.accept()
            except OSError:
                return
            console.settimeout(5.0)  # a console that does not read must not hold the bench up
            with self._guard:
                if self._listener is None:
                    console.close()
                    return
                self._console = console
            self._emit("panel.line", how="opened")
            self._wait_gone(console)
            with self._guard:
                if self._console is console:
                    self._console = None
            console.close()
            self._emit("panel.line", how="left")

    def _wait_gone(self, console: socket.socket) -> None:
        """Read and forget until the console hangs up."""
        while True:
            try:
                if not console.recv(256):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
