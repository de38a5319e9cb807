"""The report for the quality file: a PDF/A with cover, summary, every clause in the statement's order, and annex.

Rules of this file:

* Typst sets it (the ``pdf`` extra, no other program).  All text goes there as data; the template is fixed, so that
  nothing that a peer sent can be read as markup.
* The same results in, the same pages out: what is shown comes from the run's results alone.
* East Asian text needs a font: the one of the extra, else the system's.  Without one the cover says so.
* PDF/A allows no character without a glyph.  What no font here can show is shown by its number: a name in an unknown
  script, or a control character that a peer sent, must not cost the quality file its report.
"""

from __future__ import annotations

import importlib.util
import json
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.report.chapters import STANDARD, Chapter, chapters, faults
from bench.report.firstscreen import (
    bench_faults,
    decided,
    duration,
    headline,
    link_groups,
    surprises,
    tone,
    volumes,
)
from bench.report.text import seconds, shorten, visible
from bench.results import CellResult, ClauseSummary, Evidence, RunResult, portable_path
from bench.verdict import WORST_FIRST, Verdict

TEMPLATE: Final = Path(__file__).parent / "templates" / "report.typ"
FONTS: Final = (
    "Noto Sans CJK JP",
    "Noto Sans",
    "DejaVu Sans",
    "Arial",
    "Libertinus Serif",
    "DejaVu Sans Mono",
)
ATTEMPTS: Final = 12
"""Compilations in search of characters that no font can show."""
_UNSEEN: Final = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
FONT_PACKAGE: Final = "noto_cjk_sans_otc"
GREEN: Final = (Verdict.PASS, Verdict.PASS_ERRATUM, Verdict.DEV_FROM_STD)
OPEN: Final = (Verdict.INCONCLUSIVE, Verdict.ERROR)
PATIENTS: Final = (
    "This report was made from a capture of the field. It may hold names, numbers and images of patients: keep it "
    "where such data may be kept."
)


class PdfError(Exception):
    """The PDF cannot be made here; the message says what is missing."""


def available() -> bool:
    """Tell whether the ``pdf`` extra is installed."""
    return importlib.util.find_spec("typst") is not None


def pdf(run: RunResult) -> bytes:
    """Return the report of a run as PDF/A-2b.

    Raises:
        PdfError: the ``pdf`` extra is not installed, or the pages could not be set.
    """
    if not available():
        raise PdfError("the PDF needs the extra 'pdf': pip install typst noto-cjk-sans-otc")
    import typst

    data: Any = pages(run)
    fonts = [str(folder) for folder in font_folders()]
    compiler: Any = typst.compile  # its overloads refuse a list of paths
    unseen: set[str] = set()
    for attempt in range(ATTEMPTS + 1):
        try:
            made = compiler(
                TEMPLATE.read_bytes(),
                format="pdf",
                font_paths=fonts,
                sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
                pdf_standards="a-2b",
            )
        except typst.TypstError as error:
            found = _UNSEEN.search(str(error))
            if found is None or attempt == ATTEMPTS:
                raise PdfError(f"the pages could not be set: {error}") from error
            more = {_kin(c) for c in found.group(1) if not c.isascii()} - unseen
            unseen = unseen | more
            # One compilation tells one text.  When it does not end so, only what every font has is left.
            last = attempt == ATTEMPTS - 1 or not more
            data = _numbered(data, None if last else frozenset(unseen))
        else:
            if not isinstance(made, bytes):
                raise PdfError("the pages could not be set: no bytes came back")
            return made
    raise AssertionError("unreachable")


def _numbered(value: Any, unseen: frozenset[str] | None) -> Any:
    """Show the characters of some scripts by their number, in every text; None: all that are not of Latin-1."""
    if isinstance(value, dict):
        # the names of fonts are for the machine
        return {key: inner if key == "fonts" else _numbered(inner, unseen) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_numbered(inner, unseen) for inner in value]
    if not isinstance(value, str) or value.isascii():
        return value
    hidden = {c for c in value if (c > "\u00ff" if unseen is None else _kin(c) in unseen)}
    return "".join(f"[U+{_meant(c):04X}]" if c in hidden else c for c in value)


def _kin(character: str) -> str:
    """Return the script of a character: a font that lacks one has none of it.  Alphabets like ours go by the letter."""
    script = unicodedata.name(character, "").partition(" ")[0]
    return character if script in ("", "LATIN", "GREEK", "CYRILLIC") else script


