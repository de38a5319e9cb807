"""What a clause says, read and checked against the standard's dictionaries: elements, codes, SOP classes, charsets.

Rules of this file:

* Tag, keyword, VR and VM agree with PS3.6.  What differs needs an erratum that says so (`overrules`); private
  elements (odd group) are free.
* A value that its VR cannot hold is a fault: it would make a check that no product can pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from bench.scenario.problems import did_you_mean, shorten
from bench.scenario.spec import CHARSET
from bench.statements import dictionary, fields
from bench.statements.model import (
    MATCHES,
    MATCHING,
    RELATIONS,
    ROLES,
    TYPES,
    USAGES,
    VALUE_TYPES,
    AttributeRule,
    CharsetRule,
    Code,
    ContentRule,
    KeyFlags,
    Printed,
    SopRule,
    Types,
)
from bench.statements.reading import Fields

_TAG: Final = re.compile(r"\([0-9A-Fa-fxX]{4},[0-9A-Fa-fxX]{4}\)")
_VM: Final = re.compile(r"[1-9]\d*(-([1-9]\d*|[1-9]?\d*n))?")
_CODE: Final = re.compile(r'\(([^,()"]{1,16}), ?([A-Za-z0-9_]{1,16}), ?"([^"]{1,64})"\)')
_NOTED: Final = re.compile(r"(\S+)(?: \((.+)\))?")
_TEMPLATE: Final = re.compile(r"\d{1,5}[A-Z]?")
_NUMBER: Final = re.compile(r"[+-]?\d+")
FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "CS": re.compile(r"[A-Z0-9_ ]{0,16}"),
    "IS": re.compile(r"[+-]?\d{1,11}"),
    "DS": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([Ee][+-]?\d+)?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
    "DA": re.compile(r"\d{8}"),
    "AE": re.compile(r"[ -\[\]-~]{1,16}"),
    "SH": re.compile(r".{0,16}"),
    "LO": re.compile(r".{0,64}"),
    "PN": re.compile(r".*"),
    **dict.fromkeys(("US", "UL"), re.compile(r"\d+")),
    **dict.fromkeys(("SS", "SL"), _NUMBER),
}
_ANY: Final = re.compile(r".*", re.DOTALL)


def canonical(tag: str) -> str:
    """Return a tag ``(gggg,eeee)`` with upper-case digits (an ``x`` of a repeating group stays small)."""
    return tag.upper().replace("X", "x")


def is_private(tag: str) -> bool:
    """Tell whether a tag's group is odd."""
    return tag[4] in "13579BDF"


def attribute(read: Fields, overruled: Collection[str], private: Mapping[str, str]) -> AttributeRule | None:
    """Read what a clause says about an element; `private` maps keywords of private sequences of the file to tags."""
    line, text = read.line_of("attribute"), read.text("attribute")
    if not text:
        return None
    parts = text.split()
    if len(parts) != 4 or not _TAG.fullmatch(parts[0]):
        read.fault(
            line,
            f"'{shorten(text)}' is no attribute",
            "write: (0010,0010) PatientName PN 1 (tag, keyword, VR, VM)",
        )
        return None
    tag, keyword, vr, vm = canonical(parts[0]), *parts[1:]
    vrs = tuple(vr.split("/"))
    _against_dictionary(read, line, (tag, keyword, vrs, vm), overruled)
    values = read.texts("values")
    match = read.one_of("match", MATCHES, "match") or "whole"
    if match != "form":
        _possible_values(read, values, vrs)
    if match != "whole" and not values:
        read.fault(read.line_of("match"), "'match' has no 'values' to compare with")
    path = read.texts("inside")
    return AttributeRule(
        tag=tag,
        keyword=keyword,
        vrs=vrs,
        vm=vm,
        path=tuple(_sequence(read, name, private) for name in path),
        path_keywords=path,
        types=_types(read),
        key=_key(read),
        usage=_usage(read),
        values=values,
        match=match,
        range=_range(read),
        words=read.text("words"),
        condition=read.text("condition"),
        module=read.text("module"),
        maps_to=read.text("maps_to"),
        sop_classes=sop_classes(read),
    )


def sop_classes(read: Fields) -> tuple[str, ...]:
    """Read the SOP classes of the objects that a section or clause is about."""
    types = dictionary.uid_types()

    def check(uid: str, line: int) -> None:
        read.uid("sop_classes", uid, line, types, "SOP Class")

    return read.texts("sop_classes", check)


