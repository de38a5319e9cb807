"""Cases made of data sets, without a capture: what a modality sent and what it was answered, for tests of checks.

Everything is put in at the level of messages; bytes of data sets are real (pydicom writes them, the witness's reader
reads them), frames are counted one for each message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from bench.checks.case import Case, Sut, SutConfig
from bench.checks.finding import Finding
from bench.statements import load
from bench.verdict import Verdict
from bench.witness.dataset import DataSet, Reader
from bench.witness.model import Association, Capture, Command, Context, Endpoint, Message, Tcp

EXPLICIT = "1.2.840.10008.1.2.1"
SUT = "10.0.0.5"
FIELDS = {
    "C-STORE": 0x0001,
    "C-FIND": 0x0020,
    "N-CREATE": 0x0140,
    "N-SET": 0x0120,
    "N-ACTION": 0x0130,
    "N-EVENT-REPORT": 0x0100,
}
MPPS = "1.2.840.10008.3.1.2.3.3"
WORKLIST = "1.2.840.10008.5.1.4.31"
COMMITMENT = "1.2.840.10008.1.20.1"


def encode(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    """Write a data set as it travels."""
    stream = DicomBytesIO()
    stream.is_implicit_VR = syntax == "1.2.840.10008.1.2"
    stream.is_little_endian = syntax != "1.2.840.10008.1.2.2"
    write_dataset(stream, dataset)
    return stream.getvalue()


def decode(data: bytes, syntax: str = EXPLICIT) -> DataSet:
    """Read it as the witness does."""
    reader = Reader(syntax)
    reader.feed(data)
    return reader.finish()


class Scene:
    """A modality at work: each call is one association with one exchange, in the order of the calls."""

    def __init__(
        self, statement: str = "vxvue", config: dict[str, Any] | None = None, events: Iterable[Any] = ()
    ) -> None:
        self.statement = load(statement)
        self.config = SutConfig(config or {})
        self.events = tuple(events)
        self.associations: list[Association] = []
        self.now = 1000.0
        self.frame = 0

    def exchange(
        self,
        name: str,
        sop_class: str,
        sop_instance: str | None,
        dataset: Dataset | bytes | None,
        *,
        status: int = 0,
        peer: str = "10.0.0.9",
        called: str = "PACS",
        answers: Iterable[Dataset | bytes] = (),
        syntax: str = EXPLICIT,
        answered: bool = True,
        by_peer: bool = False,
        complete: bool = True,
        whole: bool = True,
    ) -> None:
        """Put in one request of the SUT (or of its peer) with its answers (pending ones with a data set)."""
        number = len(self.associations) + 1
        context = Context(1, sop_class, (syntax,), 0, syntax)
        data = encode(dataset, syntax) if isinstance(dataset, Dataset) else dataset
        instance = 0x1001 if name in ("N-SET", "N-ACTION") else 0x1000
        klass = 0x0003 if name in ("N-SET", "N-ACTION") else 0x0002
        values: dict[int, Any] = {
            klass: sop_class,
            0x0100: FIELDS[name],
            0x0110: 1,
            0x0800: 0x0101 if data is None else 1,
        }
        if sop_instance is not None:
            values[instance] = sop_instance
        messages = [
            self._message(number, 1, "requestor", context, f"{name}-RQ", values, data, syntax, complete)
        ]
        for answer in answers:
            pending = {0x0100: FIELDS[name] | 0x8000, 0x0120: 1, 0x0800: 1, 0x0900: 0xFF00}
            messages.append(
                self._message(
                    number,
                    len(messages) + 1,
                    "acceptor",
                    context,
                    f"{name}-RSP",
                    pending,
                    answer if isinstance(answer, bytes) else encode(answer, syntax),
                    syntax,
                )
            )
        if answered:
            final: dict[int, Any] = {0x0100: FIELDS[name] | 0x8000, 0x0120: 1, 0x0800: 0x0101, 0x0900: status}
            if name == "N-CREATE" and sop_instance is not None:
                final[0x1000] = sop_instance
            messages.append(
                self._message(
                    number, len(messages) + 1, "acceptor", context, f"{name}-RSP", final, None, syntax
                )
            )
        ends = (Endpoint(SUT, 40000 + number), Endpoint(peer, 104))
        requestor, acceptor = reversed(ends) if by_peer else ends
        request = _request(called, "VXVUE")
        self.associations.append(
            Association(
                number=number,
                requestor=requestor,
                acceptor=acceptor,
                requestor_mac=None,
                acceptor_mac=None,
                request=request,
                answer=_answer(),
                pdus=(),
                contexts={1: context},
                messages=tuple(messages),
                problems=(),
                tcp=Tcp(syn=True),
                first_frame=messages[0].first_frame,
                last_frame=self.frame,
                first_time=messages[0].first_time,
                last_time=self.now,
                end="released",
                ended_by="requestor",
                whole=whole,
            )
        )

    def _message(
        self,
        association: int,
        number: int,
        sender: Any,
        context: Context,
        name: str,
        values: dict[int, Any],
        data: bytes | None,
        syntax: str,
        complete: bool = True,
    ) -> Message:
        self.now += 0.5
        self.frame += 1
        dataset = None if data is None else decode(data, syntax)
        command = Command(name, (), DataSet(), b"", values)
        return Message(
            association,
            number,
            sender,
            context,
            1,
            command,
            dataset,
            self.frame,
            self.frame,
            self.frame,
            self.now,
            self.now,
            number,
            number,
            1,
            100,
            complete,
            transfer_syntax=syntax if data is not None else None,
            command_time=self.now,
        )

    def store(self, dataset: Dataset, **options: Any) -> None:
        """The SUT stores an object."""
        self.exchange("C-STORE", str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), dataset, **options)

    def worklist(self, *items: Dataset, **options: Any) -> None:
        """The SUT asks for the worklist and gets items."""
        options.setdefault("peer", "10.0.0.8")
        options.setdefault("called", "RIS")
        self.exchange("C-FIND", WORKLIST, None, Dataset(), answers=items, **options)

    def begin(self, uid: str, dataset: Dataset, **options: Any) -> None:
        """N-CREATE of a performed procedure step."""
        options.setdefault("peer", "10.0.0.8")
        self.exchange("N-CREATE", MPPS, uid, dataset, **options)

    def end(self, uid: str, dataset: Dataset, **options: Any) -> None:
        """N-SET of a performed procedure step."""
        options.setdefault("peer", "10.0.0.8")
        self.exchange("N-SET", MPPS, uid, dataset, **options)

    def commit(self, dataset: Dataset, **options: Any) -> None:
        """N-ACTION of storage commitment."""
        self.exchange("N-ACTION", COMMITMENT, "1.2.840.10008.1.20.1.1", dataset, **options)

    def case(self) -> Case:
        """The case so far."""
        capture = Capture(("scene",), self.frame, 0, tuple(self.associations), (), (), 1000.0, self.now)
        return Case(self.statement, capture, Sut(frozenset({SUT})), self.config, self.events)


def _request(called: str, calling: str) -> Any:
    from bench.witness.model import Pdu

    raw = (
        b"\x01\x00"
        + struct.pack(">I", 68)
        + b"\x00\x01\x00\x00"
        + called.encode().ljust(16)
        + calling.encode().ljust(16)
    )
    return Pdu(1, "requestor", "A-ASSOCIATE-RQ", 1, 1, 0.0, len(raw) - 6, None, raw)


def _answer() -> Any:
    from bench.witness.model import Pdu

    return Pdu(2, "acceptor", "A-ASSOCIATE-AC", 1, 1, 0.0, 0, None, b"")


def failures(findings: Iterable[Finding], verdict: Verdict = Verdict.FAIL) -> dict[str, list[str]]:
    """Reasons of the findings of one verdict, by id."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.verdict is verdict and not finding.remark:
            found.setdefault(finding.id, []).append(finding.reason)
    return found
