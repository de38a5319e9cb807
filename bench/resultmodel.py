"""What a result is: runs, cells, steps, expectations, fidelity, clauses, evidence, as frozen dataclasses.

Rules of this file:

* ``reason`` is one sentence for a person.  Times are seconds, stamps ISO 8601 with an offset, ``seq`` numbers of
  journal events, paths relative to the cell's folder with ``/``.
* Who ran it is named by the tester; no host name, no user name, no machine path is kept.
* Fields are added with a default and never renamed: old results stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from bench.jsonmodel import Model
from bench.verdict import Verdict

FORMAT_VERSION: Final = 1
"""Of run.json, cell.json and results.json; raised only when an old reader would misunderstand."""


@dataclass(frozen=True, kw_only=True)
class Product(Model):
    """The system under test: name, serial number, software version, and the edition of its statement."""

    name: str
    serial: str | None = None
    version: str | None = None
    statement: str | None = None


@dataclass(frozen=True, kw_only=True)
class SutInfo(Model):
    """How the bench reached the SUT: adapter (reference, operator, command, http), AE title and address."""

    adapter: str
    description: str | None = None
    ae_title: str | None = None
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class HostFacts(Model):
    """What the bench ran on; no host name."""

    system: str
    kernel: str
    machine: str
    python: str
    cpu_count: int


@dataclass(frozen=True, kw_only=True)
class Expected(Model):
    """A known deviation that was declared: the verdict expected, why, since when, until when, which erratum it
    follows, and who answers for it.
    """

    verdict: Verdict
    reason: str
    date: str
    owner: str | None = None
    until: str | None = None
    erratum: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedCell(Model):
    """A cell that the run set out to do."""

    id: str
    scenario: str
    file: str
    line: int
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class PhaseTime(Model):
    """Where time went: a named phase, its seconds, and when it began (seconds after the cell's start)."""

    name: str
    seconds: float
    start_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class StepResult(Model):
    """One step of the scenario as it was done; ``start_seq`` and ``end_seq`` are its journal events."""

    index: int
    line: int
    text: str
    verdict: Verdict
    seconds: float | None = None
    message: str | None = None
    start_seq: int | None = None
    end_seq: int | None = None


@dataclass(frozen=True, kw_only=True)
class NearMiss(Model):
    """An event that almost matched, and why it did not."""

    seq: int
    why: str


@dataclass(frozen=True, kw_only=True)
class ExpectationResult(Model):
    """One expectation: what was asked (``within_s``, ``count_expected``), what was measured, and the margin
    between.
    """

    line: int
    text: str
    verdict: Verdict
    index: int = 0
    what: str = "expect"
    within_s: float | None = None
    measured_s: float | None = None
    margin_s: float | None = None
    count_expected: int | None = None
    count_seen: int | None = None
    matched: tuple[int, ...] = ()
    nearest: tuple[NearMiss, ...] = ()
    message: str | None = None
    clauses: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Return the text without the word that ``what`` says already."""
        return self.text.removeprefix(f"{self.what} ").removeprefix(f"{self.what}: ")


@dataclass(frozen=True, kw_only=True)
class StrictnessFinding(Model):
    """An event that no expectation matched and no ``allow:`` names."""

    seq: int
    kind: str
    message: str


def in_words(value: Any) -> str:
    """Return what a fault says of its place (an object, several of them) as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(filter(None, map(in_words, value)))
    return "" if value is None else str(value)


@dataclass(frozen=True, kw_only=True)
class FaultResult(Model):
    """A fault that was armed; without ``fired_seq`` it never happened and the cell is ERROR.

    ``where`` is words; what a simulator tells as an object or a list is put into words here.
    """

    id: str
    host: str
    fault: str
    line: int | None = None
    armed_seq: int | None = None
    fired_seq: int | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        where: Any = self.where
        if where is not None and not isinstance(where, str):
            object.__setattr__(self, "where", in_words(where) or None)


@dataclass(frozen=True, kw_only=True)
class Capture(Model):
    """A packet capture: file, packets in it, packets that it lost."""

    file: str
    packets: int
    dropped: int


@dataclass(frozen=True, kw_only=True)
class LinkFidelity(Model):
    """How real a link was: backend, mode, calibrated goodput, and what this cannot prove."""

    name: str
    backend: str
    mode: str | None = None
    tested: bool = True
    nominal_mbps: float | None = None
    measured_mbps: float | None = None
    cannot_prove: tuple[str, ...] = ()
    capture: Capture | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeFidelity(Model):
    """How real a removable medium was: its backend and why it was not a better one, its size in bytes, how many
    bytes the SUT wrote to it, and its image in the cell's folder.
    """

    name: str
    backend: str
    filesystem: str | None = None
    cannot_prove: tuple[str, ...] = ()
    size: int | None = None
    written: int | None = None
    why: str | None = None
    image: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExcerptLine(Model):
    """One element of a data set as a listing shows it: ``depth`` counts the sequences around it, ``value`` is
    shortened and holds printable characters only, ``marked`` is the one that is meant.
    """

    SPARSE: ClassVar[bool] = True

    tag: str
    keyword: str
    vr: str
    length: int | None
    value: str
    depth: int = 0
    offset: int | None = None
    marked: bool = False


@dataclass(frozen=True, kw_only=True)
class Evidence(Model):
    """Where something can be seen: journal event, frame of the capture, PDU, tag, object.

    ``association`` and ``message`` are numbers from 1 as the witness counts them, ``pdu`` is an index in the
    association, ``offset`` counts bytes from the begin of the data set (or of the PDU, when there is no message).
    ``what`` names the message; ``excerpt`` lists the elements around the one that is meant.
    """

    SPARSE: ClassVar[bool] = True

    seq: int | None = None
    frame: int | None = None
    pdu: int | None = None
    tag: str | None = None
    sha256: str | None = None
    note: str | None = None
    association: int | None = None
    message: int | None = None
    offset: int | None = None
    what: str | None = None
    excerpt: tuple[ExcerptLine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClauseResult(Model):
    """What a cell says about one clause; remarks stand beside the verdict and never change it.

    ``text`` is what the statement (or the rule of the standard) says, ``reading`` how the bench reads it and why
    (errata), ``cite`` the paragraph of the standard, ``occasions`` how often it was judged, ``by`` who must answer
    when the wire cannot: operator, media, configuration, not-testable.
    """

    SPARSE: ClassVar[bool] = True

    id: str
    verdict: Verdict
    reason: str = ""
    section: str | None = None
    title: str | None = None
    evidence: tuple[Evidence, ...] = ()
    remarks: tuple[str, ...] = ()
    expected: Expected | None = None
    text: str | None = None
    reading: str | None = None
    cite: str | None = None
    occasions: int | None = None
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Artefact(Model):
    """A file in the cell's folder; kind: journal, capture, object, image, truth, film, medium, log, other."""

    kind: str
    path: str
    bytes: int | None = None
    sha256: str | None = None
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class JournalSeal(Model):
    """How the journal ended: number of events, SHA-256 of the last event's line."""

    events: int
    last: str
    sealed: bool = True


@dataclass(frozen=True, kw_only=True)
class WireFacts(Model):
    """What the witness read: captures, and which host in them was judged (``sut``) and why.

    ``seconds`` is what reading and judging took; ``problems`` are sentences about what could not be read,
    ``errors`` about what the bench did wrong, ``remarks`` about what a person should know.
    """

    files: tuple[str, ...]
    frames: int
    bytes: int
    associations: int
    messages: int
    sut: str
    sut_reason: str
    ae_titles: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None
    seconds: float | None = None
    errors: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JudgeLine(Model):
    """A line of an outside judge and how it stands to the bench: ``agreed``, ``explained`` (``why``), ``open``."""

    severity: str
    text: str
    standing: str
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class JudgeOpinion(Model):
    """What an outside judge says of one object; ``error`` tells why it could not look."""

    judge: str
    object: str
    kind: str = ""
    lines: tuple[JudgeLine, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class CellResult(Model):
    """One scenario with one combination of its matrix.

    ``verdict`` and ``reason`` are those of everything; ``scenario_verdict`` and ``scenario_reason`` those of the
    steps, expectations and objects alone, before the clauses were judged on the wire (None: they were not).
    ``covers`` are the clauses that the scenario says it exercises; ``combinations`` says how many cells its whole
    matrix has.
    """

    id: str
    scenario: str
    file: str
    line: int
    verdict: Verdict
    reason: str
    seconds: float
    title: str = ""
    axes: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    start: str | None = None
    end: str | None = None
    phases: tuple[PhaseTime, ...] = ()
    steps: tuple[StepResult, ...] = ()
    expectations: tuple[ExpectationResult, ...] = ()
    strictness: tuple[StrictnessFinding, ...] = ()
    faults: tuple[FaultResult, ...] = ()
    links: tuple[LinkFidelity, ...] = ()
    volumes: tuple[VolumeFidelity, ...] = ()
    clauses: tuple[ClauseResult, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    journal: JournalSeal | None = None
    repeat: str = ""
    errors: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    not_runnable: str | None = None
    expected: Expected | None = None
    wire: WireFacts | None = None
    opinions: tuple[JudgeOpinion, ...] = ()
    covers: tuple[str, ...] = ()
    combinations: int = 1
    scenario_verdict: Verdict | None = None
    scenario_reason: str | None = None

    @property
    def bench_at_fault(self) -> bool:
        """Tell whether anything in the cell is ERROR, also where a FAIL outweighs it in the verdict."""
        parts: Iterable[StepResult | ExpectationResult | ClauseResult] = (
            *self.steps,
            *self.expectations,
            *self.clauses,
        )
        wire_errors = self.wire.errors if self.wire is not None else ()
        return bool(self.errors or wire_errors) or Verdict.ERROR in (
            self.verdict,
            *(part.verdict for part in parts),
        )

    @property
    def unexpected(self) -> bool:
        """Tell whether the product's verdict is one that nobody declared: a red night."""
        return _unexpected(self.verdict, self.expected) or any(
            _unexpected(c.verdict, c.expected)
            for c in self.clauses
            # A gap in the evidence is no news about a deviation.
            if c.expected is not None and c.verdict is not Verdict.INCONCLUSIVE
        )


def _unexpected(verdict: Verdict, expected: Expected | None) -> bool:
    if expected is not None and verdict not in (Verdict.NOT_EXERCISED, Verdict.NA):
        return verdict is not expected.verdict  # a declared deviation that passes is news, too
    return verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class RunInfo(Model):
    """What is known of a run apart from its cells.

    ``statement`` is the name of the statement that was judged; ``origin`` is ``run``, or ``capture`` when it was
    made from a capture of the field (which may name patients).
    """

    run_id: str
    product: Product
    tester: str
    start: str
    seed: int
    sut: SutInfo
    host: HostFacts
    versions: dict[str, str]
    end: str | None = None
    testbed: str | None = None
    command: str | None = None
    planned: tuple[PlannedCell, ...] = ()
    remarks: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    statement: str | None = None
    origin: str = "run"
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, kw_only=True)
class ClauseSummary(Model):
    """A clause over all cells that touched it: the combined verdict and the cells, worst first."""

    id: str
    verdict: Verdict
    section: str
    reason: str
    title: str | None
    cells: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    expected: Expected | None
    remarks: tuple[str, ...] = ()
    text: str | None = None
    reading: str | None = None
    cite: str | None = None
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult(Model):
    """results.json: a run with everything that reports are made from."""

    run: RunInfo
    verdict: Verdict
    counts: dict[str, int]
    exit_code: int
    clauses: tuple[ClauseSummary, ...]
    cells: tuple[CellResult, ...]
    format_version: int = FORMAT_VERSION

    @property
    def links(self) -> tuple[LinkFidelity, ...]:
        """Return every link of every cell."""
        return tuple(link for cell in self.cells for link in cell.links)
