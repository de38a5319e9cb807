"""What the first screen says of a whole run: one sentence, badges of fidelity.

Rules of this file:

* Pure functions of a :class:`bench.results.RunResult`; nothing is judged here.
* What was not tested or not touched is said as loudly as what was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bench.report.text import seconds, shorten
from bench.results import (
    CellResult,
    ExpectationResult,
    Expected,
    LinkFidelity,
    NearMiss,
    RunResult,
    StepResult,
    VolumeFidelity,
)
from bench.verdict import Verdict


@dataclass(frozen=True)
class Badge:
    """One statement about fidelity on the first screen; tone: good, warn, bad."""

    label: str
    text: str
    tone: str
    title: str = ""


def badges(run: RunResult) -> list[Badge]:
    """Return the fidelity of the bench in a few words each, the same words once."""
    found: dict[tuple[str, str], Badge] = {}
    kinds: dict[str, list[LinkFidelity]] = {}
    for link in run.links:
        kinds.setdefault(" ".join(filter(None, (link.backend, link.mode))), []).append(link)
    for text, links in sorted(kinds.items()):
        names = list(dict.fromkeys(link.name for link in links))
        offs = [deviation(link) for link in links]
        tone = "good" if all(off is not None and abs(off) <= 5 for off in offs) else "warn"
        tone = tone if all(link.tested for link in links) else "bad"
        limits = dict.fromkeys(limit for link in links for limit in link.cannot_prove)
        title = f"links {', '.join(names)}" + (f". Cannot prove: {'; '.join(limits)}" if limits else "")
        label = f"link {names[0]}" if len(names) == 1 else f"{len(names)} links"
        found[label, text] = Badge(label, text, tone, title)
    media: dict[tuple[str, str], list[VolumeFidelity]] = {}
    for volume in (v for cell in run.cells for v in cell.volumes):
        media.setdefault((volume.name, volume.backend), []).append(volume)
    for (name, backend), same in media.items():
        systems = sorted({v.filesystem for v in same if v.filesystem})
        words = ", ".join("unformatted" if system == "none" else system for system in systems)
        limits = dict.fromkeys(limit for v in same for limit in v.cannot_prove)
        title = f"Cannot prove: {'; '.join(limits)}" if limits else ""
        tone = "good" if backend not in ("image", "folder") else "warn"
        found[f"volume {name}", backend] = Badge(f"volume {name}", f"{backend} {words}".strip(), tone, title)
    sut = run.run.sut
    what = {
        "reference": "reference software",
        "operator": "a person at the real product",
        "capture": "seen in a capture, not driven",
    }.get(sut.adapter, sut.adapter)
    tone = "good" if sut.adapter != "reference" else "warn"
    return [Badge("SUT", what, tone, sut.description or ""), *found.values()]


def deviation(link: LinkFidelity) -> float | None:
    """Return how far the measured goodput is from nominal, in percent."""
    if not link.nominal_mbps or link.measured_mbps is None:
        return None
    return round(100 * (link.measured_mbps / link.nominal_mbps - 1), 1) + 0.0  # no minus before a zero


def headline(run: RunResult) -> str:
    """Return the run in one sentence."""
    total = len(run.cells)
    red = [c for c in run.cells if c.verdict is Verdict.FAIL]
    errors = sum(c.bench_at_fault for c in run.cells)
    parts = []
    if not total:
        return "Nothing was run." if not run.run.errors else "Nothing was run: the bench itself was at fault."
    if red:
        parts.append(
            f"{len(red)} of {total} cells failed"
            if total > 1
            else shorten(red[0].reason.partition("; nearest:")[0], 200)
        )
    if errors:
        parts.append(f"in {errors} of {total} the bench itself was at fault")
    elif run.run.errors:
        parts.append("the bench itself was at fault")
    unclear = sum(c.verdict is Verdict.INCONCLUSIVE for c in run.cells)
    if unclear:
        parts.append(f"{unclear} could not be judged")
    surprising = sum(bool(surprises(cell)) for cell in run.cells)
    if surprising:
        parts.append(f"in {surprising} of {total} a declared deviation is not what was found")
    if not parts:
        ran = sum(c.verdict.green for c in run.cells)
        if not ran:
            parts.append("Nothing was runnable here")
        elif ran < total:
            parts.append(f"{ran} of {total} cells did what was expected, nothing failed")
        else:
            parts.append(f"{f'All {total} cells' if total > 1 else 'The one cell'} did what was expected")
    text = ", ".join(parts)
    first = text[:1] if red and total == 1 else text[:1].upper()  # a reason may begin with a name: usb, sd
    return first + text[1:].removesuffix(".") + "."


def tone(run: RunResult) -> Verdict:
    """Return the verdict whose colour the first screen has: never a green one when the exit code is not 0."""
    if run.exit_code == 2:
        return run.verdict if run.verdict is Verdict.FAIL else Verdict.ERROR
    return Verdict.FAIL if run.exit_code == 1 and run.verdict.green else run.verdict


def misses(cell: CellResult) -> list[tuple[ExpectationResult, NearMiss]]:
    """Return the nearest events of every expectation that was not met, but those that the cell's reason tells."""
    return [
        (expectation, miss)
        for expectation in cell.expectations
        if not expectation.verdict.green
        for miss in expectation.nearest
        if miss.why.removeprefix(f"{miss.why.partition(': ')[0]}: ") not in cell.reason
    ]


