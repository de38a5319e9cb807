"""PASSes of one kind are told once; everything else one by one."""

from __future__ import annotations

from typing import Any

from bench.checks.finding import failed, passed, remark
from bench.checks.merge import KEPT, merged


def test_only_passes_are_merged() -> None:
    @merged
    def check(case: Any) -> Any:
        for number in range(KEPT + 5):
            yield passed("A", f"good {number}")
            yield failed("B", f"bad {number}")
            yield remark("A", f"odd {number}")
        yield passed("C", "once")

    found = list(check(None))  # type: ignore[arg-type]
    by = {id: [f for f in found if f.id == id and not f.remark] for id in "ABC"}
    assert len(by["A"]) == KEPT + 1
    assert by["A"][-1].reason == "kept on 5 further occasions"
    assert len(by["B"]) == KEPT + 5
    assert len(by["C"]) == 1
    assert sum(f.remark for f in found) == KEPT + 5
    assert check.__name__ == "check"
