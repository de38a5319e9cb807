"""The worker's side of the zygote: start it, ask for sandboxes, wait for them, end them.

Rules of this file:

* Nothing here enters a namespace or forks; the worker may have threads, the zygote has not.
* A sandbox lives no longer than its :class:`SandboxHandle`'s death pipe: whatever ends the worker ends the
  sandbox.
* Set-up errors arrive as :class:`SandboxError` with the sentence that the failing step gave.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from bench.sandbox.channel import Channel, ChannelClosed
from bench.sandbox.spawn import python_module

__all__ = ["Channel", "ChannelClosed", "Ended", "SandboxError", "SandboxHandle", "Zygote"]

BACKENDS: Final = ("veth", "userns", "loopback")
_ONE_THREAD: Final = {
    # numpy's libraries otherwise start threads on import
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class SandboxError(RuntimeError):
    """A sandbox (or the zygote) could not be set up: ERROR, never FAIL."""


@dataclass(frozen=True)
class Ended:
    """How a sandbox ended: exit code of its main function, or minus a signal; *error* is its traceback."""

    status: int
    error: str | None = None


class SandboxHandle:
    """A running sandbox as its worker sees it; see :meth:`Zygote.run`."""

    def __init__(self, pid: int, channel: Channel, status: int, death: int, pidfd: int | None) -> None:
        self.pid = pid
        self.channel = channel
        self.notes: list[str] = []
        self._status = os.fdopen(status, "rb", buffering=0)
        self._death: int | None = death
        self._pidfd = pidfd
        self._buffer = b""
        self._eof = False
        self._ended: Ended | None = None
        self._code: int | None = None
        self._error: str | None = None
        self._lock = threading.Lock()

    def wait(self, timeout_s: float | None = None) -> Ended:
        """Wait until the sandbox and everything in it is gone.

        Raises:
            TimeoutError: it is still there.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            if self._ended is None:
                while not self._eof:
                    for line in self._read(deadline):
                        self._take(line)
                if self._pidfd is not None:  # readable once the kernel has ended the whole namespace
                    if not select.select([self._pidfd], [], [], _left(deadline))[0]:
                        raise TimeoutError(f"sandbox {self.pid} still runs")
                    os.close(self._pidfd)
                    self._pidfd = None
                self._status.close()
                self._let_go()
                if self._code is None and self._error is None:
                    self._error = "the sandbox was killed"
                self._ended = Ended(-signal.SIGKILL if self._code is None else self._code, self._error)
            return self._ended

    def kill(self) -> None:
        """End the sandbox and everything in it at once; harmless if it has ended."""
        self._let_go()
        with contextlib.suppress(ProcessLookupError, OSError, ValueError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Kill, wait, close the channel."""
        self.kill()
        with contextlib.suppress(TimeoutError):
            self.wait(10)
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                lines = self._read(deadline)
            except TimeoutError:
                raise SandboxError(f"the sandbox was not ready within {timeout_s:g} s") from None
            for line in lines:
                if "failed" in line:
                    raise SandboxError(str(line["failed"]))
                if "ready" in line:
                    self.notes = list(line["notes"])
                    for rest in lines[lines.index(line) + 1 :]:
                        self._take(rest)
                    return
            if self._eof:
                raise SandboxError("the sandbox ended before it was ready")

    def _take(self, line: dict[str, Any]) -> None:
        if "status" in line:
            self._code = int(line["status"])
        elif "error" in line or "failed" in line:
            self._error = str(line.get("error") or line.get("failed"))

    def _read(self, deadline: float | None) -> list[dict[str, Any]]:
        """The status lines of one read; sets the end-of-file flag; TimeoutError at the deadline."""
        if not select.select([self._status], [], [], _left(deadline))[0]:
            raise TimeoutError(f"sandbox {self.pid} still runs")
        data = self._status.read(65536) or b""
        self._eof = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _let_go(self) -> None:
        death, self._death = self._death, None
        if death is not None:
            os.close(death)


class Zygote:
    """A warm, single-threaded process that sandboxes are forked from; one per worker.

    Args:
        preload: modules to import before the first sandbox, so that its hosts need not.
        backend: ``veth`` (namespaces, as root), ``userns`` (namespaces inside a user namespace),
            ``loopback`` (none), or ``auto`` for the best one that this machine offers.
        path: directories to put before ``sys.path`` in the zygote.

    The process starts at once and imports in the background; the first :meth:`run` waits for it.
    """

    def __init__(
        self, preload: Sequence[str] = (), backend: str = "auto", path: Sequence[str] | None = None
    ) -> None:
        if backend == "auto":
            from bench.links.probe import best_backend

            backend = best_backend()
        if backend not in BACKENDS:
            raise ValueError(f"unknown backend {backend!r}; known are: {', '.join(BACKENDS)}")
        self.backend = backend
        self._lock = threading.Lock()
        self._ready = False
        ours, theirs = socket.socketpair()
        self._control = ours
        with theirs:
            self._process = subprocess.Popen(
                python_module("bench.sandbox.server", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the worker, which ends the sandboxes in order
            )
        self._send(
            {
                "preload": list(preload),
                "backend": backend,
                "path": list(path or ()),
                "worker": os.getpid(),
                "restore": {name: os.environ.get(name) for name in _ONE_THREAD},
            }
        )

    @property
    def pid(self) -> int:
        """Process id of the zygote."""
        return self._process.pid

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Wait until everything is imported.

        Raises:
            SandboxError: an import failed, started threads, or took too long.
        """
        with self._lock:
            self._wait_ready(timeout_s)

    def run(
        self, function: str, argument: Any = None, *, stdio: int | None = None, wait_ready_s: float = 30
    ) -> SandboxHandle:
        """Run ``module:function`` in a new sandbox, as ``function(channel, argument)``.

        Args:
            function: importable name in the zygote.
            argument: anything that JSON can say.
            stdio: descriptor that the sandbox's standard output and error go to; else those of the worker.
            wait_ready_s: how long set-up may take.

        Raises:
            SandboxError: with the reason, if the sandbox could not be set up.
        """
        ours, theirs = socket.socketpair()
        status_read, status_write = os.pipe()
        death_read, death_write = os.pipe()
        fds = [theirs.fileno(), status_write, death_read] + ([stdio] if stdio is not None else [])
        pidfd: int | None = None
        try:
            with self._lock:
                self._wait_ready(60)
                self._send({"function": function, "argument": argument}, fds)
                answer, received = self._receive(30)
            pidfd = received[0] if received else None
        except BaseException:
            ours.close()
            os.close(status_read)
            os.close(death_write)
            raise
        finally:
            theirs.close()
            os.close(status_write)
            os.close(death_read)
        handle = SandboxHandle(answer.get("pid") or 0, Channel(ours), status_read, death_write, pidfd)
        try:
            handle._wait_ready(wait_ready_s)
        except BaseException:
            handle.close()
            raise
        return handle

    def close(self) -> None:
        """End the zygote and with it its sandboxes."""
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_ready(self, timeout_s: float) -> None:
        if not self._ready:
            answer, _ = self._receive(timeout_s)
            if "error" in answer:
                raise SandboxError(str(answer["error"]))
            self._ready = True

    def _send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            sent = socket.send_fds(self._control, [data], list(fds)) if fds else 0
            self._control.sendall(data[sent:])
        except OSError as error:
            raise SandboxError("the zygote is gone") from error

    def _receive(self, timeout_s: float) -> tuple[dict[str, Any], list[int]]:
        data = b""
        fds: list[int] = []
        deadline = time.monotonic() + timeout_s
        while not data.endswith(b"\n"):
            if not select.select([self._control], [], [], _left(deadline))[0]:
                raise SandboxError(f"the zygote did not answer within {timeout_s:g} s")
            try:
                piece, more, _, _ = socket.recv_fds(self._control, 65536, 4)
            except ConnectionResetError:
                piece, more = b"", []
            fds += more
            if not piece:
                raise SandboxError("the zygote is gone")
            data += piece
        for fd in fds:
            os.set_inheritable(fd, False)
        answer = json.loads(data)
        assert isinstance(answer, dict)
        return answer, fds


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
