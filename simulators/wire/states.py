"""The state machine of the DICOM upper layer: PS3.8 Tables 9-1 to 9-10, both roles from one table.

Rules of this file:

* Everything that decides what is allowed when, and what happens then, lives here and nowhere else.
* The file does not know which role we play, except where the standard itself asks (AR-8, the release collision):
  so local and remote parties are held to the same rules.
* Every pair of state and event is in :data:`TABLE`; an empty cell of the standard is :attr:`Action.NONE`, "not
  possible": our side asking for it is a ``LocalProtocolError``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final


class State(IntEnum):
    """The states of PS3.8 Tables 9-1 to 9-5."""

    STA1 = 1
    STA2 = 2
    STA3 = 3
    STA4 = 4
    STA5 = 5
    STA6 = 6
    STA7 = 7
    STA8 = 8
    STA9 = 9
    STA10 = 10
    STA11 = 11
    STA12 = 12
    STA13 = 13


STATE_TEXT: Final[dict[State, str]] = {
    State.STA1: "idle",
    State.STA2: "transport connection open, awaiting A-ASSOCIATE-RQ",
    State.STA3: "awaiting our A-ASSOCIATE response",
    State.STA4: "awaiting the transport connection to open",
    State.STA5: "awaiting A-ASSOCIATE-AC or -RJ",
    State.STA6: "association established, ready for data",
    State.STA7: "awaiting A-RELEASE-RP",
    State.STA8: "awaiting our A-RELEASE response",
    State.STA9: "release collision, requestor: awaiting our A-RELEASE response",
    State.STA10: "release collision, acceptor: awaiting A-RELEASE-RP",
    State.STA11: "release collision, requestor: awaiting A-RELEASE-RP",
    State.STA12: "release collision, acceptor: awaiting our A-RELEASE response",
    State.STA13: "awaiting the transport connection to close",
}


class Evt(IntEnum):
    """The events of PS3.8 Table 9-10."""

    EVT1 = 1
    EVT2 = 2
    EVT3 = 3
    EVT4 = 4
    EVT5 = 5
    EVT6 = 6
    EVT7 = 7
    EVT8 = 8
    EVT9 = 9
    EVT10 = 10
    EVT11 = 11
    EVT12 = 12
    EVT13 = 13
    EVT14 = 14
    EVT15 = 15
    EVT16 = 16
    EVT17 = 17
    EVT18 = 18
    EVT19 = 19


EVENT_TEXT: Final[dict[Evt, str]] = {
    Evt.EVT1: "we request an association",
    Evt.EVT2: "our transport connection opened",
    Evt.EVT3: "A-ASSOCIATE-AC received",
    Evt.EVT4: "A-ASSOCIATE-RJ received",
    Evt.EVT5: "transport connection from the peer",
    Evt.EVT6: "A-ASSOCIATE-RQ received",
    Evt.EVT7: "we accept the association",
    Evt.EVT8: "we reject the association",
    Evt.EVT9: "we send data",
    Evt.EVT10: "P-DATA-TF received",
    Evt.EVT11: "we request release",
    Evt.EVT12: "A-RELEASE-RQ received",
    Evt.EVT13: "A-RELEASE-RP received",
    Evt.EVT14: "we answer a release",
    Evt.EVT15: "we abort",
    Evt.EVT16: "A-ABORT received",
    Evt.EVT17: "transport connection closed",
    Evt.EVT18: "ARTIM timer expired",
    Evt.EVT19: "unrecognized or invalid PDU received",
}


class Action(Enum):
    """The actions of PS3.8 Tables 9-6 to 9-9; NONE: the event is not possible in this state."""

    NONE = "not possible"
    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"

    # Members are compared in the hot path of every PDU: identity is enough and quicker.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does besides handing an indication to the user.

    ``next_state`` is the state after it; ``otherwise`` the second one where the standard gives two: AE-6 when the
    request is not acceptable to the provider, AR-8 when we are the acceptor.
    """

    text: str
    next_state: State
    otherwise: State | None = None
    artim: bool | None = None
    """True: (re)start the ARTIM timer; False: stop it; None: leave it."""
    closes: bool = False
    """Close the transport connection."""


