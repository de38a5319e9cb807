"""Whole conversations of an association, for both roles, each played in one chunk per PDU and byte by byte.

The notation is that of mitmproxy's playbooks: ``>>`` is what comes to the connection (PDUs or bytes of the peer,
``Do(...)`` of our own side, ``Gone``, ``ArtimEnds``); ``<<`` is what comes out of it, in order: an event told to us,
``Wrote`` bytes; or a look at it: ``At`` (state, timer, whether the transport is to be closed), ``Impossible``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from simulators.wire import (
    NEED_DATA,
    PDU,
    PDV,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Connection,
    ConnectionClosed,
    LocalProtocolError,
    PresentationData,
    RawPDU,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    Role,
    State,
    accept,
    decode,
    encode,
)

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
RQ = AssociateRequest.build(called="PACS", calling="MODALITY", contexts=[(VERIFICATION, [IMPLICIT])])
AC = accept(RQ, {VERIFICATION: [IMPLICIT]})
RJ = AssociateReject(1, 1, 7)
DATA = PresentationData((PDV(1, 3, b"command!"),))
RELEASE, RELEASED = ReleaseRequest(), ReleaseResponse()
UNEXPECTED = Abort(2, 2)


@dataclass(frozen=True)
class Do:
    """Our side sends this."""

    pdu: PDU


@dataclass(frozen=True)
class Wrote:
    """These bytes went out."""

    pdu: PDU


@dataclass(frozen=True)
class Impossible:
    """Our side may not send this now, and nothing changes."""

    pdu: PDU


@dataclass(frozen=True)
class Gone:
    """The peer closes the transport connection."""


@dataclass(frozen=True)
class ArtimEnds:
    """Our timer ends."""


@dataclass(frozen=True)
class At:
    """The state is this one, and the timer and the transport are as said."""

    state: int
    artim: bool = False
    closes: bool = False


class Playbook:
    """A conversation to be written down with ``>>`` and ``<<``, then played."""

    def __init__(self, role: Role, *, connected: bool = True) -> None:
        self.make: Callable[[], Connection] = lambda: Connection(role, connected=connected)
        self.script: list[tuple[str, Any]] = []

    def __rshift__(self, step: Any) -> Playbook:
        self.script.append((">>", step))
        return self

    def __lshift__(self, step: Any) -> Playbook:
        self.script.append(("<<", step))
        return self

    def play(self) -> None:
        """Play it whole and byte by byte; on a difference show the dialogue up to it."""
        for size in (1 << 20, 1, 7):
            self._play(size)

    def _play(self, size: int) -> None:
        connection = self.make()
        out: list[Any] = []
        dialogue: list[str] = []
        for direction, step in self.script:
            dialogue.append(f"{direction} {step!r}")
            where = "\n".join([f"chunks of {size}:", *dialogue])
            if direction == ">>":
                assert not out, f"{where}\nnobody expected {out}"
                self._arrive(connection, step, out, size)
            elif isinstance(step, At):
                assert not out, f"{where}\nnobody expected {out}"
                is_at = At(connection.state, connection.artim_running, connection.should_close)
                assert is_at == step, f"{where}\nbut is {is_at}"
            elif isinstance(step, Impossible):
                before = connection.state
                with pytest.raises(LocalProtocolError):
                    connection.send(step.pdu)
                assert connection.state is before
            else:
                assert out, f"{where}\nbut nothing came"
                came = out.pop(0)
                assert came == step, f"{where}\nbut came {came!r}"
        assert not out, f"left over: {out}"

    @staticmethod
    def _arrive(connection: Connection, step: Any, out: list[Any], size: int) -> None:
        if isinstance(step, Do):
            data = connection.send(step.pdu)
            if data:
                assert data == encode(step.pdu)
                out.append(Wrote(step.pdu))
            return
        if isinstance(step, ArtimEnds):
            connection.artim_expired()
            return
        data = b"" if isinstance(step, Gone) else step if isinstance(step, bytes) else encode(step)
        for start in range(0, max(1, len(data)), size):
            connection.receive_data(data[start : start + size])
            try:
                while (event := connection.next_event()) is not NEED_DATA:
                    out.append(event)
            except RemoteProtocolError as error:
                out.append(Wrote(decode(connection.refuse(error))))


def acceptor() -> Playbook:
    """An acceptor whose transport connection was just opened."""
    return Playbook(Role.ACCEPTOR) << At(2, artim=True)


def requestor() -> Playbook:
    """A requestor whose transport connection exists."""
    return Playbook(Role.REQUESTOR) << At(1)


def established(role: Role) -> Playbook:
    """An association in Sta6."""
    if role is Role.ACCEPTOR:
        return acceptor() >> RQ << RQ << At(3) >> Do(AC) << Wrote(AC) << At(6)
    return requestor() >> Do(RQ) << Wrote(RQ) << At(5) >> AC << AC << At(6)


both_roles = pytest.mark.parametrize("role", Role)


# -- the usual ------------------------------------------------------------------------------------------------


def test_an_acceptor_serves_one_message_and_is_released() -> None:
    (
        established(Role.ACCEPTOR)
        >> DATA << DATA
        >> Do(DATA) << Wrote(DATA)
        >> RELEASE << RELEASE << At(8)
        >> Do(RELEASED) << Wrote(RELEASED) << At(13, artim=True)
        >> Gone() << ConnectionClosed(State.STA13) << At(1, closes=True)
    ).play()  # fmt: skip


def test_a_requestor_asks_and_releases() -> None:
    (
        established(Role.REQUESTOR)
        >> Do(DATA) << Wrote(DATA)
        >> DATA << DATA
        >> Do(RELEASE) << Wrote(RELEASE) << At(7)
        >> RELEASED << RELEASED << At(1, closes=True)
    ).play()  # fmt: skip


def test_an_acceptor_releases_and_still_takes_data() -> None:
    (
        established(Role.ACCEPTOR)
        >> Do(RELEASE) << Wrote(RELEASE) << At(7)
        >> DATA << DATA << At(7)
        << Impossible(DATA)
        >> RELEASED << RELEASED << At(1, closes=True)
    ).play()  # fmt: skip


@both_roles
def test_data_may_still_be_sent_before_a_release_is_answered(role: Role) -> None:
    (
        established(role)
        >> RELEASE << RELEASE << At(8)
        >> Do(DATA) << Wrote(DATA) << At(8)
        >> Do(RELEASED) << Wrote(RELEASED) << At(13, artim=True)
        >> ArtimEnds() << At(1, closes=True)
    ).play()  # fmt: skip


def test_the_transport_may_be_opened_later() -> None:
    playbook = Playbook(Role.REQUESTOR, connected=False) << At(1) >> Do(RQ) << At(4) << Impossible(RQ)
    playbook.play()
    (playbook >> Do(Abort()) << At(1, closes=True)).play()
    connection = Connection(Role.REQUESTOR, connected=False)
    with pytest.raises(LocalProtocolError):
        connection.transport_connected()
    assert connection.send(RQ) == b""
    with pytest.raises(LocalProtocolError):
        connection.receive_data(encode(AC))
    assert connection.transport_connected() == encode(RQ)
    assert connection.state is State.STA5
    with pytest.raises(LocalProtocolError):
        connection.transport_connected()
    late = Connection(Role.ACCEPTOR, connected=False)
    assert late.transport_connected() == b""
    assert (late.state, late.artim_running) == (State.STA2, True)


def test_the_transport_may_fail() -> None:
    connection = Connection(Role.REQUESTOR, connected=False)
    connection.send(RQ)
    assert connection.transport_failed() == ConnectionClosed(State.STA4)
    assert connection.state is State.STA1
    assert connection.should_close
    with pytest.raises(LocalProtocolError):
        connection.send(RQ)


# -- rejections -----------------------------------------------------------------------------------------------


def test_an_acceptor_rejects() -> None:
    (
        acceptor()
        >> RQ << RQ
        >> Do(RJ) << Wrote(RJ) << At(13, artim=True)
        >> Gone() << ConnectionClosed(State.STA13) << At(1, closes=True)
    ).play()  # fmt: skip


def test_a_requestor_is_rejected() -> None:
    (requestor() >> Do(RQ) << Wrote(RQ) >> RJ << RJ << At(1, closes=True)).play()


def test_an_unsupported_protocol_version_is_rejected_by_the_provider() -> None:
    version_2 = AssociateRequest(RQ.called, RQ.calling, RQ.items, protocol_version=2)
    (acceptor() >> version_2 << Wrote(AssociateReject(1, 2, 2)) << At(13, artim=True)).play()


def test_only_bit_0_of_the_protocol_version_is_tested() -> None:
    version_1_and_2 = AssociateRequest(RQ.called, RQ.calling, RQ.items, protocol_version=3)
    (acceptor() >> version_1_and_2 << version_1_and_2 << At(3)).play()


def test_an_answer_in_another_protocol_version_is_aborted() -> None:
    other = AssociateAccept(AC.called, AC.calling, AC.items, protocol_version=2)
    (requestor() >> Do(RQ) << Wrote(RQ) >> other << Wrote(Abort(2, 6)) << At(13, artim=True)).play()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"context_id": 3}, id="never proposed"),
        pytest.param({"transfer_syntax": "1.2.840.10008.1.2.1"}, id="other transfer syntax"),
    ],
)
def test_an_answer_that_does_not_fit_the_proposal_is_aborted(answer: dict[str, Any]) -> None:
    from dataclasses import replace

    wrong = AssociateAccept("A", "B", (AC.items[0], replace(AC.contexts[0], **answer), AC.items[-1]))
    (requestor() >> Do(RQ) << Wrote(RQ) >> wrong << Wrote(Abort(2, 6)) << At(13, artim=True)).play()


# -- aborts and lost connections --------------------------------------------------------------------------------


@both_roles
def test_we_abort(role: Role) -> None:
    (
        established(role)
        >> Do(Abort()) << Wrote(Abort()) << At(13, artim=True)
        >> DATA  # on its way when we aborted: ignored
        >> RELEASE
        << At(13, artim=True)
        >> Gone() << ConnectionClosed(State.STA13) << At(1, closes=True)
    ).play()  # fmt: skip


@both_roles
def test_the_peer_aborts(role: Role) -> None:
    (established(role) >> Abort(2, 1) << Abort(2, 1) << At(1, closes=True)).play()


def test_the_peer_aborts_before_it_asked() -> None:
    (acceptor() >> Abort() << Abort() << At(1, closes=True)).play()


@both_roles
def test_both_abort_at_once(role: Role) -> None:
    (
        established(role)
        >> Do(Abort()) << Wrote(Abort())
        >> Abort() << Abort() << At(1, closes=True)
    ).play()  # fmt: skip


def test_a_requestor_aborts_before_the_answer() -> None:
    (requestor() >> Do(RQ) << Wrote(RQ) >> Do(Abort()) << Wrote(Abort()) << At(13, artim=True) >> AC).play()


@both_roles
def test_the_peer_is_gone(role: Role) -> None:
    (established(role) >> Gone() << ConnectionClosed(State.STA6) << At(1, closes=True)).play()


@both_roles
def test_the_peer_is_gone_within_a_pdu(role: Role) -> None:
    half = encode(DATA)[:9]
    (
        established(role) >> half << At(6) >> Gone() << ConnectionClosed(State.STA6, 9) << At(1, closes=True)
    ).play()


def test_the_peer_closes_after_the_end() -> None:
    ended = established(Role.ACCEPTOR) >> Abort() << Abort() << At(1, closes=True)
    (ended >> Gone() << ConnectionClosed(State.STA1) << At(1, closes=True)).play()


def test_only_an_association_that_was_over_ends_clean() -> None:
    assert [state for state in State if ConnectionClosed(state).clean] == [State.STA1, State.STA13]


def test_the_peer_says_nothing() -> None:
    (acceptor() >> ArtimEnds() << At(1, closes=True)).play()


def test_the_peer_says_nothing_and_goes() -> None:
    (acceptor() >> Gone() << ConnectionClosed(State.STA2) << At(1, closes=True)).play()


def test_two_bytes_and_silence() -> None:
    (acceptor() >> b"\x01\x00" << At(2, artim=True) >> ArtimEnds() << At(1, closes=True)).play()


def test_nothing_is_heard_after_the_end() -> None:
    (established(Role.ACCEPTOR) >> Abort() << Abort() << At(1, closes=True) >> DATA >> RQ >> b"junk").play()


# -- release collision (PS3.8 7.2.2.6, 9.2.3 AR-8, AR-9, AR-10) -------------------------------------------------


def test_a_release_collision_seen_by_the_requestor() -> None:
    (
        established(Role.REQUESTOR)
        >> Do(RELEASE) << Wrote(RELEASE) << At(7)
        >> RELEASE << RELEASE << At(9)
        >> Do(RELEASED) << Wrote(RELEASED) << At(11)
        >> RELEASED << RELEASED << At(1, closes=True)
    ).play()  # fmt: skip


def test_a_release_collision_seen_by_the_acceptor() -> None:
    (
        established(Role.ACCEPTOR)
        >> Do(RELEASE) << Wrote(RELEASE) << At(7)
        >> RELEASE << RELEASE << At(10)
        << Impossible(RELEASED)
        >> RELEASED << RELEASED << At(12)
        >> Do(RELEASED) << Wrote(RELEASED) << At(13, artim=True)
        >> Gone() << ConnectionClosed(State.STA13) << At(1, closes=True)
    ).play()  # fmt: skip


def test_two_connections_collide_and_both_end() -> None:
    ours, theirs = Connection(Role.REQUESTOR), Connection(Role.ACCEPTOR)
    theirs.receive_data(ours.send(RQ))
    assert theirs.next_event() == RQ
    ours.receive_data(theirs.send(AC))
    assert ours.next_event() == AC
    crossing = ours.send(RELEASE), theirs.send(RELEASE)
    theirs.receive_data(crossing[0])
    ours.receive_data(crossing[1])
    assert (ours.next_event(), theirs.next_event()) == (RELEASE, RELEASE)
    theirs.receive_data(ours.send(RELEASED))
    assert theirs.next_event() == RELEASED
    ours.receive_data(theirs.send(RELEASED))
    assert ours.next_event() == RELEASED
    assert (ours.state, theirs.state) == (State.STA1, State.STA13)


# -- what may not come now --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pdu", [AC, RJ, DATA, RELEASE, RELEASED], ids=lambda p: type(p).__name__)
def test_only_a_request_may_come_first(pdu: PDU) -> None:
    (acceptor() >> pdu << Wrote(Abort(0, 0)) << At(13, artim=True)).play()


@pytest.mark.parametrize("pdu", [RQ, AC, RJ, DATA, RELEASE, RELEASED], ids=lambda p: type(p).__name__)
def test_nothing_may_come_before_the_request_is_answered(pdu: PDU) -> None:
    (acceptor() >> RQ << RQ >> pdu << Wrote(UNEXPECTED) << At(13, artim=True)).play()


@pytest.mark.parametrize("pdu", [RQ, DATA, RELEASE, RELEASED], ids=lambda p: type(p).__name__)
def test_only_an_answer_may_follow_a_request(pdu: PDU) -> None:
    (requestor() >> Do(RQ) << Wrote(RQ) >> pdu << Wrote(UNEXPECTED) << At(13, artim=True)).play()


@both_roles
@pytest.mark.parametrize("pdu", [RQ, AC, RJ, RELEASED], ids=lambda p: type(p).__name__)
def test_what_may_not_come_within_an_association(role: Role, pdu: PDU) -> None:
    """Also the A-ASSOCIATE-AC where a data set was due, which ended io-dicom's process."""
    (established(role) >> pdu << Wrote(UNEXPECTED) << At(13, artim=True)).play()


