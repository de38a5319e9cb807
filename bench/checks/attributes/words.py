"""What a cell of a statement says beside its list of values: words that name a rule about the value.

Rules of this file:

* A rule answers what is wrong, in words for a person, or None when nothing is, or when the evidence is missing.
* Words are matched by pattern, so that another statement's cell of the same sense is judged too; words that no
  pattern knows (``no value given``, ``unit by the standard: …``) are for people only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from bench.checks.attributes.conditions import LOSSY, Row, integer, steps_by_study, steps_created
from bench.checks.attributes.where import FILM_BOX, FILM_SESSION, MPPS, tag_number
from bench.checks.case import Case
from bench.witness.dataset import DataSet, Element

Rule: TypeAlias = "Callable[[Row, Element, re.Match[str]], str | None]"

DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"
US_IMAGES: Final = frozenset(("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"))


def faults(row: Row, element: Element) -> list[str]:
    """Return what the words of a row's cell find wrong with an element that has (or should have) a value."""
    found = []
    for pattern, rule in RULES if row.rule.words else ():
        match = pattern.search(row.rule.words)
        if match is not None:
            answer = rule(row, element, match)
            if answer is not None:
                found.append(answer)
    content = CONTENTS.get(row.rule.keyword)
    answer = content(row, element) if content is not None else None
    return found if answer is None else [*found, answer]


def required(row: Row) -> str | None:
    """Return why an attribute that may be absent must be there with a value all the same, None when it need not."""
    for pattern, rule in REQUIRED if row.rule.words or row.rule.condition else ():
        match = pattern.search(f"{row.rule.words} {row.rule.condition}")
        if match is not None:
            answer = rule(row, match)
            if answer is not None:
                return answer
    return None


def _values(row: Row, element: Element) -> tuple[str, ...]:
    return row.item.texts_of(element)


def trusted(row: Row, keyword: str) -> bool:
    """Whether another element has a value that its own rows allow: what is compared with it is not to fail for it."""
    section = row.case.statement.section_of(row.clause)
    element, numbers = row.item.get(keyword), row.item.numbers(keyword)
    if element is None or not numbers:
        return False
    for one in row.case.statement.sections:
        if (one.dataset, one.sop_classes) != (section.dataset, section.sop_classes):
            continue
        for clause in one.clauses:
            rule = clause.attribute
            if rule is None or rule.keyword != keyword or rule.path != row.rule.path:
                continue
            if element.explicit and element.vr not in rule.vrs:
                return False
            if rule.range is not None and not rule.range[0] <= numbers[0] <= rule.range[1]:
                return False
            if rule.values and rule.match == "whole" and str(numbers[0]) not in rule.values:
                return False
    return True


