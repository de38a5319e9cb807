"""The receive buffer and the fast path: no copies, bounded memory, the same as the slow path."""

from __future__ import annotations

import pytest

from simulators.wire import (
    NEED_DATA,
    PDV,
    Abort,
    AssociateAccept,
    AssociateRequest,
    Connection,
    ConnectionClosed,
    Limits,
    LocalProtocolError,
    PresentationData,
    ReleaseRequest,
    RemoteProtocolError,
    Role,
    State,
    accept,
    dimse,
    encode,
)

CLASS, SYNTAX = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.2.1"


def established(limits: Limits | None = None, max_length: int = 16384) -> Connection:
    """An acceptor in Sta6 that announced ``max_length``."""
    connection = Connection(Role.ACCEPTOR, limits or Limits())
    request = AssociateRequest.build(
        called="PACS", calling="M", contexts=[(CLASS, [SYNTAX]), ("1.2", ["1.3"])]
    )
    connection.receive_data(encode(request))
    assert connection.next_event() == request
    connection.send(accept(request, {CLASS: [SYNTAX]}, max_length=max_length))
    return connection


def feed(connection: Connection, data: bytes, chunk: int = 1 << 20) -> list[tuple[int, int, bytes]]:
    """Give it through the buffer, at most ``chunk`` at a time; the fragments that came out."""
    out = []
    position = 0
    while position < len(data):
        space = connection.buffer()
        count = min(len(space), chunk, len(data) - position)
        space[:count] = data[position : position + count]
        connection.received(count)
        position += count
        out += [
            (context_id, control, bytes(view)) for context_id, control, view in connection.data_fragments()
        ]
    return out


def data_pdu(*lengths: int, context_id: int = 1) -> bytes:
    return encode(PresentationData(tuple(PDV(context_id, 0, bytes([n % 256]) * n) for n in lengths)))


@pytest.mark.parametrize("chunk", [1, 5, 11, 12, 13, 4096, 1 << 20])
def test_fragments_are_the_same_in_any_chunks(chunk: int) -> None:
    lengths = [(0,), (1,), (100, 0, 7), (16378,), (3,), (5000, 5000), (16378,), (0,)]
    stream = b"".join(data_pdu(*group) for group in lengths)
    expected = [(1, 0, bytes([n % 256]) * n) for group in lengths for n in group]
    connection = established()
    assert feed(connection, stream, chunk) == expected
    assert connection.next_event() is NEED_DATA
    assert connection.pending == 0


def test_fragments_are_views_of_the_buffer() -> None:
    connection = established()
    data = data_pdu(100)
    space = connection.buffer()
    space[: len(data)] = data
    connection.received(len(data))
    [(_, _, view)] = connection.data_fragments()
    assert view.obj is space.obj


def test_fragments_stop_before_another_pdu_and_go_on_after_it() -> None:
    connection = established()
    connection.receive_data(data_pdu(2) + encode(ReleaseRequest()) + data_pdu(4))
    assert len(list(connection.data_fragments())) == 1
    assert list(connection.data_fragments()) == []
    assert connection.next_event() == ReleaseRequest()
    assert list(connection.data_fragments()) == []  # not in Sta8
    with pytest.raises(RemoteProtocolError):
        connection.next_event()


def test_fragments_end_when_we_abort_between_two() -> None:
    connection = established()
    connection.receive_data(data_pdu(2, 2) + data_pdu(2))
    fragments = connection.data_fragments()
    next(fragments)
    connection.send(Abort())
    assert list(fragments) == []
    assert connection.next_event() is NEED_DATA
    assert connection.pending == 0
    again = established()
    again.receive_data(data_pdu(2) + data_pdu(2))
    fragments = again.data_fragments()
    next(fragments)
    again.send(Abort())
    assert list(fragments) == []


def test_good_fragments_come_before_a_bad_pdu_but_nothing_of_it() -> None:
    connection = established()
    bad = PresentationData((PDV(1, 0, b"good"), PDV(99, 0, b"bad")))
    connection.receive_data(data_pdu(2) + encode(bad))
    fragments = connection.data_fragments()
    assert next(fragments)[2] == b"\2\2"
    with pytest.raises(RemoteProtocolError, match="99"):
        next(fragments)
    assert connection.state is State.STA13


def test_fragments_come_in_accepted_contexts_only() -> None:
    connection = established()
    connection.receive_data(data_pdu(2) + data_pdu(2, context_id=3))
    fragments = connection.data_fragments()
    assert next(fragments)[0] == 1
    with pytest.raises(RemoteProtocolError, match="context 3"):
        next(fragments)


