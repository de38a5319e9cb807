"""The connection to the front end: connect, read, notice when it is gone, connect again.

Rules of this file:

* One thread connects and reads; anybody may send small messages, which never block.
* The owner hears everything in that thread: joined, message, tick (ten times a second at least), lost.
* A connection on which nothing comes is asked (GET_STATUS) from half of ``silence_s`` on and given up after it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from typing import Final, Protocol

from modality.ultrasound.igtl import Decoder, Message, Refused, StreamError, write_question
from modality.ultrasound.model import UltrasoundConfig

TICK_S: Final = 0.1
BUFFER: Final = 8 << 20
"""A few pictures that came while this process had no processor."""
SO_RCVBUFFORCE: Final = 33
"""Linux: asks for more than an unprivileged process may have."""


class Owner(Protocol):
    """The scanner, as the link needs it."""

    def joined(self) -> None:
        """There is a connection."""

    def arrived(self, message: Message | Refused, now: float) -> None:
        """A message came."""

    def tick(self, now: float) -> None:
        """Time passes."""

    def lost(self, code: str, text: str) -> None:
        """There is no connection, or not any more."""


def prefer() -> None:
    """Let this thread go before others where that may be asked for: pictures do not wait."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)


class Link:
    """One front end's socket."""

    def __init__(self, config: UltrasoundConfig, owner: Owner) -> None:
        self._config = config
        self._owner = owner
        self._closed = threading.Event()
        self._guard = threading.Lock()
        self._sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="ultrasound-link", daemon=True)

    def open(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> None:
        """End; idempotent."""
        self._closed.set()
        self._hang_up()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(self._config.connect_timeout_s + 5.0)

    def send(self, data: bytes) -> bool:
        """Send a small message; False when there is no connection that takes it."""
        with self._guard:
            if self._sock is None:
                return False
            try:
                if self._sock.send(data) == len(data):
                    return True
            except OSError:
                pass
        self._hang_up()  # a peer that has no room for 200 bytes does not read
        return False

    def _hang_up(self) -> None:
        with self._guard:
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    # ---------------------------------------------------------------- thread

    def _run(self) -> None:
        prefer()
        where = (self._config.address, self._config.port)
        while not self._closed.is_set():
            try:
                sock = socket.create_connection(where, self._config.connect_timeout_s)
            except OSError as error:
                self._owner.lost(
                    "frontend-absent", f"The front end cannot be reached: {error.strerror or error}."
                )
            else:
                code, text = self._serve(sock)
                if self._closed.is_set():
                    return
                self._owner.lost(code, text)
            self._closed.wait(self._config.retry_s)

    def _serve(self, sock: socket.socket) -> tuple[str, str]:
        """Read until the connection is over; why."""
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # not allowed: the system's own size
                    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            sock.settimeout(TICK_S)
            with self._guard:
                self._sock = sock
            try:
                self._owner.joined()
                return self._read(sock)
            except StreamError as error:
                return "frontend-protocol", f"The front end cannot be understood: {error}."
            except OSError as error:
                return "frontend-lost", f"The connection to the front end broke: {error.strerror or error}."
            except Exception:  # a fault of ours: the exam goes on with a new connection
                logging.getLogger(__name__).exception("what the front end sent could not be dealt with")
                return "frontend-protocol", "The front end sent something that could not be dealt with."
            finally:
                with self._guard:
                    self._sock = None

    def _read(self, sock: socket.socket) -> tuple[str, str]:
        decoder = Decoder()
        now = heard = ticked = asked = time.monotonic()
        silence = self._config.silence_s
        while not self._closed.is_set():
            try:
                count = sock.recv_into(decoder.target())
            except TimeoutError:
                count = -1
            now = time.monotonic()
            if count == 0:
                return "frontend-lost", "The front end has closed the connection."
            if count > 0:
                heard = now
                got = decoder.filled(count)
                if got is not None:
                    self._owner.arrived(got, now)
            if now - ticked >= TICK_S:
                ticked = now
                self._owner.tick(now)
            if now - heard > silence:
                return "frontend-lost", "The front end does not say anything any more."
            if now - heard > silence / 2 and now - asked > silence / 4:
                asked = now
                self.send(write_question("GET_STATUS", "UsProbe", time.time_ns()))
        return "closed", ""
