"""Foot switch and freeze key: two contacts on the modem lines of a serial line, CTS and DSR.

Rules of this file:

* ``rfc2217://host:port`` hears every change; a serial device of the machine is looked at every few milliseconds.
* How the contacts are when the line is opened is no event: a pedal that somebody stands on takes no picture.
* A contact that closes again within :data:`BOUNCE_S` has bounced: one press, and the release that ends it.
* The line is opened again after a loss; one warning per loss.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from modality.ultrasound.rfc2217 import CTS, DSR, ModemLines

CONTACTS: Final = {"footswitch": CTS, "freeze": DSR}
BOUNCE_S: Final = 0.01
POLL_S: Final = 0.005
RETRY_S: Final = 0.5
CONNECT_S: Final = 5.0

OnContact = Callable[[str, bool], None]
Warn = Callable[[str, str, str], None]


class Edges:
    """From states of the lines to presses and releases."""

    def __init__(self) -> None:
        self._last: dict[str, bool] = {}
        self._pressed_at: dict[str, float] = {}
        self._bouncing: set[str] = set()

    def feed(self, state: int, now: float) -> list[tuple[str, bool]]:
        """The lines stand like this at ``now`` (s); what has happened."""
        events = []
        for name, bit in CONTACTS.items():
            closed = bool(state & bit)
            before = self._last.get(name, closed)
            self._last[name] = closed
            if closed == before:
                continue
            if closed:
                bounce = now - self._pressed_at.get(name, -1.0) < BOUNCE_S
                self._pressed_at[name] = now
                (self._bouncing.add if bounce else self._bouncing.discard)(name)
            if name not in self._bouncing:
                events.append((name, closed))
        return events


class ContactLine:
    """One line with both contacts, opened again and again."""

    def __init__(self, url: str, on_contact: OnContact, warn: Warn) -> None:
        self._url = url
        self._on_contact = on_contact
        self._warn = warn
        self._closed = threading.Event()
        self._guard = threading.Lock()
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="contacts", daemon=True)
        self.ready = threading.Event()
        """The state of the contacts is known."""

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
        work = self._remote if self._url.startswith("rfc2217://") else self._local
        while not self._closed.is_set():
            self.ready.clear()
            try:
                work()
            except (OSError, ValueError) as error:
                told = told and not self.ready.is_set()
                if not told and not self._closed.is_set():
                    told = True
                    text = f"Foot switch and freeze key do not work: {getattr(error, 'strerror', None) or error}."
                    self._warn("contacts", "contacts-absent", text)
            self._closed.wait(RETRY_S)
        self.ready.clear()

    def _see(self, edges: Edges, state: int) -> None:
        for name, closed in edges.feed(state, time.monotonic()):
            self._on_contact(name, closed)
        self.ready.set()

    def _remote(self) -> None:
        """Hear of changes until the connection is over."""
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
                lines, edges = ModemLines(), Edges()
                while True:
                    if lines.outgoing:
                        sock.sendall(bytes(lines.outgoing))
                        lines.outgoing.clear()
                    data = sock.recv(4096)
                    if not data:
                        raise OSError("the line was closed")
                    for state in lines.feed(data):
                        self._see(edges, state)
            finally:
                with self._guard:
                    self._sock = None

    def _local(self) -> None:
        """Look at a serial device until it fails."""
        import serial  # here: slow, and not needed where contacts come over the network

        port: Any = serial.serial_for_url(self._url, timeout=0)
        try:
            edges = Edges()
            while not self._closed.wait(POLL_S):
                self._see(edges, CTS * bool(port.cts) | DSR * bool(port.dsr))
        finally:
            port.close()


def keep_alive(sock: socket.socket) -> None:
    """Notice a peer that vanished without a word after about six seconds."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
