"""Full packet capture of a bench: every link that can be captured, in one pcapng file, with its drop counts.

Rules of this file:

* When :meth:`Capture.start` returns, the kernel records; nothing sent later is missing.  When :meth:`Capture.stop`
  returns, everything that passed before is in the file.
* The recorder is a process of its own: our ring reader (:mod:`bench.links.ring`), or dumpcap where only dumpcap is
  allowed to capture (it may carry file capabilities that an ordinary user has not) or where it is asked for.
* Where nothing may capture, :class:`CaptureUnavailable` says why; a run without capture says so in its report.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from bench.links import ring
from bench.links.network import CapturePoint, Network
from bench.links.ring import Source
from bench.sandbox.spawn import python_module

Recorder = Literal["auto", "ring", "dumpcap"]

RING_MB: Final = {"lan": 32, "detector": 32}
"""Memory between the kernel and the recorder per link; a quarter of a second of 1000BASE-T."""
DUMPCAP_SETTLE_S: Final = 0.6
"""dumpcap reads its ring every 250 ms and drops what it has not read when it is stopped."""


class CaptureError(RuntimeError):
    """The capture failed while it ran: evidence is missing (ERROR)."""


class CaptureUnavailable(RuntimeError):
    """Nothing may capture here; the text says why and what would help."""


@dataclass(frozen=True)
class InterfaceReport:
    """What was captured of one link: packets in the file, packets lost by the recorder, bytes of whole frames."""

    link: str
    packets: int
    dropped: int
    bytes: int | None


@dataclass(frozen=True)
class CaptureReport:
    """A finished capture; *started_ns* and *stopped_ns* are CLOCK_MONOTONIC."""

    file: str
    recorder: str
    interfaces: tuple[InterfaceReport, ...]
    started_ns: int
    stopped_ns: int

    @property
    def packets(self) -> int:
        """Packets in the file."""
        return sum(each.packets for each in self.interfaces)

    @property
    def dropped(self) -> int:
        """Packets that were on a link and are not in the file."""
        return sum(each.dropped for each in self.interfaces)


class Capture:
    """One capture of one network into one file.

    Args:
        network: built and up; capturing happens in the namespace the calling thread is in at :meth:`start`.
        file: the pcapng file to be made; an existing one is refused.
        snap: bytes kept of each frame, by capture point (``lan``, ``detector``); missing: whole frames.
        recorder: ``auto`` takes the ring, or dumpcap where the ring is not permitted.
        ring_mb: memory of the rings by capture point.
        leave_out: capture points that are not recorded.
    """

    def __init__(
        self,
        network: Network,
        file: Path,
        *,
        snap: Mapping[str, int] | None = None,
        recorder: Recorder = "auto",
        ring_mb: Mapping[str, int] = RING_MB,
        leave_out: Collection[str] = (),
    ) -> None:
        self._points = tuple(p for p in network.capture_points() if p.link not in leave_out)
        self._file = file
        self._snap = dict(snap or {})
        self._recorder: Recorder = recorder
        self._ring_mb = dict(ring_mb)
        self._running: _RingRecorder | _Dumpcap | None = None
        self._started_ns = 0

    def start(self) -> str:
        """Start recording; returns the name of the recorder.

        Raises:
            CaptureUnavailable: nothing may capture here.
            CaptureError: the recorder did not start.
            FileExistsError: the file is already there.
        """
        if self._running is not None:
            raise CaptureError("this capture was already started")
        if self._recorder == "dumpcap":
            self._running = _Dumpcap(self._points, self._file, self._snap)
        else:
            try:
                self._running = _RingRecorder(self._points, self._file, self._snap, self._ring_mb)
            except PermissionError as error:
                refused = f"packet sockets are not allowed here ({error.strerror or error})"
                if self._recorder == "ring":
                    raise CaptureUnavailable(refused) from error
                self._running = self._dumpcap_instead(refused)
        self._started_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return self._running.name

    def _dumpcap_instead(self, refused: str) -> _Dumpcap:
        """dumpcap may hold rights that this process has not."""
        try:
            return _Dumpcap(self._points, self._file, self._snap)
        except (CaptureError, CaptureUnavailable) as error:
            self._file.unlink(missing_ok=True)
            raise CaptureUnavailable(
                f"{refused}, and {' '.join(str(error).split())}; "
                "dumpcap with its capabilities would help (Debian: dpkg-reconfigure wireshark-common)"
            ) from error

    def stop(self) -> CaptureReport:
        """Stop recording once everything until now is in the file.

        Raises:
            CaptureError: the recorder failed; what it wrote so far is in the file.
        """
        running, self._running = self._running, None
        if running is None:
            raise CaptureError("this capture does not run")
        interfaces = running.stop()
        stopped = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return CaptureReport(str(self._file), running.name, tuple(interfaces), self._started_ns, stopped)


class _RingRecorder:
    """Our own recorder: rings opened here, drained by a child process."""

    name = "ring"

    def __init__(
        self,
        points: tuple[CapturePoint, ...],
        file: Path,
        snap: Mapping[str, int],
        ring_mb: Mapping[str, int],
    ) -> None:
        self._links = [point.link for point in points]
        with contextlib.ExitStack() as stack:
            out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, out)
            sources = []
            try:
                for point in points:
                    length = snap.get(point.link, ring.WHOLE)
                    sock, blocks = ring.open_ring(
                        point.interface,
                        ring_mb.get(point.link, 64),
                        length,
                        point.ports,
                        point.interface == "lo",
                    )
                    stack.enter_context(sock)
                    text = f"{point.link} link, at {point.interface}"
                    sources.append(Source(sock.fileno(), blocks, point.link, text, length))
            except BaseException:
                file.unlink()
                raise
            ours, theirs = socket.socketpair()
            stack.enter_context(theirs)
            self._control = ours
            self._process = _start_recorder(sources, out, theirs.fileno())

    def stop(self) -> list[InterfaceReport]:
        with self._control as control:
            data = bytearray()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                control.sendall(b"stop\n")
                control.settimeout(60)
                while piece := control.recv(65536):
                    data += piece
        if not data:
            raise CaptureError(f"the recorder ended by itself (status {self._process.wait()})")
        # The file is complete; taking the rings down takes the kernel another 50 ms that nobody needs to wait for.
        threading.Thread(target=self._process.wait, name="recorder-end", daemon=True).start()
        answer = json.loads(data)
        if "error" in answer:
            raise CaptureError(f"the recorder failed: {answer['error']}")
        return [
            InterfaceReport(each["name"], each["packets"], each["dropped"], each["bytes"])
            for each in answer["interfaces"]
        ]


class _Forked:
    """A child process made by fork, as far as the recorder needs one."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def wait(self) -> int:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        except ChildProcessError:
            return 0  # somebody reaped all children; the recorder's answer tells how it went


