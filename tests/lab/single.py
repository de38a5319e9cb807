"""A case around single data sets, without bytes of associations: for checks that look at data sets only.

    case = case_of("vxvue", Sent("C-STORE-RQ", SOP_CLASS, DataSet(PatientID="7")), config={"species": "dog"})
    case_of("vxvue", Sent("C-FIND-RQ", WORKLIST, keys, answers=(item, item)), Sent("C-STORE-RQ", DX, image))

Every message goes over an association of its own, in the order given; the SUT is the requestor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.checks.case import Case, Sut, SutConfig
from bench.statements import load
from bench.witness import dataset as witness
from bench.witness.model import Association, Capture, Command, Context, Endpoint, Message, Side, Tcp
from tests.lab.elements import EXPLICIT_LE, DataSet

FIELDS: Final = {
    "C-STORE-RQ": 0x0001,
    "C-FIND-RQ": 0x0020,
    "N-GET-RQ": 0x0110,
    "N-SET-RQ": 0x0120,
    "N-ACTION-RQ": 0x0130,
    "N-CREATE-RQ": 0x0140,
    "C-FIND-RSP": 0x8020,
}


@dataclass(frozen=True)
class Sent:
    """A request of the SUT; ``answers`` are the data sets of pending responses.

    ``command`` adds values of command elements by number; ``complete`` False: its end was not captured (``whole``) or
    never sent.
    """

    name: str
    sop_class: str
    dataset: DataSet | bytes | None
    instance: str = "1.2.3.9"
    syntax: str = EXPLICIT_LE
    answers: tuple[DataSet, ...] = ()
    command: Mapping[int, Any] | None = None
    complete: bool = True
    whole: bool = True


def read(made: DataSet | bytes, syntax: str = EXPLICIT_LE) -> witness.DataSet:
    """The witness's view of a data set."""
    reader = witness.Reader(syntax)
    reader.feed(made.encode(syntax) if isinstance(made, DataSet) else made)
    return reader.finish()


def case_of(statement: str, *sent: Sent, config: Mapping[str, Any] | None = None) -> Case:
    """A case in which the SUT (10.0.0.5) sent these requests."""
    associations = tuple(_association(number, one) for number, one in enumerate(sent, 1))
    capture = Capture(
        files=("made.pcap",),
        frames=len(sent),
        bytes=0,
        associations=associations,
        problems=(),
        streams=(),
        first_time=0.0,
        last_time=float(len(sent)),
    )
    return Case(load(statement), capture, Sut(addresses=frozenset({"10.0.0.5"})), SutConfig(config or {}))


def _association(number: int, one: Sent) -> Association:
    messages = [_message(number, 1, "requestor", one.name, one, one.dataset, 0x0110, None)]
    for index, answer in enumerate(one.answers, 2):
        messages.append(_message(number, index, "acceptor", "C-FIND-RSP", one, answer, 0x0120, 0xFF00))
    return Association(
        number=number,
        requestor=Endpoint("10.0.0.5", 40000 + number),
        acceptor=Endpoint("10.0.0.9", 104),
        requestor_mac=None,
        acceptor_mac=None,
        request=None,
        answer=None,
        pdus=(),
        contexts={},
        messages=tuple(messages),
        problems=(),
        tcp=Tcp(),
        first_frame=number,
        last_frame=number,
        first_time=float(number),
        last_time=float(number),
        end="released",
        ended_by="requestor",
        whole=one.whole,
    )


def _message(
    association: int,
    number: int,
    side: Side,
    name: str,
    one: Sent,
    made: DataSet | bytes | None,
    id: int,
    status: Any,
) -> Message:
    values: dict[int, Any] = {0x0002: one.sop_class, 0x0100: FIELDS[name], id: 1, 0x1000: one.instance}
    values[0x0800] = 0x0101 if made is None else 1
    if status is not None:
        values[0x0900] = status
    values |= one.command or {}
    elements = tuple(witness.Element(tag, "UN", False, 4, 0) for tag in values)
    return Message(
        association=association,
        number=number,
        sender=side,
        context=Context(1, one.sop_class, (one.syntax,), 0, one.syntax),
        context_id=1,
        command=Command(name, elements, witness.DataSet(), b"", values),
        dataset=None if made is None else read(made, one.syntax),
        first_frame=association,
        command_frame=association,
        last_frame=association,
        first_time=association + number / 100,
        last_time=association + number / 100,
        first_pdu=1,
        last_pdu=1,
        pdus=1,
        largest_pdu=100,
        complete=one.complete,
        transfer_syntax=one.syntax,
    )
