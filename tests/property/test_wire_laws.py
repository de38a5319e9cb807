"""The laws of the wire, for any bytes in any chunks.

* A connection yields events or raises ``RemoteProtocolError``, never anything else.
* The events do not depend on how the bytes were cut, nor on which of the two ways they were taken.
* ``decode(encode(x)) == x`` for every PDU and every DIMSE command.
* The receive buffer never exceeds the largest PDU plus a constant.
"""

from __future__ import annotations

import string
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulators.wire import (
    NEED_DATA,
    PDU,
    PDV,
    Abort,
    ApplicationContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    Connection,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Limits,
    LocalProtocolError,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    PresentationData,
    RawItem,
    RawPDU,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    Role,
    RoleSelection,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
    accept,
    decode,
    dimse,
    encode,
)

law = settings(deadline=None, max_examples=100)  # no test depends on how busy the machine is

# -- every PDU that may be -----------------------------------------------------------------------------------------

byte = st.integers(0, 255)
short = st.integers(0, 0xFFFF)
blob = st.binary(max_size=40)
uid = st.lists(st.integers(0, 99999), min_size=1, max_size=10).map(lambda parts: ".".join(map(str, parts)))
title_characters = "".join(sorted(set(string.printable[:95]) - {"\\"}))
title = st.text(title_characters, min_size=1, max_size=16).map(lambda text: text.strip(" ") or "A")
context_ids = st.integers(0, 127).map(lambda n: 2 * n + 1)

once_items = [
    st.integers(0, 0xFFFFFFFF).map(MaximumLength),
    uid.map(ImplementationClassUID),
    st.builds(AsyncOperationsWindow, short, short),
    st.text(string.printable[:95], min_size=1, max_size=16).map(ImplementationVersionName),
    st.builds(UserIdentityRQ, st.integers(1, 5), st.integers(0, 1), blob, blob),
    blob.map(UserIdentityAC),
]
any_items = st.one_of(
    st.builds(RoleSelection, uid, st.integers(0, 1), st.integers(0, 1)),
    st.builds(ExtendedNegotiation, uid, blob),
    st.builds(CommonExtendedNegotiation, uid, uid, st.lists(uid, max_size=3).map(tuple), byte, blob),
    st.builds(RawItem, st.one_of(st.integers(0, 0x50), st.integers(0x5A, 255)), blob),
)


@st.composite
def user_information(draw: st.DrawFn) -> UserInformation:
    """Any user items in any order, those that may be there once at most once."""
    items = [draw(strategy) for strategy in once_items if draw(st.booleans())]
    items += draw(st.lists(any_items, max_size=4))
    return UserInformation(tuple(draw(st.permutations(items))))


proposal = st.builds(
    PresentationContextRQ, context_ids, uid, st.lists(uid, min_size=1, max_size=4).map(tuple)
)  # fmt: skip
accepted = st.builds(PresentationContextAC, context_ids, st.just(0), uid)
refused = st.builds(
    PresentationContextAC, context_ids, st.integers(1, 4), st.none() | uid | st.text("\0aÿ", max_size=5)
)
other_item = st.builds(
    RawItem, byte.filter(lambda kind: kind not in (0x10, 0x20, 0x21, 0x30, 0x40, 0x50)), blob
)  # fmt: skip


def _associate(
    kind: type, contexts: st.SearchStrategy[Any], name: st.SearchStrategy[str]
) -> st.SearchStrategy[Any]:
    @st.composite
    def build(draw: st.DrawFn) -> Any:
        items: list[Any] = draw(
            st.lists(contexts, min_size=1, max_size=6, unique_by=lambda context: context.context_id)
        )
        items += [
            ApplicationContext(draw(uid)),
            draw(user_information()),
            *draw(st.lists(other_item, max_size=2)),
        ]
        return kind(draw(name), draw(name), tuple(draw(st.permutations(items))), draw(short))

    return build()


requests = _associate(AssociateRequest, proposal, title)
echo = st.text("".join(map(chr, range(256))), max_size=16).map(lambda text: text.rstrip(" "))
answers = _associate(AssociateAccept, accepted | refused, echo)
data = st.lists(st.builds(PDV, byte, byte, blob), min_size=1, max_size=5).map(
    lambda pdvs: PresentationData(tuple(pdvs))
)
pdus: st.SearchStrategy[PDU] = st.one_of(
    requests,
    answers,
    data,
    st.builds(AssociateReject, st.integers(1, 2), st.integers(1, 3), byte),
    st.just(ReleaseRequest()),
    st.just(ReleaseResponse()),
    st.builds(Abort, byte, byte),
)


@law
@given(pdus)
def test_what_was_written_is_read(pdu: PDU) -> None:
    assert decode(encode(pdu)) == pdu


# -- every command that may be ----------------------------------------------------------------------------------------

comment = st.text(string.printable[:95].replace("\\", ""), max_size=64).map(lambda text: text.rstrip(" "))
values: dict[str, st.SearchStrategy[Any]] = {
    "US": short,
    "UI": uid,
    "AE": title,
    "LO": comment,
    "AT": st.lists(st.integers(0, 0xFFFFFFFF), max_size=4).map(tuple),
}


