"""What is added to a finished cell outside of its sandbox: pictures, and outside judges.

tshark looks at its capture, dciodvfy at its objects; both are written by nobody here.

Rules of this file:

* It reads the cell's folder and changes nothing but the result.
* A disagreement of two witnesses about what happened is an error of the bench; a wrong object is a failure of the
  SUT.  A judge that is not installed is a remark.
* A radiograph that cannot be compared with what lay in the beam is INCONCLUSIVE: a cell is never green on pictures that
  nobody looked at.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.checks import object_judge, second_witness
from bench.journal import Event, read
from bench.panel.ask import ask as panel
from bench.panel.ask import told
from bench.panel.judges import JUDGES
from bench.report.pictures import CellPictures, Pair
from bench.resultmodel import JudgeOpinion
from bench.results import CellResult
from bench.verdict import Verdict, combine

PLAIN: Final = frozenset({None, "air", "flat"})
"""In these there is nothing to recognise."""
LIKENESS: Final = 0.9
"""Least rank correlation of a stored image with its truth; good ones have 0.98 and more."""
RADIOGRAPHS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"})
"""Storage classes of images that the detector made (DX, for presentation and for processing)."""


def ask(result: CellResult, folder: Path, product: str, *, tshark: bool) -> CellResult:
    """Return the result with what the outside judges say about the cell in ``folder``."""
    events = list(read(folder / "journal.jsonl", lenient=True))
    result = _objects(result, folder, product, events)
    result = _pictures(result, folder, events)
    return _messages(result, folder, events) if tshark else result


def at_fault(result: CellResult, why: str) -> CellResult:
    """Add an error of the bench; a FAIL of the SUT stays visible beside it."""
    verdict = combine([result.verdict, Verdict.ERROR])
    reason = result.reason if verdict is not Verdict.ERROR else f"The bench failed: {why}"
    return replace(result, verdict=verdict, reason=reason, errors=(*result.errors, why))


def _failed(result: CellResult, why: str) -> CellResult:
    first = result.verdict is not Verdict.FAIL
    return replace(
        result,
        verdict=combine([result.verdict, Verdict.FAIL]),
        reason=why if first else result.reason,
        remarks=(*result.remarks, why),
    )


def _unseen(result: CellResult, why: str) -> CellResult:
    verdict = combine([result.verdict, Verdict.INCONCLUSIVE])
    changed = verdict is not result.verdict
    return replace(
        result, verdict=verdict, reason=why if changed else result.reason, remarks=(*result.remarks, why)
    )


def _objects(result: CellResult, folder: Path, product: str, events: list[Event]) -> CellResult:
    stored = [e for e in events if e.kind == "pacs.stored" and e.data.get("object")]
    if not stored:
        return result
    if object_judge.program() is None:
        return replace(result, remarks=(*result.remarks, "dciodvfy is not installed: no object was judged."))
    known = object_judge.expected(product)
    opinions: list[JudgeOpinion] = []
    for event in stored:
        file = folder / str(event.data["object"])
        if not file.resolve().is_relative_to(folder.resolve()):
            return at_fault(result, f"event {event.seq} names an object outside of its cell")
        try:
            opinion = object_judge.examine(file)
        except object_judge.ObjectJudgeError as error:
            return at_fault(result, f"{file.name}: {error}")
        deviation = object_judge.compare(opinion, known)
        if deviation:
            result = _failed(result, f"dciodvfy on {file.name} ({opinion.kind}): {deviation}")
        opinions.append(told("dciodvfy", file.name, opinion.kind, (*opinion.errors, *opinion.warnings)))
        opinions += panel([(file, file.name, str(event.data.get("sop_class", "")))], judges=JUDGES[1:])
    result = replace(result, opinions=tuple(opinions))
    note = f"dciodvfy read {len(stored)} objects and reported nothing but what the errata force."
    return result if result.verdict is Verdict.FAIL else replace(result, remarks=(*result.remarks, note))


def _pictures(result: CellResult, folder: Path, events: list[Event]) -> CellResult:
    """Compare every stored image with what lay in the beam: another patient's picture, a mirrored one, a negative.

    The hashes tie the frame to the sensor and the stored pixels to the console; this ties the one to the other.
    """
    pairs, _ = CellPictures(folder, result, events).pairs()
    seen = 0
    radiographs = {
        e.seq for e in events if e.kind == "pacs.stored" and e.data.get("sop_class") in RADIOGRAPHS
    }
    beam = {event.seq: event.data.get("phantom") for event in events if event.kind == "detector.frame"}
    for pair in pairs:
        if pair.frame_seq in beam and beam[pair.frame_seq] in PLAIN:
            continue
        if pair.agreement is None:
            if pair.seq in radiographs:
                why = f"was not compared with what lay in the beam: {_why(pair)}"
                result = _unseen(result, f"The stored image {pair.title} {why}.")
            continue
        seen += 1
        if not pair.agreement.upright:
            result = _failed(result, f"The stored image {pair.title} is {pair.agreement.orientation}.")
        elif pair.agreement.rho < LIKENESS:
            why = f"rank correlation {pair.agreement.rho:.2f} instead of at least {LIKENESS}"
            result = _failed(
                result, f"The stored image {pair.title} does not show what lay in the beam: {why}."
            )
    if not seen or result.verdict is Verdict.FAIL:
        return result
    note = f"{seen} stored images show what lay in the beam, upright and not mirrored."
    return replace(result, remarks=(*result.remarks, note))


def _why(pair: Pair) -> str:
    """Why there is no agreement."""
    if pair.frame_seq is None:
        return "the detector tells of no frame that it could be of"
    if pair.truth is None or pair.truth.grid is None:
        note = pair.truth.note if pair.truth is not None else ""
        return f"the truth of its frame is missing ({note or 'it cannot be read'})"
    return pair.stored.note or "it cannot be drawn"


def _messages(result: CellResult, folder: Path, events: list[Event]) -> CellResult:
    capture = folder / "wire.pcapng"
    if not capture.exists():
        return replace(
            result, remarks=(*result.remarks, "There is no capture, so there is no second witness.")
        )
    try:
        found = second_witness.compare(events, capture)
    except second_witness.WitnessError as error:
        return at_fault(result, str(error))
    if found.disagreements:
        return at_fault(result, "; ".join(found.disagreements))
    note = f"Second witness: tshark and the journal agree on {found.messages} DICOM messages"
    return replace(result, remarks=(*result.remarks, f"{note} on {len(found.journal)} connections."))