def _meant(character: str) -> int:
    """Return the code point; of a picture of a control character (U+2400 …) that of the character."""
    code = ord(character)
    return 127 if code == 0x2421 else code - 0x2400 if 0x2400 <= code < 0x2420 else code


def font_folders() -> list[Path]:
    """Return folders of fonts beside the system's: that of the extra, where installed."""
    spec = importlib.util.find_spec(FONT_PACKAGE)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []


def pages(run: RunResult) -> dict[str, Any]:
    """Return everything that the template shows, as JSON values; pure."""
    info, parts = run.run, chapters(run)
    product = info.product
    start = _moment(info.start)
    field = info.sut.adapter == "capture"
    found: dict[str, Any] = {
        "title": f"DICOM conformance test report: {product.name}",
        "run": info.run_id,
        "date": [start.year, start.month, start.day, start.hour, start.minute, start.second],
        "fonts": list(FONTS),
        "product": {"name": product.name},
        "verdict": run.verdict.value,
        "tone": tone(run).value,
        "headline": headline(run),
        "phi": PATIENTS if field else None,
        "warnings": list(_warnings(run)),
        "facts": _facts(run),
        "summary": _summary(run, parts),
        "counts": _counts(parts),
        "red_cells": [_red_cell(cell) for cell in run.cells if cell.unexpected or cell.bench_at_fault],
        "red": [_red(fault.rows) for fault in faults(run)],
        "sections": [_section(part) for part in parts],
        "deviations": _deviations(run),
        "cells": [_cell(cell) for cell in run.cells],
        "fidelity": _fidelity(run),
        "foot": f"Software: {', '.join(f'{name} {version}' for name, version in info.versions.items())}.",
    }
    return _shown(found)  # type: ignore[no-any-return]


def _shown(value: Any) -> Any:
    """Make every text harmless: no control character, no mark that turns the direction of writing."""
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return visible(value, lines=True) if isinstance(value, str) else value


def _moment(stamp: str) -> datetime:
    try:
        return datetime.fromisoformat(stamp)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)


def _warnings(run: RunResult) -> Iterable[str]:
    untested = sorted({link.backend for link in run.links if not link.tested})
    if untested:
        yield f"Links over {', '.join(untested)} were not tested: speed, cables and frames are not proven."
    yield from (f"The bench was at fault: {error}" for error in run.run.errors)
    if not font_folders():
        yield (
            "No font for East Asian text was installed with the bench; where this machine has none either, such "
            "characters are shown by their number (pip install noto-cjk-sans-otc)."
        )


def _facts(run: RunResult) -> list[tuple[str, str]]:
    info = run.run
    what = {
        "reference": "the bench's own reference software",
        "operator": "the real product, operated by a person",
        "capture": "a capture, judged without a bench",
    }
    wires = [cell.wire for cell in run.cells if cell.wire is not None]
    reasons = list(dict.fromkeys(f"{wire.sut}: {wire.sut_reason}" for wire in wires if wire.sut))
    links = "; ".join(
        f"{group.link.name} {group.link.backend} {group.link.mode or ''}".strip()
        for group in link_groups(run)
    )
    media = "; ".join(
        f"{volume.name} {volume.backend} {volume.filesystem or ''}".strip() for volume in volumes(run)
    )
    return [
        ("Product", info.product.name),
        ("Serial number", info.product.serial or "not stated"),
        ("Software version", info.product.version or "not stated"),
        ("Statement", info.product.statement or "not stated"),
        ("System under test", what.get(info.sut.adapter, info.sut.adapter)),
        *(
            [("Judged in the capture", shorten(reasons[0], 200))]
            if reasons and info.sut.adapter == "capture"
            else []
        ),
        ("Tester", info.tester),
        ("Start", info.start),
        ("End", info.end or "not stated"),
        ("Took", duration(run)),
        ("Links", links or "none"),
        ("Removable media", media or "none"),
        ("Seed", str(info.seed)),
        ("Command", info.command or "not stated"),
    ]


def _summary(run: RunResult, parts: list[Chapter]) -> str:
    total = sum(len(part.rows) for part in parts)
    untouched = sum(part.count(Verdict.NOT_EXERCISED) for part in parts)
    return (
        f"{total - untouched} of {total} clauses and rules were exercised in {len(run.cells)} "
        f"cell{'s' if len(run.cells) != 1 else ''}. A clause that was not exercised is not proven by this report."
    )


