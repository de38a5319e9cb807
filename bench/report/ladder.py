"""The ladder diagram of a cell: who said what to whom, drawn from the journal as SVG.

Rules of this file:

* :func:`marks` turns events into marks (arrows, notes, bars across) and knows what kinds mean; it knows no
  pixels. :func:`ladder` lays marks out and knows no kinds.  Both are pure.
* Time runs down and is not to scale: every mark gets its line, idle gaps are shortened and named.  Two marks
  share a line only when they are nearly simultaneous and beside each other.
* What repeats without news (pending answers of a query, states of a device) is folded into one mark with a
  count.
* Failures are red, claims of the SUT are dashed, every mark carries its journal numbers and links to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import pairwise
from typing import Any, Final

from bench.journal import Event
from bench.report.text import seconds, shorten, size, visible
from bench.results import CellResult, ExpectationResult, in_words
from bench.verdict import Verdict

ACTORS: Final = ("operator", "panel", "generator", "detector", "modality", "ris", "pacs", "pacs2", "printer")
"""Columns from left to right: the operator's side, the acquisition side, the SUT, the hospital's side."""

_PEERS: Final = frozenset({"ris", "pacs", "pacs2", "printer"})


@dataclass(frozen=True)
class Mark:
    """One thing on the ladder: an arrow (``to`` is set), a note at an actor, or a line across (``actor`` is
    empty).
    """

    t: int
    actor: str
    text: str
    to: str | None = None
    tone: str = ""
    """"", good, bad, warn, quiet, xray, link."""
    dashed: bool = False
    seqs: tuple[int, ...] = ()
    title: str = ""
    key: str = ""
    """Marks with the same key that follow each other are folded."""
    times: int = 1
    conversation: tuple[str, int] | None = None


@dataclass(frozen=True)
class Band:
    """An association (or TCP connection without one): peer, number, first and last moment, and how it ended."""

    actor: str
    assoc: int
    start: int
    end: int
    tone: str
    title: str


def _status(value: Any) -> int | None:
    """Return a DIMSE status from the forms it is journalled in: 0, "0000", "0x0000", "0000H"."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value.strip().removesuffix("H").removesuffix("h"), 16)
        except ValueError:
            return None
    return None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) else None


def _status_tone(status: int) -> str:
    """Return the tone of a DIMSE status (PS3.7 Annex C): success, pending, warning, cancel, failure."""
    if status in (0xFF00, 0xFF01):
        return "quiet"
    if status == 0:
        return ""
    if status in (0x0001, 0x0107, 0x0116, 0xFE00) or status >> 12 == 0xB:
        return "warn"
    return "bad"


def _message(event: Event, data: dict[str, Any], peer: str) -> Mark:
    name = str(data.get("field", "message"))
    status = _status(data.get("status"))
    parts = [name]
    tone = ""
    if status is not None:
        parts.append({0: "success", 0xFF00: "pending", 0xFF01: "pending"}.get(status) or f"{status:04X}H")
        tone = _status_tone(status)
    if isinstance(data.get("bytes"), int) and data["bytes"] >= 1000 and status is None:
        parts.append(size(data["bytes"]))
    pending = f"{peer}/{data.get('assoc')}/{name}" if status in (0xFF00, 0xFF01) else ""
    ends = ("modality", peer) if data.get("dir") == "in" else (peer, "modality")
    return Mark(event.t, ends[0], " ".join(parts), ends[1], tone, key=pending)


def _technique(data: dict[str, Any]) -> str:
    parts = [
        f"{data[name]:.4g} {unit}"
        for name, unit in (("kvp", "kV"), ("ma", "mA"), ("ms", "ms"), ("mas", "mAs"))
        if isinstance(data.get(name), int | float)
    ]
    return " ".join(parts)


def _request(event: Event, data: dict[str, Any]) -> Mark:
    args = data.get("args")
    words = ", ".join(f"{k}={v}" for k, v in args.items()) if isinstance(args, dict) else ""
    return Mark(event.t, "operator", shorten(f"{data.get('do', '?')} {words}".strip(), 44), "modality")


