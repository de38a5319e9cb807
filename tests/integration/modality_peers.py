"""Counterparts for the console's tests: a RIS and a PACS on pynetdicom, and the console's process with its operator."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt

HERE = Path(__file__).parent
ELE = "1.2.840.10008.1.2.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
_config.LOG_HANDLER_LEVEL = "none"


def free_port() -> int:
    """A port that was free a moment ago, for programs that cannot bind port 0.

    None of those that the system gives to whoever asks for any port: it would be somebody else's before it is bound.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Ask again and again, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"


class Peer:
    """A pynetdicom acceptor that notes associations and messages in order."""

    contexts: tuple[str, ...] = ("1.2.840.10008.1.1",)

    def __init__(
        self, title: str, port: int = 0, syntaxes: tuple[str, ...] = (ELE,), max_pdu: int = 16384
    ) -> None:
        self.closed = False
        self.log: list[tuple[str, Any]] = []
        self.stories: list[list[str]] = []
        """What was noted in each association, in the order in which they were accepted."""
        self.associations: list[Any] = []
        self.changed = threading.Condition()
        ae = AE(title)
        ae.maximum_pdu_size = max_pdu
        ae.require_called_aet = True
        ae.maximum_associations = 50
        for uid in self.contexts:
            ae.add_supported_context(uid, list(syntaxes))
        self.server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=self.handlers())
        self.title, self.port = title, int(self.server.socket.getsockname()[1])

    def handlers(self) -> list[Any]:
        return [
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_RELEASED, lambda event: self.note("released", None, event.assoc)),
        ]

    def note(self, what: str, value: Any, association: Any) -> None:
        with self.changed:
            self.log.append((what, value))
            self.stories[self.associations.index(association)].append(what)
            self.changed.notify_all()

    def _accepted(self, event: Any) -> None:
        with self.changed:
            self.associations.append(event.assoc)
            self.stories.append([])
        self.note("accepted", event.assoc.requestor.primitive, event.assoc)

    def wait(self, condition: Callable[[], bool], seconds: float = 60) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    def told(self, *stories: list[str]) -> bool:
        """Whether there are exactly these associations; a release is noted a moment after its answer has left."""
        return self.wait(lambda: self.stories == list(stories))

    def close(self) -> None:
        """Stop listening; idempotent."""
        if not self.closed:
            self.closed = True
            self.server.shutdown()

    def names(self, *wanted: str) -> list[str]:
        return [what for what, _ in self.log if not wanted or what in wanted]


class Pacs(Peer):
    """Keeps (instance, data set, pixel hash); ``answer`` decides the status, ``None`` aborts."""

    contexts = ("1.2.840.10008.1.1", DX)

    def __init__(self, title: str = "PACS", **more: Any) -> None:
        self.stored: list[tuple[str, Dataset, str]] = []
        self.answer: Callable[[Any], int | None] = lambda event: 0
        super().__init__(title, **more)

    def handlers(self) -> list[Any]:
        return [*super().handlers(), (evt.EVT_C_STORE, self._store)]

    def _store(self, event: Any) -> int:
        status = self.answer(event)
        if status is None:
            self.note("aborted", None, event.assoc)
            event.assoc.abort()
            return 0xC000
        if status == 0 or status & 0xF000 == 0xB000:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            uid = str(dataset.SOPInstanceUID)
            assert uid == event.request.AffectedSOPInstanceUID
            self.stored.append((uid, dataset, hashlib.sha256(dataset.PixelData).hexdigest()))
        self.note("stored", event.request.AffectedSOPInstanceUID, event.assoc)
        return status