def _counts(parts: list[Chapter]) -> list[dict[str, Any]]:
    rows = [(verdict, sum(part.count(verdict) for part in parts)) for verdict in WORST_FIRST]
    return [{"verdict": v.value, "count": n, "meaning": v.meaning} for v, n in rows if n]


def _red(rows: tuple[ClauseSummary, ...]) -> dict[str, str]:
    first = rows[0]
    others = f" (also {', '.join(row.id for row in rows[1:6])})" if len(rows) > 1 else ""
    return {
        "id": first.id + others,
        "verdict": first.verdict.value,
        "title": first.title or "",
        "reason": first.reason,
        "where": _where(first.evidence),
    }


def _red_cell(cell: CellResult) -> dict[str, str]:
    part = decided(cell)
    place = f"{portable_path(cell.file)}:{part.line if part is not None else cell.line}"
    news = [*surprises(cell), *(f"the bench was at fault: {error}" for error in bench_faults(cell))]
    return {
        "id": cell.id,
        "verdict": cell.verdict.value,
        "title": cell.title or cell.scenario,
        "reason": "; ".join([cell.reason, *news]),
        "where": f"{place} · {cell.repeat}" if cell.repeat else place,
    }


def _section(part: Chapter) -> dict[str, Any]:
    shown = [
        row
        for row in part.rows
        if not part.title.startswith(STANDARD) or row.verdict is not Verdict.NOT_EXERCISED
    ]
    return {
        "title": part.title,
        "total": len(part.rows),
        "green": part.count(*GREEN),
        "failed": part.count(Verdict.FAIL),
        "open": part.count(*OPEN),
        "rest": part.count(Verdict.NOT_EXERCISED, Verdict.NA),
        "rows": [
            {
                "id": row.id,
                "verdict": row.verdict.value,
                "title": row.title or "",
                "reason": shorten(row.reason, 600),
                "where": _where(row.evidence),
                "remarks": [shorten(remark, 300) for remark in row.remarks[:3]],
            }
            for row in shown
        ],
    }


def _where(evidence: tuple[Evidence, ...]) -> str:
    frames = list(dict.fromkeys(str(one.frame) for one in evidence if one.frame is not None))
    tags = list(dict.fromkeys(one.tag for one in evidence if one.tag))
    words = [
        f"frame{'s' if len(frames) > 1 else ''} {', '.join(frames[:5])}{' …' * (len(frames) > 5)}"
    ] * bool(frames)
    return ", ".join([*words, *tags[:3]])


def _deviations(run: RunResult) -> list[dict[str, str]]:
    return [
        {
            "id": row.id,
            "declared": row.expected.verdict.value,
            "found": row.verdict.value,
            "reason": row.expected.reason,
            "owner": ", ".join(filter(None, (row.expected.owner, row.expected.date))),
        }
        for row in run.clauses
        if row.expected is not None
    ]


def _cell(cell: CellResult) -> dict[str, str]:
    messages = (
        f"{cell.wire.messages} DICOM messages in {cell.wire.associations} associations" if cell.wire else ""
    )
    took = seconds(cell.seconds) if cell.seconds else ""
    return {
        "verdict": cell.verdict.value,
        "title": cell.title or cell.scenario,
        "axes": ", ".join(f"{name} {value}" for name, value in cell.axes.items()),
        "reason": cell.not_runnable or cell.reason,
        "facts": " · ".join(filter(None, (cell.id, took, messages, f"seed {cell.seed}"))),
    }


def _fidelity(run: RunResult) -> list[dict[str, str]]:
    rows = [
        {
            "name": group.link.name,
            "backend": f"{group.link.backend} {group.link.mode or ''}".strip(),
            "measured": f"{group.measured[0]:.1f} to {group.measured[1]:.1f} Mbit/s"
            if group.measured
            else "–",
            "limits": "; ".join(group.link.cannot_prove) or "–",
        }
        for group in link_groups(run)
    ]
    rows += [
        {
            "name": volume.name,
            "backend": f"{volume.backend} {volume.filesystem or ''}".strip(),
            "measured": "–",
            "limits": "; ".join(volume.cannot_prove) or "–",
        }
        for volume in volumes(run)
    ]
    return rows
