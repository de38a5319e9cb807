"""Checks of objects, reports and exams survive whatever a data set holds."""

from __future__ import annotations

import random

import pytest
from pydicom import Dataset

from bench.checks.finding import Check
from bench.checks.registry import checks
from tests.unit.judged_exam import Exam
from tests.unit.judged_objects import us_multi
from tests.unit.judged_scene import MPPS, Scene, encode

AREAS = ("iod", "sr", "crossobject")


def own() -> list[Check]:
    """The checks of these areas."""
    return [each for each in checks("vxvue") if each.name.split(".")[0] in AREAS]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, cut or doubled."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(found))
        kind = chance.random()
        if kind < 0.7:
            found[at] = chance.choice(
                (0, 0x20, 0x2D, 0x2E, 0x30, 0x39, 0x41, 0x5C, 0x5E, 0xFF, chance.randrange(256))
            )
        elif kind < 0.85:
            found[at : at + chance.randint(1, 8)] = b""
        else:
            found[at:at] = bytes(found[at : at + chance.randint(1, 30)])
        if len(found) < 16:
            return bytes(data)
    return bytes(found)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_data_sets_raise_nothing(seed: int) -> None:
    chance = random.Random(seed)
    exam, scene = Exam(), Scene()
    parts: list[tuple[str, str, str | None, Dataset]] = [
        ("N-CREATE", MPPS, "2.25.5001", exam.begun),
        *(
            ("C-STORE", str(ds.SOPClassUID), str(ds.SOPInstanceUID), ds)
            for ds in (*exam.images, exam.report, us_multi())
        ),
        ("N-SET", MPPS, "2.25.5001", exam.ended),
        ("N-ACTION", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1", exam.asked),
    ]
    for _ in range(3):
        scene.exchange(
            "C-FIND", "1.2.840.10008.5.1.4.31", None, Dataset(), answers=[damaged(encode(exam.order), chance)]
        )
        for name, sop_class, instance, dataset in parts:
            data = encode(dataset)
            scene.exchange(
                name, sop_class, instance, damaged(data, chance) if chance.random() < 0.8 else data
            )
    case = scene.case()
    for each in own():
        for finding in each(case):
            assert finding.reason


def test_checks_are_registered() -> None:
    names = {each.name for each in own()}
    assert {
        "iod.presence.attributes_by_type",
        "sr.clauses.content_rows",
        "crossobject.steps.order_of_work",
    } <= names
