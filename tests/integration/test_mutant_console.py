"""A green cell cannot hide a wrong product: consoles with one seeded defect each turn a regression cell FAIL.

Rules of this file:

* The mutants are in ``mutants/console_mutants.py``; the bench and its scenarios do not know of them.
* A mutant counts as found when the cell is FAIL without errors of the bench, the reason names the right thing, and
  the mutant says in the console's log that it did harm.  The same cells pass with the unchanged console.
* Warm workers run them all, as in a night; the cell's folder is put aside after each run.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from bench.links.probe import probe
from bench.results import CellResult, cell_dir
from bench.scenario import Cell, load
from bench.session import Options, Worker, choose_backend, new_run_dir
from bench.testbed import VIRTUAL
from bench.verdict import Verdict

ROOT: Final = Path(__file__).resolve().parents[2]
REGRESSION: Final = ROOT / "scenarios" / "regression"
MUTANTS: Final = Path(__file__).resolve().parent / "mutants"
LIMIT_S: Final = 900.0
"""For one result, with what runs before it; each cell has a limit of its own."""
LINKS: Final = {report.name for report in probe() if report.available} & {"veth", "userns"}

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.skipif(not LINKS, reason="no network namespaces here"),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """A mutant, the scenario that must find it, and a regular expression on the reason."""

    mutant: str
    scenario: str
    reason: str
    beside: str = ""
    """A trouble of the bench that may stand beside, since it is what the mutant does to it."""


CASES: Final = (
    Case("other_patient", "one-exam", r"no pacs\.stored .*PatientID: expected 004711, got 004710$"),
    Case("no_accession", "one-exam", r"no pacs\.stored .*AccessionNumber: expected A1"),
    Case("other_study", "one-exam", r"no pacs\.stored .*StudyInstanceUID: expected 2\.25\.2004711\d+, got 2\.25"),
    Case("other_step", "one-exam", r"no pacs\.stored .*ReferencedPerformedProcedureStepSequence\[0\]"),
    Case("wrong_view", "one-exam", r"no pacs\.stored .*ViewPosition: expected PA, got AP$"),
    Case("wrong_side", "one-exam", r"no pacs\.stored .*PatientOrientation: "),
    Case("wrong_dose", "one-exam", r"no pacs\.stored .*ExposureTime: expected 20, got 200$"),
    Case("one_pixel", "one-exam", r"no pacs\.stored .*PixelData: "),
    Case("sent_twice", "one-exam", r"exactly 1 pacs\.stored in the whole cell, there were 2"),
    Case("aborts_instead_of_releasing", "one-exam", r"(ris|pacs)\.lost \(abort"),
    Case("no_n_set", "one-exam", r"no ris\.mpps_set within"),
    Case("step_names_other_image", "one-exam", r"no ris\.mpps_set .*SOPInstanceUID: .* got 2\.25\.1234567890$"),
    Case("step_of_other_patient", "one-exam", r"no ris\.mpps_created .*PatientID: expected 004711, got 004710$"),
    Case("asks_twice", "one-exam", r"exactly 1 ris\.queried in the whole cell, there were 2"),
    Case("romaji_only", "japanese-patient", r"no pacs\.stored .*PatientName: "),
    Case("completed_anyway", "discontinued-exam", r"no ris\.mpps_set .*Status: expected DISCONTINUED, got COMPLETED"),
    Case("views_swapped", "three-images-two-views", r"no pacs\.stored .*ViewPosition: expected (PA|LL), got (LL|PA)$"),
    Case("rejected_sent", "three-images-two-views", r"exactly 3 pacs\.stored in the whole cell, there were 4"),
    Case("own_associations", "three-images-two-views", r"exactly 1 wire\.associate in the whole cell, there were 3"),
    Case("step_forgets_an_image", "three-images-two-views", r"no ris\.mpps_set .*ImageSequence: expected 2 value"),
    Case("refusal_ignored", "archive-refuses", r"no modality\.warning within"),
    Case("abort_ignored", "association-lost-mid-image", r"no modality\.warning within"),
    Case("new_uid_on_resend", "association-lost-mid-image", r"no pacs\.stored .*SOPInstanceUID: expected"),
    Case("other_study", "emergency-patient", r"no pacs\.stored .*StudyInstanceUID: "),
    Case("forgets_after_power_cut", "power-cut-before-sending", r"no pacs\.stored"),
    Case("gives_up_early", "short-pull-heals", r"no pacs\.stored", "connections were still open"),
    Case("retries_by_itself", "power-cut-before-sending", r"pacs\.stored .* must not for"),
    Case("retries_by_itself", "pacs-down-then-back", r"pacs\.stored .* must not for"),
    Case("silent", "ris-down-at-mpps", r"no modality\.warning within"),
    Case("holes_ignored", "detector-packet-loss", r"no detector\.frame .*sha256: expected"),
)  # fmt: skip


Key = tuple[str, str, bool]
"""Mutant ("" for the unchanged console), scenario, and whether its own limits hold."""
PATIENCE_S: Final = 6
"""A mutant's image that does not fit is waited for so long and not for the minute that slow links may take.

