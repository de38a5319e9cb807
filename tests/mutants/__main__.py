"""``python -m tests.mutants``: seed defects, judge them, print a table for each product.

Rules of this file:

* A clause counts as covered when a mutant was made for it, or was declared to turn it, and turned exactly its set.
* A clause without a mutant is listed with its reason and counts against the score.
* A part of the mutants (``--quick``) is held to exactness only: it says that nothing has decayed.
* False alarms: every FAIL or ERROR on conversations and media that nobody mutated.
* A product is never left out in silence: one whose run is neither named nor beside a named one is an error.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.checks.registry import unseen
from bench.results import ResultsError, read_run
from tests.mutants.model import Mutant, Outcome, attempt
from tests.mutants.products import PRODUCTS, Made, Product

EXACT = 0.95
"""Least share of exact mutants when only a part is judged."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return 0 when every goal is reached and no alarm was false."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="a run folder of a reference product, repeatable; the other product's newest run is taken from beside "
        "it (without: runs are made)",
    )
    parser.add_argument("--quick", type=int, default=1, metavar="N", help="only every Nth mutant")
    parser.add_argument("--product", choices=[p.name for p in PRODUCTS], help="only this one")
    parser.add_argument(
        "--jobs", type=int, default=min(os.cpu_count() or 1, 4), metavar="N", help="processes that judge"
    )
    options = parser.parse_args(argv)
    wanted = [p for p in PRODUCTS if options.product in (None, p.name)]
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {p.name: run_of(p, options.run) if options.run else make_run(p, folder) for p in wanted}
        for product in wanted:
            began = time.monotonic()
            made = product.make(runs[product.name], folder)
            bases, clauses = len(made.subjects), len(made.exercised)
            print(f"{product.name}: {bases} conversations and media, {clauses} clauses exercised,", end=" ")
            print(f"{len(made.mutants)} mutants", flush=True)
            outcomes = list(judged(made.mutants[:: options.quick], folder, options.jobs))
            good &= table(product, made, outcomes, whole=options.quick == 1)
            print(f"seconds                      {time.monotonic() - began:.0f}\n", flush=True)
    return 0 if good else 1


def run_of(product: Product, named: Sequence[Path]) -> Path:
    """The run of a product: a named one, else the newest beside a named one that has all cells."""
    for path in named:
        if _product_of(path) == product.name:
            return path
    beside = {path.absolute().parent for path in named}
    for path in sorted(
        (p for folder in beside for p in folder.iterdir()), key=lambda p: p.name, reverse=True
    ):
        if _product_of(path) == product.name and product.whole(path):
            return path
    raise SystemExit(
        f"no run of {product.name} with all its cells among or beside {', '.join(map(str, named))}: "
        f"name one with --run, or choose a product with --product"
    )


def _product_of(path: Path) -> str:
    """Whose run a folder holds; empty when it holds none."""
    try:
        return read_run(path).statement or ""
    except (ResultsError, OSError):
        return ""


def make_run(product: Product, folder: Path) -> Path:
    """Make the run that the mutants of a product want."""
    out = folder / "runs" / product.name
    command = [sys.executable, "-m", "bench", "run", "-n", "2", product.scenarios, "-k", product.choice]
    done = subprocess.run(
        [*command, "--out", str(out)], check=False, capture_output=True, text=True, timeout=900
    )
    made = sorted(path for path in out.iterdir() if (path / "run.json").is_file()) if out.is_dir() else []
    if not made:
        raise SystemExit(
            f"no run of {product.name} could be made:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return made[-1]


_given: list[Mutant] = []
_where: list[Path] = []
Said = tuple[int, frozenset[str], frozenset[str], Mapping[str, str], str]
"""What a process tells of a mutant: its number, then as in :class:`Outcome`; the mutant itself cannot be sent."""


def judged(mutants: Sequence[Mutant], folder: Path, jobs: int) -> Iterator[Outcome]:
    """Judge mutants, several at a time: processes are forked, since a mutant is made of functions."""
    _given[:], _where[:] = mutants, [folder]
    numbers = range(len(mutants))
    if jobs < 2 or "fork" not in multiprocessing.get_all_start_methods():
        yield from _told(map(_attempt, numbers))
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from _told(pool.imap(_attempt, numbers, chunksize=8))


def _told(results: Iterable[Said]) -> Iterator[Outcome]:
    exact = 0
    for count, (number, missed, bystanders, reasons, trouble) in enumerate(results, 1):
        outcome = Outcome(_given[number], missed, bystanders, reasons, trouble)
        exact += outcome.exact
        if count % 100 == 0:
            print(f"  {count} of {len(_given)} judged, {exact} exact", flush=True)
        yield outcome


def _attempt(number: int) -> Said:
    """Judge one mutant in a folder of its process."""
    folder = _where[0] / f"judge-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    found = attempt(_given[number], folder)
    return number, found.missed, found.bystanders, found.reasons, found.trouble


def table(product: Product, made: Made, outcomes: Sequence[Outcome], *, whole: bool) -> bool:
    """Print what came of a product's mutants; tell whether it is good enough."""
    exact: dict[str, list[str]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.exact:
            for id in outcome.mutant.turns:
                exact[id].append(outcome.mutant.name)
    covered = [id for id in made.exercised if id in exact]
    for outcome in outcomes:
        if not outcome.exact:
            beside = "; ".join(
                f"{id}: {outcome.reasons.get(id, '')[:90]}" for id in sorted(outcome.bystanders)
            )
            missed = ", ".join(sorted(outcome.missed)) or "-"
            print(
                f"NOT EXACT {outcome.mutant.name}: missed {missed}, beside {beside or '-'} {outcome.trouble}"
            )
    known = unseen(product.name)
    for id in [id for id in made.exercised if id not in exact] if whole else ():
        why = product.without.get(id) or (known[id].why if id in known else "no mutant turns exactly its set")
        print(f"WITHOUT {id} (exercised by {made.exercised[id]}): {why}")
    for alarm in made.alarms:
        print(f"FALSE ALARM {alarm}")
    good = sum(o.exact for o in outcomes)
    exactly = good / len(outcomes) if outcomes else 0.0
    share = len(covered) / len(made.exercised) if made.exercised else 0.0
    print(f"\n{product.name}: exercised clauses     {len(made.exercised)}")
    if whole:
        print(f"with an exact mutant         {len(covered)} ({share:.1%}; goal {product.goal:.0%})")
    print(f"mutants judged               {len(outcomes)}")
    print(f"turn exactly their set       {good} ({exactly:.1%})")
    print(f"false alarms                 {len(made.alarms)}")
    return (share >= product.goal if whole else exactly >= EXACT) and not made.alarms


if __name__ == "__main__":
    sys.exit(main())
