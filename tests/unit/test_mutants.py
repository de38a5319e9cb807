"""The tools of ``tests/mutants``: a mutant that does nothing is never exact, what is cut into tapes and media is.

Rules of this file: the bases are the laboratory's, small and without a run; what is judged is the whole way, from the
cut to the verdict.
"""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.journal import Event
from bench.judge.volumes import note_before
from bench.resultmodel import ClauseResult, HostFacts, RunInfo, SutInfo
from bench.resultmodel import Product as Maker
from bench.verdict import Verdict
from simulators.wire.dimse import decode_command
from tests.lab.conversation import Lab
from tests.lab.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, DataSet
from tests.lab.media import FileSet
from tests.lab.products.mx1 import MX1, PACS, RIS, Picture, Scan
from tests.lab.replay import Tape, record
from tests.mutants import __main__ as program
from tests.mutants import mx1, mx1_media, mx1_moves, order, tapes
from tests.mutants.bases import laboratory, services, two_exams
from tests.mutants.discs import Disc, in_object
from tests.mutants.model import Base, Found, Mutant, Outcome, attempt
from tests.mutants.products import Made, Product
from tests.mutants.shrink import EDGE, eight_bits

ADDRESS = "10.0.0.6"
CONFIG = {
    "ae_title": "MX1",
    "ae_titles": ["MX1"],
    "verification": [{"ae_title": PACS.ae, "host": PACS.address, "port": PACS.port}],
    "storage": [{"ae_title": PACS.ae, "host": PACS.address, "port": PACS.port}],
    "worklist": {"ae_title": RIS.ae, "host": RIS.address, "port": RIS.port},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A verification, a worklist and two stills of the laboratory's MX1, then another verification and two stills."""
    lab = Lab()
    mx = MX1(lab)
    for number in (1, 2):
        scan = Scan(number=number, start=lab.time - 60)
        mx.verify(PACS)
        lab.wait(1)
        mx.worklist(RIS, [scan])
        lab.wait(1)
        mx.store(PACS, scan, [Picture("us", EXPLICIT_LE, n, 12, 16) for n in (1, 2)])
        lab.wait(1)
    tape = record(lab.write(tmp_path_factory.mktemp("mutants") / "base.pcapng"))
    made = Base.of_tape("laboratory", "mx1", tape, ADDRESS, CONFIG, services(tape, ADDRESS))
    return replace(made, reference=False)


@pytest.fixture(scope="module")
def found(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the judge says of it as it is."""
    return base.judged(tmp_path_factory.mktemp("unmutated"))


def told(outcome: Outcome) -> str:
    """Say what is not exact."""
    beside = {id: outcome.reasons[id] for id in outcome.bystanders}
    return f"{outcome.mutant.name}: missed {sorted(outcome.missed)}, beside {beside}, {outcome.trouble}"


# ---------------------------------------------------------------------- what counts as exact


def test_a_base_has_no_alarm(found: Found) -> None:
    """What is mutated below conforms."""
    assert [c.id for c in found.values() if c.verdict in (Verdict.FAIL, Verdict.ERROR)] == []


def test_a_mutant_without_a_defect_is_missed(base: Base, tmp_path: Path) -> None:
    """Nothing turns: it is never counted."""
    outcome = attempt(Mutant("nothing", base, "MX-VER-002", frozenset({"MX-VER-002"})), tmp_path)
    assert not outcome.exact
    assert outcome.missed == {"MX-VER-002"}


def test_a_mutant_that_declares_nothing_is_trouble(base: Base, tmp_path: Path) -> None:
    """An empty set is no promise."""
    assert not attempt(Mutant("empty", base, "MX-VER-002", frozenset()), tmp_path).exact


def test_a_bystander_is_told(base: Base, tmp_path: Path) -> None:
    """Another calling title turns a row of settings; declared for another row it is neither found nor alone."""
    tape = tapes.asking(base.tape, 0, lambda request: replace(request, calling="SOMEBODY"))
    outcome = attempt(
        Mutant("wrong set", base.with_tape(tape), "MX-VER-002", frozenset({"MX-VER-002"})), tmp_path
    )
    assert outcome.missed == {"MX-VER-002"}
    assert outcome.bystanders == {"MX-CFG-003"}


def test_what_may_fail_is_no_bystander_and_no_success(base: Base, tmp_path: Path) -> None:
    """``may`` excuses a row that fails; it does not stand in for one that is declared."""
    tape = tapes.asking(base.tape, 0, lambda request: replace(request, calling="SOMEBODY"))
    made = Mutant(
        "may", base.with_tape(tape), "MX-VER-002", frozenset({"MX-VER-002"}), may=frozenset({"MX-CFG-003"})
    )
    outcome = attempt(made, tmp_path)
    assert not outcome.bystanders
    assert not outcome.exact


def test_a_defect_that_cannot_be_made_is_trouble(base: Base, tmp_path: Path) -> None:
    """The fault of a mutant is never the judge's success."""

    def edit(lab: Lab) -> None:
        raise KeyError("nothing there")

    outcome = attempt(Mutant("broken", base, "MX-VER-002", frozenset({"MX-VER-002"}), edit), tmp_path)
    assert "KeyError" in outcome.trouble
    assert not outcome.exact


@dataclass(frozen=True)
class Given:
    """A base that is judged as somebody says."""

    verdicts: dict[str, Verdict]
    name: str = "given"
    statement: str = "mx1"
    reference: bool = True

    def judged(self, folder: Path, mutant: Mutant | None = None) -> Found:
        """What was given."""
        return {id: ClauseResult(id=id, section="", verdict=v, reason="") for id, v in self.verdicts.items()}


def test_an_error_of_a_check_is_trouble(tmp_path: Path) -> None:
    """The declared row fails, and a check breaks beside it."""
    given = Given({"MX-VER-002": Verdict.FAIL, "MX-VER-003": Verdict.ERROR})
    outcome = attempt(Mutant("error", given, "MX-VER-002", frozenset({"MX-VER-002"})), tmp_path)
    assert not outcome.exact
    assert "MX-VER-003" in outcome.trouble


# ---------------------------------------------------------------------- cuts


def commands(tape: Tape, number: int) -> list[str]:
    """Names of what is said in a talk."""
    return [decode_command(said.command).name for said in tape[number].said if said.command]


CHECKS_GAPS = {"MX-GEN-003": "a C-FIND before the answer is not seen"}
"""Mutants that are right, and whose row the judge does not turn yet."""


def test_every_move_of_an_mx1_is_exact(base: Base, found: Found, tmp_path: Path) -> None:
    """Each is cut as it should be, and the judge names its rows and no other."""
    made = list(mx1_moves.mutants(base, found, set()))
    aims = {mutant.aims for mutant in made}
    assert {"MX-VER-005", "MX-STO-007", "MX-MWL-PC-001", "MX-STO-PC-009", "MX-COM-006", "MX-CFG-012"} <= aims
    assert len(made) >= 50
    wrong = [
        told(outcome)
        for outcome in (attempt(mutant, tmp_path) for mutant in made)
        if not outcome.exact and outcome.mutant.aims not in CHECKS_GAPS
    ]
    assert wrong == []


def test_two_talks_become_one(base: Base) -> None:
    """All messages are on the first association, before its release; the second is gone."""
    first, second = [n for n, service in enumerate(base.services) if service == "store"]
    cut = tapes.joined(base.tape, first, second)
    assert len(cut) == len(base.tape) - 1
    assert commands(cut, first) == ["C-STORE-RQ", "C-STORE-RSP"] * 4
    kinds = [tapes.kind_of(said) for said in sorted(cut[first].said, key=lambda said: said.time)]
    assert kinds == [1, 2, *[4] * 8, 5, 6, 0, 0]


def test_talks_with_two_peers_are_not_joined(base: Base) -> None:
    """A cut that makes no sense is refused."""
    with pytest.raises(ValueError, match="one peer"):
        tapes.joined(base.tape, 0, 1)
    with pytest.raises(ValueError, match="one peer"):
        tapes.overlapping(base.tape, 0, 1)


def test_a_cut_without_its_occasion_is_refused(base: Base) -> None:
    """A talk of one request has no second one; a request that stays as it was is no cut."""
    with pytest.raises(ValueError, match="two requests"):
        tapes.not_awaited(base.tape, 0)
    with pytest.raises(ValueError, match="data set"):
        tapes.long(base.tape, 0, 262144)
    with pytest.raises(ValueError, match="stays"):
        tapes.asking(base.tape, 0, lambda request: request)


def test_a_syntax_in_use_is_not_taken_away(base: Base) -> None:
    """Images in Implicit VR Little Endian go over the context that would lose it."""
    store = base.services.index("store")
    with pytest.raises(ValueError, match="is used"):
        tapes.without_syntax(base.tape, store, "1.2.840.10008.5.1.4.1.1.6.1", IMPLICIT_LE)


def test_too_long_a_pdu_has_exactly_the_length(base: Base) -> None:
    """Fragments without a byte fill it up to the last six."""
    cut = tapes.stuffed(base.tape, 0, 40960)
    data = next(said.data for said in cut[0].said if said.data[:1] == b"\4")
    (length,) = struct.unpack_from(">I", data, 2)
    assert length == len(data) - 6
    assert 40960 - 6 < length <= 40960


def test_steps_of_vxvue_that_share_an_association(tmp_path: Path) -> None:
    """Two patients on one association, and another proposal than the step's: each names its row."""
    made = list(order.mutants(laboratory(tmp_path)[0], two_exams(tmp_path)))
    assert len({mutant.aims for mutant in made}) == 8
    assert [told(o) for o in (attempt(mutant, tmp_path) for mutant in made) if not o.exact] == []


# ---------------------------------------------------------------------- media

PICTURES = (Picture("us", number=1), Picture("us", number=2), Picture("clip"), Picture("sc", colour=False))


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Disc:
    """A medium of the laboratory: two stills, a clip and a screen of one exam."""
    path = FileSet.of_mx1(pictures=PICTURES).write_image(tmp_path_factory.mktemp("disc") / "usb.img")
    return Disc(mx1_media.USB, "mx1", path, {"medium": "usb"}, reference=False)


def test_a_medium_is_written_as_it_was_read(disc: Disc) -> None:
    """The DICOMDIR to the byte, the files but for their pixels; a copy may be changed without harm."""
    made = disc.fileset()
    as_made = FileSet.of_mx1(pictures=PICTURES)
    assert made.dicomdir() == as_made.dicomdir()
    assert set(made.files) == set(as_made.files)
    assert made.objects[0].get("Rows") == EDGE
    made.record("IMAGE").drop("InstanceNumber")
    made.files.clear()
    assert disc.fileset().record("IMAGE").has("InstanceNumber")
    assert disc.fileset().files


def test_mutants_of_a_medium_are_exact(disc: Disc, tmp_path: Path) -> None:
    """Records, files, file meta information, transfer syntaxes, file system: every fifth, for the sake of time."""
    found = disc.judged(tmp_path)
    assert [c.id for c in found.values() if c.verdict in (Verdict.FAIL, Verdict.ERROR)] == []
    made = list(mx1_media.mutants(disc, found))
    assert len(made) > 110
    assert [told(o) for o in (attempt(m, tmp_path) for m in made[::5]) if not o.exact] == []


def journal(made: FileSet, paths: list[tuple[str, ...]], action: str) -> tuple[Event, ...]:
    """What the operator asked for and what the product reported."""
    files = [
        {"file_id": "/".join(path), "sha256": hashlib.sha256(made.files[path]).hexdigest()} for path in paths
    ]
    digest = hashlib.sha256(made.dicomdir()).hexdigest()
    told = {"action": action, "medium": "usb", "files": files, "dicomdir_sha256": digest}
    happened: list[tuple[str, dict[str, Any]]] = [
        ("sut.request", {"do": action, "args": {"medium": "usb"}}),
        ("modality.media", told),
        ("sut.answer", {"do": action, "ok": True}),
    ]
    return tuple(Event(n, n, "x", n, kind, data) for n, (kind, data) in enumerate(happened, 1))


def with_story(folder: Path, name: str) -> Disc:
    """A medium with its journal: an export on an empty one, or an addition to that of another vendor."""
    made, action = FileSet.of_mx1(pictures=PICTURES), "export"
    before = FileSet(directory=False)
    if name != mx1_media.STORY:
        action = "add"
        before = FileSet()
        before.add(Scan(start=1e9), (Picture("us"),), base="IMAGES", uid="1.2.3.4.5", version="OTHER_1")
        made = copy.deepcopy(before)
        made.add(Scan(number=2, start=2e9), PICTURES)
    image = folder / "usb.img"
    before.write_image(image)
    note_before(image)
    made.write_image(image)
    saved = [path for path in made.paths if path[0] == "DICOM"]
    return Disc(name, "mx1", image, {"medium": "usb"}, journal(made, saved, action), reference=False)


@pytest.mark.parametrize("name", [mx1_media.STORY, mx1_media.ADDED, mx1_media.FOREIGN])
def test_mutants_of_what_was_done_to_a_medium(name: str, tmp_path: Path) -> None:
    """What was saved is gone or changed, what lay there before is gone or changed: rows of the activities."""
    disc = with_story(tmp_path, name)
    (tmp_path / "out").mkdir()
    found = disc.judged(tmp_path / "out")
    assert [c.id for c in found.values() if c.verdict in (Verdict.FAIL, Verdict.ERROR)] == []
    made = list(mx1_media.mutants(disc, found))
    assert len(made) >= 2
    assert [told(o) for o in (attempt(m, tmp_path / "out") for m in made) if not o.exact] == []


def test_one_object_is_changed_and_keeps_its_meta(disc: Disc) -> None:
    """Only the data set of the object that is meant."""
    made, as_read = disc.fileset(), disc.fileset()
    in_object(1, lambda ds: ds.drop("Rows"))(made)
    changed = [path for path in made.paths if made.files[path] != as_read.files[path]]
    assert changed == [made.paths[1]]
    assert made.files[changed[0]][:300] == as_read.files[changed[0]][:300]


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_pixels_made_small(syntax: str) -> None:
    """The corner of every frame, all its samples; the region fits."""
    order = "big" if syntax == EXPLICIT_BE else "little"
    rows, columns = EDGE + 8, EDGE + 16
    frames = [
        bytes(
            (frame + row + sample) % 256 for row in range(rows) for _ in range(columns) for sample in range(3)
        )
        for frame in range(2)
    ]
    region = DataSet(RegionLocationMinX0=3, RegionLocationMaxX1=columns - 1)
    made = DataSet(NumberOfFrames=b"2 ", SequenceOfUltrasoundRegions=[region], PixelData=b"".join(frames))
    for keyword, value in (("Rows", rows), ("Columns", columns), ("SamplesPerPixel", 3)):
        made.put(keyword, value.to_bytes(2, order))  # type: ignore[arg-type]
    eight_bits(made, syntax)
    assert (made.get("Rows"), made.get("Columns")) == (EDGE, EDGE)
    wanted = b"".join(frame[row * columns * 3 :][: EDGE * 3] for frame in frames for row in range(EDGE))
    assert made.get("PixelData") == wanted
    assert region.get("RegionLocationMaxX1") == EDGE - 1


# ---------------------------------------------------------------------- the program


def product(make: Callable[[Path, Path], Made], name: str = "mx1", goal: float = 0.9) -> Product:
    """A product of the program."""
    return Product(name, f"scenarios/{name}", "", lambda run: True, make, goal, {"MX-VER-003": "a reason"})


def outcomes(*exact: bool) -> list[Outcome]:
    """Outcomes of mutants for MX-VER-001, MX-VER-002 and so on."""
    return [
        Outcome(
            Mutant(f"m{number}", Given({}), id := f"MX-VER-{number:03}", frozenset({id})),
            frozenset() if good else frozenset({id}),
            frozenset(),
        )
        for number, good in enumerate(exact, 1)
    ]


def made_of(count: int, *alarms: str) -> Made:
    """So many exercised clauses."""
    return Made(exercised={f"MX-VER-{n:03}": "base" for n in range(1, count + 1)}, alarms=list(alarms))


@pytest.mark.parametrize(
    ("exact", "clauses", "alarms", "whole", "good"),
    [
        ([True] * 3, 3, (), True, True),
        ([True] * 3, 4, (), True, False),  # a clause without a mutant counts against the score
        ([True, True, False], 3, (), True, False),
        ([True] * 3, 3, ("an alarm",), True, False),
        ([True] * 3, 30, (), False, True),  # a part is held to exactness only
        ([True] * 19 + [False], 30, (), False, True),
        ([True] * 18 + [False], 30, (), False, False),
        ([True] * 3, 30, ("an alarm",), False, False),
        ([], 30, (), False, False),  # nothing judged is nothing proved
        ([], 0, (), True, False),
    ],
)
def test_when_a_table_is_good(
    exact: list[bool], clauses: int, alarms: tuple[str, ...], whole: bool, good: bool
) -> None:
    """Share of clauses, share of exact mutants, no false alarm."""
    made = made_of(clauses, *alarms)
    assert program.table(product(lambda *_: made), made, outcomes(*exact), whole=whole) is good


def test_the_table_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Mutants that are not exact, clauses without one with the reason, false alarms."""
    made = made_of(3, "base: MX-VER-009 FAIL")
    program.table(product(lambda *_: made), made, outcomes(True, False), whole=True)
    text = capsys.readouterr().out
    assert "NOT EXACT m2: missed MX-VER-002" in text
    assert "WITHOUT MX-VER-003 (exercised by base): a reason" in text
    assert "WITHOUT MX-VER-002" in text
    assert "WITHOUT MX-VER-001" not in text
    assert "FALSE ALARM base: MX-VER-009 FAIL" in text


def test_a_false_alarm_of_a_base_is_noted(tmp_path: Path) -> None:
    """FAIL and ERROR of what nobody mutated; rules of the standard and defaults are not counted as exercised."""
    made = Made()
    verdicts = {
        "MX-VER-001": Verdict.PASS,
        "MX-VER-002": Verdict.FAIL,
        "MX-VER-003": Verdict.ERROR,
        "STD-UL-001": Verdict.PASS,
        "MX-D-01": Verdict.PASS,
        "MX-VER-004": Verdict.NOT_EXERCISED,
        "MX-VER-005": Verdict.PASS_ERRATUM,
    }
    made.take(Given(verdicts), tmp_path)
    assert set(made.exercised) == {"MX-VER-001", "MX-VER-005"}
    assert [alarm.split()[1] for alarm in made.alarms] == ["MX-VER-002", "MX-VER-003"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_processes_say_the_same(jobs: int, tmp_path: Path) -> None:
    """Every outcome with its own mutant, in order."""
    mutants = [
        Mutant(f"m{n}", Given({"MX-VER-001": Verdict.FAIL}), "MX-VER-001", frozenset({f"MX-VER-{n:03}"}))
        for n in range(1, 20)
    ]
    found = list(program.judged(mutants, tmp_path, jobs))
    assert [outcome.mutant.name for outcome in found] == [mutant.name for mutant in mutants]
    assert [outcome.exact for outcome in found] == [True] + [False] * 18


def run_folder(folder: Path, name: str, statement: str, *cells: str) -> Path:
    """A run folder with cells that hold nothing."""
    info = RunInfo(
        run_id=name,
        product=Maker(name="P"),
        tester="t",
        start="2026-11-21T02:00:00+01:00",
        seed=1,
        sut=SutInfo(adapter="reference"),
        host=HostFacts(system="", kernel="", machine="", python="", cpu_count=1),
        versions={},
        statement=statement,
    )
    for cell in cells:
        (folder / name / "cells" / cell).mkdir(parents=True)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "run.json").write_text(json.dumps(info.to_json()))
    return folder / name


def test_which_run_is_taken(tmp_path: Path) -> None:
    """A named run, else the newest beside it that is whole; a folder that is no run does not matter."""
    old = run_folder(tmp_path, "20260101-1", "mx1", *mx1.CELLS)
    new = run_folder(tmp_path, "20260102-1", "mx1", *mx1.CELLS)
    run_folder(tmp_path, "20260103-1", "mx1", mx1.CELLS[0])
    other = run_folder(tmp_path, "20260104-1", "vxvue")
    (tmp_path / "20260105-1").mkdir()
    wanted = replace(product(lambda *_: Made()), whole=mx1.whole)
    assert program.run_of(wanted, [other]) == new
    assert program.run_of(wanted, [other, old]) == old


def test_a_product_without_a_run_is_an_error(tmp_path: Path) -> None:
    """It is never left out in silence."""
    other = run_folder(tmp_path, "20260104-1", "vxvue")
    run_folder(tmp_path, "20260103-1", "mx1", mx1.CELLS[0])
    with pytest.raises(SystemExit, match="no run of mx1"):
        program.run_of(replace(product(lambda *_: Made()), whole=mx1.whole), [other])
