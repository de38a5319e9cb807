"""Mutants of an MX1's media: one defect in a record, in a file, in the file system, or in what was done to a medium.

Rules of this file:

* Every defect of ``tests/unit/media_defects*.py`` that fits is made in a medium that the reference product wrote.
* Every key row of the DICOMDIR has its mutants from the statement's data alone: absent, empty, with another VR.
* What lay on a medium before, and what the product reported as saved, is known of media with their story only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.checks.attributes.where import tag_number
from bench.judge.inputs import config_of, events_of
from bench.results import read_run
from bench.statements.model import AttributeRule
from tests.lab.elements import IMPLICIT_LE, DataSet
from tests.lab.fat import Volume
from tests.lab.media import FileSet
from tests.mutants.discs import Disc, in_meta
from tests.mutants.model import GREEN, Found, Mutant, binding, statement_of
from tests.mutants.mx1 import PRODUCT, cell
from tests.unit.media_defects import DEFECTS
from tests.unit.media_defects_more import MORE

USB, SD, SETS, ADDED, FOREIGN, STORY = (
    "mx1-media-export usb",
    "mx1-media-export sd",
    "mx1-character-sets usb",
    "mx1-media-add usb with its story",
    "mx1-media-foreign usb with its story",
    "mx1-media-export usb with its story",
)
DISCS: Final = (
    # name, scenario, volume, with its story
    (USB, "mx1-media-export", "usb", False),
    (SD, "mx1-media-export", "sd", False),
    (SETS, "mx1-character-sets", "usb", False),
    ("mx1-media-syntaxes usb", "mx1-media-syntaxes", "usb", False),
    (ADDED, "mx1-media-add", "usb", True),
    (FOREIGN, "mx1-media-foreign", "usb", True),
    (STORY, "mx1-media-export", "usb", True),
)
KINDS: Final = {
    "patient-record": "PATIENT",
    "study-record": "STUDY",
    "series-record": "SERIES",
    "image-record": "IMAGE",
}
ALSO: Final = {
    # defaults of the reference product that a defect breaks as well (ruling A3)
    "long lower-case name, stale record": "MX-D-19",
    "unreferenced DICOM file": "MX-D-19",
    "instance twice": "MX-D-19",
    "nine levels": "MX-D-19",
    "extension": "MX-D-19",
    "long file-set id": "MX-D-20",
    "UI of 66 characters": "MX-D-28",
    "private information without its creator": "MX-D-27",
}
NOT_HERE: Final = frozenset(("clip in JPEG lossless", "JPEG 2000", "lossy flag gone"))
"""Defects that put an object of the laboratory in place of a recorded one: two defects here."""
SMALL: Final = {"kind": "FAT16", "cluster": 512, "clusters": 30000}
"""Clusters so small that every file has several."""
DEFLATED: Final = "1.2.840.10008.1.2.1.99"


def discs(run: Path) -> Iterator[Disc]:
    """The media of a conformance run that mutants are made of."""
    info = read_run(run)
    for name, scenario, volume, story in DISCS:
        folder = cell(run, scenario)
        if folder is None or not (folder / "media" / f"{volume}.img").is_file():
            raise SystemExit(f"{run.name}: no cell of {scenario} with the image of its {volume}")
        config = {**config_of(folder, info, PRODUCT).values, "medium": volume}
        events = events_of(folder) if story else ()
        yield Disc(name, PRODUCT, folder / "media" / f"{volume}.img", config, events)


def mutants(disc: Disc, found: Found) -> Iterator[Mutant]:
    """Every mutant of a medium."""
    if disc.name == USB:
        yield from _known(disc)
        yield from _keys(disc, found)
        yield from _identity(disc)
        yield from _syntaxes(disc)
        yield from _file_system(disc)
    elif disc.name == SD:
        turns = frozenset({"STD-MED-010", "MX-MED-007"})
        yield Mutant("MX-MED-007 no DICOMDIR", disc, "MX-MED-007", turns, _no_directory)
        second = frozenset({"STD-MED-011", "MX-MED-007"})
        yield Mutant("MX-MED-007 second DICOMDIR", disc, "MX-MED-007", second, DEFECTS["second DICOMDIR"][0])
    elif disc.name == SETS:
        yield from _sets(disc)
    elif disc.events:
        yield from _stories(disc)


def _known(disc: Disc) -> Iterator[Mutant]:
    for name, (change, wanted) in {**DEFECTS, **MORE}.items():
        if name not in NOT_HERE:
            turns = binding(disc, {*wanted, *((ALSO[name],) if name in ALSO else ())})
            aims = min(wanted, key=lambda id: (id.startswith("STD"), id))
            yield Mutant(f"{aims} {name}", disc, aims, turns, change)


def _keys(disc: Disc, found: Found) -> Iterator[Mutant]:
    for section in statement_of(PRODUCT).sections:
        kind = KINDS.get(section.dataset)
        for clause in section.clauses if kind is not None else ():
            rule = clause.attribute
            if (
                rule is None
                or rule.keyword == "SpecificCharacterSet"
                or found[clause.id].verdict not in GREEN
            ):
                continue
            by_type = {"1": "STD-MED-043", "2": "STD-MED-044"}.get((rule.types.standard or "3")[0])
            gone = frozenset({clause.id, *((by_type,) if by_type else ())})
            name = f"{clause.id} {kind} {rule.keyword}"
            yield Mutant(f"{name} absent", disc, clause.id, gone, _record(kind or "", _drop(rule)))
            if by_type == "STD-MED-043":
                yield Mutant(f"{name} empty", disc, clause.id, gone, _record(kind or "", _empty(rule)))
            other = frozenset({clause.id, "STD-DS-008"})
            yield Mutant(f"{name} other VR", disc, clause.id, other, _record(kind or "", _other(rule)))


Edit = Callable[[FileSet], Any]


def _record(kind: str, change: Callable[[DataSet], object]) -> Edit:
    def edit(made: FileSet) -> None:
        change(made.record(kind))

    return edit


def _drop(rule: AttributeRule) -> Callable[[DataSet], object]:
    return lambda ds: ds.drop(tag_number(rule.tag))


def _empty(rule: AttributeRule) -> Callable[[DataSet], object]:
    return lambda ds: ds.change(tag_number(rule.tag), value=None)


def _other(rule: AttributeRule) -> Callable[[DataSet], object]:
    return lambda ds: ds.change(tag_number(rule.tag), vr="LO" if "LO" not in rule.vrs else "SH")


def _identity(disc: Disc) -> Iterator[Mutant]:
    """The network's identity in the file meta information of each object."""
    for number, what in enumerate(disc.fileset().paths):
        for id, keyword, value in (
            ("MX-MED-001", "ImplementationClassUID", "1.2.392.200036.9107.804"),
            ("MX-MED-002", "ImplementationVersionName", "KM_SMGMX1_1.00"),
        ):
            edit = in_meta(number, lambda meta, k=keyword, v=value: meta.put(k, v))  # type: ignore[misc]
            yield Mutant(f"{id} of the network in {'/'.join(what)}", disc, id, frozenset({id}), edit)


