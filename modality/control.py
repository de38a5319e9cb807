"""The operator's interface: JSON lines over a Unix stream socket.

Rules of this file:

* A request ``{"id", "do", "args"}`` gets exactly one answer ``{"id", "ok", "result" | "error"}``; every
  connection also gets every event.  Lines never mix.
* Garbage is answered and survived: no JSON, no object, a line longer than :data:`LINE_LIMIT`, a peer that
  stops reading.
* Each request runs in a thread of its own, so that ``exam_state`` is answered while an exposure is awaited.
* The socket belongs to the user that runs the console (mode 0600).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from .notices import Notices

LINE_LIMIT: Final = 1 << 20
_BACKLOG: Final = 20_000
_REQUESTS: Final = 32

Handler = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Does one verb; raises :class:`Refused` with a text for the operator."""


class Refused(Exception):
    """A verb cannot be done; the text is the answer's ``error``."""


class ControlServer:
    """Listens at the control socket and passes verbs to a handler."""

    def __init__(self, path: Path, handler: Handler, notices: Notices) -> None:
        self._path, self._handler, self._notices = path, handler, notices
        self._clients: set[_Client] = set()
        self._lock = threading.Lock()
        self._closed = False
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.listen(16)
        self._stop_listening = notices.listen(self._broadcast)
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening, give clients what is queued for them, remove the socket; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            clients = list(self._clients)
        self._stop_listening()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        for client in clients:
            client.finish()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            client = _Client(connection, self._handler, self._gone)
            with self._lock:  # who closes waits for what was begun here, and nothing begins behind it
                if self._closed:
                    connection.close()
                    return
                client.start()
                self._clients.add(client)

    def _gone(self, client: _Client) -> None:
        with self._lock:
            self._clients.discard(client)

    def _broadcast(self, event: Mapping[str, Any]) -> None:
        line = _line(event)
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.put(line)


class _Client:
    """One connection: a reader thread, a writer thread, a thread per request."""

    def __init__(self, connection: socket.socket, handler: Handler, gone: Callable[[_Client], None]) -> None:
        self._connection, self._handler, self._gone = connection, handler, gone
        self._out: queue.Queue[bytes | None] = queue.Queue(_BACKLOG)
        self._slots = threading.BoundedSemaphore(_REQUESTS)
        self._writer = threading.Thread(target=self._write, name="control-write", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._writer.start()
        threading.Thread(target=self._read, name="control-read", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue a line; a client that does not read is cut off."""
        try:
            self._out.put_nowait(line)
        except queue.Full:
            self._cut()

    def finish(self) -> None:
        """Write what is queued, then close."""
        with contextlib.suppress(queue.Full):
            self._out.put_nowait(None)
        self._writer.join(1.0)
        self._cut()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _write(self) -> None:
        while True:
            line = self._out.get()
            if line is None:
                return
            try:
                self._connection.sendall(line)
            except OSError:
                self._cut()
                return

    def _read(self) -> None:
        try:
            self._lines()
        except OSError:
            pass
        finally:
            self._gone(self)
            with contextlib.suppress(queue.Full):
                self._out.put_nowait(None)
            self._writer.join(1.0)
            self._connection.close()

    def _lines(self) -> None:
        pending = bytearray()
        skipping = False
        while chunk := self._connection.recv(65536):
            pending += chunk
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                if skipping:
                    skipping = False
                elif len(line) > LINE_LIMIT:
                    self._answer(None, error=f"a line may have {LINE_LIMIT} bytes")
                elif line.strip():
                    self._request(bytes(line))
            if len(pending) > LINE_LIMIT:
                pending.clear()
                if not skipping:
                    self._answer(None, error=f"a line may have {LINE_LIMIT} bytes")
                skipping = True

    def _request(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            self._answer(None, error="not a line of JSON")
            return
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            self._answer(
                request.get("id") if isinstance(request, dict) else None,
                error='expected {"id", "do", "args"}',
            )
            return
        args = request.get("args") or {}
        if not isinstance(args, dict):
            self._answer(request.get("id"), error="args must be an object")
            return
        if not self._slots.acquire(blocking=False):
            self._answer(request.get("id"), error=f"more than {_REQUESTS} requests at a time")
            return
        threading.Thread(
            target=self._do,
            args=(request.get("id"), request["do"], args),
            name=f"do-{request['do'][:20]}",
            daemon=True,
        ).start()

    def _do(self, number: Any, verb: str, args: Mapping[str, Any]) -> None:
        try:
            result = self._handler(verb, args)
        except Refused as refused:
            self._answer(number, error=str(refused))
        except Exception as error:  # a fault of ours is an answer too, and the console goes on
            self._answer(number, error=f"internal error: {error!r}")
        else:
            self._answer(number, result=result)
        finally:
            self._slots.release()

    def _answer(
        self, number: Any, *, result: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        if error is not None:
            self.put(_line({"id": number, "ok": False, "error": error}))
        else:
            self.put(_line({"id": number, "ok": True, "result": dict(result or {})}))


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"


def _remove_stale(path: Path) -> None:
    """Remove the socket of a console that is gone; refuse when one still answers.

    Raises:
        OSError: another console listens there, or something that is no socket is in the way.
    """
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(f"{path} is in the way and no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise OSError(f"another console listens at {path}")