@pytest.mark.parametrize(
    ("announced", "limit", "longest"), [(16384, 1 << 20, 16384), (0, 5000, 5000), (1 << 30, 5000, 5000)]
)  # fmt: skip
def test_the_announced_maximum_is_enforced(announced: int, limit: int, longest: int) -> None:
    connection = established(Limits(data_length=limit), announced)
    assert len(feed(connection, data_pdu(longest - 6))) == 1
    with pytest.raises(RemoteProtocolError, match=f"at most {longest}"):
        feed(connection, data_pdu(longest - 5))
        connection.next_event()
    refused = established(Limits(data_length=limit), announced)
    refused.receive_data(b"\4\0" + (longest + 1).to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError):
        refused.next_event()


def test_a_4_gb_length_costs_nothing() -> None:
    connection = established()
    size = connection.buffer_size
    connection.receive_data(b"\4\0\xff\xff\xff\xff")
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    for _ in range(100):
        space = connection.buffer()
        connection.received(len(space))
        assert connection.next_event() is NEED_DATA
        assert list(connection.data_fragments()) == []
    assert connection.buffer_size <= max(size, 1 << 18)


def test_the_buffer_is_small_until_the_peer_sends_much_and_again_when_told() -> None:
    connection = established()
    assert connection.buffer_size == 4096
    stream = data_pdu(16378) * 64
    feed(connection, stream)
    assert connection.buffer_size == 1 << 18
    connection.shrink()
    assert connection.buffer_size == 4096
    connection.receive_data(data_pdu(100)[:50])
    connection.shrink()
    assert connection.pending == 50
    assert feed(connection, data_pdu(100)[50:]) == [(1, 0, b"d" * 100)]


def test_shrinking_keeps_what_is_pending() -> None:
    connection = established()
    data = data_pdu(16000)
    feed(connection, data * 20 + data[:9000])
    connection.shrink()
    assert connection.buffer_size == 9000
    assert feed(connection, data[9000:]) == [(1, 0, bytes([16000 % 256]) * 16000)]


def test_a_pdu_larger_than_the_buffer_grows_it_as_it_arrives() -> None:
    limits = Limits(receive_buffer=8192, data_length=1 << 20)
    connection = established(limits, 0)
    data = data_pdu(1 << 19)
    sizes = []
    position = 0
    while position < len(data):
        space = connection.buffer()
        count = min(len(space), 1000, len(data) - position)
        space[:count] = data[position : position + count]
        connection.received(count)
        position += count
        sizes.append(connection.buffer_size)
        assert connection.buffer_size <= max(4 * position, 8192)
        if position < len(data):
            assert list(connection.data_fragments()) == []
    assert [len(view) for _, _, view in connection.data_fragments()] == [1 << 19]
    assert max(sizes) <= (1 << 20) + 6
    assert len(connection.buffer()) == connection.buffer_size == 8192


def test_a_caller_who_takes_no_events_is_told_so() -> None:
    connection = established(Limits(receive_buffer=4096))
    with pytest.raises(LocalProtocolError, match="take the events"):
        for _ in range(100):
            space = connection.buffer()
            data = data_pdu(2) * 500
            count = min(len(space), len(data))
            space[:count] = data[:count]
            connection.received(count)


@pytest.mark.parametrize("garbage", [b"\xff" * 4096, encode(ReleaseRequest()) + bytes(4086)])
def test_after_an_error_receiving_may_go_on_without_asking(garbage: bytes) -> None:
    """A caller who only waits for the end need not take events that cannot come."""
    connection = Connection(Role.ACCEPTOR)
    space = connection.buffer()
    assert len(space) == len(garbage)
    space[:] = garbage
    connection.received(len(space))
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    if garbage[0] == 0xFF:
        for _ in range(50):
            connection.received(len(connection.buffer()))
    assert len(connection.buffer()) > 0
    assert connection.buffer_size <= 1 << 18


def test_counts_that_cannot_be() -> None:
    connection = established()
    space = connection.buffer()
    for count in (-1, len(space) + 1):
        with pytest.raises(LocalProtocolError):
            connection.received(count)
    connection.received(0)
    for after_the_end in (
        connection.buffer,
        lambda: connection.received(0),
        lambda: connection.receive_data(b"x"),
    ):
        with pytest.raises(LocalProtocolError):
            after_the_end()
    assert connection.next_event() == ConnectionClosed(State.STA6)
    assert connection.next_event() is NEED_DATA


