"""What a run knows and a capture does not: settings before and after a change, and the probe's own pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import bench.witness
from bench.checks.case import Case, Sut, SutConfig
from bench.checks.finding import Finding
from bench.checks.media.probe import probe_truth
from bench.checks.media.view import case_of
from bench.checks.mx1.configuration import settings
from bench.journal import Event
from bench.judge.inputs import as_it_went
from bench.statements import load
from bench.verdict import Verdict
from bench.witness.medium import read_medium
from tests.lab.conversation import Lab
from tests.lab.media import FileSet
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import MX1, PACS, Picture, Scan

STATEMENT = load("mx1")
BEGIN = 1_767_259_000
PEER = {"ae_title": "PACS", "address": "10.0.0.21", "port": 11112}


def event(seq: int, second: float, of: str, /, **data: Any) -> Event:
    """An event of a journal whose clock starts with the capture's laboratory."""
    return Event(seq=seq, t=int(second * 1e9), src="x", n=seq, kind=of, data=data)


def case(tmp_path: Path, lab: Lab, config: Mapping[str, Any], events: Sequence[Event]) -> Case:
    """What was said in a laboratory, with a journal."""
    file = tmp_path / "wire.pcapng"
    lab.write(file)
    held = as_it_went(SutConfig(config, "test"), events)
    sut = Sut(frozenset({"10.0.0.6"}), frozenset({"MX1"}))
    capture = bench.witness.read(file)
    return Case(STATEMENT, capture, sut, held, tuple(events), True)


def changed(at: float, **args: Any) -> list[Event]:
    """A journal in which something was configured, at seconds since 1970."""
    return [
        event(1, 0.0, "clock.pair", mono=0, real=0),
        event(2, at, "sut.request", do="configure", args=args),
        event(3, at + 0.1, "sut.answer", do="configure", ok=True),
    ]


def verdicts(findings: Sequence[Finding]) -> dict[str, set[Verdict]]:
    """Verdicts by id."""
    found: dict[str, set[Verdict]] = {}
    for one in findings:
        found.setdefault(one.id, set()).add(one.verdict)
    return found


@pytest.mark.parametrize(
    ("second_title", "right"), [("MX1B", True), ("MX1", False)], ids=["uses the new one", "keeps the old one"]
)
def test_a_title_that_was_changed_holds_from_then_on(tmp_path: Path, second_title: str, right: bool) -> None:
    """Before the change the old AE title is right, after it the new one only."""
    lab = Lab()
    MX1(lab).verify(PACS)
    lab.wait(5)
    middle = lab.time
    lab.wait(5)
    MX1(lab, ae=second_title).verify(PACS)
    config = {"ae_title": "MX1", "ae_titles": ("MX1",), "worklist": PEER, "storage": (PEER,)}
    made = case(tmp_path, lab, config, changed(middle, ae_title="MX1B"))
    found = verdicts(list(settings(made)))
    assert found["MX-CFG-003"] == ({Verdict.PASS} if right else {Verdict.PASS, Verdict.FAIL})
    assert found["MX-CFG-001"] == {Verdict.PASS}


def test_a_peer_that_was_changed_is_called_by_its_new_title(tmp_path: Path) -> None:
    """An association under the old called AE title after the change is a fault of that setting alone."""
    lab = Lab()
    MX1(lab).verify(PACS)
    lab.wait(5)
    middle = lab.time
    lab.wait(5)
    MX1(lab).verify(PACS)
    config = {"ae_title": "MX1", "ae_titles": ("MX1",), "storage": (PEER,)}
    new = [{"name": "pacs", "ae_title": "ARCHIVE", "host": "10.0.0.21", "port": 11112}]
    found = verdicts(list(settings(case(tmp_path, lab, config, changed(middle, storage=new)))))
    assert found["MX-CFG-004"] == {Verdict.PASS, Verdict.FAIL}
    assert found["MX-CFG-001"] == {Verdict.PASS}
    assert found["MX-CFG-002"] == {Verdict.PASS}