class Ris(Peer):
    """A worklist and procedure steps; ``mpps`` decides the status of N-CREATE and N-SET."""

    contexts = ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3")

    def __init__(self, title: str = "RIS", **more: Any) -> None:
        self.items: list[Dataset] = []
        self.queries: list[Dataset] = []
        self.steps: dict[str, Dataset] = {}
        self.final: dict[str, Dataset] = {}
        self.find_status = 0
        self.mpps: Callable[[str], int] = lambda request: 0
        super().__init__(title, **more)

    def handlers(self) -> list[Any]:
        more = [(evt.EVT_C_FIND, self._find), (evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]
        return [*super().handlers(), *more]

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self.queries.append(event.identifier)
        self.note("find", None, event.assoc)
        for number, item in enumerate(self.items):
            yield (0xFF01 if number % 2 else 0xFF00), item
        if self.find_status:
            yield self.find_status, None

    def _create(self, event: Any) -> tuple[int, Dataset | None]:
        status = self.mpps("create")
        if status == 0:
            uid = str(event.request.AffectedSOPInstanceUID)
            if uid in self.steps:
                status = 0x0111
            else:
                self.steps[uid] = event.attribute_list
        self.note("create", status, event.assoc)
        return status, Dataset()

    def _set(self, event: Any) -> tuple[int, Dataset | None]:
        status = self.mpps("set")
        if status == 0:
            uid = str(event.request.RequestedSOPInstanceUID)
            assert uid in self.steps
            self.final[uid] = event.modification_list
        self.note("set", status, event.assoc)
        return status, Dataset()


def worklist_item(name: str = "Doe^Jane", charset: Any = None, **more: Any) -> Dataset:
    """One scheduled chest exam."""
    item = Dataset()
    if charset:
        item.SpecificCharacterSet = charset
    item.PatientName = name
    item.PatientID = "PID-1"
    item.PatientBirthDate = "19700102"
    item.PatientSex = "F"
    item.AccessionNumber = "A1"
    item.StudyInstanceUID = "1.2.826.0.1.3680043.2.1"
    item.RequestedProcedureID = "RP1"
    item.RequestedProcedureDescription = "Chest"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "816094009", "SCT", "Chest"
    item.RequestedProcedureCodeSequence = [code]
    step = Dataset()
    step.ScheduledStationAETitle = "VXVUE"
    step.ScheduledProcedureStepStartDate = "20261121"
    step.ScheduledProcedureStepStartTime = "083000"
    step.Modality = "DX"
    step.ScheduledPerformingPhysicianName = "House^Gregory"
    step.ScheduledProcedureStepDescription = "Chest two views"
    step.ScheduledProcedureStepID = "SPS1"
    step.ScheduledProtocolCodeSequence = [code]
    for keyword, value in more.items():
        setattr(step if keyword.startswith("ScheduledP") else item, keyword, value)
    item.ScheduledProcedureStepSequence = [step]
    return item


class Operator:
    """One connection to a console's control socket."""

    def __init__(self, path: Path, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise
                threading.Event().wait(0.01)
        self.file = self.socket.makefile("rwb")
        self.number = 0
        self.events: list[dict[str, Any]] = []

    def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """One request and its answer; events on the way are kept."""
        self.number += 1
        self.file.write(json.dumps({"id": self.number, "do": verb, "args": args}).encode() + b"\n")
        self.file.flush()
        while True:
            message = self.read()
            if message.get("id") == self.number:
                return message

    def read(self) -> dict[str, Any]:
        line = self.file.readline()
        if not line:
            raise ConnectionError("the console is gone")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message

    def do(self, verb: str, **args: Any) -> dict[str, Any]:
        """Like :meth:`ask`, and the verb must succeed."""
        answer = self.ask(verb, **args)
        assert answer["ok"], f"{verb}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def warnings(self) -> list[dict[str, Any]]:
        return list(self.do("warnings")["warnings"])

    def expose(self, **view: Any) -> dict[str, Any]:
        """Prepare, expose, accept."""
        self.do("prepare", **{"view": "PA", **view})
        image = self.do("wait_image", timeout=30)
        self.do("accept", image=image["sop_instance"])
        return image

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        self.socket.close()


class Console:
    """The console's process; ``settings`` may be changed between starts."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.socket = folder / "ctl"
        self.product = "vxvue"
        self.environment: dict[str, str] = {}
        self.settings: dict[str, Any] = {
            "data_dir": str(folder / "data"),
            "control": str(self.socket),
            "acquisition": {"driver": "test_modality_front:Front"},
            "timeouts": {"connect": 15, "association": 15, "dimse": 15, "idle": 15},
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Operator:
        path = self.folder / "console.yaml"
        path.write_text(json.dumps(self.settings, indent=1))
        environment = {**os.environ, "PYTHONPATH": str(HERE), **self.environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modality", self.product, "--config", str(path)],
            env=environment,
            stderr=(self.folder / "stderr").open("ab"),
            cwd=HERE.parent.parent,
        )
        return Operator(self.socket)

    def kill(self) -> None:
        """SIGKILL; the process has no say."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def end(self) -> int:
        """SIGTERM; return the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def peer_settings(peer: Peer, name: str | None = None) -> dict[str, Any]:
    """How a console is told of a peer."""
    settings = {"ae_title": peer.title, "host": "127.0.0.1", "port": peer.port}
    return {"name": name, **settings} if name else settings