def pixels_known(row: Row) -> bool:
    """Whether the extremes of the pixels can be told: what describes the pixels is right, and all of them are there."""
    item, pixels = row.item, row.item.pixels
    if (
        pixels is None
        or pixels.above_bits_stored
        or integer(item, "HighBit") != (integer(item, "BitsStored") or 0) - 1
    ):
        return False
    if not all(
        trusted(row, k) for k in ("BitsAllocated", "BitsStored", "PixelRepresentation", "Rows", "Columns")
    ):
        return False
    size = (integer(item, "Rows") or 0) * (integer(item, "Columns") or 0)
    return pixels.length == size * ((integer(item, "BitsAllocated") or 0) // 8)


def _high_bit(row: Row, element: Element, found: re.Match[str]) -> str | None:
    bits, high = integer(row.item, "BitsStored"), row.item.numbers_of(element)
    if bits is None or not high or high[0] == bits - 1 or not trusted(row, "BitsStored"):
        return None
    return f"{row.name} is {high[0]}, and Bits Stored is {bits}: it should be {bits - 1}"


def _one_item(row: Row, element: Element, found: re.Match[str]) -> str | None:
    count = len(element.items)
    return None if count <= 1 else f"{row.name} has {count} items; the statement says one"


def _exactly_one(row: Row, element: Element, found: re.Match[str]) -> str | None:
    count = len(element.items)
    return None if count == 1 else f"{row.name} has {count} items; the statement says exactly one"


def _empty(row: Row, element: Element, found: re.Match[str]) -> str | None:
    if element.empty:
        return None
    what = f"{len(element.items)} item(s)" if element.items else "a value"
    return f"{row.name} has {what}; the statement says that it is always empty"


def _one_each(row: Row, element: Element, found: re.Match[str]) -> str | None:
    seen: set[str] = set()
    for item in element.items:
        uid = item.text("ReferencedSOPInstanceUID") or ""
        if uid and uid in seen:
            return f"{row.name} names {uid} twice; the statement says one item for each instance"
        seen.add(uid)
    return None


def _native_pixels(row: Row, element: Element, found: re.Match[str]) -> str | None:
    item, pixels = row.item, row.item.pixels
    if element.explicit and element.vr != "OW":
        return f"{row.name} has VR {element.vr}; the statement says OW"
    if element.undefined or (pixels is not None and pixels.encapsulated):
        return f"{row.name} is encapsulated; the statement says native"
    return _size(row, element, found) or _above(row, item)


def _above(row: Row, item: DataSet) -> str | None:
    pixels, bits = item.pixels, integer(item, "BitsStored")
    if pixels is None or not pixels.above_bits_stored or integer(item, "HighBit") != (bits or 0) - 1:
        return None
    if not all(trusted(row, k) for k in ("BitsAllocated", "BitsStored", "PixelRepresentation")):
        return None
    return (
        f"{row.name} holds {pixels.above_bits_stored} value(s) above 2^{bits}-1, the first at byte "
        f"{pixels.first_above_offset}"
    )


def _size(row: Row, element: Element, found: re.Match[str]) -> str | None:
    rows, columns = integer(row.item, "Rows"), integer(row.item, "Columns")
    if element.undefined or not rows or not columns or not (trusted(row, "Rows") and trusted(row, "Columns")):
        return None
    wanted = rows * columns * 2
    if element.length == wanted:
        return None
    return f"{row.name} has {element.length} bytes; {rows} rows of {columns} pixels of 2 bytes are {wanted} bytes"


def _film_session(row: Row, element: Element, found: re.Match[str]) -> str | None:
    if len(element.items) != 1:
        return f"{row.name} has {len(element.items)} items; the statement says one"
    item = element.items[0]
    sop_class, instance = item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID")
    if sop_class != FILM_SESSION:
        return f"{row.name} names the SOP class {sop_class or 'nothing'}; the film session is {FILM_SESSION}"
    return None if instance else f"{row.name} names no SOP instance"


def _box_position(row: Row, element: Element, found: re.Match[str]) -> str | None:
    position = row.item.numbers_of(element)
    if not position:
        return None
    if position[0] < 1:
        return f"{row.name} is {position[0]}; positions count from 1"
    boxes = _boxes(row)
    if boxes is None or position[0] <= boxes:
        return None
    return f"{row.name} is {position[0]}; the film has {boxes} position(s)"


def _boxes(row: Row) -> int | None:
    """How many image boxes the film box has that was created last before on this association."""
    found = None
    message = row.occasion.message
    for request in row.case.association(message).messages:
        if request.number > message.number:
            break
        if request.name == "N-CREATE-RQ" and request.sop_class == FILM_BOX and request.dataset is not None:
            text = request.dataset.text("ImageDisplayFormat") or ""
            match = re.fullmatch(r"STANDARD\\(\d+),(\d+)", text)
            found = int(match[1]) * int(match[2]) if match else None
    return found


def _word_when(row: Row, element: Element, found: re.Match[str]) -> str | None:
    word, tag, value = found[1], tag_number(found[2]), found[3]
    if value not in row.root.texts(tag) or word in _values(row, element):
        return None
    return (
        f"{row.name} is {row.item.text_of(element)!r}; the statement says {word!r} when {found[2]} is {value}"
    )


def _when_lossy(row: Row, element: Element, found: re.Match[str]) -> str | None:
    if row.occasion.message.transfer_syntax not in LOSSY or found[1] in _values(row, element):
        return None
    shown = row.item.text_of(element) or "empty"
    return f"{row.name} is {shown}; with JPEG Baseline it is {found[1]}"


def _from_one(row: Row, element: Element, found: re.Match[str]) -> str | None:
    values, frames = row.item.numbers_of(element), integer(row.item, "NumberOfFrames")
    if values and values[0] < 1:
        return f"{row.name} is {values[0]}; frames count from 1"
    if values and frames is not None and values[0] > frames:
        return f"{row.name} is {values[0]}; the image has {frames} frame(s)"
    return None


def _sixteen(row: Row, element: Element, found: re.Match[str]) -> str | None:
    if row.occasion.sop_class in US_IMAGES or 16 not in row.item.numbers_of(element):
        return None
    return f"{row.name} is 16; the statement allows that for ultrasound images only"


def _positive(row: Row, element: Element, found: re.Match[str]) -> str | None:
    values = row.item.numbers_of(element)
    if values and min(values) <= 0:
        return f"{row.name} is {row.item.text_of(element)}; a pixel pitch is greater than 0"
    return None


#: In order; every pattern found in the words of a row gives its answer.
RULES: Final[tuple[tuple[re.Pattern[str], Rule], ...]] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"^= Bits Stored - 1", _high_bit),
        (r"^one item$", _one_item),
        (r"\bexactly one item\b", _exactly_one),
        (r"^always empty$", _empty),
        (r"^one item per instance$", _one_each),
        (r"^OW, native, Rows×Columns×2 bytes", _native_pixels),
        (r"^Rows×Columns×2 bytes$", _size),
        (r"^one item: Referenced SOP Class UID", _film_session),
        (r"^1 … C×R", _box_position),
        (r'^"([^"]+)" when (\([0-9A-F]{4},[0-9A-F]{4}\)) is ([A-Z _]+)$', _word_when),
        (r"\b(01) required for JPEG Baseline", _when_lossy),
        (r"\b(ISO_10918_1) for JPEG Baseline", _when_lossy),
        (r"\bframe to show, from 1\b", _from_one),
        (r"^8 \(US Image: 8 or 16\)$", _sixteen),
        (r"\bpixel pitch \(mm", _positive),
    )
)