@st.composite
def commands(draw: st.DrawFn) -> dimse.Command:
    """Any message with all that it must have and anything else of group 0000."""
    field = draw(st.sampled_from(list(dimse.Field)))
    kind = dimse.MESSAGES[field]
    numbers = set(kind.required) | draw(st.sets(st.sampled_from(sorted(dimse.COMMAND_ELEMENTS)), max_size=6))
    elements: dict[int, Any] = {number: draw(values[dimse.COMMAND_ELEMENTS[number][1]]) for number in numbers}
    unknown = st.integers(1, 0xFFFF).filter(lambda number: number not in dimse.COMMAND_ELEMENTS)
    even = blob.map(lambda raw: raw[: len(raw) & ~1])
    elements.update(draw(st.dictionaries(unknown, even, max_size=3)))
    elements[0x0100] = int(field)
    if kind.dataset is dimse.Dataset.NEVER:
        elements[0x0800] = 0x0101
    elif kind.dataset is dimse.Dataset.ALWAYS:
        elements[0x0800] = draw(short.filter(lambda value: value != 0x0101))
    return dimse.Command(elements)


@law
@given(commands())
def test_the_command_that_was_written_is_read(command: dimse.Command) -> None:
    assert dimse.decode_command(dimse.encode_command(command)) == command


@law
@given(commands(), st.binary(max_size=500), st.integers(7, 300), st.integers(0, 127))
def test_the_message_that_was_sent_arrives(
    command: dimse.Command, dataset: bytes, max_length: int, context: int
) -> None:
    context_id = 2 * context + 1
    given_dataset = dataset if command.has_dataset else None
    chunks = list(dimse.fragments(context_id, command, given_dataset, max_length))
    assert all(len(chunk) <= 6 + max_length for chunk in chunks)
    pdvs = [pdv for chunk in chunks for pdv in decode(chunk).pdvs]  # type: ignore[union-attr]
    events = list(dimse.Assembler().events((p.context_id, p.control, memoryview(p.data)) for p in pdvs))
    length = len(dataset) if command.has_dataset else 0
    assert events[0] == dimse.MessageStarted(context_id, command)
    assert events[-1] == dimse.MessageComplete(context_id, command, length)
    assert b"".join(e.data for e in events if isinstance(e, dimse.DatasetFragment)) == (given_dataset or b"")


# -- any bytes, any chunks -------------------------------------------------------------------------------------------

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
RQ = AssociateRequest.build(called="PACS", calling="M", contexts=[(VERIFICATION, [IMPLICIT])])
AC = accept(RQ, {VERIFICATION: []})
ECHO = dimse.Command.new("C-ECHO-RQ", MessageID=1, AffectedSOPClassUID=VERIFICATION)
ECHO_PDU = next(dimse.fragments(1, ECHO))
TIGHT = Limits(data_length=1000, associate_length=2000, receive_buffer=8192)

