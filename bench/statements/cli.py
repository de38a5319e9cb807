"""``modbench statement list|show|lint``: the clauses of a statement on the terminal, or as JSON for other tools.

All return the exit code: 0, or 2 when the statement cannot be used or nobody knows the id (told on stderr).
"""

from __future__ import annotations

import dataclasses
import json as jsonlib
import sys
from pathlib import Path
from typing import Any, Final

from bench.scenario.problems import did_you_mean
from bench.statements import BUNDLED
from bench.statements.lint import lint
from bench.statements.loader import load
from bench.statements.model import SEVERITIES, Clause, Statement, StatementErrors
from bench.statements.words import explain, notes_of, section_title

FORMAT: Final = 1


def run_list(name_or_file: str | None, json: bool) -> int:
    """List the clauses of a statement; of all statements of this project when no name is given."""
    names = list(BUNDLED) if name_or_file is None else [name_or_file]
    try:
        statements = [load(name) for name in names]
    except StatementErrors as error:
        print(error, file=sys.stderr)
        return 2
    if json:
        listed = [_listed(statement) for statement in statements]
        _print_json(listed[0] if name_or_file is not None else {"format": FORMAT, "statements": listed})
        return 0
    for number, statement in enumerate(statements):
        print("\n" * bool(number) + _headline(statement))
        for section in statement.sections:
            if section.clauses:
                print(f"\n{section.number}  {section_title(statement, section.number)}")
            for clause in section.clauses:
                print(f"  {clause.id:<16} {clause.kind:<14} {clause.title}")
    return 0


def run_show(name_or_file: str, clause_id: str | None, json: bool) -> int:
    """Show one clause (default, erratum) in full; without an id the statement and its sections."""
    try:
        statement = load(name_or_file)
    except StatementErrors as error:
        print(error, file=sys.stderr)
        return 2
    if clause_id is None:
        return _overview(statement, json)
    found = explain(clause_id, statement)
    if found is None:
        known = (*statement.by_id, *statement.defaults, *statement.errata)
        hint = did_you_mean(clause_id, known) or f"ids begin with {statement.prefix}-"
        print(f"{statement.name} has no '{clause_id}' ({hint})", file=sys.stderr)
        return 2
    clause = statement.by_id.get(clause_id)
    if json:
        shown: dict[str, Any] = {"format": FORMAT, "statement": statement.name, "id": clause_id}
        shown |= {"title": found.title, "section_title": found.section, "words": found.words}
        if clause is not None:
            shown["clause"] = _full(statement, clause)
        elif clause_id in statement.defaults:
            shown["default"] = _plain(statement.defaults[clause_id])
        else:
            shown["erratum"] = _plain(statement.errata[clause_id])
        _print_json(shown)
        return 0
    print(f"{found.id}  {found.title}\n{found.section}", end="")
    print(f" ({statement.edition.document}, {', '.join(clause.original)})" if clause is not None else "")
    print(f"\n{found.words}")
    if clause is not None:
        _details(statement, clause)
    return 0


def run_lint(name_or_file: str, json: bool) -> int:
    """Say where a statement contradicts the standard or itself, and how the bench reads it."""
    try:
        statement = load(name_or_file)
    except StatementErrors as error:
        print(error, file=sys.stderr)
        return 2
    findings = lint(statement)
    file = Path(statement.file).name
    if json:
        listed = [_plain(finding) | {"line": finding.line, "open": finding.open} for finding in findings]
        _print_json(_head(statement) | {"file": file, "findings": listed})
        return 0
    print(_headline(statement))
    for severity, meaning in SEVERITIES.items():
        chosen = [finding for finding in findings if finding.severity == severity]
        if chosen:
            print(f"\n{severity}: {meaning} ({len(chosen)})")
        for finding in chosen:
            more = " …" if len(finding.clauses) > 4 else ""
            clauses = f"{', '.join(finding.clauses[:4])}{more}: " if finding.clauses else ""
            how = f"{', '.join(finding.errata)}: {finding.reading}" if finding.errata else "open: not decided"
            print(f"  {file}:{finding.line}: [{finding.rule}] {clauses}{finding.says}")
            print(f"      standard: {finding.standard}\n      {how}")
    noted = sum(finding.rule == "noted" for finding in findings)
    still_open = sum(finding.open for finding in findings)
    print(
        f"\n{len(findings)} findings: {len(findings) - noted} by comparison, {noted} noted by a person; "
        f"{still_open} open: no erratum says how they are read"
    )
    return 0


