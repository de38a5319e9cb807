"""The ladder diagram of a cell: who said what to whom, as SVG.

Rules of this file:

* It lays out marks (:mod:`bench.report.marks`) and knows nothing of event kinds.  Pure.
* Time runs down and is not to scale: every mark gets its line, idle gaps are shortened and named.  Two marks share a
  line only when they are nearly simultaneous and beside each other.
* No label lies on another, none leaves the drawing; every mark links to its first event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Final

from bench.journal import Event
from bench.report.marks import ACTORS, PEERS, Band, Mark, bands, marks
from bench.report.text import seconds, shorten, visible
from bench.results import CellResult, ExpectationResult
from bench.verdict import Verdict

WIDTH: Final = 1260
LEFT: Final = 232  # steps and times
RIGHT: Final = 215  # expectations
EDGE: Final = WIDTH - RIGHT
NOTES: Final = 92  # room for what is noted at the last column
_ROOM: Final = {"operator": 0.8, "panel": 0.7, "generator": 0.9, "detector": 1.0, "modality": 1.2}
"""Relative width of columns; hospital peers, whose arrows carry names, have 1.7."""
TOP: Final = 46
LINE: Final = 19
GAP: Final = 0.35
"""Idle time in seconds from which a gap is named."""
CHAR: Final = 5.7
"""Width of a character of the ladder's 10.5 px type, on the safe side."""
MAX_MARKS: Final = 600


@dataclass
class _Line:
    """One horizontal line of the drawing: marks beside each other, and the ticks of expectations."""

    t: int
    y: float = 0.0
    marks: list[Mark] = field(default_factory=list)
    taken: list[tuple[float, float]] = field(default_factory=list)
    gap: float | None = None


class _Sheet:
    """Columns and helpers of one drawing."""

    def __init__(self, actors: Sequence[str]) -> None:
        inner = EDGE - NOTES - LEFT
        weights = [_ROOM.get(actor, 1.7 if actor in PEERS else 1.0) for actor in actors]
        self.x: dict[str, float] = {}
        self.box: dict[str, float] = {}
        self.pitch = inner / sum(weights)
        at = float(LEFT)
        for actor, weight in zip(actors, weights, strict=True):
            # A column's room is mostly on its left, where the arrows from the modality arrive.
            share = 0.62 if actor in PEERS else 0.5
            self.x[actor] = at + weight * self.pitch * share
            self.box[actor] = min(weight * self.pitch - 8, 96.0)
            at += weight * self.pitch

    def span(self, item: Mark) -> tuple[float, float]:
        """Return what a mark covers, with its text."""
        text = len(_label(item)) * CHAR
        if not item.actor:
            return LEFT, EDGE
        a = self.x[item.actor]
        if item.to is None:
            return a - 6, a + 16 + text
        b = self.x[item.to]
        middle = (a + b) / 2
        return min(a, b, middle - text / 2) - 4, max(a, b, middle + text / 2) + 4


def _label(item: Mark) -> str:
    return visible(item.text) + (f" × {item.times}" if item.times > 1 and "→" not in item.text else "")


def _lines(sheet: _Sheet, found: Sequence[Mark]) -> list[_Line]:
    """Give every mark a line; nearly simultaneous marks that do not touch share one."""
    lines: list[_Line] = []
    for item in found:
        a, b = sheet.span(item)
        line = lines[-1] if lines else None
        near = line is not None and item.t - line.t < 30_000_000
        if line is None or not near or any(a < d and c < b for c, d in line.taken):
            gap = (item.t - line.t) / 1e9 if line is not None else 0.0
            line = _Line(item.t, gap=gap if gap >= GAP else None)
            lines.append(line)
        line.marks.append(item)
        line.taken.append((a, b))
    y = float(TOP + 26)
    for line in lines:
        y += LINE + (15 if line.gap is not None else 0)
        line.y = y
    return lines


def _y_at(lines: Sequence[_Line], t: int) -> float:
    """Return the height of a moment, between the lines around it."""
    if not lines:
        return TOP
    if t <= lines[0].t:
        return lines[0].y - (6 if t < lines[0].t else 0)
    for a, b in pairwise(lines):
        if t < b.t:
            return a.y + (b.y - a.y) * min((t - a.t) / max(b.t - a.t, 1), 1.0)
    return lines[-1].y + (6 if t > lines[-1].t else 0)


def _text_svg(x: float, y: float, text: str, cls: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(text)}</text>'


