"""What a run knows and a capture does not: settings before and after a change, and the probe's own pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from tests.lab.elements import EXPLICIT_LE, DataSet
from tests.lab.media import FileSet
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import MX1, SC, Picture, Scan
from tests.lab.products.vxvue import PACS

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
    capture = bench.witness.read(file, digest=True)
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


def on_the_wire(
    tmp_path: Path, made: FileSet, events: Sequence[Event], *, edit: Callable[[DataSet], object] | None = None
) -> list[Finding]:
    """What is said of the objects of a file-set when they are sent, ``edit``: as the console changed them."""
    lab = Lab()
    a = MX1(lab).propose(PACS, [(str(ds.get("SOPClassUID")), (EXPLICIT_LE,)) for ds in made.objects])
    a.accept()
    for ds in made.objects:
        if edit is not None:
            edit(ds)
        sop_class, uid = str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID"))
        a.request(
            "C-STORE-RQ", ds, sop_class=sop_class, sop_instance=uid, transfer_syntax=EXPLICIT_LE, Priority=0
        )
        a.respond()
    a.release()
    return list(probe_truth(case(tmp_path, lab, {}, events)))


def flipped(made: FileSet, which: int, at: int = 77) -> None:
    """One bit of one pixel is another before the console makes an object of it."""
    pixels = bytearray(made.objects[which].get("PixelData"))
    pixels[at] ^= 1
    made.objects[which].put("PixelData", bytes(pixels))


def as_claimed(events: Sequence[Event], made: FileSet) -> list[Event]:
    """The console tells the digest of what it made."""
    now = {
        str(ds.get("SOPInstanceUID")): hashlib.sha256(bytes(ds.get("PixelData"))).hexdigest()
        for ds in made.objects
    }
    return [
        replace(e, data={**e.data, "sha256": now[e.data["sop_instance"]]})
        if e.kind == "modality.image"
        else e
        for e in events
    ]


def clip_of(made: FileSet) -> int:
    """Which object of the file-set is the clip."""
    return next(n for n, ds in enumerate(made.objects) if ds.get("NumberOfFrames") is not None)


def test_images_on_the_network_are_pictures_of_the_probe(tmp_path: Path) -> None:
    """The witness's own digests are laid beside the probe's pictures, without a word of the archive."""
    made = FileSet.of_mx1()
    said = on_the_wire(tmp_path, made, told(made))
    assert [one.verdict for one in said] == [Verdict.PASS] * len(made.objects)
    assert all(one.evidence[1].seq is not None for one in said)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_pixel_that_flips_before_the_object_is_made_is_seen(tmp_path: Path, which: int) -> None:
    """Console, object and archive agree with each other, and the probe made another picture."""
    made = FileSet.of_mx1()
    events = told(made)
    flipped(made, which)
    said = on_the_wire(tmp_path, made, as_claimed(events, made))
    assert [one.verdict for one in said].count(Verdict.FAIL) == 1
    assert said[which].verdict is Verdict.FAIL
    assert "is no picture that the probe's front end made" in said[which].reason


def test_the_frame_of_a_clip_that_differs_is_named(tmp_path: Path) -> None:
    """Counted as the standard counts frames, from 1."""
    made = FileSet.of_mx1()
    events = told(made)
    which = clip_of(made)
    count = int(made.objects[which].get("NumberOfFrames"))
    size = len(bytes(made.objects[which].get("PixelData"))) // count
    flipped(made, which, size * count - 1)
    said = on_the_wire(tmp_path, made, as_claimed(events, made))
    assert f"frame {count} is no picture" in said[which].reason


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (lambda n: [*range(n - 2), n - 1, n - 2], "not made as number"),
        (lambda n: [0, *range(n - 1)], "not made as number"),
        (lambda n: list(range(n - 1)), "that the console names"),
    ],
    ids=["two exchanged", "one twice, the last lost", "one lost"],
)
def test_frames_of_a_clip_are_in_the_probes_order(
    tmp_path: Path, order: Callable[[int], list[int]], reason: str
) -> None:
    """Every frame is a picture of the probe, and the clip is another one than the console names."""
    made = FileSet.of_mx1()
    events = told(made)
    which = clip_of(made)
    ds = made.objects[which]
    count, pixels = int(ds.get("NumberOfFrames")), bytes(ds.get("PixelData"))
    size = len(pixels) // count
    frames = order(count)
    ds.put("PixelData", b"".join(pixels[n * size : (n + 1) * size] for n in frames))
    ds.put("NumberOfFrames", str(len(frames)))
    said = on_the_wire(tmp_path, made, as_claimed(events, made))
    assert said[which].verdict is Verdict.FAIL
    assert reason in said[which].reason


def test_another_picture_of_the_probe_than_the_console_names(tmp_path: Path) -> None:
    """Of this exam or of the one before: a still is the picture that the operator kept."""
    made = FileSet.of_mx1()
    events = told(made)
    first = events[0].data["sha256"]
    other = next(e for e in events if e.kind == "ultrasound.frame" and e.data["sha256"] != first)
    events = [
        replace(e, data={**e.data, "sequence": other.data["sequence"]})
        if e.kind == "modality.image" and e.data["sequence"] == 1
        else e
        for e in events
    ]
    said = on_the_wire(tmp_path, made, events)
    assert [one.verdict for one in said].count(Verdict.FAIL) == 1


def test_a_clip_without_pictures_that_were_lost(tmp_path: Path) -> None:
    """What never arrived is missing, and the console says so; one that it does not tell of is a fault."""
    made = FileSet.of_mx1()
    which = clip_of(made)
    ds = made.objects[which]
    count, pixels = int(ds.get("NumberOfFrames")), bytes(ds.get("PixelData"))
    size = len(pixels) // count
    events = told(made)
    ds.put("PixelData", pixels[:size] + pixels[2 * size :])
    ds.put("NumberOfFrames", str(count - 1))
    digests = [hashlib.sha256(pixels[n * size : (n + 1) * size]).hexdigest() for n in range(count) if n != 1]
    raw = hashlib.sha256("".join(digests).encode()).hexdigest()
    events = as_claimed(events, made)
    for missing, wanted in ((1, Verdict.PASS), (0, Verdict.FAIL)):
        said = [
            replace(e, data={**e.data, "missing": missing, "raw_sha256": raw})
            if e.kind == "modality.image" and e.data["kind"] == "clip"
            else e
            for e in events
        ]
        assert on_the_wire(tmp_path, made, said)[which].verdict is wanted


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PhotometricInterpretation", "MONOCHROME1"), ("PhotometricInterpretation", "YBR_FULL"), ("Rows", None)],
)
def test_samples_that_are_arranged_otherwise_are_not_compared(
    tmp_path: Path, keyword: str, value: str | None
) -> None:
    """The console's word alone is never PASS: native pixels that are not the probe's as they are."""
    made = FileSet.of_mx1()
    made.objects[0].put(keyword, value if value is not None else int(made.objects[0].get("Rows")) // 2)
    if keyword == "Rows":
        pixels = bytes(made.objects[0].get("PixelData"))
        made.objects[0].put("PixelData", pixels[: len(pixels) // 2])
    shaped = FileSet.of_mx1()
    events = as_claimed(with_shapes(told(shaped), shaped), made)
    said = on_the_wire(tmp_path, made, events)
    assert said[0].verdict is Verdict.INCONCLUSIVE, said[0].reason


def with_shapes(events: Sequence[Event], made: FileSet) -> list[Event]:
    """The front end tells the size of each picture too."""
    shapes = []
    for ds in made.objects:
        shape = {
            "width": ds.get("Columns"),
            "height": ds.get("Rows"),
            "components": ds.get("SamplesPerPixel"),
        }
        shapes += [shape] * int(ds.get("NumberOfFrames") or 1)
    return [
        replace(e, data={**e.data, **shapes[e.data["sequence"] - 1]}) if e.kind == "ultrasound.frame" else e
        for e in events
    ]


def test_an_image_of_the_screen_is_no_picture_of_the_probe(tmp_path: Path) -> None:
    """The console's word is no evidence; that it sent something else than it acquired is."""
    made = FileSet.of_mx1(pictures=(Picture("us", number=1), Picture("sc", number=1)))
    which = next(n for n, ds in enumerate(made.objects) if ds.get("SOPClassUID") == SC)
    uid = str(made.objects[which].get("SOPInstanceUID"))
    events = [
        replace(e, data={**e.data, "kind": "screen"}) if e.data.get("sop_instance") == uid else e
        for e in told(made)
    ]
    assert len(on_the_wire(tmp_path, made, events)) == len(made.objects) - 1
    flipped(made, which)
    assert [one.verdict for one in on_the_wire(tmp_path, made, events)].count(Verdict.FAIL) == 1