EFFECTS: Final[dict[Action, Effect]] = {
    Action.AE_1: Effect("open the transport connection", State.STA4),
    Action.AE_2: Effect("send A-ASSOCIATE-RQ", State.STA5),
    Action.AE_3: Effect("tell: association accepted", State.STA6),
    Action.AE_4: Effect(
        "tell: association rejected; close the transport connection", State.STA1, closes=True
    ),
    Action.AE_5: Effect("take the transport connection; start ARTIM", State.STA2, artim=True),
    Action.AE_6: Effect(
        "stop ARTIM; tell: association requested, or when the provider cannot take it send A-ASSOCIATE-RJ and "
        "start ARTIM",
        State.STA3,
        State.STA13,
        artim=False,
    ),
    Action.AE_7: Effect("send A-ASSOCIATE-AC", State.STA6),
    Action.AE_8: Effect("send A-ASSOCIATE-RJ; start ARTIM", State.STA13, artim=True),
    Action.DT_1: Effect("send P-DATA-TF", State.STA6),
    Action.DT_2: Effect("tell: data", State.STA6),
    Action.AR_1: Effect("send A-RELEASE-RQ", State.STA7),
    Action.AR_2: Effect("tell: release requested", State.STA8),
    Action.AR_3: Effect("tell: released; close the transport connection", State.STA1, closes=True),
    Action.AR_4: Effect("send A-RELEASE-RP; start ARTIM", State.STA13, artim=True),
    Action.AR_5: Effect("stop ARTIM", State.STA1, artim=False, closes=True),
    Action.AR_6: Effect("tell: data", State.STA7),
    Action.AR_7: Effect("send P-DATA-TF", State.STA8),
    Action.AR_8: Effect(
        "tell: release requested (collision); the requestor goes first", State.STA9, State.STA10
    ),
    Action.AR_9: Effect("send A-RELEASE-RP", State.STA11),
    Action.AR_10: Effect("tell: released", State.STA12),
    Action.AA_1: Effect("send A-ABORT (service user); start ARTIM", State.STA13, artim=True),
    Action.AA_2: Effect("stop ARTIM; close the transport connection", State.STA1, artim=False, closes=True),
    Action.AA_3: Effect("tell: aborted; close the transport connection", State.STA1, closes=True),
    Action.AA_4: Effect("tell: aborted by the provider", State.STA1, closes=True),
    Action.AA_5: Effect("stop ARTIM", State.STA1, artim=False, closes=True),
    Action.AA_6: Effect("ignore the PDU", State.STA13),
    Action.AA_7: Effect("send A-ABORT", State.STA13),
    Action.AA_8: Effect(
        "send A-ABORT (service provider); tell: aborted by the provider; start ARTIM", State.STA13, artim=True
    ),
}
"""PS3.8 Tables 9-6 to 9-9.  (``closes`` of AA-4, AA-5, AR-5: the peer closed, so our end is closed too.)"""

# PS3.8 Table 9-10 as it is printed: a row per event, a column per state; "." is an empty cell.
_GRID: Final = """
Evt    1     2     3     4     5     6     7     8     9     10    11    12    13
1      AE-1  .     .     .     .     .     .     .     .     .     .     .     .
2      .     .     .     AE-2  .     .     .     .     .     .     .     .     .
3      .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
4      .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
5      AE-5  .     .     .     .     .     .     .     .     .     .     .     .
6      .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
7      .     .     AE-7  .     .     .     .     .     .     .     .     .     .
8      .     .     AE-8  .     .     .     .     .     .     .     .     .     .
9      .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
10     .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
11     .     .     .     .     .     AR-1  .     .     .     .     .     .     .
12     .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
13     .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
14     .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
15     .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
16     .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
17     .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
18     .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
19     .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


def _parse(grid: str) -> dict[State, dict[Evt, Action]]:
    head, *rows = (line.split() for line in grid.strip().splitlines())
    table: dict[State, dict[Evt, Action]] = {State(int(column)): {} for column in head[1:]}
    for event, *cells in rows:
        for column, cell in zip(head[1:], cells, strict=True):
            table[State(int(column))][Evt(int(event))] = Action.NONE if cell == "." else Action(cell)
    return table


TABLE: Final[dict[State, dict[Evt, Action]]] = _parse(_GRID)
"""PS3.8 Table 9-10: TABLE[state][event] is the action; every pair is there."""


def render_markdown() -> str:
    """The table and its legend as the text of ``docs/wire-states.md``."""
    lines = [
        "# The upper layer's state machine",
        "",
        "Generated by `simulators.wire.states.render_markdown`; a test holds it to that. Do not edit.",
        "The source is PS3.8 Table 9-10. An empty cell is not possible in that state. Rows are events, columns states.",
        "",
        "| | " + " | ".join(f"Sta{int(state)}" for state in State) + " |",
        "|---|" + "---|" * len(State),
    ]
    for event in Evt:
        cells = (TABLE[state][event] for state in State)
        row = " | ".join("" if action is Action.NONE else action.value for action in cells)
        lines.append(f"| **Evt{int(event)}** | {row} |")
    lines += ["", "## States", "", "| state | meaning |", "|---|---|"]
    lines += [f"| Sta{int(state)} | {text} |" for state, text in STATE_TEXT.items()]
    lines += ["", "## Events", "", "| event | meaning |", "|---|---|"]
    lines += [f"| Evt{int(event)} | {text} |" for event, text in EVENT_TEXT.items()]
    lines += ["", "## Actions", "", "| action | does | next state |", "|---|---|---|"]
    for action, effect in EFFECTS.items():
        after = f"Sta{int(effect.next_state)}"
        if effect.otherwise is not None:
            after += f" or Sta{int(effect.otherwise)}"
        lines.append(f"| {action.value} | {effect.text} | {after} |")
    return "\n".join(lines) + "\n"
