"""pid 1 of a sandbox: waits, reaps, ends.

Rules of this file:

* Single-threaded, and it opens nothing after its set-up.
* It ends when the cell runner ends, when the launcher's end of the death pipe closes, or when the launcher
  or the zygote dies (their pidfds).  Where it is pid 1 of a pid namespace the kernel then ends everything
  below it; elsewhere it is a subreaper and kills its descendants itself.
* What happened is written to the status pipe as JSON lines: ``{"ready": …}``, ``{"failed": text}``,
  ``{"error": text}``, ``{"status": n}``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from bench.sandbox import isolate
from bench.sandbox.channel import Channel

SETUP_FAILED = 70
"""Exit status of a sandbox that could not be set up (EX_SOFTWARE)."""


@dataclass(frozen=True)
class Job:
    """What to run, and the descriptors that belong to it."""

    function: str
    argument: Any
    channel: int
    status: int
    death: int
    watched: tuple[int, ...]
    """pidfds of processes without which the sandbox must end."""
    isolated: bool


def say(fd: int, **line: Any) -> None:
    """Write one line to the status pipe; nobody may be listening any more."""
    with contextlib.suppress(OSError):
        os.write(fd, json.dumps(line).encode() + b"\n")


def run_init(job: Job) -> NoReturn:
    """Be pid 1 (or the subreaper) of the sandbox; never returns."""
    status = SETUP_FAILED
    try:
        status = _init(job)
    except BaseException:
        say(job.status, failed=f"the sandbox's first process failed:\n{traceback.format_exc()}")
    finally:
        os._exit(status)


def _init(job: Job) -> int:
    os.setsid()
    notes: list[str] = []
    try:
        if job.isolated:
            notes = isolate.new_network_and_mounts()
        else:
            isolate.become_subreaper()
    except isolate.IsolationError as error:
        say(job.status, failed=str(error))
        return SETUP_FAILED
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner = os.fork()
    if runner == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for fd in (wake_read, wake_write, job.death, *job.watched):
            os.close(fd)
        _run_cell(job, notes)
    os.close(job.channel)  # so that the launcher sees the end of the cell runner at once
    outcome = _wait(job, runner, wake_read)
    if not job.isolated:
        end_descendants()
    if outcome is not None:
        say(job.status, status=outcome)
    return 0 if outcome == 0 else 1


def _wait(job: Job, runner: int, wake: int) -> int | None:
    """Reap until the cell runner ends (its exit code, or -signal) or the launcher is gone (None)."""
    poll = select.poll()
    for fd in (job.death, wake, *job.watched):
        poll.register(fd, select.POLLIN | select.POLLHUP)
    while True:
        outcome = None
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == runner:
                outcome = os.waitstatus_to_exitcode(raw)
        if outcome is not None:
            return outcome
        for fd, _ in poll.poll():
            if fd != wake:
                return None
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)


def _run_cell(job: Job, notes: list[str]) -> NoReturn:
    """The cell runner: import the function, say ready, call it, tell how it ended."""
    code = 1
    try:
        module, _, name = job.function.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except BaseException as error:
            say(job.status, failed=f"{job.function} cannot be imported: {type(error).__name__}: {error}")
            os._exit(SETUP_FAILED)
        say(job.status, ready=True, notes=notes)
        channel = Channel(socket.socket(fileno=job.channel))
        result = function(channel, job.argument)
        code = result if isinstance(result, int) else 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        say(job.status, error=traceback.format_exc())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def end_descendants(spare: Iterable[int] = ()) -> None:
    """Kill and reap all children, and the orphans that become children by that, until there are none.

    Args:
        spare: children that live on.
    """
    kept = set(spare)
    while True:
        found = [pid for pid in isolate.children() if pid not in kept]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _pipe() -> tuple[int, int]:
    """pipe2 for systems without it (macOS)."""
    read, write = os.pipe()
    for fd in (read, write):
        os.set_blocking(fd, False)
    return read, write