def _answer(event: Event, data: dict[str, Any]) -> Mark:
    good = data.get("ok") is not False
    text = f"{data.get('do', '?')}: " + ("done" if good else str(data.get("error") or "failed"))
    return Mark(event.t, "modality", shorten(text, 44), "operator", "quiet" if good else "bad", dashed=True)


def _state(event: Event, data: dict[str, Any], actor: str) -> Mark:
    return Mark(event.t, actor, str(data.get("to", "?")), tone="quiet", key=f"{actor} state")


def _peer_of(event: Event) -> str:
    """Return the column of a DIMSE peer: the source, without the number of its restart."""
    return event.src.partition("#")[0]


_ORDERLY: Final = (None, "release", "fin", "closed")
"""Ends of a TCP connection without trouble of its own."""


def _wire(event: Event, data: dict[str, Any]) -> Mark | None:
    peer = _peer_of(event)
    ours = data.get("by") in ("self", peer)
    ends = (peer, "modality") if ours else ("modality", peer)
    match event.kind.removeprefix("wire."):
        case "associate":
            names = f"{data.get('calling', '?')} → {data.get('called', '?')}"
            return Mark(event.t, "modality", f"A-ASSOCIATE {names}", peer, "good")
        case "reject":
            why = "/".join(str(data[k]) for k in ("result", "source", "reason") if k in data)
            return Mark(event.t, peer, f"A-ASSOCIATE-RJ {why}".strip(), "modality", "bad")
        case "message":
            return _message(event, data, peer)
        case "release":
            return Mark(event.t, *_text(ends, "A-RELEASE"), tone="quiet")
        case "abort":
            return Mark(event.t, *_text(ends, "A-ABORT"), tone="bad")
        case "close" if data.get("how") not in _ORDERLY:
            how = "reset" if data["how"] == "rst" else data["how"]
            return Mark(event.t, *_text(ends, f"TCP {how}"), tone="bad")
    return None


def _text(ends: tuple[str, str], text: str) -> tuple[str, str, str]:
    """Return the leading arguments of an arrow."""
    return ends[0], text, ends[1]


def _service(event: Event, data: dict[str, Any]) -> Mark:
    actor, _, what = event.kind.partition(".")
    actor = _peer_of(event) if _peer_of(event) in _PEERS else actor
    if what in ("refused", "lost", "garbage"):
        why = data.get("reason") or data.get("how") or ""
        return Mark(event.t, actor, shorten(f"{what}: {why}".rstrip(": "), 34), tone="bad")
    told = {
        "stored": f"stored {size(_number(data.get('bytes')))}",
        "queried": f"{data.get('matches', '?')} match{'' if data.get('matches') == 1 else 'es'}",
        "mpps_created": f"MPPS {data.get('state', 'created')}",
        "mpps_set": f"MPPS {data.get('state', 'set')}",
    }.get(what, what)
    failed = _status(data.get("status"))
    return Mark(event.t, actor, told, tone="bad" if failed and _status_tone(failed) == "bad" else "good")


def _cable(event: Event, data: dict[str, Any]) -> Mark:
    word = {"pulled": "cable pulled", "plugged": "cable plugged in", "mode": f"now {data.get('mode')}"}
    what = event.kind.removeprefix("link.")
    return Mark(
        event.t, "", f"link {data.get('link', '?')}: {word[what]}", tone="bad" if what == "pulled" else "link"
    )


def _fault(event: Event, data: dict[str, Any]) -> Mark:
    host = str(data.get("host") or _peer_of(event))
    text = f"{data.get('fault', '?')}"
    if event.kind == "fault.armed":
        return Mark(event.t, host, f"⚑ armed: {text}", tone="quiet")
    where: Any = data.get("where")
    if isinstance(where, dict) and isinstance(where.get("bytes"), int):
        where = f"byte {where['bytes']:,}"
    where = f" at {where}" if (where := in_words(where)) else ""
    return Mark(event.t, host, shorten(f"⚡ {text}{where}", 40), tone="bad")