def _against_dictionary(
    read: Fields, line: int, written: tuple[str, str, tuple[str, ...], str], overruled: Collection[str]
) -> None:
    tag, keyword, vrs, vm = written
    for vr in vrs:
        if vr not in dictionary.VRS:
            read.problems.unknown(line, "VR", vr, dictionary.VRS)
    if not _VM.fullmatch(vm):
        read.fault(line, f"'{shorten(vm)}' is no value multiplicity", "such as 1, 2, 1-n, 2-2n")
    if is_private(tag):
        return
    meant, found = dictionary.by_keyword().get(keyword), dictionary.by_tag().get(tag)
    if meant != found or found is None:  # two threads may each have read the dictionary: equal, not the same
        if "keyword" in overruled:
            return
        if meant is None and found is None:
            hint = did_you_mean(keyword, dictionary.by_keyword())
            read.fault(line, f"unknown tag {tag} and unknown keyword '{shorten(keyword)}'", hint)
        elif meant is None and found is not None:
            read.fault(line, f"unknown keyword '{shorten(keyword)}'", f"{tag} is '{found.keyword}'")
        elif found is None and meant is not None:
            read.fault(line, f"unknown tag {tag}", f"'{keyword}' is {meant.tag}")
        elif found is not None and meant is not None:
            read.fault(line, f"tag {tag} is '{found.keyword}'", f"'{keyword}' is {meant.tag}")
        return
    if not set(vrs) <= set(found.vrs) and "vr" not in overruled and set(vrs) <= dictionary.VRS:
        written_vr, right = "/".join(vrs), "/".join(found.vrs)
        read.fault(line, f"VR {written_vr} of {keyword} is not that of the dictionary", f"PS3.6 has {right}")
    if vm != found.vm and "vm" not in overruled and _VM.fullmatch(vm):
        read.fault(line, f"VM {vm} of {keyword} is not that of the dictionary", f"PS3.6 has {found.vm}")


def _possible_values(read: Fields, values: tuple[str, ...], vrs: tuple[str, ...]) -> None:
    forms = [FORMS.get(vr, _ANY) for vr in vrs]
    for value in values:
        parts = value.split("\\")
        if not any(all(form.fullmatch(part) for part in parts) for form in forms):
            read.fault(
                read.line_of("values"), f"value '{shorten(value)}' is impossible for VR {'/'.join(vrs)}"
            )


def _sequence(read: Fields, keyword: str, private: Mapping[str, str]) -> str:
    entry = dictionary.by_keyword().get(keyword)
    line = read.line_of("inside")
    if entry is not None:
        if entry.vrs != ("SQ",):
            read.fault(line, f"'{keyword}' is no sequence (VR {'/'.join(entry.vrs)})")
        return entry.tag
    if keyword not in private:
        known = [name for name, one in dictionary.by_keyword().items() if one.vrs == ("SQ",)]
        read.problems.unknown(line, "sequence", keyword, [*known, *private])
    return private.get(keyword, "")


def _types(read: Fields) -> Types:
    if "types" not in read:
        return Types()
    inner = Fields(read.problems, read.nodes["types"], fields.TYPES, "types")
    note = ""
    found: dict[str, str | None] = {}
    for column in fields.TYPES:
        noted = _NOTED.fullmatch(inner.text(column)) if column in inner else None
        word = noted[1] if noted else inner.text(column)
        if column in inner and word and word not in TYPES:
            inner.fault(
                inner.line_of(column), f"impossible type '{shorten(word)}'", "known: " + ", ".join(TYPES)
            )
        if noted and noted[2]:
            if column != "standard":
                inner.fault(inner.line_of(column), f"a note in '{column}'", "only 'standard' has one")
            note = noted[2]
        found[column] = word or None
    return Types(found["printed"], found["standard"], found["product"], note)


def _key(read: Fields) -> KeyFlags | None:
    if "key" not in read:
        return None
    inner = Fields(read.problems, read.nodes["key"], fields.KEY, "key")
    matching = inner.one_of("matching", MATCHING, "matching key type")
    returned = inner.text("return")
    if returned and returned not in TYPES:
        line = inner.line_of("return")
        inner.fault(line, f"impossible type '{shorten(returned)}'", "known: " + ", ".join(TYPES))
    return KeyFlags(matching or None, returned or None, inner.text("standard"))


def _usage(read: Fields) -> tuple[str, str] | None:
    text = read.text("usage")
    if not text:
        return None
    scu, _, scp = text.partition("/")
    if scu not in USAGES or scp not in USAGES:
        read.fault(
            read.line_of("usage"),
            f"impossible usage '{shorten(text)}'",
            "SCU/SCP, each of " + ", ".join(USAGES),
        )
    return scu, scp


