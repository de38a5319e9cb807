"""Calls behind the caller's back: in order, all of them, and a failure is told."""

from __future__ import annotations

import threading

import pytest

from modality.behind import Behind


def test_every_call_is_made_in_order_before_the_block_ends() -> None:
    seen: list[int] = []
    own = threading.get_ident()
    threads: set[int] = set()

    def call(number: int) -> None:
        threads.add(threading.get_ident())
        seen.append(number)

    with Behind(call) as behind:
        for number in range(500):
            behind(number)
    assert seen == list(range(500))
    assert len(threads) == 1
    assert own not in threads


def test_the_callers_error_wins_and_the_calls_are_made_all_the_same() -> None:
    seen: list[int] = []
    with pytest.raises(KeyError), Behind(seen.append) as behind:
        behind(1)
        raise KeyError
    assert seen == [1]


def test_a_failing_call_is_told_at_the_end_and_stops_no_other() -> None:
    seen: list[float] = []
    with pytest.raises(ZeroDivisionError), Behind(lambda n: seen.append(1 / n)) as behind:
        behind(0)
        behind(2)
    assert seen == [0.5]