@both_roles
def test_a_second_release_request_is_aborted(role: Role) -> None:
    (established(role) >> RELEASE << RELEASE >> RELEASE << Wrote(UNEXPECTED) << At(13, artim=True)).play()


@both_roles
@pytest.mark.parametrize("pdu", [RQ, DATA], ids=lambda p: type(p).__name__)
def test_after_an_abort_only_a_new_request_is_answered(role: Role, pdu: PDU) -> None:
    playbook = established(role) >> Do(Abort()) << Wrote(Abort()) >> pdu
    if pdu is RQ:
        playbook <<= Wrote(UNEXPECTED)
    (playbook << At(13, artim=True)).play()


@both_roles
def test_an_unknown_pdu_type_is_refused_from_its_header(role: Role) -> None:
    """All 6 bytes of it, and nothing more comes: pynetdicom 3.0.4 waits for ever here."""
    (established(role) >> encode(RawPDU(0x42, length=4)) << Wrote(Abort(2, 1)) << At(13, artim=True)).play()


@both_roles
def test_a_4_gb_length_is_refused_from_its_header(role: Role) -> None:
    (
        established(role)
        >> b"\x04\x00\xff\xff\xff\xff"
        << Wrote(Abort(2, 6))
        << At(13, artim=True)
        >> bytes(99)
    ).play()


