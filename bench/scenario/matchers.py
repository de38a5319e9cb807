"""Typed matchers: what an expectation asks of one field of an event or one attribute of a data set.

Rules of this file:

* A matcher is data (:class:`Test`); it says in one sentence why a value does not fit, or nothing.
* Nothing here knows files, lines or time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.scenario import dicom
from bench.scenario.dicom import PathStep, show

ORDERINGS: Final = (">", ">=", "<", "<=")
OPERATORS: Final[dict[str, str]] = {
    "eq": "the value, or a list of values; the same as writing it without `eq`",
    "not": "anything but this value",
    "in": "one of a list of values",
    ">": "greater (numbers, dates, times); several of these can stand together",
    ">=": "greater or the same",
    "<": "smaller",
    "<=": "smaller or the same",
    "re": "a regular expression found in the text",
    "pn": "a person name: groups that are written must be equal; without `=` any group may hold it",
    "uid": "a UID, by its digits or its well-known name",
    "sha256": "the SHA-256 of the bytes",
    "any": "at least one of several values fits (a value, or operators)",
    "present": "the attribute is there, with a value or without",
    "absent": "the attribute is not there",
    "empty": "`true`: there, without a value; `false`: there, with a value",
    "vm": "the number of values, or of items of a sequence",
}
_MISSING: Final = object()


@dataclass(frozen=True)
class Test:
    """One operator and what it compares with."""

    op: str
    value: Any

    __test__ = False  # pytest must not take the name for a test class

    def __str__(self) -> str:
        if self.op in ("present", "absent"):
            return self.op
        if self.op == "empty":
            return "no value" if self.value else "a value"
        if self.op == "eq":
            return _written(self.value)
        if self.op in ORDERINGS:
            return f"{self.op} {self.value}"
        if self.op == "in":
            return "one of " + ", ".join(map(str, self.value))
        if self.op == "any":
            return "any of its values " + " and ".join(map(str, self.value))
        if self.op == "vm":
            return " and ".join(str(test) for test in self.value) + " value(s)"
        return f"{self.op} {self.value}"


@dataclass(frozen=True)
class DatasetTest:
    """What is asked of one attribute (``Sequence[0].Keyword``) of the event's data set."""

    path: tuple[PathStep, ...]
    tests: tuple[Test, ...]
    line: int

    @property
    def text(self) -> str:
        """Return the path as a person writes it."""
        return ".".join(step.keyword + _index(step.item) for step in self.path)


@dataclass(frozen=True)
class FieldTest:
    """What is asked of one plain field (``a.b[0]``) of the event's data."""

    path: tuple[str | int, ...]
    tests: tuple[Test, ...]
    line: int
    vr: str = dicom.PLAIN

    def check(self, data: Mapping[str, Any]) -> str:
        """Say why `data` does not fit; empty when it does."""
        return "; ".join(field_mismatches(self, data))

    @property
    def text(self) -> str:
        """Return the path as a person writes it."""
        out = ""
        for part in self.path:
            out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
        return out


@dataclass(frozen=True)
class EventTest:
    """A predicate on journal events: kind (``pacs.*`` for all of a source), fields, data set."""

    kind: str
    where: tuple[FieldTest, ...] = ()
    dataset: tuple[DatasetTest, ...] = ()

    def takes_kind(self, kind: str) -> bool:
        """Tell whether events of `kind` are looked at."""
        return kind == self.kind or (self.kind.endswith(".*") and kind.startswith(self.kind[:-1]))

    def matches(self, event: Any) -> bool:
        """Tell whether an event (with kind, data, src) is of the right kind and fits."""
        return self.takes_kind(event.kind) and not self.mismatches(event.data, event.src)

    def mismatches(self, data: Mapping[str, Any], src: str = "") -> tuple[str, ...]:
        """Say why an event of the right kind does not fit; empty when it does."""
        out = [text for test in self.where for text in field_mismatches(test, data, src)]
        if self.dataset:
            dataset = data.get("dataset", data.get("identifier"))
            if not isinstance(dataset, Mapping):
                out.append("it carries no data set")
            else:
                out.extend(text for test in self.dataset for text in dataset_mismatches(test, dataset))
        return tuple(out)


def field_mismatches(test: FieldTest, data: Mapping[str, Any], src: str = "") -> list[str]:
    """Say why a plain field does not fit; empty when it does."""
    value: Any = data
    if test.path == ("src",) and "src" not in data:
        value = src.partition("#")[0]  # a source that was started again is called pacs#2
    else:
        for part in test.path:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else _MISSING
            else:
                value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
            if value is _MISSING:
                break
    present = value is not _MISSING and value is not None
    values = tuple(value) if isinstance(value, list | tuple) else (value,) if present and value != "" else ()
    subject = Subject(present, values, test.vr)
    return [f"{test.text}: {why}" for one in test.tests if (why := subject.mismatch(one))]


def dataset_mismatches(test: DatasetTest, dataset: Mapping[str, Any]) -> list[str]:
    """Say why an attribute does not fit; empty when it does."""
    return _walk(test, test.path, dataset, "")


