"""JUnit XML of a run, for build servers.

Rules of this file:

* One suite of cells, one of clauses (``clauses``): the same rules for both, but a clause that is INCONCLUSIVE is
  skipped, since its cell says so.
* One test case per cell.  FAIL (and an INCONCLUSIVE that nobody declared) is a ``failure``, ERROR an
  ``error``, what could not run, does not apply or fails as declared is ``skipped``; a declared deviation that
  passes is a ``failure``.
* The sums in the heads are counted from the cases that were written, never computed beside them.
* What XML 1.0 cannot carry is shown by :func:`bench.report.text.visible`; the rest is escaped by the standard
  library.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # written, never parsed here
from typing import Final

from bench.report.firstscreen import bench_faults, decided, surprises
from bench.report.text import visible
from bench.results import CellResult, ClauseSummary, RunResult
from bench.verdict import Verdict

_SKIPPED: Final = (Verdict.NOT_EXERCISED, Verdict.NA)


def _outcome(cell: CellResult) -> tuple[str | None, str, str]:
    """Return (tag or None for passed, type, message) of a cell."""
    verdict = cell.verdict
    if verdict is Verdict.ERROR:
        return "error", verdict.value, cell.reason
    if cell.bench_at_fault and verdict is not Verdict.FAIL:
        return "error", Verdict.ERROR.value, (bench_faults(cell) or (cell.reason,))[0]
    if cell.not_runnable is not None:
        return "skipped", "not runnable here", cell.not_runnable
    if verdict in _SKIPPED:
        return "skipped", verdict.value, cell.reason
    if cell.expected is not None and not cell.unexpected:
        return (
            "skipped",
            "known deviation",
            f"{cell.expected.reason} (since {cell.expected.date}): {cell.reason}",
        )
    if cell.unexpected:
        kind = verdict.value if verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) else "unexpected"
        return "failure", kind, ": ".join(["; ".join(surprises(cell)), cell.reason]).removeprefix(": ")
    return None, "", ""


def _details(cell: CellResult) -> str:
    """Return what a person wants to read in the log of a build server."""
    part = decided(cell)
    lines = [f"{cell.file}:{part.line if part is not None else cell.line}: {cell.reason}"]
    asked = {expectation.line for expectation in cell.expectations}
    for step in cell.steps:
        if not step.verdict.green and step.verdict not in _SKIPPED and step.line not in asked:
            lines.append(
                f"{cell.file}:{step.line}: {step.verdict}: {step.text}: {step.message or ''}".rstrip(": ")
            )
    for expectation in cell.expectations:
        if not expectation.verdict.green and expectation.verdict not in _SKIPPED:
            place = f"{cell.file}:{expectation.line}"
            lines.append(f"{place}: {expectation.verdict}: {expectation.what} {expectation.subject}")
            if expectation.message and expectation.message not in cell.reason:
                lines.append(f"    {expectation.message}")
            lines += [f"    nearest: event {miss.seq}: {miss.why}" for miss in expectation.nearest]
    lines += [f"strictness: event {found.seq} {found.kind}: {found.message}" for found in cell.strictness]
    if cell.repeat:
        lines.append(f"repeat: {cell.repeat}")
    return "\n".join(lines)


def _properties(parent: ET.Element, values: dict[str, str | None]) -> None:
    box = ET.SubElement(parent, "properties")
    for name, value in values.items():
        if value not in (None, ""):
            ET.SubElement(box, "property", name=visible(name), value=visible(value))


def _clause(suite: ET.Element, clause: ClauseSummary) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=visible(f"clauses.{clause.section}"),
        name=visible(clause.id),
        time="0.000",
    )
    declared = clause.expected
    verdict = clause.verdict
    if verdict is Verdict.ERROR:
        tag, kind = "error", verdict.value
    elif declared is not None and declared.verdict is verdict:
        tag, kind = "skipped", "known deviation"
    elif verdict is Verdict.FAIL or (declared is not None and verdict not in _SKIPPED):
        tag, kind = "failure", verdict.value
    elif verdict in (*_SKIPPED, Verdict.INCONCLUSIVE):
        tag, kind = "skipped", verdict.value
    else:
        return
    expected = (
        f"declared {declared.verdict}, found {verdict}: " if declared is not None and tag == "failure" else ""
    )
    found = ET.SubElement(case, tag, type=kind, message=visible(f"{expected}{clause.reason}"))
    frames = [str(piece.frame) for piece in clause.evidence if piece.frame is not None]
    if tag != "skipped":
        where = f"\nframes {', '.join(frames[:10])} in {', '.join(clause.cells[:3])}" if frames else ""
        found.text = visible(f"{clause.title or clause.id}: {clause.reason}{where}", lines=True)


def _count(head: ET.Element) -> None:
    """Write the sums into the head of a suite, or of all suites, from what stands in it."""
    head.set("tests", str(len(list(head.iter("testcase")))))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        head.set(name, str(len(list(head.iter(tag)))))


def junit(run: RunResult) -> bytes:
    """Return junit.xml of a run, UTF-8 with its declaration."""
    info = run.run
    top = ET.Element("testsuites", name="modality-bench")
    suite = ET.SubElement(
        top, "testsuite", name=visible(info.product.name), timestamp=visible(info.start[:19])
    )
    _properties(
        suite,
        {
            "run": info.run_id,
            "product": info.product.name,
            "product.version": info.product.version,
            "product.serial": info.product.serial,
            "statement": info.product.statement,
            "tester": info.tester,
            "sut.adapter": info.sut.adapter,
            "seed": str(info.seed),
            "verdict": run.verdict.value,
            "exit_code": str(run.exit_code),
        },
    )
    for cell in run.cells:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=visible(cell.scenario),
            name=visible(cell.id),
            file=visible(cell.file),
            line=str(cell.line),
            time=f"{cell.seconds:.3f}",
        )
        links = ", ".join(f"{link.name} {link.backend} {link.mode or ''}".strip() for link in cell.links)
        axes = {f"axis.{name}": value for name, value in cell.axes.items()}
        _properties(
            case,
            {
                "verdict": cell.verdict.value,
                "seed": str(cell.seed),
                "links": links,
                "repeat": cell.repeat,
                **axes,
            },
        )
        tag, kind, message = _outcome(cell)
        if tag:
            found = ET.SubElement(case, tag, type=kind, message=visible(message))
            if tag != "skipped":
                found.text = visible(_details(cell), lines=True)
        if cell.remarks:
            ET.SubElement(case, "system-out").text = visible("\n".join(cell.remarks), lines=True)
        if errors := tuple(dict.fromkeys((*cell.errors, *bench_faults(cell)))):
            ET.SubElement(case, "system-err").text = visible("\n".join(errors), lines=True)
    if run.clauses:
        clauses = ET.SubElement(top, "testsuite", name="clauses", timestamp=visible(info.start[:19]))
        for clause in run.clauses:
            _clause(clauses, clause)
        clauses.set("time", "0.000")
        _count(clauses)
    for head in (suite, top):
        _count(head)
        head.set("time", f"{sum(cell.seconds for cell in run.cells):.3f}")
    ET.indent(top)
    content: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return content + b"\n"
