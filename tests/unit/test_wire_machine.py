"""Every state x every event of PS3.8 Table 9-10, done to a real connection in every role that can be there.

The table itself is held against the standard in ``test_wire_states.py``; this is about the connection obeying it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulators.wire import (
    NEED_DATA,
    PDU,
    PDV,
    Abort,
    Action,
    AssociateReject,
    AssociateRequest,
    Connection,
    ConnectionClosed,
    Evt,
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
from simulators.wire.states import EFFECTS, TABLE

RQ = AssociateRequest.build(
    called="PACS", calling="M", contexts=[("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])]
)
AC = accept(RQ, {"1.2.840.10008.1.1": []})
RJ = AssociateReject(1, 1, 1)
DATA = PresentationData((PDV(1, 3, b"data"),))
RELEASE, RELEASED = ReleaseRequest(), ReleaseResponse()

# How to get into each state: "<" the peer sends, ">" we send, "t" the transport opens.
PATHS: dict[State, dict[Role, list[str | tuple[str, PDU]]]] = {
    State.STA1: {Role.REQUESTOR: [], Role.ACCEPTOR: []},
    State.STA2: {Role.ACCEPTOR: ["t"]},
    State.STA3: {Role.ACCEPTOR: ["t", ("<", RQ)]},
    State.STA4: {Role.REQUESTOR: [(">", RQ)]},
    State.STA5: {Role.REQUESTOR: [(">", RQ), "t"]},
    State.STA6: {Role.REQUESTOR: [(">", RQ), "t", ("<", AC)], Role.ACCEPTOR: ["t", ("<", RQ), (">", AC)]},
}
for role, path in PATHS[State.STA6].items():
    PATHS.setdefault(State.STA7, {})[role] = [*path, (">", RELEASE)]
    PATHS.setdefault(State.STA8, {})[role] = [*path, ("<", RELEASE)]
    PATHS.setdefault(State.STA13, {})[role] = [*path, (">", Abort())]
COLLISION: list[str | tuple[str, PDU]] = [(">", RELEASE), ("<", RELEASE)]
PATHS[State.STA9] = {Role.REQUESTOR: [*PATHS[State.STA6][Role.REQUESTOR], *COLLISION]}
PATHS[State.STA10] = {Role.ACCEPTOR: [*PATHS[State.STA6][Role.ACCEPTOR], *COLLISION]}
PATHS[State.STA11] = {Role.REQUESTOR: [*PATHS[State.STA9][Role.REQUESTOR], (">", RELEASED)]}
PATHS[State.STA12] = {Role.ACCEPTOR: [*PATHS[State.STA10][Role.ACCEPTOR], ("<", RELEASED)]}

ARRIVES: dict[Evt, PDU | RawPDU] = {
    Evt.EVT3: AC,
    Evt.EVT4: RJ,
    Evt.EVT6: RQ,
    Evt.EVT10: DATA,
    Evt.EVT12: RELEASE,
    Evt.EVT13: RELEASED,
    Evt.EVT16: Abort(2, 0),
    Evt.EVT19: RawPDU(0x99, bytes(4)),
}
SENT: dict[Evt, PDU] = {
    Evt.EVT1: RQ,
    Evt.EVT7: AC,
    Evt.EVT8: RJ,
    Evt.EVT9: DATA,
    Evt.EVT11: RELEASE,
    Evt.EVT14: RELEASED,
    Evt.EVT15: Abort(),
}
# The transport opening is Evt2 for whoever asked for it and Evt5 for the other; one call stands for both.
NEVER = {(Evt.EVT2, Role.ACCEPTOR), (Evt.EVT5, Role.REQUESTOR)}
CASES = [
    (event, state, role)
    for event in Evt
    for state in State
    for role in PATHS[state]
    if (event, role) not in NEVER
]


def reach(state: State, role: Role) -> Connection:
    """A connection in that state."""
    connection = Connection(role, connected=False)
    for step in PATHS[state][role]:
        if isinstance(step, str):
            connection.transport_connected()
        elif step[0] == ">":
            connection.send(step[1])
        else:
            connection.receive_data(encode(step[1]))
            assert connection.next_event() == step[1]
    assert connection.state is state
    return connection


def act(connection: Connection, event: Evt) -> tuple[object, bytes]:
    """Let the event happen; what was told, and what was written."""
    if event in SENT:
        return None, connection.send(SENT[event])
    if event is Evt.EVT2 or event is Evt.EVT5:
        return None, connection.transport_connected()
    if event is Evt.EVT18:
        connection.artim_expired()
        return None, b""
    if event is Evt.EVT17 and connection.state is State.STA4:
        return connection.transport_failed(), b""
    connection.receive_data(b"" if event is Evt.EVT17 else encode(ARRIVES[event]))
    try:
        return connection.next_event(), b""
    except RemoteProtocolError as error:
        return error, connection.refuse(error)


@pytest.mark.parametrize(("event", "state", "role"), CASES, ids=lambda value: value.name)
def test_the_connection_does_what_the_table_says(event: Evt, state: State, role: Role) -> None:
    action = TABLE[state][event]
    if state is State.STA1 and event is Evt.EVT1 and role is Role.ACCEPTOR:
        action = Action.NONE  # the table knows no role, but an acceptor never asks
    connection = reach(state, role)
    before = (connection.state, connection.artim_running, connection.artim_starts, connection.should_close)
    if action is Action.NONE:
        with pytest.raises(LocalProtocolError):
            act(connection, event)
        after = (connection.state, connection.artim_running, connection.artim_starts, connection.should_close)
        assert after == before
        return
    told, written = act(connection, event)
    effect = EFFECTS[action]
    collided = action is Action.AR_8 and role is Role.ACCEPTOR
    assert connection.state is (effect.otherwise if collided else effect.next_state)
    assert connection.artim_running is (before[1] if effect.artim is None else effect.artim)
    assert connection.artim_starts == before[2] + (effect.artim is True)
    assert connection.should_close is effect.closes
    check_output(action, event, told, written)


def check_output(action: Action, event: Evt, told: object, written: bytes) -> None:
    """What went to the peer and what was told to us, by the words of PS3.8 Tables 9-6 to 9-9."""
    sends: dict[Action, Callable[[], PDU]] = {
        Action.AE_2: lambda: RQ,
        Action.AA_7: lambda: Abort(2, 1 if event is Evt.EVT19 else 2),
        Action.AA_8: lambda: Abort(2, 1 if event is Evt.EVT19 else 2),
    }
    if action is Action.AA_1:
        assert written == encode(Abort(0, 0))
    elif action in sends:
        assert decode(written) == sends[action]()
    elif event in SENT and action not in (Action.AE_1, Action.AA_2):
        assert written == encode(SENT[event])
    else:
        assert written == b""
    if action in (Action.AA_7, Action.AA_8) or (action is Action.AA_1 and event is not Evt.EVT15):
        assert isinstance(told, RemoteProtocolError)
    elif action is Action.AA_6:
        assert told is NEED_DATA
    elif event is Evt.EVT17:
        assert isinstance(told, ConnectionClosed)
    elif event in ARRIVES:
        assert told == ARRIVES[event]
    else:
        assert told is None


def test_every_pair_was_done() -> None:
    done = {(state, event) for event, state, _ in CASES}
    left = {(state, event) for state in State for event in Evt} - done
    # What cannot be done to a connection is what the table has no action for.
    assert all(TABLE[state][event] is Action.NONE for state, event in left)
    assert all(event in (Evt.EVT2, Evt.EVT5) for _, event in left)
