"""A fault that several rules name is one fault in the report: the rules point at the same place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.checks import registry
from bench.verdict import Verdict
from tests.lab.servicedefects import DEFECTS
from tests.lab.services import case_of

PAIRS = {
    "action_two": ("STD-SVC-401", "STD-DIMSE-049"),
    "film_action_two": ("STD-SVC-509", "STD-DIMSE-049"),
    "commitment_of_another_instance": ("STD-SVC-402", "STD-DIMSE-033"),
    "another_printer": ("STD-SVC-502", "STD-DIMSE-033"),
    "another_class_than_stored": ("STD-SVC-408", "STD-X-052"),
    "ends_before_it_begins": ("STD-SVC-117", "STD-X-037"),
    "one_uid_for_two_images": ("STD-SVC-010", "STD-X-070"),
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_both_rules_point_at_one_place(name: str, tmp_path: Path) -> None:
    case = case_of(tmp_path, DEFECTS[name][0])
    places: dict[str, set[tuple[object, ...]]] = {}
    for one in registry.checks("vxvue"):
        for finding in one(case):
            if finding.verdict is Verdict.FAIL and finding.id in PAIRS[name]:
                first = finding.evidence[0]
                assert first.tag is not None
                places.setdefault(finding.id, set()).add((first.frame, first.message, first.tag))
    one_rule, other = (places[id] for id in PAIRS[name])
    assert one_rule == other