def test_a_picture_of_the_probe_is_none_of_the_screen_by_word(tmp_path: Path) -> None:
    """Whatever the console calls it: an ultrasound image is compared."""
    made = FileSet.of_mx1()
    events = told(made)
    flipped(made, 0)
    events = [
        replace(e, data={**e.data, "kind": "screen"}) if e.kind == "modality.image" else e
        for e in as_claimed(events, made)
    ]
    assert on_the_wire(tmp_path, made, events)[0].verdict is Verdict.FAIL


def test_an_archive_that_tells_of_other_pixels_is_the_benchs_fault(tmp_path: Path) -> None:
    """Two witnesses of one store: where they differ nobody is blamed, and nothing is green."""
    made = FileSet.of_mx1()
    ds = made.objects[0]
    digest = hashlib.sha256(bytes(ds.get("PixelData"))).hexdigest()
    for told_digest, wanted in ((digest, Verdict.PASS), ("0" * 64, Verdict.ERROR)):
        archived = event(
            5000,
            1,
            "pacs.stored",
            sop_instance=ds.get("SOPInstanceUID"),
            transfer_syntax=EXPLICIT_LE,
            dataset={"7FE00010": {"vr": "OB", "sha256": told_digest}},
        )
        said = on_the_wire(tmp_path, made, [*told(made), archived])
        assert [one.verdict for one in said] == [wanted, *[Verdict.PASS] * (len(made.objects) - 1)]