def _start_recorder(sources: list[Source], file: int, control: int) -> _Forked | subprocess.Popen[bytes]:
    """Fork the recorder (milliseconds) if this process has one thread, else exec it."""
    fds = [file, control, *(source.fd for source in sources)]
    if threading.active_count() == 1:
        from bench.sandbox.isolate import close_all_but

        pid = os.fork()
        if pid:
            return _Forked(pid)
        status = 1
        try:
            close_all_but({2, *fds})
            ring.run_recorder(sources, file, control)
            status = 0
        finally:
            os._exit(status)
    job = json.dumps({"sources": [asdict(source) for source in sources], "file": file, "control": control})
    return subprocess.Popen(
        python_module("bench.links.ring", job),
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


class _Dumpcap:
    """Wireshark's recorder."""

    name = "dumpcap"

    def __init__(self, points: tuple[CapturePoint, ...], file: Path, snap: Mapping[str, int]) -> None:
        program = shutil.which("dumpcap")
        if program is None:
            raise CaptureUnavailable("dumpcap is not installed (Debian: apt install wireshark-common)")
        if file.exists():
            raise FileExistsError(f"{file} is already there")
        self._links = [point.link for point in points]
        command = [program, "-q", "-w", str(file), "-B", "64"]
        for point in points:
            command += ["-i", point.interface, "--ifname", point.link]
            if point.ports:
                command += ["-f", " or ".join(f"port {port}" for port in sorted(point.ports))]
            if point.link in snap:
                command += ["-s", str(snap[point.link])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        self._text = ""
        if not self._read_until("File:", 10):
            self._process.kill()
            self._end(10)
            reasons = [line for line in self._text.splitlines() if not line.startswith("Capturing on")]
            raise CaptureError(f"dumpcap did not start: {' '.join(reasons).strip()[:200]}")

    def stop(self) -> list[InterfaceReport]:
        time.sleep(DUMPCAP_SETTLE_S)
        self._process.send_signal(signal.SIGINT)
        self._read_until(None, 60)
        status = self._end(60)
        reports: list[InterfaceReport] = []
        for line in self._text.splitlines():
            # Packets received/dropped on interface 'lan': 12/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)
            if line.startswith("Packets received/dropped on interface"):
                numbers = line.rpartition("': ")[2].split(" ")[0].partition("/")
                link = self._links[len(reports)]
                reports.append(InterfaceReport(link, int(numbers[0]), int(numbers[2]), None))
        if status != 0 or len(reports) != len(self._links):
            raise CaptureError(f"dumpcap ended with status {status}: {self._text.strip()}")
        return reports

    def _end(self, timeout_s: float) -> int:
        assert self._process.stderr is not None
        self._process.stderr.close()
        return self._process.wait(timeout_s)

    def _read_until(self, mark: str | None, timeout_s: float) -> bool:
        """Collect its standard error until *mark* (or the end of it)."""
        assert self._process.stderr is not None
        fd = self._process.stderr.fileno()
        deadline = time.monotonic() + timeout_s
        while mark is None or mark not in self._text:
            if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
            data = os.read(fd, 65536)
            if not data:
                return mark is None
            self._text += data.decode(errors="replace")
        return True