def _walk(test: DatasetTest, path: tuple[PathStep, ...], level: Any, prefix: str) -> list[str]:
    step, rest = path[0], path[1:]
    element = level.get(step.tag) if isinstance(level, Mapping) else None
    here = f"{prefix}.{step.keyword}" if prefix else step.keyword
    if step.item is None:
        subject = Subject.of_element(element, step.vr)
        return [f"{here}: {why}" for one in test.tests if (why := subject.mismatch(one))]
    items = (element or {}).get("Value") or []
    if step.item >= 0:
        if step.item < len(items):
            item = items[step.item]
            if rest:
                return _walk(test, rest, item, f"{here}[{step.item}]")
            subject = Subject(True, (item,), "SQ")
        elif rest and _wants_absence(test.tests):
            return []
        else:
            subject = Subject(False, (), "SQ")
        if not rest or step.item >= len(items):
            missing = f"{here}: expected item {step.item}, it has {len(items)} item(s)"
            if rest:
                return [missing]
            return [missing] if any(subject.mismatch(one) for one in test.tests) else []
    if not items:
        return [] if _wants_absence(test.tests) else [f"{here}: it has no items"]
    reasons = [_walk(test, rest, item, f"{here}[{n}]") for n, item in enumerate(items)]
    if _wants_absence(test.tests):
        return [text for texts in reasons for text in texts]
    return [] if any(not texts for texts in reasons) else reasons[0]


def _wants_absence(tests: Iterable[Test]) -> bool:
    return any(test.op == "absent" for test in tests)


@dataclass(frozen=True)
class Subject:
    """A received value, whatever it came from."""

    present: bool
    values: tuple[Any, ...]
    vr: str
    sha256: str | None = None
    length: int = 0

    @classmethod
    def of_element(cls, element: Any, vr: str) -> Subject:
        """Take an element of the DICOM JSON model (PS3.18 F.2); None is an absent one."""
        if not isinstance(element, Mapping):
            return cls(False, (), vr)
        values = tuple(element.get("Value") or ())
        digest = element.get("sha256")
        received = str(element.get("vr") or vr)
        if digest is not None or "InlineBinary" in element:
            return cls(
                True, values, received, str(digest) if digest else None, int(element.get("length") or 0)
            )
        return cls(True, values, received if received != "UN" else vr)

    def __str__(self) -> str:
        if not self.present:
            return "nothing (absent)"
        if self.sha256:
            return f"{self.length} bytes of sha256 {self.sha256[:12]}…"
        if self.vr == "SQ":
            return f"{len(self.values)} item(s)"
        return "\\".join(show(value) for value in self.values) if self.values else "no value"

    def mismatch(self, test: Test) -> str | None:
        """Say why this value does not fit, or None."""
        return None if self._fits(test) else f"expected {test}, got {self}"

    def _fits(self, test: Test) -> bool:
        op, wanted = test.op, test.value
        if op == "present":
            return self.present is bool(wanted)
        if op == "absent":
            return self.present is not bool(wanted)
        if not self.present:
            # Absence is never 'something else': that must be asked for with `absent`.
            return False
        if op == "empty":
            return (not self.values and not self.sha256) is bool(wanted)
        if op == "sha256":
            return self.sha256 is not None and self.sha256.lower() == str(wanted).lower()
        if op == "eq":
            return self._equals(wanted)
        if op == "not":
            return not self._equals(wanted)
        if op == "in":
            return any(self._equals(one) for one in wanted)
        if op == "vm":
            return not any(Subject(True, (len(self.values),), "US").mismatch(one) for one in wanted)
        if op == "any":
            return any(not any(replace_value(self, v).mismatch(one) for one in wanted) for v in self.values)
        if len(self.values) == 0:
            return False
        return all(self._one(op, wanted, value) for value in self.values)

    def _one(self, op: str, wanted: Any, value: Any) -> bool:
        if op in ORDERINGS:
            try:
                left, right = dicom.sort_key(value, self.vr), dicom.sort_key(wanted, self.vr)
                return bool(
                    left > right
                    if op == ">"
                    else left >= right
                    if op == ">="
                    else left < right
                    if op == "<"
                    else left <= right
                )
            except (ValueError, TypeError):
                return False
        if op == "re":
            return re.search(str(wanted), show_whole(value)) is not None
        if op == "pn":
            return dicom.person_name_fits(str(wanted), value)
        if op == "uid":
            return dicom.same(str(wanted), value, "UI")
        raise AssertionError(f"unknown operator {op}")

    def _equals(self, wanted: Any) -> bool:
        if isinstance(wanted, list | tuple):
            parts = [str(part) for part in wanted]
        elif isinstance(wanted, str) and self.vr not in (dicom.PLAIN, dicom.STATUS, "PN"):
            parts = dicom.split_values(wanted, self.vr)
        else:
            text = _plain_text(wanted)
            parts = [text] if text != "" else []
        if len(parts) != len(self.values):
            return False
        return all(dicom.same(part, value, self.vr) for part, value in zip(parts, self.values, strict=True))


def replace_value(subject: Subject, value: Any) -> Subject:
    """Return the same subject with one value only."""
    return Subject(True, () if value is None or value == "" else (value,), subject.vr)


def show_whole(value: Any) -> str:
    """Return the full text of a value; a person name with its groups."""
    if isinstance(value, Mapping):
        groups = [str(value.get(name) or "") for name in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=") if any(groups) else str(dict(value))
    return _plain_text(value)


def _plain_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "\\".join(map(str, value)) or "no value"
    return str(value) if value != "" else "no value"


def _index(item: int | None) -> str:
    return "" if item is None else "[*]" if item < 0 else f"[{item}]"
