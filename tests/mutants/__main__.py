"""``python -m tests.mutants``: seed defects, judge them, print the table.

Rules of this file:

* A clause counts as covered when a mutant was made for it, or was declared to turn it, and turned exactly its set.
* A clause without a mutant is listed with its reason and counts against the score.
* A part of the mutants (``--quick``) is held to exactness only: it says that nothing has decayed.
* False alarms: every FAIL or ERROR on conversations that nobody mutated.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.checks.registry import unseen
from bench.resultmodel import ClauseResult
from tests.lab.make_captures import load as load_recipes
from tests.mutants import moves, rows, trees
from tests.mutants.bases import laboratory, of_recipe, recorded
from tests.mutants.model import GREEN, Mutant, Outcome, attempt, unmutated

GOAL = 0.95
SCENARIOS = "three-images-two-views or one-exam or unscheduled"
EXISTS = (
    "it says that something is done: not doing it is NOT-EXERCISED, how it is done is judged by other rows"
)
OPTIONAL = (
    "an attribute of the printer that need not be asked for (PS3.4 H.4.6: U): no request can break the row"
)
WITHOUT: dict[str, str] = {
    "VX-COM-001": "a capture that is not DICOM over TCP/IP holds no association: nothing is left to judge",
    **dict.fromkeys(
        (
            *(f"VX-GEN-{number:03}" for number in range(1, 9)),
            *("VX-STO-001", "VX-MWL-001", "VX-PRN-001", "VX-SC-001", "VX-SR-001"),
        ),
        EXISTS,
    ),
    "VX-MPPS-001": "an N-CREATE without an association of its own needs two services on one: VX-ASC-010's mutant",
    "VX-SR-A-049": "a report without its tree breaks every row of the tree",
    "VX-SR-T-026": "the report says that mechanical data is not available (VX-E-51): its rows may be absent",
    **dict.fromkeys((f"VX-PRN-PR-{number:03}" for number in range(1, 10)), OPTIONAL),
}
"""Why a clause has no mutant."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return 0 when the goal is reached and no alarm was false."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="a run folder of the reference modality (else one is made)")
    parser.add_argument("--quick", type=int, default=1, metavar="N", help="only every Nth mutant")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        return _main(options.run, options.quick, Path(folder))


def _main(run: Path | None, every: int, folder: Path) -> int:
    if run is None:
        run = _make_run(folder)
    bases = [*recorded(run), *laboratory(folder)]
    exercised: dict[str, str] = {}
    alarms: list[str] = []
    made: list[Mutant] = []
    done: set[str] = set()
    for base in bases:
        found = unmutated(base, folder)
        alarms += [
            f"{base.name}: {c.id} {c.verdict}: {c.reason}"
            for c in found.values()
            if c.verdict.value in ("FAIL", "ERROR")
        ]
        for id in _exercised(found):
            exercised.setdefault(id, base.name)
        made += rows.mutants(base, found, done)
        made += trees.mutants(base, found, done)
        if base.services:
            made += moves.mutants(base, base.services)
    made += _recipes(exercised)
    print(
        f"{len(bases)} conversations, {len(exercised)} clauses exercised on the wire, {len(made)} mutants",
        flush=True,
    )
    outcomes: list[Outcome] = []
    for number, mutant in enumerate(made[::every], 1):
        outcomes.append(attempt(mutant, folder))
        if number % 50 == 0:
            print(f"  {number} judged, {sum(o.exact for o in outcomes)} exact", flush=True)
    return _table(exercised, outcomes, alarms, whole=every == 1)


def _exercised(found: dict[str, ClauseResult]) -> Iterable[str]:
    """Clauses (not rules of the standard, not defaults) that the wire showed and the product kept."""
    return (
        id for id, c in found.items() if c.verdict in GREEN and not id.startswith("STD-") and "-D-" not in id
    )


def _recipes(exercised: dict[str, str]) -> list[Mutant]:
    """The laboratory's single defects: each is a mutant of its own conversation."""
    return [
        Mutant(
            recipe.name,
            of_recipe(recipe),
            recipe.fails[0],
            frozenset(recipe.fails),
            may=frozenset(recipe.may),
        )
        for recipe in load_recipes().values()
        if recipe.fails and recipe.statement == "vxvue"
    ]


def _make_run(folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "scenarios/regression",
        "-k",
        SCENARIOS,
        "--out",
        str(folder / "runs"),
    ]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=600)
    return next((folder / "runs").iterdir())


def _table(exercised: dict[str, str], outcomes: list[Outcome], alarms: list[str], *, whole: bool) -> int:
    exact: dict[str, list[str]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.exact:
            for id in outcome.mutant.turns:
                exact[id].append(outcome.mutant.name)
    covered = [id for id in exercised if id in exact]
    left = [id for id in exercised if id not in exact]
    inexact = [o for o in outcomes if not o.exact]
    for outcome in inexact:
        beside = "; ".join(f"{id}: {outcome.reasons.get(id, '')[:90]}" for id in sorted(outcome.bystanders))
        missed = ", ".join(sorted(outcome.missed)) or "-"
        print(f"NOT EXACT {outcome.mutant.name}: missed {missed}, beside {beside or '-'} {outcome.trouble}")
    known = unseen("vxvue")
    for id in left if whole else ():
        why = WITHOUT.get(id) or (known[id].why if id in known else "no mutant turns exactly its set")
        print(f"WITHOUT {id} (exercised by {exercised[id]}): {why}")
    for alarm in alarms:
        print(f"FALSE ALARM {alarm}")
    good = sum(o.exact for o in outcomes)
    exactly = good / len(outcomes) if outcomes else 0.0
    share = len(covered) / len(exercised) if exercised else 0.0
    print(f"\nexercised wire clauses       {len(exercised)}")
    if whole:
        print(f"with an exact mutant         {len(covered)} ({share:.1%}; goal {GOAL:.0%})")
    print(f"mutants judged               {len(outcomes)}")
    print(f"turn exactly their set       {good} ({exactly:.1%})")
    print(f"false alarms                 {len(alarms)}")
    return 0 if (share if whole else exactly) >= GOAL and not alarms else 1


if __name__ == "__main__":
    sys.exit(main())
