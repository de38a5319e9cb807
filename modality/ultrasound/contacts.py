"""Foot switch and freeze key: two contacts on the modem lines of a serial line, CTS and DSR.

Rules of this file:

* ``rfc2217://host:port`` hears every change; a serial device of the machine is looked at every few milliseconds.
* How the contacts are when the line is opened is no event: a pedal that somebody stands on takes no picture.
* A contact that closes again within :data:`BOUNCE_S` has bounced: one press, and the release that ends it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final

from modality.ultrasound.rfc2217 import CTS, DSR, ModemLines
from modality.ultrasound.sideline import SideLine, Warn

CONTACTS: Final = {"footswitch": CTS, "freeze": DSR}
BOUNCE_S: Final = 0.01
POLL_S: Final = 0.005

OnContact = Callable[[str, bool], None]


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


class ContactLine(SideLine):
    """One line with both contacts."""

    name = "contacts"
    scheme = "rfc2217"
    absent = "Foot switch and freeze key do not work"

    def __init__(self, url: str, on_contact: OnContact, warn: Warn) -> None:
        self._on_contact = on_contact
        super().__init__(url, warn)

    def _see(self, edges: Edges, state: int) -> None:
        for name, closed in edges.feed(state, time.monotonic()):
            self._on_contact(name, closed)
        self.ready.set()

    def remote(self, sock: socket.socket) -> None:
        """Hear of changes until the connection is over."""
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

    def local(self, url: str) -> None:
        """Look at a serial device until it fails."""
        import serial  # here: slow, and not needed where contacts come over the network

        port: Any = serial.serial_for_url(url, timeout=0)
        try:
            edges = Edges()
            while not self._closed.wait(POLL_S):
                self._see(edges, CTS * bool(port.cts) | DSR * bool(port.dsr))
        finally:
            port.close()