def _range(read: Fields) -> tuple[int, int] | None:
    text = read.text("range")
    if not text:
        return None
    low, dots, high = text.partition("..")
    if not (
        dots
        and _NUMBER.fullmatch(low)
        and _NUMBER.fullmatch(high)
        and len(text) < 32
        and int(low) <= int(high)
    ):
        read.fault(read.line_of("range"), f"'{shorten(text)}' is no range", "write: 1..4096")
        return None
    return int(low), int(high)


def code(read: Fields, key: str, text: str, line: int) -> Code | None:
    """Read ``(code, scheme, "meaning")``."""
    match = _CODE.fullmatch(text)
    if match is None:
        read.fault(line, f"'{shorten(text)}' in '{key}' is no code", 'write: (113738, DCM, "Dose (RP)")')
        return None
    return Code(*match.groups())


def content(read: Fields) -> ContentRule:
    """Read a row of a content tree."""
    read.require("template", "value_type")
    template = read.text("template")
    if template and not _TEMPLATE.fullmatch(template):
        read.fault(
            read.line_of("template"), f"'{shorten(template)}' is no template id", "such as 10001 or 10003A"
        )
    value_type = read.one_of("value_type", VALUE_TYPES, "value type")
    if value_type == "INCLUDE":
        read.require("include")
    elif value_type:
        read.require("concept")
    vm = read.text("vm")
    if vm and vm != "lost" and not _VM.fullmatch(vm):
        read.fault(read.line_of("vm"), f"'{shorten(vm)}' is no value multiplicity", "such as 1, 1-n, or lost")

    def one(key: str) -> Code | None:
        text = read.text(key)
        return code(read, key, text, read.line_of(key)) if text else None

    codes = (code(read, "codes", text, read.line_of("codes")) for text in read.texts("codes"))
    return ContentRule(
        template=template,
        level=read.number("level"),
        relationship=read.one_of("relationship", RELATIONS, "relationship"),
        value_type=value_type,
        concept=one("concept"),
        include=read.text("include"),
        vm=vm,
        codes=tuple(found for found in codes if found is not None),
        unit=one("unit"),
        words=read.text("words"),
        standard=read.text("standard"),
    )


def sop(read: Fields, kind: str) -> SopRule | None:
    """Read a SOP class with role and transfer syntaxes."""
    if kind != "service":
        read.require("sop_class", "role", "transfer_syntaxes")
    text = read.text("sop_class")
    if not text:
        return None
    uid, _, name = text.partition(" ")
    types = dictionary.uid_types()
    read.uid("sop_class", uid, read.line_of("sop_class"), types, "SOP Class")
    if not name:
        hint = f"write: {uid} {dictionary.uid_names().get(uid, 'Name')}"
        read.fault(read.line_of("sop_class"), "a SOP class needs its name behind the UID", hint)

    def transfer_syntax(value: str, line: int) -> None:
        read.uid("transfer_syntaxes", value, line, types, "Transfer Syntax")

    def role(value: str, line: int) -> None:
        if value not in ROLES:
            read.problems.add(line, f"unknown role '{shorten(value)}'", "known: " + ", ".join(ROLES))

    return SopRule(
        uid=uid,
        name=name,
        roles=read.texts("role", role),
        transfer_syntaxes=read.texts("transfer_syntaxes", transfer_syntax),
        syntax_name=read.text("syntax"),
        exact=read.truth("exact"),
        words=read.text("words"),
    )


def charset(read: Fields) -> CharsetRule | None:
    """Read values of Specific Character Set."""
    if "charset" not in read:
        return None
    text = read.text("charset", empty=True)
    try:
        CHARSET.convert(text)
    except ValueError as error:
        read.fault(read.line_of("charset"), str(error))
    return CharsetRule(tuple(text.split("\\")), read.text("repertoire"), read.text("words"))


def printed(read: Fields) -> Printed:
    """Read what the paper prints instead."""
    if "printed" not in read:
        return Printed()
    inner = Fields(read.problems, read.nodes["printed"], fields.PRINTED, "printed")
    tag = inner.text("tag")
    if tag and not _TAG.fullmatch(tag):
        inner.fault(inner.line_of("tag"), f"'{shorten(tag)}' is no tag", "write: (0010,0010)")
    if tag and "errata" not in read:
        inner.fault(
            inner.line_of("tag"), "a tag that is printed otherwise needs an erratum", "add: errata: [...]"
        )
    return Printed(
        tag=canonical(tag) or None,
        name=inner.text("name") or None,
        value=inner.text("value") or None,
        matching=inner.text("matching") or None,
        relationship=inner.text("relationship") or None,
    )
