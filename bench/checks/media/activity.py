"""Exports and additions of a cell: what was on the medium before, what the product said it did, and what is there.

Rules of this file:

* A clause is kept only where the medium bears the product's report out: every file with its SHA-256, every record.
* What was on the medium before, foreign or the product's own, must be there unchanged after an addition, and where the
  product refused.
* A DICOMDIR is the old one or the new one, never half of one (PS3.3 F.2.2; MX-D-25).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.defaults.common import keeps
from bench.checks.finding import Finding, check, failed, inconclusive, passed
from bench.checks.media.common import activity_of, number
from bench.checks.media.history import DIRECTORY, Action, History
from bench.checks.media.view import story_of
from bench.resultmodel import Evidence
from bench.witness.medium import Medium

if TYPE_CHECKING:
    from bench.checks.case import Case

WHERE: Final = Evidence(what=DIRECTORY)


@check("MX-GEN-004", "MX-GEN-005", "MX-MED-003", "MX-MED-004", "MX-MED-005", "MX-D-23", "MX-D-24", "MX-D-25")
def activities_of_a_cell(case: Case) -> Iterator[Finding]:
    """The medium of a cell."""
    story = story_of(case)
    if story is None:
        return
    medium = case.media[0]
    ids: dict[str, list[str]] = {}
    for clause in case.statement.clauses:
        if activity := activity_of(clause):
            ids.setdefault(activity, []).append(clause.id)
    yield from _actions(case, story, medium, ids)
    for id in ids.get("foreign", ()):
        yield from _foreign(id, story)
    yield from _defaults(case, story, medium)


def _actions(case: Case, story: History, medium: Medium, ids: dict[str, list[str]]) -> Iterator[Finding]:
    there: set[str] = set(story.before or {})
    known = story.before is not None
    named = _named(medium)
    for position, action in enumerate(story.actions):
        if not action.files:
            continue  # everything was there already
        had = DIRECTORY in there if known or position else None
        evidence = (Evidence(seq=action.seq, note="claim"), WHERE)
        wrong = _wrong(story, action, named)
        old = sorted(there - {DIRECTORY})
        if had is False and action.kind == "export":
            text = (
                f"a file-set with {number(len(action.files), 'object')} was written to a medium without one"
            )
            yield from _told(ids.get("create", ()), wrong, _unseen(story, action.files), text, evidence)
        elif had and action.kind == "add":
            lost, unseen = wrong or _lost(story, old), _unseen(story, action.files)
            text = f"{number(len(action.files), 'object')} added to the file-set; what was there is there"
            yield from _told(ids.get("update", ()), lost, unseen, text, evidence)
        there |= {*action.files, DIRECTORY}


def _named(medium: Medium) -> frozenset[str]:
    """Files that a record in use refers to, by their names."""
    directory = medium.directory
    if directory is None:
        return frozenset()
    found = (medium.find(r.file_id) for r in directory.records if r.file_id and r.in_use)
    return frozenset("/".join(entry.short) for entry in found if entry is not None)


def _wrong(story: History, action: Action, named: frozenset[str]) -> str:
    """Say why the medium does not bear a report out; empty when it does."""
    last = story.saved
    for name, wanted in action.files.items():
        held = story.held.get(name)
        if held is None:
            return f"{name} was reported as saved, and it is not on the medium"
        if wanted and held.sha256 and held.sha256 not in (wanted, last.get(name)):
            return f"{name} holds other bytes than were reported"
        if name not in named:
            return f"{name} was reported as saved, and no record refers to it"
    return ""


def _unseen(story: History, names: Iterable[str]) -> str:
    """Return the first file whose bytes nobody looked at: there was more than is hashed."""
    held = story.held
    return next((name for name in names if name in held and held[name].whole and not held[name].sha256), "")


def _told(
    ids: Iterable[str], wrong: str, unseen: str, right: str, evidence: tuple[Evidence, ...]
) -> Iterator[Finding]:
    for id in ids:
        if wrong:
            yield failed(id, wrong, *evidence)
        elif unseen:
            yield inconclusive(id, f"{unseen} is too large to be compared with what was reported", *evidence)
        else:
            yield passed(id, right, *evidence)


def _lost(story: History, old: list[str]) -> str:
    saved = story.saved
    for name in old:
        held = story.held.get(name)
        then = (story.before or {}).get(name)
        if held is None:
            return f"{name}, which was there before, is gone"
        wanted = saved.get(name) or (then.sha256 if then is not None else "")
        resized = then is not None and name not in saved and held.bytes != then.bytes
        if resized or (wanted and held.sha256 and held.sha256 != wanted):
            return f"{name}, which was there before, was changed"
    return ""


def _foreign(id: str, story: History) -> Iterator[Finding]:
    """What lay on the medium before is whole, whether the product added to it or refused."""
    if not story.before or not (story.asked or story.actions):
        return
    files = sorted(set(story.before) - {DIRECTORY} - set(story.saved))
    if not files:
        return
    lost = _lost(story, files)
    did = "added to" if any(a.kind == "add" for a in story.actions) else "not written to"
    if lost:
        yield failed(id, lost, WHERE)
    else:
        yield passed(id, f"the medium was {did}; {number(len(files), 'file')} of others unchanged", WHERE)


def _by_fact(case: Case, begin: str) -> Iterator[str]:
    return (id for id, default in case.statement.defaults.items() if default.fact.startswith(begin))


def _defaults(case: Case, story: History, medium: Medium) -> Iterator[Finding]:
    if story.ever_interrupted or not story.actions:
        for id in _by_fact(case, "Volume full"):
            yes, no = _old_or_new(story, medium)
            if yes or no:
                yield keeps(case, id, bool(yes), yes, no, WHERE)
    for attempt in story.attempts:
        where = Evidence(seq=attempt.seq, note=f"the operator asks to {attempt.verb}")
        if attempt.verb == "export" and attempt.had:
            for id in _by_fact(case, "Export on a volume that has"):
                no = "an export replaced the file-set that was there"
                yield keeps(case, id, not attempt.done, "the export is refused", no, where)
        elif attempt.verb == "add" and attempt.had is False and attempt.done:
            for id in _by_fact(case, "Add Image Files on a volume without"):
                yield keeps(case, id, True, "a file-set was made", "", where)


def _old_or_new(story: History, medium: Medium) -> tuple[str, str]:
    """Say how the DICOMDIR is the old or the new one, or why it is neither; nothing when it is not known."""
    first = (story.before or {}).get(DIRECTORY)
    now = story.held.get(DIRECTORY)
    if now is None:
        if story.directory or first is not None:
            return "", "the DICOMDIR is gone"
        return ("there was no DICOMDIR, and there is none", "") if story.before is not None else ("", "")
    if story.directory:
        if now.sha256 == story.directory:
            return "the DICOMDIR is the old one", ""
    elif first is not None and (now.bytes, now.sha256) == (first.bytes, first.sha256):
        return "the DICOMDIR is the old one", ""  # one that is too large to be hashed: by its size
    if not now.whole:
        return "", f"not all of the {now.bytes} bytes of the DICOMDIR are on the medium"
    directory = medium.directory
    if (
        directory is None
        or directory.broken
        or not directory.file.magic
        or directory.astray
        or directory.lost
    ):
        return "", "the DICOMDIR is neither the old one nor one that can be read to its end"
    missing = [r.name for r in directory.records if r.file_id and r.in_use and medium.find(r.file_id) is None]
    if missing:
        return "", f"the DICOMDIR is a new one, and the file of {missing[0]} is not on the medium"
    files = medium.by_path
    for record in directory.records:
        entry = medium.find(record.file_id) if record.file_id else None
        file = files.get(entry.short) if entry is not None else None
        if file is not None and file.lost:
            return "", f"the DICOMDIR is a new one, and {file.path} is not whole"
    return "the DICOMDIR is a new one, whole, with all its files", ""


__all__ = ["activities_of_a_cell"]
