"""From events to marks: what each kind of event looks like on a ladder diagram.

Rules of this file:

* It knows what kinds mean and no pixels; :mod:`bench.report.ladder` lays marks out and knows no kinds.  Pure.
* A mark shows what was seen: an arrow only where something went from one to the other, a note otherwise.
* What repeats without news (pending answers of a query, states of a device) is folded into one mark with a count.
* Failures are red, claims of the SUT are dashed, every mark carries its journal numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.journal import Event
from bench.report.marks_mx1 import mark_of
from bench.report.text import seconds, shorten, size
from bench.results import in_words

ACTORS: Final = (
    *("operator", "panel", "generator", "detector", "ultrasound", "usb", "sd"),
    *("modality", "ris", "pacs", "pacs2", "printer"),
)
"""Columns from left to right: the operator's side, the acquisition side, the SUT, the hospital's side."""

MAX_TEXT: Final = 90
"""Characters of a mark."""
PEERS: Final = frozenset({"ris", "pacs", "pacs2", "printer"})


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
    if data.get("complete") is False:
        parts.append("cut off")
        tone = "bad"
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
    actor = _peer_of(event) if _peer_of(event) in PEERS else actor
    if what in ("refused", "lost", "garbage"):
        why = data.get("reason") or data.get("how") or ""
        why = f"{why}, {data['pending']} unfinished" if data.get("pending") else why
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
    if made is None and family in ("panel", "ultrasound", "volume", "modality"):
        drawn = mark_of(event, data)
        made = Mark(event.t, **drawn) if drawn else None
    if made is None:
        return None
    told = ", ".join(f"{k}={v}" for k, v in data.items() if not isinstance(v, dict | list))
    title = f"event {event.seq} · {event.src} · {event.kind}\n{shorten(told, 400)}"
    assoc = data.get("assoc")
    conversation = (_peer_of(event), assoc) if isinstance(assoc, int) else None
    text = shorten(made.text, MAX_TEXT)  # a state, a name or a label may be as long as a stranger likes
    return replace(made, text=text, seqs=(event.seq,), title=title, conversation=conversation)


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
            names = f"{event.data.get('calling', '?')} → {event.data.get('called', '?')}"
            state["names"] = shorten(names, MAX_TEXT)
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