def _syntaxes(disc: Disc) -> Iterator[Mutant]:
    """A file of each class in a transfer syntax that neither statement nor profile has; the DICOMDIR in another."""
    rows: dict[str, list[str]] = {}
    for clause in statement_of(PRODUCT).clauses:
        if clause.kind == "media-syntax" and clause.sop is not None:
            rows.setdefault(clause.sop.uid, []).append(clause.id)
    classes = [str(ds.get("SOPClassUID")) for ds in disc.fileset().objects]
    for uid in dict.fromkeys(classes):
        turns = frozenset({"STD-MED-070", *rows[uid]})
        yield Mutant(f"{rows[uid][0]} deflated", disc, rows[uid][0], turns, _deflated(classes.index(uid)))

    def implicit(made: FileSet) -> None:
        made.head.put("TransferSyntaxUID", IMPLICIT_LE)

    id = "MX-MED-PC-001"
    yield Mutant(f"{id} DICOMDIR in Implicit VR", disc, id, frozenset({id, "STD-MED-071"}), implicit)


def _deflated(number: int) -> Edit:
    def edit(made: FileSet) -> None:
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(made.objects[number].encode()) + packer.flush()
        in_meta(number, lambda meta: meta.put("TransferSyntaxUID", DEFLATED))(made)
        head = made.files[made.paths[number]]
        length = int.from_bytes(head[140:144], "little")
        made.files[made.paths[number]] = head[: 144 + length] + body + b"\0" * (len(body) % 2)
        made.record("IMAGE", number + 1).put("ReferencedTransferSyntaxUIDInFile", DEFLATED)

    return edit