def _acquisition(event: Event, data: dict[str, Any]) -> Mark | None:
    match event.kind:
        case "panel.contact":
            on = [name.upper() for name in ("prep", "expose") if data.get(name)]
            return Mark(event.t, "panel", "+".join(on) or "released", "generator")
        case "world.exposure":
            return Mark(event.t, "generator", f"X-ray {_technique(data)}", "detector", "xray")
        case "generator.set":
            return Mark(event.t, "modality", f"set {_technique(data)}", "generator")
        case "generator.exposure":
            return Mark(event.t, "generator", f"X-ray off, {_technique(data)}", tone="quiet")
        case "generator.refused":
            # A command is answered on the line; an exposure that the hand switch asked for is refused silently.
            to = "modality" if data.get("command") else None
            return Mark(event.t, "generator", f"refused: {data.get('reason')}", to, "bad")
        case "generator.fault" | "detector.fault":
            actor = event.kind.partition(".")[0]
            return Mark(event.t, actor, shorten(f"fault: {data.get('what')}", 34), tone="bad")
        case "generator.state" | "detector.state":
            return _state(event, data, event.kind.partition(".")[0])
        case "detector.frame":
            dark = "dark frame" if data.get("frame_kind") == "Dark" else "frame"
            return Mark(event.t, "detector", f"{dark} {data.get('width')}×{data.get('height')}", tone="good")
        case "detector.sent":
            lost = data.get("resent") or 0
            tone = "warn" if lost else ""
            text = f"image {size(_number(data.get('bytes')))}" + (f", {lost} resent" if lost else "")
            return Mark(event.t, "detector", text, "modality", tone)
        case "detector.control":
            return Mark(
                event.t, "detector", f"control: {data.get('how')}", tone="quiet", key="detector control"
            )
    return None


def _sut(event: Event, data: dict[str, Any]) -> Mark | None:
    match event.kind:
        case "sut.request":
            return _request(event, data)
        case "sut.answer":
            return _answer(event, data)
        case "sut.started":
            return Mark(event.t, "modality", "started", tone="quiet")
        case "sut.ready":
            return Mark(event.t, "modality", "ready", tone="good")
        case "sut.exited":
            good = data.get("expected") is not False
            return Mark(
                event.t,
                "modality",
                "ended" if good else "ended unexpectedly",
                tone="quiet" if good else "bad",
            )
        case "modality.warning":
            text = f"⚠ {data.get('text') or data.get('service') or 'warning'}"
            return Mark(event.t, "modality", shorten(text, 46), "operator", "warn", dashed=True)
        case "modality.image":
            return Mark(event.t, "modality", "image shown", "operator", "quiet", dashed=True)
    return None


def mark(event: Event) -> Mark | None:
    """Return what an event looks like on the ladder; None for what is only in the table."""
    data = event.data
    family = event.kind.partition(".")[0]
    made: Mark | None = None
    if family == "wire":
        made = _wire(event, data)
    elif family in ("pacs", "ris", "printer"):
        made = _service(event, data)
    elif event.kind in ("link.pulled", "link.plugged", "link.mode"):
        made = _cable(event, data)
    elif family == "fault":
        made = _fault(event, data)
    elif family in ("panel", "world", "generator", "detector"):
        made = _acquisition(event, data)
    elif family in ("sut", "modality"):
        made = _sut(event, data)
    elif event.kind == "bench.error":
        made = Mark(event.t, "", shorten(f"bench: {data.get('message')}", 90), tone="bad")
    elif event.kind == "clock.step":
        made = Mark(event.t, "", "the wall clock was set", tone="warn")
    if made is None:
        return None
    told = ", ".join(f"{k}={v}" for k, v in data.items() if not isinstance(v, dict | list))
    title = f"event {event.seq} · {event.src} · {event.kind}\n{shorten(told, 400)}"
    assoc = data.get("assoc")
    conversation = (_peer_of(event), assoc) if isinstance(assoc, int) else None
    return replace(made, seqs=(event.seq,), title=title, conversation=conversation)


