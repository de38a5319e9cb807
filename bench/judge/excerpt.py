"""The elements around the one that is meant: what a person wants to see beside a verdict.

Rules of this file:

* Bounded: a few lines, a few characters of each value, printable characters only; pixels are never shown.
* The element is found by its byte in the data set, or by its tag; for one that is absent the listing shows where it
  would stand.
"""

from __future__ import annotations

import re
from typing import Final

from bench.resultmodel import ExcerptLine
from bench.scenario.dictionary import keywords_by_tag
from bench.witness.dataset import DataSet, Element
from bench.witness.model import Message

AROUND: Final = 3
"""Elements shown before and after the one that is meant."""
LONGEST: Final = 72
"""Characters of a value."""
_TEXT: Final = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)
_NUMBERS: Final = frozenset(("US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"))


def excerpt(message: Message, tag: str | None, offset: int | None) -> tuple[ExcerptLine, ...]:
    """Return the elements around a place of a message, the one that is meant marked; empty when there is none.

    Args:
        message: whose data set, or command set when the tag is in group 0000.
        tag: ``(GGGG,EEEE)`` or a keyword, or a path of them with dots, also of an element that is absent.
        offset: byte of the element in the data set.
    """
    wanted = [step for part in re.split(r"[.>/]", tag or "") if (step := _step(part)) is not None]
    last = wanted[-1][0] if wanted else None
    if last is not None and last < 0x10000:
        return _listing(message.command.elements, last, None, 0, None)
    if message.dataset is None:
        return ()
    if offset is not None and (found := _at(message.dataset, offset, last)) is not None:
        return found
    return _by_path(message.dataset, wanted) if wanted else ()


def _step(part: str) -> tuple[int, int] | None:
    """Return the tag and the item (from 0) of one step of a path."""
    name, _, item = part.strip().rstrip("]").partition("[")
    number = _number(name.strip())
    return None if number is None else (number, max(int(item) - 1, 0) if item.isdecimal() else 0)


def _number(step: str) -> int | None:
    digits = step.strip("()").replace(",", "")
    if len(digits) == 8:
        try:
            return int(digits, 16)
        except ValueError:
            pass
    return _by_keyword().get(step)


def _by_keyword() -> dict[str, int]:
    if not _KEYWORDS:
        _KEYWORDS.update({keyword: int(tag, 16) for tag, keyword in keywords_by_tag().items()})
    return _KEYWORDS


_KEYWORDS: Final[dict[str, int]] = {}


def _at(dataset: DataSet, offset: int, tag: int | None) -> tuple[ExcerptLine, ...] | None:
    """Find the element that begins at a byte: in the data set or below one of its sequences."""
    stack = [(dataset, 0)]
    near: tuple[DataSet, Element, int] | None = None
    while stack:
        owner, depth = stack.pop()
        for element in owner.elements:
            if element.offset <= offset and (near is None or element.offset >= near[1].offset):
                near = (owner, element, depth)
            if element.items and depth < 64:
                stack.extend((item, depth + 1) for item in element.items)
    if near is None:
        return None
    owner, element, depth = near
    if tag is not None and element.tag != tag:
        return None
    return _listing(owner.elements, element.tag, element, depth, owner)


def _by_path(dataset: DataSet, wanted: list[tuple[int, int]]) -> tuple[ExcerptLine, ...]:
    owner, depth = dataset, 0
    for tag, item in wanted[:-1]:
        sequence = next((e for e in owner.elements if e.tag == tag), None)
        if sequence is None or item >= len(sequence.items):
            return _listing(owner.elements, tag, None, depth, owner)
        owner, depth = sequence.items[item], depth + 1
    return _listing(owner.elements, wanted[-1][0], None, depth, owner)


def _listing(
    elements: tuple[Element, ...], tag: int, meant: Element | None, depth: int, owner: DataSet | None
) -> tuple[ExcerptLine, ...]:
    if meant is None:
        meant = next((e for e in elements if e.tag == tag), None)
    if meant is not None:
        at = next(i for i, e in enumerate(elements) if e is meant)
        near = elements[max(0, at - AROUND) : at + AROUND + 1]
        return tuple(_line(e, depth, owner, e is meant) for e in near)
    at = next((i for i, e in enumerate(elements) if e.tag > tag), len(elements))
    before = [_line(e, depth, owner, False) for e in elements[max(0, at - AROUND) : at]]
    after = [_line(e, depth, owner, False) for e in elements[at : at + AROUND]]
    missing = ExcerptLine(
        tag=f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
        keyword=keywords_by_tag().get(f"{tag:08X}", ""),
        vr="",
        length=None,
        value="absent",
        depth=depth,
        marked=True,
    )
    return (*before, missing, *after)


def _line(element: Element, depth: int, owner: DataSet | None, marked: bool) -> ExcerptLine:
    return ExcerptLine(
        tag=element.tag_text,
        keyword=element.keyword,
        vr=element.vr,
        length=element.length,
        value=_value(element, owner),
        depth=depth,
        offset=element.offset,
        marked=marked,
    )


def _value(element: Element, owner: DataSet | None) -> str:
    if element.items or element.vr == "SQ":
        return f"{len(element.items)} item{'' if len(element.items) == 1 else 's'}"
    if element.value is None:
        return "not kept"
    if not element.value:
        return "empty"
    text: str | None = None
    if element.vr in _TEXT:
        if owner is not None and owner.get(element.tag) is element:
            text = owner.text(element.tag)
        if text is None:
            text = element.value.decode("latin-1")
    elif owner is not None and element.vr in _NUMBERS and owner.get(element.tag) is element:
        text = "\\".join(f"{n:g}" if isinstance(n, float) else str(n) for n in owner.numbers(element.tag))
    if text is None:
        text = element.value[:24].hex(" ") + (" …" if len(element.value) > 24 else "")
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 1] + "…"