def _details(statement: Statement, clause: Clause) -> None:
    meaning = f": {statement.product.variants[clause.only_for]}" if clause.only_for else ""
    for label, text in (
        ("Kind", clause.kind),
        ("How to check", clause.check),
        ("Only for", clause.only_for + meaning),
        ("Confidence", clause.confidence),
        ("Remark", clause.remark),
        ("About this table", notes_of(statement, clause.section)),
    ):
        if text:
            print(f"{label}: {text}")
    for name in clause.errata:
        erratum = statement.errata[name]
        print(f"\n{name}\n  The statement: {erratum.statement}\n  The standard:  {erratum.standard}")
        print(f"  Reading used:  {erratum.reading}")


def _overview(statement: Statement, json: bool) -> int:
    if json:
        _print_json(
            _head(statement) | {"sections": [_section(statement, s.number) for s in statement.sections]}
        )
        return 0
    print(_headline(statement))
    if statement.edition.remark:
        print(statement.edition.remark)
    print()
    for section in statement.sections:
        if section.clauses:
            title = section_title(statement, section.number)
            print(f"{section.number:<6} {len(section.clauses):>4}  {section.prefix:<12} {title}")
    return 0


def _headline(statement: Statement) -> str:
    edition, product = statement.edition, statement.product
    when = ", ".join(
        f"{what} {text}" if what else text
        for what, text in (("revision", edition.revision), ("", edition.date))
        if text != "unknown"
    )
    return (
        f"{statement.name}: {product.name} ({product.vendor}), {product.kind}\n"
        f"{edition.document}{', ' + when if when else ''}\n"
        f"{len(statement.by_id)} clauses, {len(statement.errata)} errata, {len(statement.defaults)} defaults"
    )


def _head(statement: Statement) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "statement": statement.name,
        "prefix": statement.prefix,
        "edition": _plain(statement.edition),
        "product": _plain(statement.product),
        "counts": {
            "clauses": len(statement.by_id),
            "errata": len(statement.errata),
            "defaults": len(statement.defaults),
        },
    }


def _section(statement: Statement, number: str) -> dict[str, Any]:
    section = next(one for one in statement.sections if one.number == number)
    entry = _plain(dataclasses.replace(section, clauses=()))
    return entry | {"title": section_title(statement, number), "clauses": len(section.clauses)}


def _listed(statement: Statement) -> dict[str, Any]:
    return _head(statement) | {
        "clauses": [
            {
                "id": clause.id,
                "section": clause.section,
                "kind": clause.kind,
                "title": clause.title,
                "original": list(clause.original),
                "errata": list(clause.errata),
            }
            for clause in statement.clauses
        ],
        "defaults": [{"id": default.id, "title": default.fact} for default in statement.defaults.values()],
        "errata": [{"id": erratum.id, "title": erratum.statement} for erratum in statement.errata.values()],
    }


def _full(statement: Statement, clause: Clause) -> dict[str, Any]:
    entry = _plain(clause)
    entry["errata"] = [_plain(statement.errata[name]) for name in clause.errata]
    return entry


def _plain(thing: Any) -> dict[str, Any]:
    """Return a dataclass as JSON values, without what is empty and without lines of the file."""

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if value not in (None, "", (), {}) and key != "line"}

    return dataclasses.asdict(thing, dict_factory=keep)


def _print_json(value: dict[str, Any]) -> None:
    print(jsonlib.dumps(value, indent=1, ensure_ascii=False))
