"""Whoever is connected to the front end: bounded queues, a reader and a writer thread each.

Rules of this file:

* A client never slows the device down.  When its queue of pictures is full, the oldest picture is thrown away
  and told; small messages are never thrown away, a client with too many of them waiting is cut off.
* What a client sends is read in bounded pieces and decoded with a small limit: it sends knobs, not pictures.  One
  that sends too much garbage is cut off.
* More than ``max_clients`` are turned away at once.
* A writer gathers header and pixels (``sendmsg``): pixels are shared by all clients and never copied.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from simulators.base import Emit
from simulators.ultrasound.igtl import Decoder, Limits, Message, ProtocolError, Spoiled

PIECE: Final = 65536
INBOUND: Final = Limits(body=65536, metadata=64)
SMALL_LIMIT: Final = 256
"""Small messages that may wait."""
GARBAGE_LIMIT: Final = 100
"""Spoiled messages that are borne with: each of them is told."""


@dataclass(frozen=True, eq=False)
class Parcel:
    """One message on its way; ``sequence`` 0 is not a picture."""

    parts: tuple[bytes | memoryview, ...]
    sequence: int = 0
    hold_at: int | None = None
    """After so many bytes wait ``hold_s``."""
    hold_s: float = 0.0
    cut_at: int | None = None
    """After so many bytes cut the connection."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(p) for p in self.parts)


class Owner(Protocol):
    """The device, as a client needs it."""

    def arrived(self, client: Client, message: Message) -> None:
        """A client sent a message."""

    def joined(self, client: Client) -> None:
        """A client is there: greet it, then :meth:`Door.add` it."""

    def left(self, client: Client) -> None:
        """A client is gone."""


@dataclass(eq=False)
class Client:
    """One connection."""

    number: int
    sock: socket.socket
    peer: str
    owner: Owner
    emit: Emit
    queue: int
    sent: int = 0
    """Pictures that were handed to the system whole."""
    dropped: int = 0
    _waiting: deque[Parcel] = field(default_factory=deque)
    _ready: threading.Condition = field(default_factory=threading.Condition)
    _ended: threading.Event = field(default_factory=threading.Event)
    _how: str = "closed"
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to read and to write."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.owner.joined(self)
        for target in (self._write, self._read):
            thread = threading.Thread(target=target, name=f"ultrasound-client-{self.number}", daemon=True)
            thread.start()
            self._threads.append(thread)  # begun, so that who stops the device meanwhile can join it

    def put(self, parcel: Parcel) -> None:
        """Queue a message; never blocks."""
        lost: list[int] = []
        with self._ready:
            if self._ended.is_set():
                return
            self._waiting.append(parcel)
            pictures = [p for p in self._waiting if p.sequence]
            for old in pictures[: max(0, len(pictures) - self.queue)]:
                self._waiting.remove(old)
                lost.append(old.sequence)
            flooded = len(self._waiting) - min(len(pictures), self.queue) > SMALL_LIMIT
            self._ready.notify()
        for sequence in lost:
            self.dropped += 1
            self.emit("ultrasound.dropped", client=self.number, sequence=sequence, why="slow client")
        if flooded:
            self.end("does not read")

    def end(self, how: str) -> None:
        """Close; from any thread, more than once."""
        with self._ready:
            if self._ended.is_set():
                return
            self._how = how
            self._ended.set()
            self._waiting.clear()
            self._ready.notify_all()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.owner.left(self)  # first: who hears that it is gone may take its place
        self.emit(
            "ultrasound.client",
            client=self.number,
            peer=self.peer,
            how=how,
            sent=self.sent,
            dropped=self.dropped,
        )

    def join(self, timeout: float) -> None:
        """Wait for both threads."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout)

    # ---------------------------------------------------------------- threads

    def _write(self) -> None:
        prefer()
        try:
            while True:
                with self._ready:
                    while not self._waiting and not self._ended.is_set():
                        self._ready.wait()
                    if self._ended.is_set():
                        return
                    parcel = self._waiting.popleft()
                if not self._send(parcel):
                    return
                self.sent += bool(parcel.sequence)
        except OSError:
            self.end("reset")

    def _send(self, parcel: Parcel) -> bool:
        size = parcel.size
        hold = None if parcel.hold_at is None else min(parcel.hold_at, size)
        cut = None if parcel.cut_at is None else min(parcel.cut_at, size)
        at = 0
        for stop in sorted({size, *(s for s in (hold, cut) if s is not None)}):
            send_all(self.sock, piece(parcel.parts, at, stop))
            at = stop
            if stop == hold and self._ended.wait(parcel.hold_s):
                return False
            if stop == cut:
                self.end("cut by the device")
                return False
        return True

    def _read(self) -> None:
        decoder, spoiled = Decoder(INBOUND), 0
        try:
            while data := self.sock.recv(PIECE):
                decoder.receive(data)
                while (got := decoder.next()) is not None:
                    if isinstance(got, Spoiled):
                        spoiled += 1
                        self.emit("ultrasound.garbage", client=self.number, reason=got.reason)
                        if spoiled >= GARBAGE_LIMIT:
                            raise ProtocolError(f"{spoiled} messages that are none")
                    else:
                        self.owner.arrived(self, got)
            self.end("left")
        except ProtocolError as error:
            self.emit("ultrasound.garbage", client=self.number, reason=str(error))
            self.end("broke the protocol")
        except OSError:
            self.end("reset")


def piece(parts: Sequence[bytes | memoryview], start: int, stop: int) -> list[memoryview]:
    """Bytes ``start`` to ``stop`` of the parts laid end to end."""
    out, at = [], 0
    for part in parts:
        view = memoryview(part)
        cut = view[max(0, start - at) : max(0, stop - at)]
        if len(cut):
            out.append(cut)
        at += len(view)
    return out


def send_all(sock: socket.socket, parts: list[memoryview]) -> None:
    """Gather and send everything."""
    while parts:
        sent = sock.sendmsg(parts[:16])
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        if sent:
            parts[0] = parts[0][sent:]


def prefer() -> None:
    """Let this thread go before others where the process may ask for it (root): a front end is hardware of its own.

    A better share, no real time: whatever the picture costs, nobody starves.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)


class Door:
    """The listening socket."""

    def __init__(
        self, listener: socket.socket, most: int, welcome: Callable[[socket.socket, str], Client]
    ) -> None:
        self._listener = listener
        self._most = most
        self._welcome = welcome
        self._guard = threading.Lock()
        self._clients: list[Client] = []
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="ultrasound-door", daemon=True)

    def open(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def clients(self) -> list[Client]:
        """Who is there."""
        with self._guard:
            return list(self._clients)

    def add(self, client: Client) -> None:
        """A client gets pictures from now on."""
        with self._guard:
            self._clients.append(client)

    def forget(self, client: Client) -> None:
        """A client has gone."""
        with self._guard:
            if client in self._clients:
                self._clients.remove(client)

    def close(self) -> None:
        """Send everybody away; first see to it that nobody else comes."""
        with self._guard:
            self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        clients = self.clients()
        for client in clients:
            client.end("stopped")
        for client in clients:
            client.join(5.0)

    def _accept(self) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except OSError:
                with self._guard:
                    if self._closed:
                        return
                time.sleep(0.05)  # out of descriptors, or the peer was gone before it was greeted
                continue
            with self._guard:
                full = self._closed or len(self._clients) >= self._most
            if full:
                sock.close()
                continue
            try:
                self._welcome(sock, f"{address[0]}:{address[1]}").start()
            except OSError:
                sock.close()
