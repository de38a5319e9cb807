"""The state table against transcriptions that were made independently of it (PS3.8 Table 9-10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.wire.states import EFFECTS, EVENT_TEXT, STATE_TEXT, TABLE, Action, Evt, State, render_markdown

DOCS = Path(__file__).parents[2] / "docs"

# PS3.8 Table 9-10 read row by row into ranges of states: {event: {action: states}}.
_6_TO_12 = "6 7 8 9 10 11 12"
TRANSCRIPTION = {
    1: {"AE-1": "1"},
    2: {"AE-2": "4"},
    3: {"AA-1": "2", "AE-3": "5", "AA-8": "3 " + _6_TO_12, "AA-6": "13"},
    4: {"AA-1": "2", "AE-4": "5", "AA-8": "3 " + _6_TO_12, "AA-6": "13"},
    5: {"AE-5": "1"},
    6: {"AE-6": "2", "AA-8": "3 5 " + _6_TO_12, "AA-7": "13"},
    7: {"AE-7": "3"},
    8: {"AE-8": "3"},
    9: {"DT-1": "6", "AR-7": "8"},
    10: {"AA-1": "2", "DT-2": "6", "AR-6": "7", "AA-8": "3 5 8 9 10 11 12", "AA-6": "13"},
    11: {"AR-1": "6"},
    12: {"AA-1": "2", "AR-2": "6", "AR-8": "7", "AA-8": "3 5 8 9 10 11 12", "AA-6": "13"},
    13: {"AA-1": "2", "AR-3": "7 11", "AR-10": "10", "AA-8": "3 5 6 8 9 12", "AA-6": "13"},
    14: {"AR-4": "8 12", "AR-9": "9"},
    15: {"AA-1": "3 5 " + _6_TO_12, "AA-2": "4"},
    16: {"AA-2": "2 13", "AA-3": "3 5 " + _6_TO_12},
    17: {"AA-5": "2", "AA-4": "3 4 5 " + _6_TO_12, "AR-5": "13"},
    18: {"AA-2": "2 13"},
    19: {"AA-1": "2", "AA-8": "3 5 " + _6_TO_12, "AA-7": "13"},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Evt)
def test_every_pair_is_in_the_table_and_right(state: State, event: Evt) -> None:
    row = {int(s): action for action, states in TRANSCRIPTION[event].items() for s in states.split()}
    assert TABLE[state][event].value == row.get(int(state), "not possible")


def test_the_table_agrees_with_that_of_pynetdicom() -> None:
    fsm = pytest.importorskip("pynetdicom.fsm")
    ours = {
        (f"Evt{int(event)}", f"Sta{int(state)}"): action.value
        for state, row in TABLE.items()
        for event, action in row.items()
        if action is not Action.NONE
    }
    assert ours == fsm.TRANSITION_TABLE


def test_next_states_agree_with_the_description_in_tables_9_6_to_9_9() -> None:
    after = {
        "AE-1": "4", "AE-2": "5", "AE-3": "6", "AE-4": "1", "AE-5": "2", "AE-6": "3 13", "AE-7": "6", "AE-8": "13",
        "DT-1": "6", "DT-2": "6",
        "AR-1": "7", "AR-2": "8", "AR-3": "1", "AR-4": "13", "AR-5": "1", "AR-6": "7", "AR-7": "8", "AR-8": "9 10",
        "AR-9": "11", "AR-10": "12",
        "AA-1": "13", "AA-2": "1", "AA-3": "1", "AA-4": "1", "AA-5": "1", "AA-6": "13", "AA-7": "13", "AA-8": "13",
    }  # fmt: skip
    ours = {
        action.value: f"{effect.next_state}" + ("" if effect.otherwise is None else f" {effect.otherwise}")
        for action, effect in EFFECTS.items()
    }
    assert ours == after


def test_the_timer_runs_in_the_two_states_that_wait_for_it() -> None:
    """Walking every transition: ARTIM runs in Sta2 and Sta13, never elsewhere (PS3.8 9.1.5)."""
    running: dict[State, set[bool]] = {State.STA1: {False}}
    todo = [(State.STA1, False)]
    while todo:
        state, artim = todo.pop()
        for action in TABLE[state].values():
            if action is Action.NONE:
                continue
            effect = EFFECTS[action]
            now = artim if effect.artim is None else effect.artim
            reached = [(effect.next_state, now)]
            if effect.otherwise is not None:
                # AE-6 starts the timer again on its way to Sta13.
                reached.append((effect.otherwise, True if action is Action.AE_6 else now))
            for after, runs in reached:
                if runs not in running.setdefault(after, set()):
                    running[after].add(runs)
                    todo.append((after, runs))
    assert running == {s: {s in (State.STA2, State.STA13)} for s in State}


def test_every_state_event_and_action_is_explained() -> None:
    assert set(STATE_TEXT) == set(State)
    assert set(EVENT_TEXT) == set(Evt)
    assert set(EFFECTS) == set(Action) - {Action.NONE}
    assert {action for row in TABLE.values() for action in row.values()} == set(Action)


def test_the_page_is_generated_from_the_table() -> None:
    assert (DOCS / "wire-states.md").read_text(encoding="utf-8") == render_markdown()
