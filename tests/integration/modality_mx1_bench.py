"""A bench on loopback for MX1's tests: front end, RIS and archives in this process, the console in its own."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pydicom

HERE = Path(__file__).parent
_NAME = "modality_peers"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, HERE / f"{_NAME}.py")
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
peers: Any = sys.modules[_NAME]

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
BASELINE, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
US, CLIP, SC = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.7"


class Log:
    """What the simulators said."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def __call__(self, kind: str, /, **data: Any) -> None:
        with self._changed:
            self.events.append((kind, data))
            self._changed.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        with self._changed:
            return [data for name, data in self.events if name == kind]

    def wait(self, kind: str, count: int = 1, seconds: float = 30) -> list[dict[str, Any]]:
        with self._changed:
            found = self._changed.wait_for(
                lambda: sum(name == kind for name, _ in self.events) >= count, seconds
            )
            assert found, f"{kind} did not come {count} time(s): {[name for name, _ in self.events][-20:]}"
        return self.of(kind)


class Mx1Bench:
    """Everything around one console; use as a context manager."""

    def __init__(self, folder: Path, ultrasound: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.log = Log()
        self.simulators: list[Any] = []
        self.objects = folder / "objects"
        self.operator: Any = None
        self.console = peers.Console(folder)
        self.console.product = "mx1"
        del self.console.settings["acquisition"]
        if ultrasound is not None:
            from simulators.ultrasound import Config, create

            at = self.run(create(Config.from_dict({"port": 0, "fps": 30.0, **ultrasound}), self.log))
            patience = {"stall_s": 10.0, "answer_timeout_s": 10.0}  # a busy machine is no broken front end
            self.settings(ultrasound={"address": "127.0.0.1", "port": at["port"], **patience})

    def __enter__(self) -> Mx1Bench:
        return self

    def __exit__(self, *_: object) -> None:
        if self.operator is not None:
            self.operator.close()
        status = self.console.end()
        for simulator in self.simulators:
            simulator.stop()
        assert status in (0, -9)
        stderr = self.folder / "stderr"
        assert not stderr.exists() or b"Traceback" not in stderr.read_bytes()

    def run(self, simulator: Any) -> Mapping[str, Any]:
        self.simulators.append(simulator)
        return simulator.start()  # type: ignore[no-any-return]

    def settings(self, **more: Any) -> None:
        self.console.settings.update(more)

    def pacs(self, name: str = "pacs", *, tapped: bool = False, **config: Any) -> Any:
        """An archive, configured as a destination; ``tapped``: gives the wire to it instead."""
        from simulators.pacs import create

        simulator = create({"store": str(self.objects), "ae_title": name.upper(), **config}, self.log)
        at = self.run(simulator)
        known = self.console.settings.setdefault("storage", [])
        tap = Tap(at["port"]) if tapped else None
        if tap:
            self.simulators.append(tap)
        port = tap.port if tap else at["port"]
        known.append({"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": port})
        return tap or simulator

    def ris(self, *items: Mapping[str, Any], **config: Any) -> Any:
        """A RIS with a worklist, configured."""
        from simulators.ris import create

        simulator = create({"items": list(items), "ae_title": "RIS", **config}, self.log)
        at = self.run(simulator)
        tap = Tap(at["port"])
        self.simulators.append(tap)
        self.settings(worklist={"ae_title": "RIS", "host": "127.0.0.1", "port": tap.port})
        return tap

    def start(self) -> Any:
        """The console runs and sees live pictures, when there is a front end."""
        self.operator = self.console.start()
        if "ultrasound" in self.console.settings:
            self.until(lambda: self.operator.do("exam_state")["acquisition"] == "live")
        return self.operator

    def restart(self) -> Any:
        self.operator.close()
        return self.start()

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            threading.Event().wait(0.02)

    def exam(self, **patient: str) -> Any:
        return self.operator.do(
            "start_exam", patient={"PatientName": "Doe^Jane", "PatientID": "P1", **patient}
        )

    def stored(self) -> dict[str, Any]:
        """The received objects by instance."""
        found = {}
        for path in sorted(self.objects.glob("*.dcm")):
            dataset = pydicom.dcmread(path)
            found[str(dataset.SOPInstanceUID)] = dataset
        return found


class Tap:
    """A wire with ears: passes everything on to a port and notes what the console says."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.pdus: list[tuple[int, int, int]] = []
        """(connection, PDU type, PDU length) in the order sent."""
        self.requests: list[bytes] = []
        """Variable fields of the A-ASSOCIATE-RQs."""
        self.most_open = 0
        self._near: list[socket.socket] = []
        self._count = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def start(self) -> None:
        """It listens already."""

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            self._count += 1
            self._near = [*(sock for sock in self._near if _is_open(sock)), near]
            self.most_open = max(len(self._near), self.most_open)
            far = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._up, args=(self._count, near, far), daemon=True).start()
            threading.Thread(target=self._down, args=(near, far), daemon=True).start()

    def _up(self, number: int, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while head := near.recv(6, socket.MSG_WAITALL):
                body = near.recv(int.from_bytes(head[2:6], "big"), socket.MSG_WAITALL)
                self.pdus.append((number, head[0], int.from_bytes(head[2:6], "big")))
                if head[0] == 1:
                    self.requests.append(body)
                far.sendall(head + body)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def _down(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                near.sendall(data)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
        far.close()

    def contexts(self) -> list[tuple[str, tuple[str, ...]]]:
        """Abstract syntax and transfer syntaxes of each context of the last request (PS3.8 9.3.2.2)."""
        found = []
        for kind, value in _items(self.requests[-1][68:]):
            if kind == 0x20:
                parts = list(_items(value[4:]))
                abstract = next(v.decode() for k, v in parts if k == 0x30)
                found.append((abstract, tuple(v.decode() for k, v in parts if k == 0x40)))
        return found

    def user_information(self) -> dict[int, bytes]:
        """The sub-items of the last request (PS3.8 9.3.2.3, PS3.7 D.3.3)."""
        user = next(value for kind, value in _items(self.requests[-1][68:]) if kind == 0x50)
        return dict(_items(user))

    def longest(self) -> int:
        return max(length for _, kind, length in self.pdus if kind == 4)


def _is_open(sock: socket.socket) -> bool:
    """Whether the other side has not closed it: asked of the kernel, since who reads it may be a moment behind."""
    established = 1
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established
    except OSError:
        return False


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at], data[at + 4 : at + 4 + length]
        at += 4 + length


def item(**more: Any) -> dict[str, Any]:
    """One scheduled abdominal ultrasound."""
    step = {
        "ScheduledStationAETitle": "MX1",
        "ScheduledProcedureStepStartDate": time.strftime("%Y%m%d"),
        "ScheduledProcedureStepStartTime": "083000",
        "Modality": "US",
        "ScheduledPerformingPhysicianName": "House^Gregory",
        "ScheduledProcedureStepDescription": "Abdomen",
        "ScheduledProcedureStepID": "SPS1",
    }
    made = {
        "PatientName": "Doe^Jane",
        "PatientID": "PID-1",
        "PatientBirthDate": "19700102",
        "PatientSex": "F",
        "AccessionNumber": "A1",
        "StudyInstanceUID": "1.2.826.0.1.3680043.2.1",
        "RequestedProcedureID": "RP1",
        "RequestedProcedureDescription": "Abdomen",
        **{key: value for key, value in more.items() if key not in step},
    }
    return {**made, "ScheduledProcedureStepSequence": [{**step, **{k: more[k] for k in more if k in step}}]}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