@both_roles
def test_data_in_a_context_that_was_not_accepted_is_aborted(role: Role) -> None:
    stray = PresentationData((PDV(1, 0, b"x"), PDV(3, 0, b"x")))
    (established(role) >> stray << Wrote(Abort(2, 6)) << At(13, artim=True)).play()


# -- what our own side may not do -------------------------------------------------------------------------------


@both_roles
def test_what_we_may_not_send_now(role: Role) -> None:
    playbook = established(role)
    for pdu in (RQ, AC, RJ, RELEASED):
        playbook <<= Impossible(pdu)
    playbook.play()


def test_nothing_may_be_sent_before_the_peer_asked() -> None:
    playbook = acceptor()
    for pdu in (RQ, AC, RJ, DATA, RELEASE, RELEASED, Abort()):
        playbook <<= Impossible(pdu)
    playbook.play()


def test_an_acceptor_never_asks() -> None:
    (established(Role.ACCEPTOR) >> Abort() << Abort() << Impossible(RQ)).play()


@both_roles
def test_our_data_keeps_to_what_was_agreed(role: Role) -> None:
    too_long = PresentationData((PDV(1, 0, bytes(16384 - 6 + 1)),))
    longest = PresentationData((PDV(1, 0, bytes(16384 - 6)),))
    (
        established(role)
        << Impossible(PresentationData((PDV(3, 0, b"x"),)))
        << Impossible(too_long)
        >> Do(longest) << Wrote(longest)
    ).play()  # fmt: skip