def _file_system(disc: Disc) -> Iterator[Mutant]:
    """Cluster chains and raw names that no record shows."""
    first = disc.fileset().paths[0]

    def loop(volume: Volume) -> None:
        volume.table[volume.first[first] + 1] = volume.first[first]

    def short(volume: Volume) -> None:
        volume.table[volume.first[first]] = volume.end

    chain = {"STD-MED-003", "STD-MED-015"}
    for what, how, turns in (
        ("chain that comes back to itself", {**SMALL, "spoil": loop}, chain),
        ("chain that ends too early", {**SMALL, "spoil": short}, chain),
        (
            "folder in lower case",
            {"raw_names": {first[:1]: b"dicom      "}},
            {"STD-MED-012", "MX-D-19"},
        ),
        (
            "folder that no record names",
            {"raw_names": {first[:2]: b"PA~00001   "}},
            {"STD-MED-012", "STD-MED-014", "MX-MED-DIR-10", "MX-D-19"},
        ),
    ):
        aims = min(turns, key=lambda id: (id.startswith("MX-D-"), id))
        yield Mutant(f"{aims} {what}", replace(disc, how=how), aims, binding(disc, turns))


def _no_directory(made: FileSet) -> None:
    made.directory = False


def _sets(disc: Disc) -> Iterator[Mutant]:
    """Text of a record without its Specific Character Set: in a PATIENT and in a STUDY record."""
    for kind, id in (("PATIENT", "MX-MED-PK-01"), ("STUDY", "MX-MED-SK-01")):
        turns = frozenset({id, "MX-CHR-001", "STD-CS-003"})
        yield Mutant(f"{id} left out", disc, id, turns, _without_set(kind))


def _without_set(kind: str) -> Edit:
    """The first record of a kind whose text has bytes of 80 to FF."""

    def edit(made: FileSet) -> None:
        for each in made.records():
            wide = any(isinstance(e.value, bytes) and not e.value.isascii() for e in each.ds.elements)
            if each.kind == kind and each.ds.has("SpecificCharacterSet") and wide:
                each.ds.drop("SpecificCharacterSet")
                return
        raise ValueError(f"no {kind} record needs a character set")

    return edit


def _stories(disc: Disc) -> Iterator[Mutant]:
    """What was reported as saved is not there; what lay there before is changed or gone."""
    before, saved = _places(disc)
    if disc.name == STORY:
        rows = {"MX-GEN-004", "MX-MED-003"}
        yield from _story(disc, "MX-MED-003 saved, and not there", rows | GONE, _without_file(saved[0]))
        yield from _story(
            disc, "MX-GEN-004 saved, and no record", rows | NO_RECORD, _without_record(saved[-1])
        )
        yield from _story(disc, "MX-GEN-004 other bytes than reported", rows, _touched(saved[0]))
    elif disc.name == ADDED:
        rows = {"MX-GEN-005", "MX-MED-004"}
        yield from _story(disc, "MX-GEN-005 added, and not there", rows | GONE, _without_file(saved[-1]))
        yield from _story(disc, "MX-MED-004 other bytes than reported", rows, _touched(saved[-1]))
    elif disc.name == FOREIGN:
        rows = {"MX-GEN-005", "MX-MED-004", "MX-MED-005"}
        yield from _story(disc, "MX-MED-005 foreign file changed", rows, _touched(before[0]))
        # its record is another's and not judged: the rows of what was done name the fault
        yield from _story(disc, "MX-MED-005 foreign file gone", rows, _without_file(before[0]))


GONE: Final = {"STD-MED-014", "MX-MED-DIR-10"}
NO_RECORD: Final = {"STD-MED-016", "MX-MED-006"}


def _story(disc: Disc, name: str, turns: set[str], edit: Edit) -> Iterator[Mutant]:
    yield Mutant(name, disc, name.split()[0], frozenset(turns), edit)


def _places(disc: Disc) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Files that lay there before and files of the product, by the records' order."""
    paths = disc.fileset().paths
    own = [path for path in paths if path[0] == "DICOM"]
    return [path for path in paths if path not in own], own


def _without_file(path: tuple[str, ...]) -> Edit:
    def edit(made: FileSet) -> None:
        del made.files[path]

    return edit


def _without_record(path: tuple[str, ...]) -> Edit:
    def edit(made: FileSet) -> None:
        for each in made.records():
            kept = [one for one in each.below if one.ds.get("ReferencedFileID") != list(path)]
            if len(kept) < len(each.below):
                each.below = kept
                return
        raise ValueError(f"no record of {path}")

    return edit


def _touched(path: tuple[str, ...]) -> Edit:
    """One byte of the preamble is another: the object stays what it was."""

    def edit(made: FileSet) -> None:
        data = made.files[path]
        made.files[path] = b"\1" + data[1:]

    return edit


__all__ = ["discs", "mutants"]
