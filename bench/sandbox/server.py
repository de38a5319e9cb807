"""The zygote process: imports once, then forks a sandbox for each request.

Started as module ``bench.sandbox.server FD`` with a stream socket to its worker on descriptor FD.

Rules of this file:

* It stays single-threaded for ever (threads do not survive a fork, their locks do): checked after the
  imports, by the kernel's count, because libraries such as BLAS start threads that Python does not know.
* A preloaded module may have a function ``warm_up()``; it is called once, so that what it computes is there in every
  sandbox.
* It ends when its worker goes away, and its sandboxes end with it.
* It answers one request after the other; the sandboxes themselves run side by side.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from bench.sandbox import isolate
from bench.sandbox.init import Job, end_descendants, run_init, say

MAX_REQUEST: Final = 64 * 1024 * 1024
LOOK_EVERY_S: Final = 0.05


def main() -> None:
    """Serve until the worker is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    try:
        _serve(control)
    except (ConnectionError, KeyboardInterrupt):
        pass
    os._exit(0)


def _serve(control: socket.socket) -> None:
    hello, _ = _receive(control)
    backend = str(hello["backend"])
    watched: list[int] = []
    if hasattr(os, "pidfd_open"):
        try:
            watched.append(os.pidfd_open(int(hello["worker"])))
        except ProcessLookupError:
            return
        if os.getppid() != hello["worker"]:
            return  # its number was given to somebody else meanwhile
        watched.append(os.pidfd_open(os.getpid()))
    started = time.monotonic()
    try:
        if backend == "userns":
            isolate.new_user_namespace()
        sys.path[:0] = [entry for entry in hello["path"] if entry not in sys.path]
        with _while_the_worker_lives(control):
            for name in hello["preload"]:
                warm_up = getattr(importlib.import_module(name), "warm_up", None)
                if callable(warm_up):
                    warm_up()
        _one_thread()
        for name, value in hello["restore"].items():
            # what the imports needed is not for the programs that sandboxes start
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    except Exception as error:
        _answer(control, {"error": f"the zygote could not start: {type(error).__name__}: {error}"})
        return
    isolate.become_subreaper()
    gc.collect()
    gc.freeze()  # keeps the collector from touching (and so copying) the shared pages in every child
    _answer(control, {"ready": True, "seconds": time.monotonic() - started})
    zygote = _Server(control, backend != "loopback", tuple(watched))
    zygote.loop()


@contextlib.contextmanager
def _while_the_worker_lives(control: socket.socket) -> Iterator[None]:
    """End this process within a moment of its worker's end, although it is busy importing for a second or more.

    A timer, because imports cannot be waited for together with anything, and a thread must not be started here.
    """
    poll = select.poll()
    poll.register(control, 0)  # nothing but the hang-up that is always told

    def look(*_: object) -> None:
        if poll.poll(0):
            os._exit(0)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_S, LOOK_EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Server:
    def __init__(self, control: socket.socket, isolated: bool, watched: tuple[int, ...]) -> None:
        self._control = control
        self._isolated = isolated
        self._watched = watched
        self._sandboxes: set[int] = set()

    def loop(self) -> None:
        wake_read, wake_write = os.pipe()
        for fd in (wake_read, wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        for fd in (self._control.fileno(), wake_read, *self._watched[:1]):
            poll.register(fd, select.POLLIN | select.POLLHUP)
        while True:
            self._reap()
            for fd, _ in poll.poll():
                if fd == wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                elif fd == self._control.fileno():
                    request, fds = _receive(self._control)
                    try:
                        self._start(request, fds)
                    finally:
                        for each in fds:
                            os.close(each)
                else:
                    return  # the worker is gone

    def _reap(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._sandboxes.discard(pid)
            if not self._isolated:
                # its first process may have been killed; what it left has become ours by now
                end_descendants(spare=self._sandboxes)

    def _start(self, request: dict[str, Any], fds: list[int]) -> None:
        channel, status, death, *stdio = fds
        job = Job(
            str(request["function"]),
            request["argument"],
            channel,
            status,
            death,
            self._watched,
            self._isolated,
        )
        try:
            pid = self._fork(job, stdio)
        except OSError as error:
            say(status, failed=f"no process for the sandbox: {error}")
            _answer(self._control, {"pid": None})
            return
        if pid is None:
            _answer(self._control, {"pid": None})
            return
        self._sandboxes.add(pid)
        pidfds = [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []
        _answer(self._control, {"pid": pid}, pidfds)
        for fd in pidfds:
            os.close(fd)

    def _fork(self, job: Job, stdio: list[int]) -> int | None:
        """Fork pid 1 of a sandbox; None if a step failed (which has said so on the status pipe)."""
        if not self._isolated:
            pid = os.fork()
            if pid == 0:
                self._be_init(job, stdio)
            return pid
        # Children in a new pid namespace can only be had by a process that gives up its own; it hands the
        # first of them over to us by ending (we are a subreaper).
        read, write = os.pipe()
        between = os.fork()
        if between == 0:
            try:
                isolate.children_in_new_pid_namespace()
                pid = os.fork()
                if pid == 0:
                    os.close(read)
                    os.close(write)
                    self._be_init(job, stdio)
                os.write(write, str(pid).encode())
            except isolate.IsolationError as error:
                say(job.status, failed=str(error))
            except BaseException as error:
                say(job.status, failed=f"{type(error).__name__}: {error}")
            finally:
                os._exit(0)
        os.close(write)
        text = os.read(read, 32)
        os.close(read)
        os.waitpid(between, 0)
        return int(text) if text else None

    def _be_init(self, job: Job, stdio: list[int]) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if stdio:
                os.dup2(stdio[0], 1)
                os.dup2(stdio[0], 2)
            isolate.close_all_but({0, 1, 2, job.channel, job.status, job.death, *job.watched})
        except BaseException as error:
            say(job.status, failed=f"{type(error).__name__}: {error}")
            os._exit(1)
        run_init(job)


def _one_thread() -> None:
    """Raise RuntimeError if the imports left threads behind."""
    python = threading.active_count()
    try:
        kernel = len(os.listdir("/proc/self/task"))
    except OSError:
        kernel = python
    if max(python, kernel) != 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(
            f"a preloaded module started threads and so cannot be preloaded "
            f"(the kernel counts {kernel}, Python knows: {names})"
        )


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One JSON line and the descriptors that came along; ConnectionError when the worker is gone."""
    data = bytearray()
    fds: list[int] = []
    while not data.endswith(b"\n"):
        piece, more, _, _ = socket.recv_fds(control, 1 << 16, 8)
        fds += more
        if not piece or len(data) > MAX_REQUEST:
            raise ConnectionError("the worker is gone")
        data += piece
    for fd in fds:
        os.set_inheritable(fd, False)
    request = json.loads(data)
    assert isinstance(request, dict)
    return request, fds


def _answer(control: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    data = json.dumps(message).encode() + b"\n"
    if fds:
        socket.send_fds(control, [data], fds)
    else:
        control.sendall(data)


if __name__ == "__main__":
    main()
