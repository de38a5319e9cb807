"""What the first screen says of a whole run: one sentence, badges of fidelity.

Rules of this file:

* Pure functions of a :class:`bench.results.RunResult`; nothing is judged here.
* What was not tested or not touched is said as loudly as what was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bench.report.text import seconds, shorten
from bench.results import LinkFidelity, RunResult, VolumeFidelity
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
    for volume in (v for cell in run.cells for v in cell.volumes):
        text = " ".join(filter(None, (volume.backend, volume.filesystem)))
        title = "Cannot prove: " + "; ".join(volume.cannot_prove) if volume.cannot_prove else ""
        tone = "good" if volume.backend not in ("image", "folder") else "warn"
        found[f"volume {volume.name}", text] = Badge(f"volume {volume.name}", text, tone, title)
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
        return "Nothing was run."
    if red:
        parts.append(f"{len(red)} of {total} cells failed" if total > 1 else shorten(red[0].reason, 200))
    if errors:
        parts.append(f"in {errors} of {total} the bench itself was at fault")
    unclear = sum(c.verdict is Verdict.INCONCLUSIVE for c in run.cells)
    if unclear:
        parts.append(f"{unclear} could not be judged")
    if not parts:
        ran = sum(c.verdict.green for c in run.cells)
        if not ran:
            parts.append("Nothing was runnable here")
        elif ran < total:
            parts.append(f"{ran} of {total} cells did what was expected, nothing failed")
        else:
            parts.append(f"{f'All {total} cells' if total > 1 else 'The one cell'} did what was expected")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def duration(run: RunResult) -> str:
    try:
        start, end = datetime.fromisoformat(run.run.start), datetime.fromisoformat(run.run.end or "")
        return seconds((end - start).total_seconds())
    except (ValueError, TypeError):
        return seconds(sum(cell.seconds for cell in run.cells))


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