def _mark_svg(sheet: _Sheet, item: Mark, y: float, anchor: str) -> str:
    """Draw one mark; the whole of it links to its first event."""
    label = _label(item)
    cls = f"m {item.tone}" + (" dash" if item.dashed else "")
    title = escape(visible(item.title, lines=True))
    out = [f'<a href="#{anchor}-e{item.seqs[0]}"><g class="{cls}"><title>{title}</title>']
    if not item.actor:
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{EDGE}" y2="{y:.1f}" class="across"/>')
        out.append(_text_svg((LEFT + EDGE) / 2, y - 3, label, "halo", "middle"))
    elif item.to is None:
        x = sheet.x[item.actor]
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        out.append(_text_svg(x + 10, y + 3.5, label, "halo"))
    else:
        a, b = sheet.x[item.actor], sheet.x[item.to]
        way = 1 if b > a else -1
        a, b = a + 6 * way, b - 6 * way
        out.append(f'<line x1="{a:.1f}" y1="{y:.1f}" x2="{b - 6 * way:.1f}" y2="{y:.1f}"/>')
        out.append(f'<path d="M{b:.1f} {y:.1f}l{-8 * way} -4v8z" class="head"/>')
        if item.tone == "bad":
            out.append(f'<path d="M{b - 22 * way - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" class="cross"/>')
        half = len(label) * CHAR / 2  # the text never leaves the drawing
        middle = min(max((a + b) / 2, LEFT + half), EDGE - half)
        out.append(_text_svg(middle, y - 3, label, "halo", "middle"))
    out.append("</g></a>")
    return "".join(out)


def _failures(cell: CellResult, events: Sequence[Event]) -> list[Mark]:
    """Return a line across for every expectation that failed, at the moment when that was decided."""
    times = {event.seq: event.t for event in events}
    ends = {step.line: step.end_seq for step in cell.steps if step.end_seq in times}
    found = []
    for e in cell.expectations:
        if _tone(e.verdict) != "bad" or not events:
            continue
        seq = (
            (e.matched[-1] if e.matched and e.matched[-1] in times else None)
            or ends.get(e.line)
            or events[-1].seq
        )
        limit = (
            f" not within {seconds(e.within_s)}" if e.within_s is not None and e.measured_s is None else ""
        )
        if e.what == "never":
            limit = f" within {seconds(e.within_s)}" if e.within_s is not None else ""
        text = f"✗ line {e.line}: {'' if e.what == 'expect' else e.what + ' '}{shorten(e.subject, 56)}{limit}"
        title = f"{e.verdict}: {e.message or e.text}"
        found.append(Mark(times[seq], "", text, tone="bad", seqs=(seq,), title=title))
    return found


def _bands_svg(sheet: _Sheet, found: Sequence[Band], lines: Sequence[_Line]) -> list[str]:
    """Draw associations as bars at their peer's line; those at the same time stand beside each other."""
    out: list[str] = []
    lanes: dict[str, list[float]] = {}
    for band in found:
        if band.actor not in sheet.x:
            continue
        top, bottom = _y_at(lines, band.start) - 7, _y_at(lines, band.end) + 5
        ends = lanes.setdefault(band.actor, [])
        lane = next((i for i, end in enumerate(ends) if end <= top), len(ends))
        ends[lane : lane + 1] = [bottom]
        x = sheet.x[band.actor] - 5 + 9 * lane
        out.append(
            f'<g class="band {band.tone}"><title>{escape(visible(band.title))}</title>'
            f'<rect x="{x:.1f}" y="{top:.1f}" width="10" height="{max(bottom - top, 8):.1f}" rx="3"/></g>'
        )
        x = sheet.x["modality"] - 3 if "modality" in sheet.x else x
        out.append(
            f'<rect class="band {band.tone}" x="{x:.1f}" y="{top:.1f}" width="6" '
            f'height="{max(bottom - top, 8):.1f}" rx="3"/>'
        )
    return out


def _steps_svg(cell: CellResult, times: dict[int, int], lines: Sequence[_Line], anchor: str) -> list[str]:
    """Draw the steps of the scenario as brackets on the left."""
    out = []
    floor = 0.0
    for step in cell.steps:
        if step.start_seq not in times:
            continue
        top = max(_y_at(lines, times[step.start_seq]) - 8, floor)
        end = times.get(step.end_seq or -1)
        bottom = max(_y_at(lines, end) - 2 if end is not None else lines[-1].y, top + 13)
        floor = bottom + 1
        tone = _tone(step.verdict)
        text = shorten(f"{step.line}  {visible(step.text)}", 28)
        out.append(
            f'<a href="#{anchor}-s{step.index}"><g class="step {tone}"><title>'
            f"{escape(visible(f'line {step.line}: {step.text}: {step.verdict}'))}</title>"
            f'<rect x="2" y="{top:.1f}" width="168" height="{bottom - top:.1f}" rx="3"/>'
            f"{_text_svg(8, top + 10.5, text)}</g></a>"
        )
    return out


def _tone(verdict: Verdict) -> str:
    if verdict.green:
        return "good"
    return "bad" if verdict in (Verdict.FAIL, Verdict.ERROR) else "quiet"


_Tick = tuple[int | None, str, str, str]


