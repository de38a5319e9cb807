"""A serial line beside the probe, on the network or a device of this machine, opened again and again.

Rules of this file:

* A line that is lost is opened again; one warning per loss, in the words of who uses the line.
* ``ready`` is set by who uses the line, as soon as what comes over it can be relied on.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

RETRY_S: Final = 0.5
CONNECT_S: Final = 5.0

Warn = Callable[[str, str, str], None]
"""Called with peer, code and a sentence for the operator."""


class SideLine:
    """One line; ``scheme`` of the URL tells a line on the network from a device."""

    name = ""
    """Peer of the warnings."""
    scheme = ""
    absent = ""
    """Beginning of the sentence when the line cannot be used."""

    def __init__(self, url: str, warn: Warn) -> None:
        self._url = url
        self._warn = warn
        self._closed = threading.Event()
        self._guard = threading.Lock()
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=f"{self.name}-line", daemon=True)
        self.ready = threading.Event()
        """The line is open, and what it says is known."""

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

    def remote(self, sock: socket.socket) -> None:
        """Work with a line on the network until it is over (OSError) or closed."""
        raise NotImplementedError

    def local(self, url: str) -> None:
        """Work with a device of this machine until it fails (OSError) or the line is closed."""
        raise NotImplementedError

    def _run(self) -> None:
        told = False
        while not self._closed.is_set():
            self.ready.clear()
            try:
                if self._url.startswith(f"{self.scheme}://"):
                    self._connect()
                else:
                    self.local(self._url)
            except (OSError, ValueError) as error:
                told = told and not self.ready.is_set()
                if not told and not self._closed.is_set():
                    told = True
                    text = f"{self.absent}: {getattr(error, 'strerror', None) or error}."
                    self._warn(self.name, f"{self.name}-absent", text)
            self._closed.wait(RETRY_S)
        self.ready.clear()

    def _connect(self) -> None:
        parts = urlsplit(self._url)
        if not parts.hostname or not parts.port:
            raise ValueError(f"{self._url} names no host and port")
        with socket.create_connection((parts.hostname, parts.port), CONNECT_S) as sock:
            sock.settimeout(None)
            _keep_alive(sock)
            with self._guard:
                if self._closed.is_set():
                    return
                self._sock = sock
            try:
                self.remote(sock)
            finally:
                with self._guard:
                    self._sock = None


def _keep_alive(sock: socket.socket) -> None:
    """Notice a peer that vanished without a word after about six seconds."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
