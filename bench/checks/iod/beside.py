"""What an image holds beside its pixels: lookup tables, icon, overlays (PS3.3 C.7.9, C.11.2, C.7.6.1.1.6, C.9.2).

Rules of this file:

* An icon is judged where it stands, in an image or in a record of a DICOMDIR, as the small image that it is.
* A table or plane that is missing is told by the types of its module; here only the length of one that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.case import Stored
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.declared import Declared
from bench.checks.iod.pixels import BITS, LENGTH, Layout, amount, bits
from bench.checks.iod.subjects import Subject, images
from bench.checks.iod.tables import DESCRIBED, label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

PALETTE: Final = "STD-IOD-057"
ICON: Final = "STD-IOD-058"
OVERLAY: Final = "STD-IOD-059"
SEQUENCE: Final = "IconImageSequence"
COLOURS: Final = ("Red", "Green", "Blue")
ICONS: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})


@check(PALETTE, ICON, OVERLAY)
def beside(case: Case) -> Iterator[Finding]:
    """Every image."""
    for subject in images(case):
        yield from palette(subject)
        yield from lookup_tables(subject)
        yield from overlays(subject)
        yield from icons(subject)


@check(ICON, PALETTE)
def icons_of_records(case: Case) -> Iterator[Finding]:
    """Every record of a DICOMDIR, which stands in the place of a message."""
    for message in case.messages:
        dataset = message.dataset
        if message.command.name == "DICOMDIR" and dataset is not None and dataset.has(SEQUENCE):
            stored = Stored(message, case.exchange(message))
            yield from icons(Subject(case, stored, dataset, None, Declared(case.statement, "")))


def icons(subject: Subject) -> Iterator[Finding]:
    """The icon of an image or a record: one, small, of one sample, and whole."""
    items = subject.dataset.items(SEQUENCE)
    if not items:
        return
    faults = 0
    if len(items) > 1:
        faults += 1
        reason = f"{label(SEQUENCE)} has {len(items)} items; one is allowed"
        yield failed(ICON, reason, *subject.at(SEQUENCE))
    for item in items:
        for finding in _icon(subject, item):
            faults += 1
            yield finding
    if not faults:
        yield passed(ICON, "the icon is whole", *subject.at(SEQUENCE))


def _icon(subject: Subject, item: DataSet) -> Iterator[Finding]:
    inner = Subject(subject.case, subject.stored, item, None, subject.declared)
    for keyword in DESCRIBED:
        if item.state(keyword) != "value":
            reason = f"{label(SEQUENCE, keyword)} is {item.state(keyword)}; type 1 of an icon"
            yield failed(ICON, reason, *inner.at(keyword))
    layout = Layout.of(item)
    for keyword, value, allowed in (
        ("SamplesPerPixel", layout.samples, (None, 1)),
        ("PhotometricInterpretation", layout.interpretation, ("", *sorted(ICONS))),
        ("BitsAllocated", layout.allocated, (None, 1, 8)),
        ("PixelRepresentation", item.number("PixelRepresentation"), (None, 0)),
        ("Rows", layout.rows and 1, (None, 1)),
        ("Columns", layout.columns and 1, (None, 1)),
    ):
        if value not in allowed:
            reason = (
                f"{label(SEQUENCE, keyword)} is {value}; an icon has one sample of 1 or 8 bits in each pixel"
            )
            yield failed(ICON, reason, *inner.at(keyword))
    for finding in bits(inner, layout):
        if finding.id == BITS and not _passes(finding):
            yield failed(ICON, f"icon: {finding.reason}", *finding.evidence)
    if item.pixels is not None and not item.pixels.encapsulated and layout.samples == 1:
        for finding in amount(inner, layout, item.pixels):
            if finding.id == LENGTH and not _passes(finding):
                yield failed(ICON, f"icon: {finding.reason}", *finding.evidence)
    if layout.interpretation == "PALETTE COLOR":
        for colour in COLOURS:
            if item.state(f"{colour}PaletteColorLookupTableDescriptor") != "value":
                keyword = f"{colour}PaletteColorLookupTableDescriptor"
                yield failed(ICON, f"{label(SEQUENCE, keyword)} is missing", *inner.at(keyword))
        yield from (one for one in palette(inner) if not _passes(one))


def _passes(finding: Finding) -> bool:
    return finding.verdict.value != "FAIL"


def palette(subject: Subject) -> Iterator[Finding]:
    """Descriptor and data of each colour (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6)."""
    dataset, seen, wrong = subject.dataset, False, False
    described = []
    for colour in COLOURS:
        keyword, data = f"{colour}PaletteColorLookupTableDescriptor", f"{colour}PaletteColorLookupTableData"
        said = [int(number) for number in dataset.numbers(keyword)]
        table = dataset.get(data)
        if not said:
            continue
        seen = True
        where = subject.at(keyword, data)
        if len(said) != 3 or said[2] not in (8, 16):
            wrong = True
            text = "\\".join(map(str, said))
            reason = f"{label(keyword)} is {text}; it says entries, first value, and 8 or 16 bits"
            yield failed(PALETTE, reason, *where)
            continue
        described.append(said)
        entries = said[0] % 65536 or 65536
        lengths = {2 * entries} if said[2] == 16 else {entries + entries % 2, 2 * entries}
        if table is not None and not table.empty and table.length not in lengths:
            wrong = True
            reason = f"{label(data)} has {table.length} bytes; {entries} entries of {said[2]} bits are {max(lengths)}"
            yield failed(PALETTE, reason, *where)
    if described and any(one != described[0] for one in described):
        wrong = True
        yield failed(
            PALETTE,
            "the descriptors of red, green and blue differ",
            *subject.at("RedPaletteColorLookupTableDescriptor"),
        )
    if seen and not wrong:
        yield passed(PALETTE, "tables are as long as described", *subject.at(keyword))


def lookup_tables(subject: Subject) -> Iterator[Finding]:
    """Tables of modality and VOI: as many entries as described (PS3.3 C.11.1.1, C.11.2.1.1)."""
    for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
        for item in subject.dataset.items(sequence):
            said = [int(number) for number in item.numbers("LUTDescriptor")]
            data = item.get("LUTData")
            if len(said) != 3 or data is None or data.empty:
                continue
            entries = said[0] % 65536 or 65536
            where = subject.at("LUTDescriptor", "LUTData", owner=item)
            lengths = {2 * entries} if said[2] > 8 else {entries + entries % 2, 2 * entries}
            if data.length not in lengths:
                name = label(sequence, "LUTData")
                reason = (
                    f"{name} has {data.length} bytes; {entries} entries of {said[2]} bits are {max(lengths)}"
                )
                yield failed(PALETTE, reason, *where)
            else:
                yield passed(PALETTE, f"table of {entries} entries", *where)


def overlays(subject: Subject) -> Iterator[Finding]:
    """Overlay Data holds a bit for each point (PS3.3 C.9.2)."""
    dataset = subject.dataset
    for group in range(0x6000, 0x6020, 2):
        data = dataset.get(group << 16 | 0x3000)
        if data is None or data.empty:
            continue
        rows, columns, frames = (_number(dataset, group << 16 | tag) for tag in (0x10, 0x11, 0x15))
        if not rows or not columns:
            continue
        wanted = (rows * columns * (frames or 1) + 7) // 8
        where = subject.on(data)
        if data.length < wanted:
            reason = f"Overlay Data ({group:04X},3000) has {data.length} bytes; {rows} x {columns} points are {wanted}"
            yield failed(OVERLAY, reason, where)
        else:
            yield passed(OVERLAY, f"overlay of {rows} x {columns} points", where)


def _number(dataset: DataSet, tag: int) -> int | None:
    """A number by its tag: those of repeating groups have no keyword of their own."""
    element = dataset.get(tag)
    texts = dataset.texts_of(element) if element is not None else ()
    return int(texts[0]) if texts and texts[0].strip().isdecimal() else None


__all__ = ["beside", "icons_of_records"]
