"""Counting messages twice: the journal's way and tshark's."""

from __future__ import annotations

from bench.checks.second_witness import Comparison, count_journal
from bench.journal import Event


def event(seq: int, kind: str, src: str = "pacs", **data: object) -> Event:
    """One event of a simulator."""
    return Event(seq=seq, t=seq, src=src, n=seq, kind=kind, data=dict(data))


def test_the_journal_counts_per_connection_and_host() -> None:
    """Two hosts number their connections alike; they are told apart."""
    events = [
        event(1, "wire.open", assoc=1, peer="10.77.0.10", port=40001),
        event(2, "wire.open", src="ris", assoc=1, peer="10.77.0.10", port=40002),
        event(3, "wire.message", assoc=1, field="C-STORE-RQ"),
        event(4, "wire.message", assoc=1, field="C-STORE-RSP"),
        event(5, "wire.message", src="ris", assoc=1, field="C-FIND-RQ"),
        event(6, "wire.open", assoc=2, peer="10.77.0.10", port=40003),
    ]
    assert count_journal(events) == {
        ("10.77.0.10", 40001): 2,
        ("10.77.0.10", 40002): 1,
        ("10.77.0.10", 40003): 0,
    }


def test_a_missing_message_is_named() -> None:
    """Whichever witness saw less: it is said which connection and how many."""
    found = Comparison({("a", 1): 2, ("a", 2): 0}, {("a", 1): 2, ("b", 9): 1})
    assert len(found.disagreements) == 1
    assert "b:9 carried 1" in found.disagreements[0]
    assert Comparison({("a", 1): 2}, {("a", 1): 2}).disagreements == ()