plausible = st.one_of(
    pdus.map(encode),
    st.sampled_from(
        [
            encode(RQ),
            encode(AC),
            ECHO_PDU,
            encode(PresentationData((PDV(1, 0, bytes(100)), PDV(1, 2, b"")))),
            encode(ReleaseRequest()),
            encode(ReleaseResponse()),
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x04\x00\xff\xff\xff\xff",
        ]
    ),
    st.builds(RawPDU, byte, blob, st.none() | st.integers(0, 0xFFFFFFFF)).map(encode),
    blob,
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Mostly sensible PDUs, some bytes of them changed, some missing."""
    first = draw(st.sampled_from([b"", encode(RQ), encode(AC), encode(RQ) + ECHO_PDU]))
    stream = bytearray(first + b"".join(draw(st.lists(plausible, max_size=6))))
    if stream:
        for _ in range(draw(st.integers(0, 3))):
            stream[draw(st.integers(0, len(stream) - 1))] = draw(byte)
        if draw(st.booleans()):
            del stream[draw(st.integers(0, len(stream) - 1)) :]
    return bytes(stream)


def start(role: Role, limits: Limits = TIGHT) -> Connection:
    """A connection that waits for the peer."""
    connection = Connection(role, limits)
    if role is Role.REQUESTOR:
        connection.send(RQ)
    return connection


def conversation(role: Role, stream: bytes, chunks: list[int], *, fast: bool, end: bool) -> list[Any]:
    """Everything that comes out of a connection whose user answers as a user does."""
    connection = start(role)
    assembler = dimse.Assembler(TIGHT)
    trace: list[Any] = []
    position = index = 0
    bound = 6 + max(TIGHT.data_length, TIGHT.associate_length, TIGHT.receive_buffer)
    while position < len(stream) or end:
        if position < len(stream):
            space = connection.buffer()
            assert len(space) > 0
            count = min(len(space), chunks[index % len(chunks)], len(stream) - position)
            space[:count] = stream[position : position + count]
            connection.received(count)
            position += count
            index += 1
        else:
            connection.received(0)
            end = False
        assert connection.buffer_size <= bound
        try:
            _take(connection, assembler, trace, fast=fast)
        except RemoteProtocolError as error:
            trace.append((str(error), connection.refuse(error)))
            try:
                while (event := connection.next_event()) is not NEED_DATA:
                    trace.append(event)
            except RemoteProtocolError as second:
                trace.append((str(second), connection.refuse(second)))
                _drain(connection, trace)
    trace.append(
        (connection.state, connection.artim_running, connection.artim_starts, connection.should_close)
    )
    return trace


def _drain(connection: Connection, trace: list[Any]) -> None:
    """Errors may follow each other for as long as the peer goes on; each one takes a PDU of his."""
    for _ in range(1000):
        try:
            event = connection.next_event()
        except RemoteProtocolError as error:
            trace.append((str(error), connection.refuse(error)))
            continue
        if event is NEED_DATA:
            return
        trace.append(event)
    raise AssertionError("it does not end")


def _take(connection: Connection, assembler: dimse.Assembler, trace: list[Any], *, fast: bool) -> None:
    while True:
        if fast:
            _messages(assembler, connection.data_fragments(), trace)
        event = connection.next_event()
        if event is NEED_DATA:
            return
        if isinstance(event, PresentationData):
            assert not fast
            _messages(assembler, ((p.context_id, p.control, memoryview(p.data)) for p in event.pdvs), trace)
            continue
        trace.append(event)
        try:
            if isinstance(event, AssociateRequest):
                trace.append(connection.send(accept(event, {VERIFICATION: []}, max_length=500)))
            elif isinstance(event, ReleaseRequest):
                trace.append(connection.send(ReleaseResponse()))
        except LocalProtocolError:
            pass


def _messages(assembler: dimse.Assembler, fragments: Any, trace: list[Any]) -> None:
    for event in assembler.events(fragments):
        if isinstance(event, dimse.DatasetFragment):
            trace.append((bytes(event.data), event.last))
        elif isinstance(event, dimse.MessageStarted):
            trace.append((event.context_id, event.command.elements))
        else:
            trace.append((event.context_id, event.dataset_length))


chunkings = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@law
@given(st.sampled_from(Role), streams(), chunkings, st.booleans())
@example(Role.ACCEPTOR, encode(RQ) + ECHO_PDU * 3 + encode(ReleaseRequest()), [7], True)
@example(Role.REQUESTOR, encode(AC) + ECHO_PDU + encode(Abort(2, 0)) + b"x", [1, 30], True)
def test_events_or_a_protocol_error_and_the_same_in_any_chunks(
    role: Role, stream: bytes, chunks: list[int], end: bool
) -> None:
    whole = conversation(role, stream, [1 << 20], fast=True, end=end)
    assert conversation(role, stream, [1], fast=True, end=end) == whole
    assert conversation(role, stream, chunks, fast=True, end=end) == whole
    assert conversation(role, stream, [1 << 20], fast=False, end=end) == whole


@law
@given(st.sampled_from(Role), st.binary(max_size=300), chunkings)
def test_any_bytes_at_all(role: Role, stream: bytes, chunks: list[int]) -> None:
    whole = conversation(role, stream, [1 << 20], fast=True, end=True)
    assert conversation(role, stream, chunks, fast=False, end=True) == whole


@law
@given(st.binary(max_size=200))
def test_any_bytes_as_a_pdu(raw: bytes) -> None:
    try:
        pdu = decode(raw)
    except RemoteProtocolError:
        return
    assert decode(encode(pdu)) == pdu


@law
@given(commands(), st.data())
def test_any_bytes_as_a_command(command: dimse.Command, draw: st.DataObject) -> None:
    raw = bytearray(dimse.encode_command(command))
    for _ in range(draw.draw(st.integers(0, 3))):
        raw[draw.draw(st.integers(0, len(raw) - 1))] = draw.draw(byte)
    del raw[draw.draw(st.integers(0, len(raw))) :]
    try:
        again = dimse.decode_command(raw)
    except RemoteProtocolError:
        return
    assert dimse.decode_command(dimse.encode_command(again)) == again


@law
@given(
    st.lists(
        st.sampled_from([encode(RQ), ECHO_PDU, b"\4\0\0\0\3\xe8", bytes(500), b"\xff" * 300]), max_size=30
    )
)
def test_memory_is_bounded_whatever_arrives(parts: list[bytes]) -> None:
    """Also when the user answers nothing and goes on receiving after an error."""
    connection = start(Role.ACCEPTOR)
    stream = b"".join(parts) * 3
    position = 0
    while position < len(stream):
        space = connection.buffer()
        count = min(len(space), len(stream) - position)
        space[:count] = stream[position : position + count]
        connection.received(count)
        position += count
        _drain(connection, [])
        assert connection.buffer_size <= 6 + max(
            TIGHT.data_length, TIGHT.associate_length, TIGHT.receive_buffer
        )
        assert connection.pending <= 6 + max(TIGHT.data_length, TIGHT.associate_length)