def test_our_answer_keeps_to_what_was_proposed() -> None:
    other = AssociateRequest.build(called="A", calling="B", contexts=[("1.2.3", ["1.2"]), ("1.2.4", ["1.2"])])
    (acceptor() >> RQ << RQ << Impossible(accept(other, {"1.2.4": []})) << At(3)).play()


# -- other protocols on the port --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("garbage", "answer"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", Abort(0, 0), id="HTTP"),
        pytest.param(bytes.fromhex("16030100f8010000f40303") + bytes(240), Abort(0, 0), id="TLS ClientHello"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Abort(0, 0), id="SSH"),
        pytest.param(bytes(4096), Abort(0, 0), id="zeros"),
        pytest.param(b"\xff" * 4096, Abort(0, 0), id="ones"),
    ],
)
def test_another_protocol_is_answered_once_and_then_not_listened_to(garbage: bytes, answer: Abort) -> None:
    (
        acceptor() >> garbage << Wrote(answer) << At(13, artim=True)
        >> garbage >> Gone() << ConnectionClosed(State.STA13) << At(1, closes=True)
    ).play()  # fmt: skip


def _request(**change: bytes) -> bytes:
    data = bytearray(encode(RQ))
    for name, value in change.items():
        start = {"called": 10, "calling": 26}[name]
        data[start : start + 16] = value.ljust(16)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_request(called=b""), id="blank called AE"),
        pytest.param(_request(calling=b""), id="blank calling AE"),
        pytest.param(_request(called=b"../secret\\X"), id="backslash"),
        pytest.param(_request(calling=b"A\x00"), id="NUL"),
        pytest.param(_request(calling=b"A\x1b[2J"), id="escape"),
        pytest.param(_request(calling="Ä".encode()), id="not ASCII"),
        pytest.param(
            encode(AssociateRequest.build(called="A", calling="B", contexts=[("1.2", ["1.2"])] * 128))[:-1]
            + b"\x7f",
            id="broken version name",
        ),
    ],
)
def test_a_malformed_request_is_aborted(data: bytes) -> None:
    (acceptor() >> data << Wrote(Abort(0, 0)) << At(13, artim=True)).play()