Where the machine was too busy for that, the scenario itself decides.
"""


def first_cell(folder: Path, scenario: str) -> Cell:
    """The cell that a night runs when nothing else is asked for."""
    return load(folder / f"{scenario}.yaml").cells(mode="smoke")[0]


def impatient(folder: Path) -> Path:
    """A copy of the regression scenarios that differs in the limits of its expectations only."""
    copy = folder / "impatient"
    shutil.copytree(REGRESSION, copy)
    for file in copy.glob("*.yaml"):
        text = re.sub(
            r"within: (\d+) s", lambda m: f"within: {min(int(m[1]), PATIENCE_S)} s", file.read_text("utf-8")
        )
        file.write_text(text, "utf-8")
    return copy


class Bench:
    """A warm worker whose consoles are what its file of mutants says."""

    def __init__(self, folder: Path, mutants_scenarios: Path) -> None:
        self._chosen = folder / "mutant"
        self._scenarios = mutants_scenarios
        self._run_dir = new_run_dir(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(MUTANTS), prepend=os.pathsep)
            patch.setenv("MODBENCH_MUTANT", str(self._chosen))
            self.worker = Worker(self._run_dir, Options(out=folder), choose_backend(VIRTUAL, None))

    def run(self, mutant: str, scenario: str, patient: bool) -> tuple[CellResult, str]:
        """Run one cell; its result and the console's log.  A machine that was too busy gets other chances."""
        self._chosen.write_text(mutant, encoding="ascii")
        cell = first_cell(REGRESSION if patient else self._scenarios, scenario)
        for attempt in range(3):
            result = self.worker.run(cell, lambda news: None)
            place = cell_dir(self._run_dir, cell.id)
            log = (place / "modality.log").read_text(errors="replace")
            place.rename(
                place.with_name(f"{scenario}-{mutant or 'unchanged'}-{'patient-' * patient}{attempt}")
            )
            if not any("more than 5 % off" in error for error in result.errors):
                break
        return result, log


Run = Callable[[str, str, bool], tuple[CellResult, str]]


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Results of cells, which two warm workers run ahead in the order of the tests."""
    folder = tmp_path_factory.mktemp("mutants")
    scenarios = impatient(folder)
    alone = "PYTEST_XDIST_WORKER" not in os.environ  # else others have their part of the tests
    benches = []
    for number in range(2 if alone and (os.cpu_count() or 1) > 1 else 1):
        (folder / str(number)).mkdir()
        benches.append(Bench(folder / str(number), scenarios))
    free: queue.SimpleQueue[Bench] = queue.SimpleQueue()
    for bench in benches:
        free.put(bench)

    def work(mutant: str, scenario: str, patient: bool) -> tuple[CellResult, str]:
        bench = free.get()
        try:
            return bench.run(mutant, scenario, patient)
        finally:
            free.put(bench)

    pool = ThreadPoolExecutor(len(benches))
    cells: dict[Key, Future[tuple[CellResult, str]]] = {}

    def ask(mutant: str, scenario: str, patient: bool) -> tuple[CellResult, str]:
        key = mutant, scenario, patient
        if key not in cells:
            cells[key] = pool.submit(work, *key)
        return cells[key].result(LIMIT_S)

    if alone:
        for item in request.session.items:
            if item.path == request.path and isinstance(item, pytest.Function):
                given: Any = item.callspec.params
                case = given.get("case") or Case("", given["scenario"], "")
                key = case.mutant, case.scenario, not case.mutant
                cells[key] = pool.submit(work, *key)
    yield ask
    pool.shutdown(cancel_futures=True)  # what runs is over in seconds
    for bench in benches:
        bench.worker.close()


@pytest.mark.parametrize("scenario", dict.fromkeys(case.scenario for case in CASES))
def test_the_unchanged_console_passes(run: Run, scenario: str) -> None:
    """What is red below is red because of the mutant: no mutant is at work, and the cell is green."""
    result, log = run("", scenario, True)
    assert "mutant" not in log
    assert result.verdict is Verdict.PASS, f"{result.reason}\n{log}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.mutant}-{case.scenario}")
def test_a_mutant_is_found(run: Run, case: Case) -> None:
    """FAIL, for the right reason, by a bench without faults of its own."""

    def excused(error: str) -> bool:
        return bool(case.beside and re.search(case.beside, error))

    result, log = run(case.mutant, case.scenario, False)
    if not re.search(case.reason, result.reason) or not all(map(excused, result.errors)):
        result, log = run(case.mutant, case.scenario, True)
    print(result.reason)
    assert f"mutant {case.mutant} acts" in log, f"the mutant did nothing: {result.reason}\n{log}"
    assert all(map(excused, result.errors)), result.errors
    assert result.verdict is Verdict.FAIL, result.reason
    assert re.search(case.reason, result.reason), result.reason
