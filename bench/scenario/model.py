"""A scenario as data: frozen, without live objects, every step with its file and line.

Rules of this file:

* Times are float seconds, sizes are bytes, as the registry's types read them.
* A :class:`Scenario` may hold ``${matrix.x}``; a :class:`Cell` does not.  ``${name.field}`` stays until the step runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bench.scenario import matrix as _matrix
from bench.scenario.matchers import DatasetTest, EventTest, FieldTest
from bench.scenario.refs import axes_in, choose
from bench.scenario.spec import StepSpec

DEFAULT_WITHIN_S = 10.0
"""Limit of an ``expect`` without ``within``."""


@dataclass(frozen=True, kw_only=True)
class _Step:
    index: int
    file: str
    line: int
    text: str  # the line of the file, stripped
    name: str | None = None  # `as:`

    @property
    def head(self) -> str:
        """Return what the step is, in one or two words."""
        raise NotImplementedError

    @property
    def where_it_is(self) -> str:
        """Return ``file:line``."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Act(_Step):
    """Something is done: a verb of the registry."""

    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)
    answer: tuple[FieldTest, ...] = ()  # what the SUT's answer must hold (operator verbs)
    fails: bool | str = False  # the SUT must refuse; a text is a regular expression on its reason

    @property
    def head(self) -> str:
        """Return the verb."""
        return self.verb

    @property
    def spec(self) -> StepSpec:
        """Return the registry's entry."""
        from bench.scenario.steps import REGISTRY

        return REGISTRY[self.verb]

    @property
    def host(self) -> str:
        """Return who does it: the part before the dot (``bench`` for ``wait``)."""
        return self.spec.family

    @property
    def what(self) -> str:
        """Return the part after the dot."""
        return self.spec.what


@dataclass(frozen=True)
class When:
    """The moment of an armed fault."""

    kind: Literal["received_bytes", "written_bytes", "request", "event", "time"]
    host: str = ""
    value: Any = None  # bytes, request name, or seconds after arming
    match: EventTest | None = None
    count: int = 1  # at the n-th such event or request
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Arm(Act):
    """A fault that waits for its moment; `when` None means the next occasion."""

    when: When | None = None

    @property
    def head(self) -> str:
        """Return ``arm`` and the verb."""
        return f"arm {self.verb}"


@dataclass(frozen=True, kw_only=True)
class _Observation(_Step):
    kind: str
    after: str | None = None  # name of a step, or 'name.end'
    where: tuple[FieldTest, ...] = ()
    dataset: tuple[DatasetTest, ...] = ()

    @property
    def test(self) -> EventTest:
        """Return the predicate on events."""
        return EventTest(self.kind, self.where, self.dataset)


@dataclass(frozen=True, kw_only=True)
class Expect(_Observation):
    """An event must come."""

    within_s: float = DEFAULT_WITHIN_S
    count: int | None = None  # exactly so many in the whole stream; the n-th bounds `within`
    save: str | None = None
    shared: bool = False  # looks at events that another expectation may have taken

    @property
    def head(self) -> str:
        """Return what is expected."""
        return f"expect {self.kind}"


@dataclass(frozen=True, kw_only=True)
class Never(_Observation):
    """An event must not come."""

    for_s: float | None = None  # None: to the end of the cell
    wait: bool = False

    @property
    def head(self) -> str:
        """Return what must not come."""
        return f"never {self.kind}"


@dataclass(frozen=True, kw_only=True)
class Order(_Step):
    """Events of named expectations came in this order."""

    names: tuple[str, ...]

    @property
    def head(self) -> str:
        """Return the names."""
        return "order " + ", ".join(self.names)


Step = Act | Arm | Expect | Never | Order


@dataclass(frozen=True)
class Allow:
    """Events that need no expectation."""

    test: EventTest
    line: int


@dataclass(frozen=True)
class Scenario:
    """One scenario file."""

    name: str
    file: str
    line: int
    product: str
    title: str = ""
    purpose: str = ""
    covers: tuple[str, ...] = ()
    ihe: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    timeout_s: float | None = None
    messages: Mapping[str, int] | None = None
    """DIMSE requests of the whole cell by kind (``C-STORE``); None: nothing is said about them."""
    matrix: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    setup: Mapping[str, Any] = field(default_factory=dict)
    allow: tuple[Allow, ...] = ()
    steps: tuple[Step, ...] = ()

    @cached_property
    def varying(self) -> frozenset[int]:
        """Return the positions of the steps that differ between cells."""
        return frozenset(number for number, step in enumerate(self.steps) if axes_in(step))

    def cells(
        self, mode: str = "smoke", filters: Mapping[str, str | Iterable[str]] | None = None
    ) -> tuple[Cell, ...]:
        """Return the cells of the matrix.

        ``smoke``: the first one; ``pairwise``: every pair of values of two axes at least once; ``full``: all.
        `filters` are applied first; an axis that this scenario does not have filters nothing.
        Raises ValueError for another mode.
        """
        values = _matrix.cells(self.matrix, self.exclude, mode, filters or {})
        ids = _matrix.ids(self.name, _matrix.cells(self.matrix, self.exclude, "full", {}))
        return tuple(Cell(self, cell, ids[_matrix.key(cell)]) for cell in values)


@dataclass(frozen=True)
class Cell:
    """One scenario with one value for each axis; this is what runs and gets a verdict."""

    scenario: Scenario
    values: Mapping[str, str]
    id: str

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps with the cell's values in them."""
        steps, varying = self.scenario.steps, self.scenario.varying
        if not varying:
            return steps
        return tuple(choose(s, self.values) if n in varying else s for n, s in enumerate(steps))

    @cached_property
    def setup(self) -> Mapping[str, Any]:
        """Return the set-up with the cell's values in it."""
        return choose(self.scenario.setup, self.values)

    @cached_property
    def allow(self) -> tuple[Allow, ...]:
        """Return what is allowed, with the cell's values in it."""
        return choose(self.scenario.allow, self.values)
