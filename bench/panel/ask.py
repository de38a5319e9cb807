"""Ask the panel about objects and say how each line stands to what the bench itself found.

Rules of this file:

* A line is *agreed* when the bench reports something about the same element, *explained* when the committed list says
  why the two differ, else *open*: a disagreement that nobody has looked at, visible in the report.
* The panel judges nothing by itself: it audits the bench.  An open line is a remark; it neither fails the SUT nor
  the bench, because either could be right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path

from bench.panel.judges import JUDGES, Judge
from bench.panel.opinion import JudgeError, Line, line
from bench.resultmodel import CellResult, JudgeLine, JudgeOpinion
from bench.scenario.source import plain
from bench.verdict import Verdict


@dataclass(frozen=True)
class _Explained:
    judge: str
    pattern: re.Pattern[str]
    why: str


@cache
def explanations() -> tuple[_Explained, ...]:
    """Return the committed list of explained disagreements."""
    entries = plain(resources.files(__package__).joinpath("explained.yaml").read_text("utf-8"))
    return tuple(_Explained(entry["judge"], re.compile(entry["pattern"]), entry["why"]) for entry in entries)


def missing(sop_classes: Collection[str], judges: Sequence[Judge] = JUDGES) -> tuple[str, ...]:
    """Return a sentence for every judge that would have something to say and is not installed."""
    return tuple(
        f"{judge.name} is not installed ({judge.get}): nobody looked at {judge.knows}"
        for judge in judges
        if any(judge.looks_at(uid) for uid in sop_classes) and judge.finds() is None
    )


def ask(
    objects: Iterable[tuple[Path, str, str]], found: Collection[str] = (), judges: Sequence[Judge] = JUDGES
) -> tuple[JudgeOpinion, ...]:
    """Ask every installed judge about objects.

    Args:
        objects: file, name to show, SOP class.
        found: tags ``(GGGG,EEEE)`` and concept codes that the bench reports something about (FAIL, DEV-FROM-STD).
        judges: who is asked.
    """
    opinions = []
    for file, name, sop_class in objects:
        for judge in judges:
            if not judge.looks_at(sop_class) or judge.finds() is None:
                continue
            try:
                said = judge.examine(file)
            except JudgeError as error:
                opinions.append(JudgeOpinion(judge=judge.name, object=name, error=str(error)))
                continue
            lines = tuple(_standing(judge.name, line, found) for line in said.lines)
            opinions.append(JudgeOpinion(judge=judge.name, object=name, kind=said.kind, lines=lines))
    return tuple(opinions)


def told(judge: str, name: str, kind: str, texts: Iterable[str]) -> JudgeOpinion:
    """Return an opinion of lines that were read elsewhere, each with its standing."""
    lines = (line("error" if text.startswith("Error") else "warning", text) for text in texts)
    return JudgeOpinion(
        judge=judge, object=name, kind=kind, lines=tuple(_standing(judge, one, ()) for one in lines)
    )


def agree(result: CellResult) -> CellResult:
    """Return a judged cell whose opinions know what the bench found: open lines about the same elements are agreed."""
    wrong = (Verdict.FAIL, Verdict.DEV_FROM_STD)
    found = {
        evidence.tag.rsplit(".", 1)[-1]
        for clause in result.clauses
        if clause.verdict in wrong
        for evidence in clause.evidence
        if evidence.tag
    }
    return replace(result, opinions=tuple(_agreed(opinion, found) for opinion in result.opinions))


def _agreed(opinion: JudgeOpinion, found: Collection[str]) -> JudgeOpinion:
    lines = tuple(
        replace(one, standing="agreed")
        if one.standing == "open" and line("error", one.text).about in found
        else one
        for one in opinion.lines
    )
    return replace(opinion, lines=lines)


def _standing(judge: str, line: Line, found: Collection[str]) -> JudgeLine:
    if line.about and line.about in found:
        return JudgeLine(severity=line.severity, text=line.text, standing="agreed")
    for one in explanations():
        if one.judge == judge and one.pattern.search(line.text):
            return JudgeLine(severity=line.severity, text=line.text, standing="explained", why=one.why)
    return JudgeLine(severity=line.severity, text=line.text, standing="open")