def test_data_given_at_once_may_be_larger_than_the_buffer() -> None:
    connection = established()
    connection.receive_data(data_pdu(16378) * 50)
    assert len(list(connection.data_fragments())) == 50
    assert connection.buffer_size > 50 * 16000
    connection.buffer()
    assert connection.buffer_size == 1 << 18


def test_what_was_given_at_once_is_not_kept_for_ever() -> None:
    connection = established()
    connection.receive_data(data_pdu(16378) * 50)
    assert len(list(connection.data_fragments())) == 50
    connection.receive_data(b"\4")
    assert connection.buffer_size <= 1 << 18


def test_after_shrinking_the_buffer_stays_small_until_it_is_filled_again() -> None:
    connection = established()
    feed(connection, data_pdu(4096 - 12))
    connection.buffer()
    connection.received(1)
    assert connection.buffer_size == 16384
    connection = established()
    feed(connection, data_pdu(4096 - 12))
    connection.shrink()
    connection.buffer()
    assert connection.buffer_size == 4096


def test_the_end_comes_after_the_data() -> None:
    connection = established()
    connection.receive_data(data_pdu(2))
    connection.receive_data(b"")
    assert len(list(connection.data_fragments())) == 1
    event = connection.next_event()
    assert event == ConnectionClosed(State.STA6)
    assert not event.clean


def test_no_timer_no_expiry() -> None:
    with pytest.raises(LocalProtocolError):
        established().artim_expired()


def test_what_is_no_event_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError):
        established().send(b"x")  # type: ignore[arg-type]


# -- messages through a connection --------------------------------------------------------------------------------

STORE = dimse.Command.new(
    "C-STORE-RQ", MessageID=1, AffectedSOPClassUID=CLASS, AffectedSOPInstanceUID="1.2.3"
)


def pair() -> tuple[Connection, Connection]:
    """A requestor and an acceptor that talk to each other."""
    ours, theirs = Connection(Role.REQUESTOR), Connection(Role.ACCEPTOR)
    theirs.receive_data(
        ours.send(AssociateRequest.build(called="A", calling="B", contexts=[(CLASS, [SYNTAX])]))
    )
    request = theirs.next_event()
    assert isinstance(request, AssociateRequest)
    ours.receive_data(theirs.send(accept(request, {CLASS: []}, max_length=1000)))
    assert isinstance(ours.next_event(), AssociateAccept)
    return ours, theirs


def test_a_message_goes_from_one_connection_to_the_other() -> None:
    ours, theirs = pair()
    dataset = bytes(range(250)) * 100
    assembler = dimse.Assembler()
    received = b""
    for chunk in ours.message_chunks(1, STORE, dataset):
        assert len(chunk) <= 1006
        theirs.receive_data(chunk)
        for event in assembler.events(theirs.data_fragments()):
            if isinstance(event, dimse.DatasetFragment):
                received += event.data
            elif isinstance(event, dimse.MessageComplete):
                ours.receive_data(theirs.send_message(event.context_id, event.command.reply()))
    assert received == dataset
    [_, complete] = dimse.Assembler().events(ours.data_fragments())
    assert complete == dimse.MessageComplete(1, STORE.reply(), 0)
    assert b"".join(ours.message_chunks(1, STORE, dataset)) == ours.send_message(1, STORE, dataset)


def test_messages_keep_to_state_and_contexts() -> None:
    ours, _ = pair()
    with pytest.raises(LocalProtocolError, match="context 3"):
        ours.send_message(3, STORE, b"")
    with pytest.raises(LocalProtocolError, match="context 3"):
        next(ours.message_chunks(3, STORE, b""))
    chunks = ours.message_chunks(1, STORE, bytes(5000))
    next(chunks)
    ours.send(Abort())
    with pytest.raises(LocalProtocolError, match="Sta13"):
        next(chunks)
    with pytest.raises(LocalProtocolError, match="Sta13"):
        ours.send_message(1, STORE, b"")


def test_a_broken_message_is_aborted_by_the_service_user() -> None:
    ours, theirs = pair()
    theirs.receive_data(encode(PresentationData((PDV(1, 3, b"junk"),))))
    with pytest.raises(RemoteProtocolError) as caught:
        list(dimse.Assembler().events(theirs.data_fragments()))
    assert theirs.refuse(caught.value) == encode(Abort(0, 0))
    assert (theirs.state, theirs.artim_running) == (State.STA13, True)
    late = RemoteProtocolError("found later")
    assert theirs.refuse(late) == b""
    assert theirs.state is State.STA13
    assert ours.state is State.STA6