def _news(events: Iterable[Event]) -> Iterator[Event]:
    """Leave out what was said before: the end of a connection whose association had ended, a fault armed twice.

    (A simulator and the runner both tell that a fault is armed; the one that names it first is enough.)
    """
    over: set[tuple[str, str]] = set()
    armed: set[str] = set()
    for event in events:
        key = (_peer_of(event), str(event.data.get("assoc")))
        if event.kind in ("wire.release", "wire.abort", "wire.reject"):
            over.add(key)
        elif event.kind == "wire.close" and key in over:
            continue
        elif event.kind == "fault.armed":
            name = str(event.data.get("id"))
            if name in armed:
                continue
            armed.add(name)
        yield event


def marks(events: Iterable[Event]) -> list[Mark]:
    """Return the marks of a journal by time; repetitions without news are folded."""
    found: list[Mark] = []
    last: dict[str, int] = {}
    for made in sorted(filter(None, map(mark, _news(events))), key=lambda m: m.t):
        at = last.get(made.key) if made.key else None
        if at is not None and _foldable(found, at, made):
            old = found[at]
            text = made.text if made.key.endswith("state") and made.text != old.text else old.text
            joined = f"{old.text} → {made.text}" if text != old.text else old.text
            found[at] = replace(
                old,
                text=shorten(joined, 46),
                times=old.times + 1,
                seqs=old.seqs + made.seqs,
                title=old.title if old.times > 3 else f"{old.title}\n{made.title}",
            )
            continue
        if made.key:
            last[made.key] = len(found)
        found.append(made)
    return found


def _foldable(found: Sequence[Mark], at: int, made: Mark) -> bool:
    """Tell whether only the actor's own quiet marks came since: then nothing is lost by folding."""
    between = found[at + 1 :]
    return len(between) < 4 and all(m.actor != made.actor and m.to != made.actor for m in between)


def bands(events: Iterable[Event]) -> list[Band]:
    """Return the associations of a journal, in the order of their begin."""
    opened: dict[tuple[str, int], dict[str, Any]] = {}
    for event in events:
        if not event.kind.startswith("wire.") or not isinstance(event.data.get("assoc"), int):
            continue
        key = (_peer_of(event), event.data["assoc"])
        state = opened.setdefault(key, {"start": event.t, "end": event.t, "how": None, "names": ""})
        state["end"] = event.t
        what = event.kind.removeprefix("wire.")
        if what == "associate":
            state["names"] = f"{event.data.get('calling', '?')} → {event.data.get('called', '?')}"
            state["how"] = state["how"] or "open"
        elif what in ("abort", "reject"):
            state["how"] = f"{what}ed"
        elif what == "release":
            state["how"] = "released"
        elif what == "close" and state["how"] == "open":
            state["how"] = "lost"
    found = []
    for (actor, assoc), s in opened.items():
        tone = "bad" if s["how"] in ("aborted", "rejected", "lost") else ""
        how = s["how"] or "no association"
        title = f"{actor} association {assoc} {s['names']}: {how}, {seconds((s['end'] - s['start']) / 1e9)}"
        found.append(Band(actor, assoc, s["start"], s["end"], tone, title))
    return sorted(found, key=lambda band: band.start)


# ---------------------------------------------------------------------------------------------- layout

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
        weights = [_ROOM.get(actor, 1.7 if actor in _PEERS else 1.0) for actor in actors]
        self.x: dict[str, float] = {}
        self.box: dict[str, float] = {}
        self.pitch = inner / sum(weights)
        at = float(LEFT)
        for actor, weight in zip(actors, weights, strict=True):
            # A column's room is mostly on its left, where the arrows from the modality arrive.
            share = 0.62 if actor in _PEERS else 0.5
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