def _ticks(cell: CellResult, times: dict[int, int], steps_end: dict[int, int]) -> list[_Tick]:
    """Return (moment or None for the end, tone, text, title) of every expectation."""
    out = []
    for e in cell.expectations:
        sign = {"good": "✓", "bad": "✗"}.get(_tone(e.verdict), "·")
        measured = f" {seconds(e.measured_s)}" if e.measured_s is not None else ""
        limit = f" of {seconds(e.within_s)}" if e.within_s is not None else ""
        if measured == "" and e.within_s is not None and _tone(e.verdict) == "bad" and e.what == "expect":
            measured = f" not in {seconds(e.within_s)}"
        text = f"{sign} {e.line} {'' if e.what == 'expect' else e.what + ' '}{visible(e.subject)}"
        moment = next((times[seq] for seq in reversed(e.matched) if seq in times), steps_end.get(e.line))
        if e.what == "never" and e.verdict.green:
            moment = steps_end.get(e.line)
        title = f"line {e.line}: {e.what} {e.subject}: {e.verdict}{measured}{limit} {_plain(e)}"
        out.append((moment, _tone(e.verdict), shorten(text, 33 - len(measured)) + measured, title))
    return out


def _plain(e: ExpectationResult) -> str:
    return e.message or ""


def ladder(events: Sequence[Event], cell: CellResult, anchor: str, source: str = "journal") -> str:
    """Return the ladder of a cell as an ``<svg>`` element for a page that brings the style.

    Args:
        events: the journal.
        cell: steps and expectations to put beside it.
        anchor: prefix of the page's anchors of this cell (made by us; plain characters only).
        source: what it is drawn from, for the label.
    """
    found = sorted(marks(events) + _failures(cell, events), key=lambda m: m.t)
    hidden = 0
    if len(found) > MAX_MARKS:  # keep what is red, then what is loud, then what is early
        rank = sorted(found, key=lambda m: ({"bad": 0, "warn": 1, "quiet": 3}.get(m.tone, 2), m.t))[
            :MAX_MARKS
        ]
        hidden, found = len(found) - MAX_MARKS, sorted(rank, key=lambda m: m.t)
    if not found:
        return ""
    named = {m.actor for m in found} | {m.to for m in found if m.to}
    others = sorted(named - set(ACTORS) - {""})
    sheet = _Sheet([a for a in ACTORS if a in named or a == "modality"] + others)
    lines = _lines(sheet, found)
    times = {event.seq: event.t for event in events}
    origin = events[0].t
    bottom = lines[-1].y + 24
    body: list[str] = []
    for x in sheet.x.values():
        body.append(f'<line class="life" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom - 8:.1f}"/>')
    body += _bands_svg(sheet, bands(events), lines)
    for actor, x in sheet.x.items():
        width = sheet.box[actor]
        sut = " sut" if actor == "modality" else ""
        body.append(
            f'<rect class="actor{sut}" x="{x - width / 2:.1f}" y="{TOP - 28}" width="{width:.1f}" height="24" rx="4"/>'
        )
        body.append(_text_svg(x, TOP - 12, shorten(visible(actor), 14), f"name{sut}", "middle"))
    body += _steps_svg(cell, times, lines, anchor)
    for line in lines:
        if line.gap is not None:
            y = line.y - LINE - 1
            body.append(f'<path class="gap" d="M{LEFT} {y:.1f}H{EDGE}"/>')
            body.append(_text_svg(LEFT - 8, y + 3, f"⋮ {seconds(line.gap)}", "gap", "end"))
        body.append(_text_svg(LEFT - 8, line.y + 3.5, f"{(line.t - origin) / 1e9:.3f}", "time", "end"))
        body += [_mark_svg(sheet, item, line.y, anchor) for item in line.marks]
    ends = {step.line: times[step.end_seq] for step in cell.steps if step.end_seq in times and step.end_seq}
    floor = float(TOP)
    placed = sorted(
        _ticks(cell, times, ends), key=lambda tick: (tick[0] is None, tick[0] if tick[0] is not None else 0)
    )
    for moment, tone, text, title in placed:
        y = max(_y_at(lines, moment) if moment is not None else bottom, floor + 14)
        floor = y
        body.append(
            f'<g class="tick {tone}"><title>{escape(visible(title))}</title>'
            f'<path d="M{EDGE + 2} {y:.1f}h8"/>'
            f"{_text_svg(EDGE + 14, y + 3.5, text)}</g>"
        )
    height = max(bottom, floor + 10) + 16
    note = (
        f"drawn from the {source}; time runs down in seconds, not to scale; gaps over {GAP:g} s are cut (⋮)"
    )
    if hidden:
        note += f"; {hidden} quieter events are only in the table"
    body.append(_text_svg(LEFT, height - 6, note, "note"))
    head = [
        _text_svg(8, TOP - 12, "scenario line and step", "note"),
        _text_svg(LEFT - 8, TOP - 12, "s", "note", "end"),
    ]
    head.append(_text_svg(EDGE + 14, TOP - 12, "expectations", "note"))
    return (
        f'<svg class="ladder" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="ladder diagram drawn from the {escape(source)}">{"".join(head + body)}</svg>'
    )
