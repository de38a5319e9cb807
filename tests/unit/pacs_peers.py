"""Helpers for the PACS's tests: a log that waits, a PACS that runs, and a requestor's few words."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.kinds import KINDS
from simulators.dicom.client import Requestor
from simulators.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, encode
from simulators.dicom.keywords import from_mapping
from simulators.pacs import Pacs, create
from simulators.wire.pdu import ReleaseResponse

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
ECHO = "1.2.840.10008.1.1"
WAIT_S = 20.0


class Log:
    """Collects events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._more = threading.Condition()

    def __call__(self, kind: str, /, **data: Any) -> None:
        with self._more:
            self.events.append((kind, data))
            self._more.notify_all()

    def wait(self, kind: str, count: int = 1, **wanted: Any) -> dict[str, Any]:
        """The count-th event of that kind with these values."""

        def found() -> list[dict[str, Any]]:
            return [d for k, d in self.events if k == kind and wanted.items() <= d.items()]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= count, WAIT_S), (kind, wanted, self.events)
            return found()[count - 1]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@contextlib.contextmanager
def checked_log() -> Iterator[Log]:
    """A log; at the end everything in it must be in the vocabulary, and no error of the bench."""
    made = Log()
    yield made
    assert set(made.kinds()) <= set(KINDS)
    assert [d for k, d in made.events if k == "bench.error"] == []


Start = Callable[..., tuple[Pacs, int]]


@contextlib.contextmanager
def starter(log: Log, tmp_path: Path) -> Iterator[Start]:
    """Gives what starts a PACS and says its port; at the end all of them are gone."""
    with contextlib.ExitStack() as stack:

        def begin(**config: Any) -> tuple[Pacs, int]:
            pacs = create({"store": str(tmp_path / "objects" / "pacs"), "artim_s": 5.0, **config}, log)
            stack.callback(pacs.stop)
            return pacs, int(pacs.start()["port"])

        yield begin
    assert threads_named("pacs") == []


def threads_named(prefix: str) -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(prefix)]


def an_object(
    uid: str = "1.2.3", sop_class: str = DX, syntax: str = EXPLICIT_LE, pixels: int = 100, **more: Any
) -> bytes:
    stated = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": uid,
        "PatientName": "Doe^John",
        "PatientID": "1",
        **more,
    }
    return encode(from_mapping(stated), syntax) + pixel_element(syntax, os.urandom(pixels))


def pixel_element(syntax: str, value: bytes) -> bytes:
    if syntax == IMPLICIT_LE:
        return struct.pack("<HHI", 0x7FE0, 0x0010, len(value)) + value
    return (
        struct.pack((">" if syntax == EXPLICIT_BE else "<") + "HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(value))
        + value
    )


@contextlib.contextmanager
def an_association(
    port: int, sop_class: str = DX, syntax: str = EXPLICIT_LE, **more: Any
) -> Iterator[Requestor]:
    with Requestor("127.0.0.1", port, timeout_s=WAIT_S) as peer:
        peer.associate("PACS", "TEST", [(sop_class, [syntax]), (ECHO, [IMPLICIT_LE])], **more)
        yield peer


def put_object(peer: Requestor, data: bytes, uid: str = "1.2.3", sop_class: str = DX) -> Any:
    return peer.ask(
        "C-STORE-RQ",
        data,
        context=peer.context_for(sop_class),
        AffectedSOPClassUID=sop_class,
        AffectedSOPInstanceUID=uid,
    )


def ask_echo(peer: Requestor) -> int:
    return peer.ask("C-ECHO-RQ", context=peer.context_for(ECHO), AffectedSOPClassUID=ECHO).status


def it_answers(port: int) -> None:
    with an_association(port) as peer:
        assert ask_echo(peer) == 0
        assert isinstance(peer.release(), ReleaseResponse)


def a_command(name: str, **elements: Any) -> Any:
    from simulators.wire import dimse

    return dimse.Command.new(name, **elements)
