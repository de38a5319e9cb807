"""Mutants, the conversations and media they are made of, and what came of judging them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from bench.checks.case import Sut, SutConfig
from bench.judge.engine import judge_capture
from bench.resultmodel import ClauseResult
from bench.statements import load
from bench.statements.model import Statement
from bench.verdict import Verdict
from bench.witness import read
from tests.lab.conversation import Lab
from tests.lab.replay import Change, Tape, replay
from tests.mutants.shrink import small

Edit = Callable[[Any], object]
Found = dict[str, ClauseResult]
GREEN = (Verdict.PASS, Verdict.PASS_ERRATUM, Verdict.DEV_FROM_STD)


def binding(subject: Subject, ids: Iterable[str]) -> frozenset[str]:
    """The ids that a subject is held to: defaults bind the reference products only (ruling A3)."""
    return frozenset(id for id in ids if subject.reference or "-D-" not in id)


class Subject(Protocol):
    """What a mutant is made of: conversations or a medium of one product, conforming as they are."""

    @property
    def name(self) -> str:
        """For a person."""

    @property
    def statement(self) -> str:
        """Name of the product's statement."""

    @property
    def reference(self) -> bool:
        """Whether it is of a reference product."""

    def judged(self, folder: Path, mutant: Mutant | None = None) -> Found:
        """Judge it, as it is or with a mutant's defect."""


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
    events: tuple[Any, ...] = ()

    @classmethod
    def of_tape(
        cls,
        name: str,
        statement: str,
        tape: Tape,
        who: str,
        config: Mapping[str, Any],
        services: tuple[str, ...],
        *,
        events: tuple[Any, ...] = (),
    ) -> Base:
        """A recording of the reference modality, its pixels made small."""
        made = cls(name, statement, who, _silence, config, reference=True, services=services, events=events)
        return made.with_tape(tape)

    def with_tape(self, tape: Tape, *, whole: bool = False) -> Base:
        """The same product with another recording; *whole*: its pixels stay as they were recorded."""

        def say(lab: Lab, change: Change | None) -> None:
            if not whole:
                lab.edits.insert(0, small)
            replay(tape, lab, change=change)

        return replace(self, say=say, tape=tape)

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

        def say(lab: Lab, _: Change | None) -> None:
            build(lab)

        return cls(name, statement, who, say, config, suffix=suffix, write=write or {})

    def judged(self, folder: Path, mutant: Mutant | None = None) -> Found:
        """Say it again, with the defect of a mutant, and judge the capture."""
        lab = Lab()
        if mutant is not None and mutant.edit is not None:
            mutant.edit(lab)
        self.say(lab, mutant.change if mutant is not None else None)
        capture = read(lab.write(folder / f"capture{self.suffix}", **self.write))
        judged = judge_capture(
            capture,
            statement_of(self.statement),
            Sut(addresses=frozenset({self.who}), why="named"),
            config=SutConfig(self.config, "mutants"),
            events=self.events,
            reference=self.reference,
        )
        return {clause.id: clause for clause in judged.clauses}


def _silence(_: Lab, __: Change | None) -> None:
    """Nothing is said."""


@dataclass(frozen=True)
class Mutant:
    """One defect: ``turns`` must FAIL and nothing else; ``aims`` is the clause that it was made for.

    ``may`` may FAIL as well, because their text can be read so.  ``edit`` prepares the laboratory, or changes the
    file-set of a medium; ``change`` may alter or leave out PDUs of a recording.
    """

    name: str
    base: Subject
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
def statement_of(name: str) -> Statement:
    """A statement, read once."""
    return load(name)


def attempt(mutant: Mutant, folder: Path) -> Outcome:
    """Make a mutant and judge it; a defect that cannot be made is trouble, never a success."""
    if not mutant.turns:
        return Outcome(mutant, frozenset(), frozenset(), trouble="it declares nothing that it turns")
    try:
        found = mutant.base.judged(folder, mutant)
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