@pytest.mark.parametrize("length", [1, 6])
def test_a_peer_that_takes_no_byte_of_data_is_aborted(length: int) -> None:
    asked = AssociateRequest.build(
        called="PACS", calling="M", contexts=[(VERIFICATION, [IMPLICIT])], max_length=length
    )
    (acceptor() >> asked << Wrote(Abort(0, 0)) << At(13, artim=True)).play()
    answered = accept(RQ, {VERIFICATION: []}, max_length=length)
    (requestor() >> Do(RQ) << Wrote(RQ) >> answered << Wrote(Abort(2, 6)) << At(13, artim=True)).play()


@pytest.mark.parametrize("length", [0, 7])
def test_a_peer_that_takes_little_or_anything_is_served(length: int) -> None:
    asked = AssociateRequest.build(
        called="PACS", calling="M", contexts=[(VERIFICATION, [IMPLICIT])], max_length=length
    )
    (acceptor() >> asked << asked << At(3)).play()


def test_a_request_whose_context_ids_repeat_is_aborted() -> None:
    twice = AssociateRequest("A", "B", (RQ.items[0], RQ.contexts[0], RQ.contexts[0], RQ.items[-1]))
    (acceptor() >> twice << Wrote(Abort(0, 0)) << At(13, artim=True)).play()


def test_1000_contexts_are_aborted() -> None:
    many = AssociateRequest("A", "B", (RQ.items[0], *RQ.contexts * 1000, RQ.items[-1]))
    (acceptor() >> many << Wrote(Abort(0, 0)) << At(13, artim=True)).play()