def _needed_when_lossy(row: Row, found: re.Match[str]) -> str | None:
    """Ruling F1: flag, ratio and method are there with JPEG Baseline, and stay after decompression."""
    if row.occasion.message.transfer_syntax in LOSSY:
        return "the image is sent in JPEG Baseline"
    if row.rule.tag != "(0028,2110)" and "01" in row.item.texts("LossyImageCompression"):
        return "Lossy Image Compression is 01"
    return None


REQUIRED: Final[tuple[tuple[re.Pattern[str], Callable[[Row, re.Match[str]], str | None]], ...]] = (
    (re.compile(r"\bfor JPEG Baseline|\bwhen \(0028,2110\) = 01"), _needed_when_lossy),
)


def _names_step(row: Row, element: Element) -> str | None:
    """Ruling E2: the step named is the one that the SUT created for the image, where the capture shows its creation."""
    steps = row.case.once(steps_created)
    of_study = row.case.once(steps_by_study).get(row.root.text("StudyInstanceUID") or "", ())
    own = {uid for uid in of_study if _made_in(row.root, steps[uid])}
    for item in element.items:
        named, sop_class = item.text("ReferencedSOPInstanceUID") or "", item.text("ReferencedSOPClassUID")
        if own and named not in steps:
            return f"{row.name} names the step {named or '(none)'}; created for this study: {', '.join(sorted(own))}"
        if sop_class not in (None, "", MPPS):
            return f"{row.name} names the SOP class {sop_class}; a performed procedure step is {MPPS}"
    return None


def _made_in(image: DataSet, step: DataSet) -> bool:
    """Whether an image says that it was made in a step: by the step's ID, else by the scheduled step's."""
    own = image.text("PerformedProcedureStepID")
    if own:
        return own == step.text("PerformedProcedureStepID")
    scheduled = {i.text("ScheduledProcedureStepID") for i in image.items("RequestAttributesSequence")} - {
        None,
        "",
    }
    performed = {i.text("ScheduledProcedureStepID") for i in step.items("ScheduledStepAttributesSequence")}
    return bool(scheduled & performed)


def _retrieve_from(row: Row, element: Element) -> str | None:
    """Ruling D7: the first storage destination, where the configuration names the destinations."""
    storage = row.case.config.get("storage")
    if not isinstance(storage, list | tuple) or row.clause.kind == "key":
        return None
    known = [str(one["ae_title"]) for one in storage if isinstance(one, Mapping) and "ae_title" in one]
    for title in row.item.texts_of(element):
        if known and title not in known:
            return f"{row.name} is {title!r}; images are stored at {', '.join(known)}"
    return None


def _laterality(row: Row, element: Element) -> str | None:
    """Ruling E5: Laterality may stand beside Image Laterality when both agree."""
    of_image, own = row.item.text("ImageLaterality"), row.item.text_of(element)
    if of_image not in ("L", "R", "U", "B") or of_image == own:
        return None
    return (
        f"{row.name} is {own!r}, and Image Laterality is {of_image!r}: both may be there only when they agree"
    )


def _study_reference(row: Row, element: Element) -> str | None:
    """Ruling D4: what stands in an item of Referenced Study Sequence is what the worklist gave, else the study."""
    if row.rule.path_keywords[-1:] != ("ReferencedStudySequence",):
        return None
    given = row.case.once(_studies_referred)
    value = row.item.text_of(element)
    around = row.root.items(row.rule.path_keywords[0]) if len(row.rule.path_keywords) > 1 else (row.root,)
    studies = {uid for item in around for uid in item.texts("StudyInstanceUID")}
    if not studies & given:
        return None  # what the worklist gave for this study is not in the capture
    if row.rule.keyword == "ReferencedSOPClassUID":
        return (
            None
            if value in given | {DETACHED_STUDY}
            else f"{row.name} is {value}; it should be {DETACHED_STUDY}"
        )
    if value in given | studies:
        return None
    return f"{row.name} is {value}, which is neither the study nor what the worklist gave"


def _studies_referred(case: Case) -> set[str]:
    """The UIDs that worklist answers gave: in Referenced Study Sequences, and of the studies themselves."""
    found: set[str] = set()
    for request in case.requests("C-FIND-RQ"):
        for response in case.exchange(request).responses:
            if response.dataset is not None:
                found.update(response.dataset.texts("StudyInstanceUID"))
                for item in response.dataset.items("ReferencedStudySequence"):
                    found.update(uid for e in item.elements for uid in item.texts_of(e))
    return found


CONTENTS: Final[Mapping[str, Callable[[Row, Element], str | None]]] = {
    "ReferencedPerformedProcedureStepSequence": _names_step,
    "RetrieveAETitle": _retrieve_from,
    "Laterality": _laterality,
    "ReferencedSOPClassUID": _study_reference,
    "ReferencedSOPInstanceUID": _study_reference,
}
"""Rules about an attribute of any statement, by keyword (rulings)."""
