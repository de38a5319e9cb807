"""What the numbers of a dose report mean together: totals, indices, units, times, UIDs of events.

Rules of this file:

* Quantities are compared in one unit and within the rounding of what is written; a quantity in a wrong unit is
  told by its own rule and not compared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.technique import deviation_fits
from bench.checks.iod.times import moment, moment_of
from bench.checks.sr.reports import Report, reports
from bench.checks.sr.templates import rows
from bench.checks.sr.tree import Node

if TYPE_CHECKING:
    from bench.checks.case import Case

EVENT_UID: Final = "STD-SR-017"
TOTALS: Final = "STD-SR-018"
RANGE: Final = "STD-SR-021"
SCOPE: Final = "STD-SR-022"
INDEX: Final = "STD-SR-023"
TIME: Final = "STD-SR-024"

FACTORS: Final = {
    "Gy.m2": 1.0,
    "uGy.m2": 1e-6,
    "Gy": 1.0,
    "kV": 1.0,
    "mA": 1.0,
    "ms": 1.0,
    "s": 1e3,
    "uA.s": 1.0,
    "mm": 1.0,
    "deg": 1.0,
    "1": 1.0,
}
"""Units of the templates (and the one that statements print for areas) -> the base unit of their kind."""
PLAUSIBLE: Final = {
    "113733": (0.0, 500.0, "kilovolts"),
    "113734": (0.0, 3000.0, "milliampere"),
    "113824": (0.0, 600_000.0, "milliseconds"),
    "113736": (0.0, 1e8, "microampere seconds"),
    "113750": (0.0, 10_000.0, "millimetres"),
    "111633": (0.0, 1000.0, "millimetres"),
    "122130": (0.0, 10.0, "gray square metres"),
    "113738": (0.0, 100.0, "gray"),
    "113722": (0.0, 100.0, "gray square metres"),
    "113725": (0.0, 1000.0, "gray"),
    "113727": (0.0, 100.0, "gray square metres"),
    "113729": (0.0, 1000.0, "gray"),
    "113855": (0.0, 1e7, "milliseconds"),
}
_UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+$")
DOSE_EVENTS: Final = (("113722", "122130"), ("113727", "122130"), ("113725", "113738"), ("113729", "113738"))
"""Total and what it is the sum of."""


def quantity(node: Node | None) -> float | None:
    """The number of a NUM in the base unit of its kind; None where the unit is not known."""
    if node is None or node.number_value is None or node.unit is None:
        return None
    factor = FACTORS.get(node.unit.value)
    wanted = {row.unit for row in rows() if row.key == node.key and row.unit}
    if factor is None or (
        node.unit.value not in wanted and (node.unit.value, wanted) != ("uGy.m2", {"Gy.m2"})
    ):
        return None  # a unit that does not belong here: told by STD-SR-008
    return node.number_value * factor


def grain(node: Node) -> float:
    """Half of the last digit that was written, in the base unit."""
    measured = node.dataset.first("MeasuredValueSequence")
    text = (measured.text("NumericValue") or "") if measured is not None else ""
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    try:
        power = int(exponent or 0)
    except ValueError:
        power = 0
    factor = FACTORS.get(node.unit.value, 1.0) if node.unit is not None else 1.0
    return float(0.5 * 10 ** (power - decimals) * factor)


@check(EVENT_UID, TOTALS, RANGE, SCOPE, INDEX, TIME)
def dose_numbers(case: Case) -> Iterator[Finding]:
    """Every dose report."""
    for report in reports(case):
        events = report.root.all("113706")
        if not events and report.root.key != ("113701", "DCM"):
            continue
        yield from _event_uids(report, events)
        yield from _totals(report, events)
        yield from _ranges(report)
        yield from _scope(report)
        yield from _indices(report, events)
        yield from _times(report, events)


def _event_uids(report: Report, events: list[Node]) -> Iterator[Finding]:
    seen: set[str] = set()
    for event in events:
        node = event.child("113769")
        uid = node.dataset.text("UID") if node is not None else None
        if node is None or not uid:
            continue
        if uid in seen:
            yield failed(EVENT_UID, f"two irradiation events have the UID {uid}", *report.at(node, "UID"))
        elif not _UID.match(uid) or len(uid) > 64:
            yield failed(EVENT_UID, f"{uid!r} is no UID", *report.at(node, "UID"))
        else:
            yield passed(EVENT_UID, "the event has a UID of its own", *report.at(node, "UID"))
        seen.add(uid)


def _totals(report: Report, events: list[Node]) -> Iterator[Finding]:
    accumulated = report.root.all("113702")
    if not events or len(accumulated) != 1:
        return
    for total_code, event_code in DOSE_EVENTS:
        total = accumulated[0].child(total_code)
        parts = [event.child(event_code) for event in events]
        said, values = quantity(total), [quantity(part) for part in parts]
        if total is None or said is None or any(value is None for value in values):
            continue
        true = sum(value or 0.0 for value in values)
        slack = grain(total) + sum(grain(part) for part in parts if part is not None) + 0.005 * abs(true)
        where = report.at(total, "MeasuredValueSequence")
        if abs(said - true) > slack:
            reason = f"{total.name} is {said:.6g}, the {len(events)} event(s) have {true:.6g} together"
            yield failed(TOTALS, reason, *where)
        else:
            yield passed(TOTALS, f"{total.name} is the sum of the events", *where)
    frames = accumulated[0].child("113731")
    count = frames.number_value if frames is not None else None
    if frames is not None and count is not None and count < len(events):
        yield failed(
            TOTALS, f"{frames.name} is {count:g}, there are {len(events)} events", *report.at(frames)
        )


def _ranges(report: Report) -> Iterator[Finding]:
    good = False
    for node in report.root.walk():
        if node.key is None or node.key[0] not in PLAUSIBLE or node.value_type != "NUM":
            continue
        value = quantity(node)
        if value is None:
            continue
        low, high, unit = PLAUSIBLE[node.key[0]]
        if not low <= value <= high or not math.isfinite(value):
            written = f"{node.number_value:g} {node.unit.value if node.unit else ''}"
            yield failed(
                RANGE,
                f"{node.name} is {written}; that cannot be {unit}",
                *report.at(node, "MeasuredValueSequence"),
            )
        else:
            good = True
    if good:
        yield passed(RANGE, "measurements have values that a device can have", *report.at())


def _scope(report: Report) -> Iterator[Finding]:
    node = report.root.child("113705")
    if node is None or node.code is None or node.code.value != "113014":
        return
    below = node.child("110180")
    study = report.root.dataset.text("StudyInstanceUID") or ""
    said = below.dataset.text("UID") if below is not None else None
    where = report.at(below or node, "UID" if below is not None else "ConceptNameCodeSequence")
    if not said:
        yield failed(SCOPE, "the scope is the study, and no Study Instance UID follows", *where)
    elif study and said != study:
        yield failed(SCOPE, f"the scope is the study {said}; the report belongs to {study}", *where)
    else:
        yield passed(SCOPE, "the scope names the study of the report", *where)


def _indices(report: Report, events: list[Node]) -> Iterator[Finding]:
    for event in events:
        nodes = [event.child(code) for code in ("113845", "113846", "113847")]
        ei, target, di = (node.number_value if node is not None else None for node in nodes)
        if ei is None or target is None or di is None or nodes[2] is None or ei <= 0 or target <= 0:
            continue
        measured = nodes[2].dataset.first("MeasuredValueSequence")
        text = (measured.text("NumericValue") or "") if measured is not None else ""
        where = report.at(nodes[2], "MeasuredValueSequence")
        if deviation_fits(ei, target, di, len(text.partition(".")[2])):
            yield passed(INDEX, f"DI {di} of EI {ei} and target {target}", *where)
        else:
            wanted = 10 * math.log10(ei / target)
            yield failed(INDEX, f"Deviation Index is {di}; 10 log10({ei} / {target}) is {wanted:.2f}", *where)


def _times(report: Report, events: list[Node]) -> Iterator[Finding]:
    dataset = report.root.dataset
    made = moment(dataset, "ContentDate", "ContentTime")
    born = moment(dataset, "PatientBirthDate", "PatientBirthTime")
    for event in events:
        node = event.child("111526")
        text = (node.dataset.text("DateTime") or "") if node is not None else ""
        if re.search(r"[+-]\d{4}$", text):
            continue  # another time zone than the report's, perhaps
        began = moment_of(text[:8], re.split(r"[+-]", text[8:])[0])
        if node is None or began is None:
            continue
        where = report.at(node, "DateTime")
        if made is not None and began.after(made):
            yield failed(TIME, f"the event began at {began}, after the report was made at {made}", *where)
        elif born is not None and born.date > began.date:
            yield failed(TIME, f"the event began at {began}, before the patient was born", *where)
        else:
            yield passed(TIME, "the event began before the report was made", *where)
