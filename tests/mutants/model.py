"""Mutants, the conversations they are made of, and what came of judging them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bench.checks.case import Sut, SutConfig
from bench.judge.engine import judge_capture
from bench.resultmodel import ClauseResult
from bench.statements import load
from bench.statements.model import Statement
from bench.verdict import Verdict
from bench.witness import read
from tests.lab.conversation import Lab
from tests.lab.replay import Change, Tape, replay, small

Edit = Callable[[Lab], None]
GREEN = (Verdict.PASS, Verdict.PASS_ERRATUM, Verdict.DEV_FROM_STD)


@dataclass(frozen=True)
class Base:
    """Conforming conversations of one product: a recording of the reference modality, or the laboratory's."""

    name: str
    statement: str
    who: str
    say: Callable[[Lab, Change | None], None]
    config: Mapping[str, Any] = field(default_factory=dict)
    reference: bool = False
    services: tuple[str, ...] = ()
    tape: Tape = ()
    suffix: str = ".pcapng"
    write: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_tape(
        cls,
        name: str,
        statement: str,
        tape: Tape,
        who: str,
        config: Mapping[str, Any],
        services: tuple[str, ...],
    ) -> Base:
        """A recording of the reference modality, its pixels made small."""

        def say(lab: Lab, change: Change | None) -> None:
            lab.edits.insert(0, small)
            replay(tape, lab, change=change)

        return cls(name, statement, who, say, config, reference=True, services=services, tape=tape)

    @classmethod
    def of_lab(
        cls,
        name: str,
        statement: str,
        who: str,
        build: Callable[[Lab], object],
        config: Mapping[str, Any],
        suffix: str = ".pcapng",
        write: Mapping[str, Any] | None = None,
    ) -> Base:
        """Conversations of the laboratory."""
        how = write or {}
        return cls(name, statement, who, lambda lab, _: void(build(lab)), config, suffix=suffix, write=how)


def void(_: object) -> None:
    """Forget a result."""


@dataclass(frozen=True)
class Mutant:
    """One defect: ``turns`` must FAIL and nothing else; ``aims`` is the clause that it was made for.

    ``may`` may FAIL as well, because their text can be read so.  ``edit`` prepares the laboratory; ``change`` may alter
    or leave out PDUs of a recording.
    """

    name: str
    base: Base
    aims: str
    turns: frozenset[str]
    edit: Edit | None = None
    may: frozenset[str] = frozenset()
    change: Change | None = None


@dataclass(frozen=True)
class Outcome:
    """What the judge said of a mutant."""

    mutant: Mutant
    missed: frozenset[str]
    bystanders: frozenset[str]
    reasons: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def exact(self) -> bool:
        """Exactly the declared ids FAIL."""
        return not (self.missed or self.bystanders or self.trouble)


@cache
def _statement(name: str) -> Statement:
    return load(name)


def judge(base: Base, file: Path) -> dict[str, ClauseResult]:
    """Judge a capture as one of a base."""
    sut = Sut(addresses=frozenset({base.who}), why="named")
    config = SutConfig(base.config, "mutants")
    judged = judge_capture(
        read(file), _statement(base.statement), sut, config=config, reference=base.reference
    )
    return {clause.id: clause for clause in judged.clauses}


def _written(base: Base, lab: Lab, folder: Path) -> Path:
    return lab.write(folder / f"capture{base.suffix}", **base.write)


def unmutated(base: Base, folder: Path) -> dict[str, ClauseResult]:
    """Judge a base as it is."""
    lab = Lab()
    base.say(lab, None)
    return judge(base, _written(base, lab, folder))


def attempt(mutant: Mutant, folder: Path) -> Outcome:
    """Make a mutant and judge it; a defect that cannot be made is trouble, never a success."""
    lab = Lab()
    hits = [0]
    try:
        if mutant.edit is not None:
            mutant.edit(lab)
            for index, edit in enumerate(lab.edits):
                lab.edits[index] = _counted(edit, hits)
        mutant.base.say(lab, mutant.change)
        found = judge(mutant.base, _written(mutant.base, lab, folder))
    except Exception as error:  # a fault of the mutant: told in the table
        return Outcome(mutant, mutant.turns, frozenset(), trouble=f"{type(error).__name__}: {error}")
    failed = {id: clause.reason for id, clause in found.items() if clause.verdict is Verdict.FAIL}
    errors = [f"{id}: {clause.reason}" for id, clause in found.items() if clause.verdict is Verdict.ERROR]
    return Outcome(
        mutant,
        mutant.turns - failed.keys(),
        frozenset(failed) - mutant.turns - mutant.may,
        failed,
        trouble="; ".join(errors[:2]),
    )


def _counted(edit: Callable[[Any], None], hits: list[int]) -> Callable[[Any], None]:
    def counted(out: Any) -> None:
        hits[0] += 1
        edit(out)

    return counted