def surprises(cell: CellResult) -> list[str]:
    """Return a sentence for every declaration of a deviation that is not what was found: that is news, also if it
    is good news."""
    declared: list[tuple[str, Expected | None, Verdict]] = [("", cell.expected, cell.verdict)]
    declared += [(f"{clause.id}: ", clause.expected, clause.verdict) for clause in cell.clauses]
    unseen = (Verdict.NOT_EXERCISED, Verdict.NA)
    return [
        f"{name}declared {expected.verdict} since {expected.date}, found {verdict}"
        for name, expected, verdict in declared
        if expected is not None and verdict is not expected.verdict and verdict not in unseen
        if not name or verdict is not Verdict.INCONCLUSIVE
    ]


def bench_faults(cell: CellResult) -> tuple[str, ...]:
    """Return what the bench did wrong in a cell, also beside a verdict about the product; not what its reason says."""
    wire = cell.wire.errors if cell.wire is not None else ()
    return tuple(dict.fromkeys(e for e in (*cell.errors, *wire) if e not in cell.reason))


def duration(run: RunResult) -> str:
    try:
        start, end = datetime.fromisoformat(run.run.start), datetime.fromisoformat(run.run.end or "")
        return seconds((end - start).total_seconds())
    except (ValueError, TypeError):
        return seconds(sum(cell.seconds for cell in run.cells))


def decided(cell: CellResult) -> ExpectationResult | StepResult | None:
    """Return what of the scenario decided a cell that is not green: the first expectation or step that failed, else
    that erred, else that allows no judgement; None when no line of it did (a clause, an outside judge)."""
    parts: tuple[ExpectationResult | StepResult, ...] = (*cell.expectations, *cell.steps)
    for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE):
        for part in parts:
            if part.verdict is verdict:
                return part
    return None


@dataclass(frozen=True)
class LinkGroup:
    """The same kind of link over all cells: measured goodput as (least, most), captures summed."""

    link: LinkFidelity
    cells: int
    measured: tuple[float, float] | None
    worst: float | None
    packets: int | None
    dropped: int | None


def link_groups(run: RunResult) -> list[LinkGroup]:
    grouped: dict[tuple[str, str, str], list[LinkFidelity]] = {}
    for link in run.links:
        grouped.setdefault((link.name, link.backend, link.mode or ""), []).append(link)
    groups = []
    for _, links in sorted(grouped.items()):
        measured = [link.measured_mbps for link in links if link.measured_mbps is not None]
        off = [d for link in links if (d := deviation(link)) is not None]
        captures = [link.capture for link in links if link.capture]
        groups.append(
            LinkGroup(
                links[0],
                len(links),
                (min(measured), max(measured)) if measured else None,
                max(off, key=abs, default=None),
                sum(c.packets for c in captures) if captures else None,
                sum(c.dropped for c in captures) if captures else None,
            )
        )
    return groups


def volumes(run: RunResult) -> list[VolumeFidelity]:
    return list({(v.name, v.backend, v.filesystem): v for cell in run.cells for v in cell.volumes}.values())