def test_a_capture_that_was_read_without_digests_compares_nothing(tmp_path: Path) -> None:
    """A check that never saw its evidence is never green."""
    made = FileSet.of_mx1()
    lab = Lab()
    MX1(lab).store(PACS, Scan(PERSONS["default"], start=1_767_259_800.0), [Picture("us", number=1)])
    full = case(tmp_path, lab, {}, told(made))
    blind = replace(full, capture=bench.witness.read(tmp_path / "wire.pcapng"))
    assert [one.verdict for one in probe_truth(blind)] == [Verdict.INCONCLUSIVE]


@pytest.mark.parametrize("moved", [-1, 1])
def test_a_clip_of_other_pictures_than_the_console_names(tmp_path: Path, moved: int) -> None:
    """As many, in their order, and one later or earlier."""
    made = FileSet.of_mx1(pictures=(Picture("us", number=1), Picture("clip", number=1)))
    first, last = 2, 1 + int(made.objects[1].get("NumberOfFrames"))
    events = [
        replace(e, data={**e.data, "sequence": [first + moved, last + moved]})
        if e.kind == "modality.image" and e.data["kind"] == "clip"
        else e
        for e in told(made)
    ]
    said = on_the_wire(tmp_path, made, events)
    assert (said[1].verdict, "not made as number" in said[1].reason) == (Verdict.FAIL, True)


def test_another_digest_of_the_raw_pictures_than_the_images(tmp_path: Path) -> None:
    """The console contradicts itself: the picture is the probe's, and not the one it says it kept."""
    made = FileSet.of_mx1()
    events = [
        replace(e, data={**e.data, "raw_sha256": "0" * 64}) if e.kind == "modality.image" else e
        for e in told(made)
    ]
    assert {one.verdict for one in on_the_wire(tmp_path, made, events)} == {Verdict.FAIL}


def test_who_names_no_picture_is_not_believed(tmp_path: Path) -> None:
    """Pictures of the probe, and nobody says which they should be."""
    made = FileSet.of_mx1()
    events = [
        replace(e, data={**e.data, "sequence": None}) if e.kind == "modality.image" else e for e in told(made)
    ]
    assert {one.verdict for one in on_the_wire(tmp_path, made, events)} == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda ds: ds.put("PlanarConfiguration", 1), "plane by plane"),
        (lambda ds: ds.put("PixelData", bytes(ds.get("PixelData")) + bytes(4)), "bytes are not"),
        (lambda ds: ds.put("PixelData", bytes(ds.get("PixelData"))[:-4]), "bytes are not"),
    ],
    ids=["planes", "longer", "shorter"],
)
def test_colour_pixels_that_are_not_the_probes_as_they_are(
    tmp_path: Path, change: Callable[[DataSet], object], why: str
) -> None:
    """One fault, one rule: what is wrong with the length is said elsewhere, and nothing is green here."""
    made = FileSet.of_mx1(pictures=(Picture("sc", number=1),))
    assert made.objects[0].get("SamplesPerPixel") == 3
    events = told(made)
    change(made.objects[0])
    said = on_the_wire(tmp_path, made, as_claimed(events, made))
    assert (said[0].verdict, why in said[0].reason) == (Verdict.INCONCLUSIVE, True), said[0].reason


@pytest.mark.parametrize(("status", "wanted"), [(None, set()), (0, {Verdict.INCONCLUSIVE})])
def test_an_image_that_was_cut_off_is_compared_with_nothing(
    tmp_path: Path, status: int | None, wanted: set[Verdict]
) -> None:
    """What broke off was not stored; where the archive took it all the same, the bench did not see it whole."""
    made = FileSet.of_mx1()
    ds = made.objects[0]
    lab = Lab()
    sop_class, uid = str(ds.get("SOPClassUID")), str(ds.get("SOPInstanceUID"))
    a = MX1(lab).propose(PACS, [(sop_class, (EXPLICIT_LE,))])
    a.accept()
    events = told(made)
    short = ds.encode(EXPLICIT_LE)[:-40]
    a.request(
        "C-STORE-RQ", short, sop_class=sop_class, sop_instance=uid, transfer_syntax=EXPLICIT_LE, Priority=0
    )
    if status is not None:
        a.respond(status)
    a.abort("requestor")
    assert {one.verdict for one in probe_truth(case(tmp_path, lab, {}, events))} == wanted
