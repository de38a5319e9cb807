"""Reads matchers: ``where:``, ``dataset:`` and ``answer:`` of a step.

Rules of this file:

* A scalar or list is what must be equal; a mapping holds operators, all of which must hold.
* Keywords, values for their VR, regular expressions and digests are checked here, once, when the file is loaded.
"""

from __future__ import annotations

import re
from typing import Any, Final

from bench.scenario import dicom
from bench.scenario.events import DATASET_FIELDS, DIMSE_SOURCES, UID_FIELDS, fields_of_pattern
from bench.scenario.fields import INVALID, Bool, Context, read_scalar
from bench.scenario.matchers import OPERATORS, ORDERINGS, DatasetTest, FieldTest, Test
from bench.scenario.problems import did_you_mean, shorten
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, Scalar, describe
from bench.scenario.source import Sequence as SequenceNode

_FIELD_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\[\d{1,4}\]|\.[A-Za-z_][A-Za-z0-9_]*)*")
_FLAGS: Final = ("present", "absent", "empty")
_TEXT_VRS: Final = frozenset(
    {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT", "DA", "TM", "DT", "AS"}
)
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")


def read_dataset_tests(node: Node, ctx: Context, what: str) -> tuple[DatasetTest, ...]:
    """Read ``dataset:``; faults are recorded."""
    out: list[DatasetTest] = []
    if not isinstance(node, MappingNode):
        ctx.bad(node, f"{what}: expected a mapping of DICOM keywords, not {describe(node)}")
        return ()
    for key, value in node.items():
        try:
            path = dicom.parse_path(key.text)
        except ValueError as error:
            ctx.problems.add(key.line, f"{what}: {error}")
            continue
        last = path[-1]
        vr = "SQ" if last.item is not None else last.vr
        tests = read_tests(value, vr, ctx, key.text)
        if tests is not INVALID:
            out.append(DatasetTest(path, tests, key.line))
    return tuple(out)


def read_field_tests(node: Node, ctx: Context, what: str, kind: str | None) -> tuple[FieldTest, ...]:
    """Read ``where:`` of an event kind, or ``answer:`` (kind None); faults are recorded."""
    out: list[FieldTest] = []
    if not isinstance(node, MappingNode):
        ctx.bad(node, f"{what}: expected a mapping of fields, not {describe(node)}")
        return ()
    known = fields_of_pattern(kind) if kind is not None else None
    for key, value in node.items():
        if not _FIELD_PATH.fullmatch(key.text):
            ctx.problems.add(
                key.line, f"{what}: '{shorten(key.text)}' is no field like 'status' or 'items[0].state'"
            )
            continue
        path = tuple(
            int(part) if part.isdigit() else part
            for part in re.findall(r"[A-Za-z_][A-Za-z0-9_]*|\d+", key.text)
        )
        first = str(path[0])
        if known is not None and first not in known and first != "src":
            hint = did_you_mean(first, known) or "it has " + ", ".join(sorted(known))
            if first[:1].isupper():
                hint = "DICOM keywords stand under 'dataset'"
            ctx.problems.add(key.line, f"{what}: events {kind} have no field '{shorten(first)}'", hint)
            continue
        dimse = kind is not None and kind.partition(".")[0] in DIMSE_SOURCES
        vr = dicom.STATUS if path[-1] == "status" and dimse else dicom.PLAIN
        if path[-1] in UID_FIELDS:
            vr = "UI"
        tests = read_tests(value, vr, ctx, f"{what}: {key.text}")
        if tests is not INVALID:
            out.append(FieldTest(path, tests, key.line, vr))
    return tuple(out)


def check_has_dataset(node: Node, ctx: Context, kind: str) -> bool:
    """Record a fault when events of this kind never carry a data set."""
    known = fields_of_pattern(kind)
    if known is not None and not known.intersection(DATASET_FIELDS):
        ctx.problems.add(
            node.line, f"dataset: events {kind} carry no data set", "plain fields stand under 'where'"
        )
        return False
    return True


def read_tests(node: Node, vr: str, ctx: Context, what: str) -> Any:
    """Read what is asked of one value of a VR: a tuple of tests, or INVALID."""
    if not isinstance(node, MappingNode):
        value = _read_equal(node, vr, ctx, what)
        return INVALID if value is INVALID else (Test("eq", value),)
    out: list[Test] = []
    valid = True
    if not node.pairs:
        ctx.problems.add(node.line, f"{what}: an empty mapping asks nothing")
        return INVALID
    for key, value_node in node.items():
        op = key.text
        if op not in OPERATORS:
            hint = did_you_mean(op, OPERATORS)
            if vr == "SQ" and op[:1].isupper():
                hint = "attributes of an item are written Sequence[0].Keyword"
            ctx.problems.add(key.line, f"{what}: unknown matcher '{shorten(op)}'", hint)
            valid = False
            continue
        value = _read_operand(op, value_node, vr, ctx, f"{what}: {op}")
        if value is INVALID:
            valid = False
        else:
            out.append(Test(op, value))
    return tuple(out) if valid else INVALID


def _read_operand(op: str, node: Node, vr: str, ctx: Context, what: str) -> Any:
    if op in _FLAGS:
        return read_scalar(node, ctx, what, Bool().convert, "true or false")
    if op in ("eq", "not"):
        return _read_equal(node, vr, ctx, what)
    if op == "in":
        if not isinstance(node, SequenceNode) or not node.items:
            return ctx.bad(node, f"{what}: expected a list of values, not {describe(node)}")
        values = [_read_equal(entry, vr, ctx, what) for entry in node.items]
        return INVALID if any(value is INVALID for value in values) else tuple(values)
    if op == "any":
        if vr == "SQ":
            return ctx.bad(node, f"{what}: does not fit a sequence", "write Sequence[*].Keyword")
        return read_tests(node, vr, ctx, what)
    if op == "vm":
        return read_tests(node, "US", ctx, what)
    reason = _refusal(op, vr)
    if reason:
        return ctx.bad(node, f"{what}: {reason}")
    if op in ORDERINGS:
        return read_scalar(node, ctx, what, lambda text: _ordered(text, vr), "a value")
    if op == "re":
        return read_scalar(node, ctx, what, _pattern, "a regular expression", text=True)
    if op == "pn":
        return read_scalar(
            node, ctx, what, lambda text: dicom.check_text(text, "PN"), "a person name", text=True
        )
    if op == "uid":
        return read_scalar(node, ctx, what, dicom.uid, "a UID or its name")
    assert op == "sha256"
    return read_scalar(node, ctx, what, _digest, "64 hexadecimal digits")


def _refusal(op: str, vr: str) -> str:
    """Say why an operator does not fit a VR, or nothing."""
    if op == "sha256":
        fits = vr in dicom.BINARY_VRS or vr in ("UT", "LT", "ST", "UC")
        return "" if fits else f"does not fit {vr}: it is for bytes"
    if vr in dicom.BINARY_VRS:
        return f"does not fit {vr}: only present, absent, empty and sha256 do"
    if vr == "SQ":
        return "does not fit a sequence: only present, absent, empty and vm do"
    if op in ORDERINGS and vr not in dicom.ORDERED_VRS | {dicom.PLAIN, dicom.STATUS}:
        return f"does not fit {vr}: its values have no order"
    if op == "pn" and vr not in ("PN", dicom.PLAIN):
        return f"does not fit {vr}: it is for person names"
    if op == "uid" and vr not in ("UI", dicom.PLAIN):
        return f"does not fit {vr}: it is for UIDs"
    if op == "re" and vr not in _TEXT_VRS | {dicom.PLAIN}:
        return f"does not fit {vr}: it is for texts"
    return ""


def _read_equal(node: Node, vr: str, ctx: Context, what: str) -> Any:
    if vr in dicom.BINARY_VRS:
        return ctx.bad(
            node, f"{what}: {vr} holds bytes: ask with {{sha256: …}}, {{present: true}} or {{empty: false}}"
        )
    if vr == "SQ":
        return ctx.bad(
            node, f"{what}: a sequence is asked with Sequence[0].Keyword, {{vm: 1}} or {{present: true}}"
        )
    if isinstance(node, SequenceNode):
        values = [_read_equal(entry, vr, ctx, what) for entry in node.items]
        return INVALID if any(value is INVALID for value in values) else tuple(values)
    if isinstance(node, MappingNode):
        return ctx.bad(node, f"{what}: expected a value, not a mapping")
    assert isinstance(node, Scalar)
    if node.is_null:
        return ""
    return read_scalar(node, ctx, what, lambda text: check_expected(text, vr), "a value", text=True)


def check_expected(text: str, vr: str) -> str:
    """Check a text that a value is compared with; raises ValueError."""
    if vr == dicom.STATUS:
        from bench.scenario import units

        return f"{units.status(text):04X}"
    return "\\".join(dicom.check_text(part, vr) for part in dicom.split_values(text, vr))


def _ordered(text: str, vr: str) -> str:
    if vr == dicom.STATUS:
        raise ValueError("a status has no order")
    dicom.sort_key(text, vr)
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{shorten(text)}' is no regular expression: {error}") from None
    return text


def _digest(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError(f"a SHA-256 has 64 hexadecimal digits, not '{shorten(text)}'")
    return text.lower()