def told(made: FileSet, frames: bool = True, other: bool = False) -> list[Event]:
    """What front end and console say of the still and the clip of a file-set."""
    events = []
    number = 0
    for ds in made.objects:
        pixels = bytes(ds.get("PixelData"))
        count = int(ds.get("NumberOfFrames") or 1)
        size = len(pixels) // count
        parts = [hashlib.sha256(pixels[n * size : (n + 1) * size]).hexdigest() for n in range(count)]
        first = number + 1
        for digest in parts:
            number += 1
            if frames:
                shown = digest if not other else hashlib.sha256(digest.encode()).hexdigest()
                events.append(event(number, 0, "ultrasound.frame", sequence=number, sha256=shown))
        clip = ds.get("NumberOfFrames") is not None
        raw = hashlib.sha256("".join(parts).encode()).hexdigest() if clip else parts[0]
        events.append(
            event(
                1000 + number,
                0,
                "modality.image",
                sop_instance=ds.get("SOPInstanceUID"),
                kind="clip" if clip else "still",
                sha256=hashlib.sha256(pixels).hexdigest(),
                raw_sha256=raw,
                frames=count,
                sequence=[first, number] if clip else first,
                missing=0,
            )
        )
    return events


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda made: told(made), {Verdict.PASS}),
        (lambda made: told(made, other=True), {Verdict.FAIL}),
        (lambda made: told(made, frames=False), set()),
        (lambda made: [], set()),
    ],
    ids=["the probe's own", "other pictures", "a front end that tells nothing", "no journal"],
)
def test_images_on_a_medium_are_pictures_of_the_probe(
    tmp_path: Path, change: Callable[[FileSet], list[Event]], wanted: set[Verdict]
) -> None:
    """Still and clip are compared with what the front end made; without its word nothing is said."""
    made = FileSet.of_mx1()
    image = made.write_image(tmp_path / "usb.img")
    found = case_of(read_medium(image), STATEMENT, SutConfig(), events=change(made))
    said = list(probe_truth(found))
    assert {one.verdict for one in said} == wanted
    if wanted:
        assert len(said) == len(made.objects)


def test_one_byte_of_a_still_is_seen(tmp_path: Path) -> None:
    """A pixel that differs on the medium is the image's fault, the others are right."""
    made = FileSet.of_mx1()
    events = told(made)
    path = made.paths[0]
    data = bytearray(made.files[path])
    data[-3] ^= 1
    made.files[path] = bytes(data)
    image = made.write_image(tmp_path / "usb.img")
    said = list(probe_truth(case_of(read_medium(image), STATEMENT, SutConfig(), events=events)))
    assert [one.verdict for one in said].count(Verdict.FAIL) == 1
    assert "not those that the console acquired" in next(o.reason for o in said if o.verdict is Verdict.FAIL)


def test_images_on_the_network_are_pictures_of_the_probe(tmp_path: Path) -> None:
    """The archive's digest is laid beside the probe's picture."""
    lab = Lab()
    made = FileSet.of_mx1()
    ds = made.objects[0]
    MX1(lab).store(PACS, Scan(PERSONS["default"], start=1_767_259_800.0), [Picture("us", number=1)])
    events = told(made)
    uid = str(ds.get("SOPInstanceUID"))
    digest = hashlib.sha256(bytes(ds.get("PixelData"))).hexdigest()
    for stored, wanted in ((digest, Verdict.PASS), ("0" * 64, Verdict.FAIL)):
        archived = event(
            5000, 1, "pacs.stored", sop_instance=uid, dataset={"7FE00010": {"vr": "OW", "sha256": stored}}
        )
        found = list(probe_truth(case(tmp_path, lab, {}, [*events, archived])))
        assert [one.verdict for one in found] == [wanted]
