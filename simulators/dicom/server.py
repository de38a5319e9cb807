"""A DICOM server: listens, gives every connection a thread, keeps their number in bounds, ends them all.

Rules of this file:

* A thread accepts a connection and serves it itself; one more always waits in accept.  Nobody polls.
* Connections are counted.  When there are too many, the oldest half-open one loses: peers that connect and say
  nothing cannot lock others out (three of them lock out a stock pynetdicom SCP).  When all are associations, the new
  one is rejected with 2/3/2, local limit exceeded.
* ``start`` may follow ``stop``: a peer's service goes down and comes back, with what the service holds.
"""

from __future__ import annotations

import _thread
import contextlib
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulators.base import CommandError, Emit
from simulators.dicom.association import Association
from simulators.dicom.config import ServerConfig
from simulators.dicom.faults import FaultBook
from simulators.dicom.message import timeval
from simulators.dicom.service import Service
from simulators.wire import Limits

_STACK_BYTES: Final = 512 * 1024
"""Address space of a thread's stack; what is not touched costs nothing."""
_CROWD: Final = 32
"""Connections beyond the limit that are kept just to be rejected properly."""
_SPARE: Final = 4
"""Idle threads that are kept waiting for connections."""
_STOP_S: Final = 5.0
_stack_lock = threading.Lock()


class Server:
    """Carries one :class:`~simulators.dicom.service.Service`."""

    def __init__(self, config: ServerConfig, service: Service, emit: Emit) -> None:
        """Touches nothing; :meth:`start` listens."""
        self.config = config
        self.service = service
        self.emit = emit
        self.faults = FaultBook(emit)
        self.limits = Limits(
            data_length=max(config.max_pdu or 1 << 20, 1 << 14), dataset_length=config.max_object
        )
        self.stopping: bool = True
        self._listener: socket.socket | None = None
        self._associations: dict[int, Association] = {}
        self._count = 0
        self._live = threading.Condition()
        self._stop_calls: list[Callable[[], None]] = []
        self._idle = 0
        self._workers = 0
        self._port = config.port

    # -- life --------------------------------------------------------------------------------

    def start(self) -> Mapping[str, Any]:
        """Listen; return host, port and AE title.  After a stop the same port is taken again."""
        if self._listener is not None:
            raise CommandError("the server runs already")
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._set_options(listener)
            listener.bind((self.config.host, self._port))
            listener.listen(512)
        except OSError as error:
            listener.close()
            where = f"{self.config.host}:{self._port}"
            raise type(error)(error.errno, f"cannot listen on {where}: {error.strerror or error}") from error
        except BaseException:
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        self._listener = listener
        self.stopping = False
        self._idle = self._workers = 1
        self._start_worker(listener)
        return {"host": self.config.host, "port": self._port, "ae_title": self.config.ae_title}

    def stop(self) -> None:
        """End the listener, every connection and every thread; idempotent."""
        listener = self._listener
        if listener is None:
            return
        self._listener = None
        self.stopping = True
        # Linux wakes accept() by shutdown; elsewhere a connection of our own does.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        if sys.platform != "linux":
            for _ in range(_SPARE + 1):
                with contextlib.suppress(OSError):
                    socket.create_connection((self.config.host, self._port), 0.5).close()
        self.faults.release_all()
        with self._live:
            for call in list(self._stop_calls):
                call()
            for association in list(self._associations.values()):
                self._shut(association, "stopped")
            self._live.wait_for(lambda: not self._workers, _STOP_S)
        listener.close()

    def on_stop(self, call: Callable[[], None]) -> None:
        """Register what wakes a thread that waits for something else than its socket."""
        with self._live:
            self._stop_calls.append(call)

    def off_stop(self, call: Callable[[], None]) -> None:
        """Take it back."""
        with self._live, contextlib.suppress(ValueError):
            self._stop_calls.remove(call)

    @property
    def associations(self) -> int:
        """Connections at this moment."""
        return len(self._associations)

    def bug(self, error: Exception, assoc: int) -> None:
        """Something of ours failed: never the peer's fault, never silent."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        self.emit(
            "bench.error",
            where=f"{self.service.source} association {assoc}, {where.name} line {where.lineno}",
            message=f"{type(error).__name__}: {error}",
        )

    # -- connections --------------------------------------------------------------------------------

    def _stopped(self) -> bool:
        return self.stopping

    def _worker(self, listener: socket.socket) -> None:
        """Accept a connection, serve it, accept the next: no connection is handed from thread to thread."""
        try:
            while not self._stopped():
                try:
                    sock, peer = listener.accept()
                except OSError as error:
                    if self._stopped():
                        return
                    # Out of descriptors, or a peer that was gone already: the service goes on.
                    self.emit("bench.note", message=f"accept: {error.strerror}")
                    time.sleep(0.05)
                    continue
                with self._live:
                    self._idle -= 1
                    alone = self._idle == 0 and not self.stopping
                    if alone:
                        self._idle += 1
                        self._workers += 1
                if alone:
                    self._start_worker(listener)
                association = self._admit(sock, peer)
                if association is not None:
                    self._serve(association)
                with self._live:
                    self._idle += 1
                    if self._idle > _SPARE:
                        return
        finally:
            with self._live:
                self._idle -= 1
                self._workers -= 1
                self._live.notify_all()

    def _start_worker(self, listener: socket.socket) -> None:
        """Start a thread that was counted already."""
        with _stack_lock:
            before = threading.stack_size(_STACK_BYTES)
            try:
                # _thread, because threading.Thread.start waits until the new thread runs.
                _thread.start_new_thread(self._worker, (listener,))
            except RuntimeError:
                with self._live:
                    self._idle -= 1
                    self._workers -= 1
                self.emit("bench.note", message="no thread to be had; connections wait for one that ends")
            finally:
                threading.stack_size(before)

    def _set_options(self, sock: socket.socket) -> None:
        if self.config.tcp_nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(self.config.dimse_s))

    def _admit(self, sock: socket.socket, peer: tuple[str, int]) -> Association | None:
        try:
            if sys.platform != "linux":  # there, connections inherit them
                self._set_options(sock)
        except OSError:
            sock.close()  # gone already
            return None
        with self._live:
            self._count += 1
            association = Association(self, sock, (peer[0], peer[1]), self._count)
            if self.stopping:
                sock.close()
                return None
            if len(self._associations) >= self.config.max_associations:
                self._make_room(association)
            self._associations[association.number] = association
        return association

    def _make_room(self, newcomer: Association) -> None:
        """Close the oldest half-open connection; when there is none, the newcomer will be rejected."""
        half_open = [a for a in self._associations.values() if a.half_open and a.closed_by_us is None]
        crowd = sum(a.crowded for a in half_open)
        victims = [a for a in half_open if not a.crowded]
        if victims:
            self._shut(victims[0], "evicted")
            return
        newcomer.crowded = True
        if crowd >= _CROWD:
            self._shut(half_open[0], "evicted")

    @staticmethod
    def _shut(association: Association, why: str) -> None:
        association.closed_by_us = why
        with contextlib.suppress(OSError):
            association.sock.shutdown(socket.SHUT_RDWR)

    def _serve(self, association: Association) -> None:
        try:
            association.run()
        finally:
            with self._live:
                self._associations.pop(association.number, None)
