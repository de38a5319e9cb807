"""One cause, one fault: rules that name the same fault point at the same place, and what is none is not told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.checks import registry
from bench.checks.crossobject import identity
from bench.verdict import Verdict
from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_LE, JPEG_LOSSLESS
from tests.lab.products.mx1 import MX1, PACS, PACS2, Picture, Scan
from tests.lab.recipes.defects import dataset
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


@pytest.mark.parametrize(("keyword", "fails"), [("DerivationDescription", False), ("BodyPartExamined", True)])
def test_another_encoding_may_tell_how_it_was_made(keyword: str, fails: bool, tmp_path: Path) -> None:
    """An image goes to one archive as it is and to another one compressed: only its compression may be told."""

    def build(lab: Lab) -> None:
        dataset(lab, "C-STORE-RQ", lambda ds: ds.put(keyword, "OTHER"), nth=2)
        mx, scan = MX1(lab), Scan()
        for archive, syntax in ((PACS, EXPLICIT_LE), (PACS2, JPEG_LOSSLESS)):
            prefer = replace(archive, accept={"prefer": [syntax]})
            mx.store(prefer, scan, [Picture("us", syntax, 1, 16, 16)])

    case = case_of(tmp_path, build, statement="mx1")
    told = [f.verdict for f in identity.one_uid_one_content(case) if f.id == "STD-X-070"]
    assert told == [Verdict.FAIL if fails else Verdict.PASS]
