"""The command ``modbench``.

Rules of this file:

* It reads arguments, calls one function, prints, and returns an exit code: 2 the bench or its input is at fault,
  else 1 an unexpected verdict, else 3 nothing was runnable here, else 0.
* Imports are late, so that ``modbench report`` runs where the live bench cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import __version__

EPILOG: Final = (
    "exit codes: 0 as expected, 1 unexpected verdict, 2 bench or input at fault, 3 nothing runnable here"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["simulate"]:
        from simulators.cli import main as simulate

        return simulate(arguments[1:])
    options = _parser().parse_args(arguments)
    options.command_line = "modbench " + " ".join(arguments)
    try:
        code: int = options.do(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from bench.plan import PlanError
        from bench.results import ResultsError
        from bench.scenario.problems import InputErrors
        from bench.select import SelectionError

        if isinstance(error, InputErrors | SelectionError | PlanError | ResultsError):
            print(error, file=sys.stderr)
            return 2
        raise
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "modbench", description="A hardware-in-the-loop test bench for DICOM modalities.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"modbench {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run scenarios and write a report", epilog=EPILOG)
    _add_selection(run)
    run.add_argument(
        "--testbed", type=Path, metavar="FILE", help="what stands in the lab (default: virtual bench)"
    )
    run.add_argument("-n", dest="jobs", type=int, default=1, metavar="N", help="cells at a time")
    run.add_argument(
        "-x", dest="exit_first", action="store_true", help="stop after the first cell that is not green"
    )
    run.add_argument("--seed", type=int, default=1, help="seed of everything random (default 1)")
    run.add_argument("--out", type=Path, default=Path("reports"), metavar="DIR", help="where run folders go")
    run.add_argument(
        "--tester", default="unattended", help="who is responsible for this run (stands in the report)"
    )
    run.add_argument("--backend", choices=("veth", "userns", "loopback"), help="instead of the best one")
    run.add_argument(
        "--hold-on-failure", action="store_true", help="keep a failed cell alive for 'modbench enter'"
    )
    run.add_argument(
        "--second-witness",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let tshark count the messages of every capture (default: if it is installed)",
    )
    run.add_argument(
        "--deviations",
        type=Path,
        metavar="FILE",
        help="verdicts that are known, with their reasons (docs/judge.md)",
    )
    run.set_defaults(do=_run)

    enter = commands.add_parser("enter", help="a shell inside a held cell")
    enter.add_argument("host", nargs="?", default="modality", help="which host (default: modality)")
    enter.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where run folders are"
    )
    enter.set_defaults(do=_enter)

    listing = commands.add_parser("list", help="the cells that would run")
    _add_selection(listing)
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(do=_list)

    plan = commands.add_parser("plan", help="dry run: what would be built, started and done")
    _add_selection(plan)
    plan.add_argument("--testbed", type=Path, metavar="FILE", help="what stands in the lab")
    plan.add_argument("--seed", type=int, default=1, help="seed of everything random (default 1)")
    plan.add_argument(
        "--backend", choices=("veth", "userns", "loopback"), help="links of this kind instead of the best"
    )
    plan.set_defaults(do=_plan)

    check = commands.add_parser("check", help="find every fault of scenario files, as file:line")
    check.add_argument("paths", nargs="+", metavar="PATH")
    check.set_defaults(do=_check)

    judge = commands.add_parser(
        "judge", help="judge a capture or a run by a conformance statement", epilog=EPILOG
    )
    _add_judge(judge)
    judge.set_defaults(do=_judge)

    report = commands.add_parser("report", help="write the reports of a run again")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder")
    report.add_argument(
        "--format",
        dest="formats",
        action="append",
        choices=("html", "pdf", "junit", "json"),
        help="only this one; may be said several times",
    )
    report.add_argument(
        "--alone", type=Path, metavar="FILE", help="the page with all its cells as one file, to be passed on"
    )
    report.set_defaults(do=_report)

    doctor = commands.add_parser("doctor", help="what this machine can prove, what is missing, how to get it")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(do=_doctor)

    statement = commands.add_parser("statement", help="the clauses of a conformance statement")
    what = statement.add_subparsers(metavar="list|show|lint", required=True)
    for verb, text in (
        ("list", "every clause"),
        ("show", "one clause with its words, errata and reading"),
        ("lint", "where it contradicts the standard"),
    ):
        sub = what.add_parser(verb, help=text)
        sub.add_argument("name", nargs="?" if verb == "list" else None, help="vxvue, mx1, or a file")
        if verb == "show":
            sub.add_argument("id", nargs="?", help="a clause, default or erratum")
        sub.add_argument("--json", action="store_true")
        sub.set_defaults(do=_statement, verb=verb)

    commands.add_parser(
        "simulate", help="one simulator alone: pacs, ris, detector, generator, ultrasound", add_help=False
    )
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="PATH|ID", help="files, folders, scenarios or cells")
    parser.add_argument("-k", dest="keyword", default="", metavar="EXPR", help="words with and, or, not")
    parser.add_argument(
        "--last-failed", action="store_true", help="only what was not green in the newest run"
    )
    parser.add_argument(
        "--matrix", action="append", default=[], metavar="K=V", help="only this value of an axis"
    )
    parser.add_argument(
        "--matrix-mode",
        choices=("smoke", "pairwise", "full"),
        default="smoke",
        help="the first cell of every scenario (default), every pair of values once, or all",
    )


def _add_judge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="RUN|CAPTURE|MEDIUM",
        help="captures, a medium's image, device or mounted folder, a run folder, or a cell's folder",
    )
    parser.add_argument(
        "--statement", metavar="NAME|FILE", help="vxvue, mx1, or a file (default for a run: its own)"
    )
    parser.add_argument(
        "--who",
        metavar="ADDRESS|AE|MAC",
        help="which host is the product (default: it requests most associations of its services)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="what the wire does not show (docs/judge.md)"
    )
    parser.add_argument(
        "--deviations", type=Path, metavar="FILE", help="verdicts that are known, with their reasons"
    )
    parser.add_argument(
        "--second-witness", action="store_true", help="let tshark count PDUs and messages, and compare"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every clause as JSON")
    parser.add_argument("--html", type=Path, metavar="DIR", help="write a folder with the report")


def _selection(options: argparse.Namespace) -> list:  # type: ignore[type-arg]
    from bench.select import Selection, SelectionError, last_failed, select

    filters = {}
    for text in options.matrix:
        key, found, value = text.partition("=")
        if not found:
            raise SelectionError(f"--matrix {text!r} is not K=V")
        filters[key] = value
    mode = options.matrix_mode
    only = None
    if options.last_failed:
        only, mode = last_failed(getattr(options, "out", Path("reports"))), "full"
    return select(Selection(options.targets, options.keyword, mode, filters, only))


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from bench.checks.second_witness import available
    from bench.progress import observer
    from bench.report.text import visible
    from bench.results import exit_code
    from bench.session import Options, run

    cells = _selection(options)
    console = Console(highlight=False, markup=False)
    if not cells:
        console.print("nothing to run: no cell fits")
        return 3
    if options.deviations is not None:
        from bench.judge.inrun import declared_for

        declared_for(cells[0].scenario.product, options.deviations)  # faults are told before anything runs
    with observer(console, len(cells)) as watch:
        run_dir, result = run(
            cells,
            Options(
                out=options.out,
                testbed=options.testbed,
                backend=options.backend,
                seed=options.seed,
                jobs=max(1, options.jobs),
                exit_first=options.exit_first,
                hold_on_failure=options.hold_on_failure,
                tester=options.tester,
                command=options.command_line,
                second_witness=available() if options.second_witness is None else options.second_witness,
                deviations=options.deviations,
            ),
            watch,
        )
    counts = ", ".join(f"{n} {verdict}" for verdict, n in result.counts.items() if n)
    console.print(f"\n{result.verdict.value}: {counts}", soft_wrap=True)
    worst = next((c for c in result.cells if c.verdict is result.verdict and not c.verdict.green), None)
    if worst is not None:
        console.print(visible(f"worst: {worst.id}: {worst.reason}"), soft_wrap=True)
    if result.clauses:
        from bench.judge.output import counts as by_verdict

        told = by_verdict(result.clauses)
        console.print(
            "clauses: " + ", ".join(f"{n} {verdict}" for verdict, n in told.items()), soft_wrap=True
        )
    if any(not link.tested for link in result.links):
        console.print("no link was tested: this machine offers loopback only (see modbench doctor)")
    console.print(f"report: {run_dir / 'index.html'}", soft_wrap=True)
    return exit_code(result)


def _enter(options: argparse.Namespace) -> int:
    from bench.enter import enter

    return enter(options.out, options.host)


def _list(options: argparse.Namespace) -> int:
    cells = _selection(options)
    if options.json:
        rows = [
            {
                "id": c.id,
                "scenario": c.scenario.name,
                "file": c.scenario.file,
                "line": c.scenario.line,
                "title": c.scenario.title,
                "axes": dict(c.values),
                "covers": list(c.scenario.covers),
            }
            for c in cells
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for cell in cells:
            print(f"{cell.id:<60} {cell.scenario.file}:{cell.scenario.line}  {cell.scenario.title or ''}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    from bench.plan import make_plan, not_runnable
    from bench.session import choose_backend, choose_volumes
    from bench.testbed import VIRTUAL, load_testbed

    testbed = load_testbed(options.testbed) if options.testbed else VIRTUAL
    backend = choose_backend(testbed, options.backend)
    cells = _selection(options)
    volumes = choose_volumes(testbed, backend, cells)
    for number, cell in enumerate(cells):
        plan = make_plan(cell, testbed=testbed, backend=backend, seed=options.seed, volumes=volumes)
        print(("\n" if number else "") + plan.describe())
        why = not_runnable(cell, backend, volumes)
        if why:
            print(f"not run   {why}")
    return 0 if cells else 3


def _check(options: argparse.Namespace) -> int:
    from bench.select import Selection, select

    cells = select(Selection(options.paths, mode="full"))
    scenarios = len({c.scenario.name for c in cells})
    print(f"{scenarios} scenarios, {len(cells)} cells: no fault found")
    return 0


def _report(options: argparse.Namespace) -> int:
    from bench.report import ALWAYS, render, render_alone
    from bench.report.pdf import PdfError
    from bench.results import collect, exit_code

    if options.alone is not None:
        if len(options.runs) != 1:
            print("--alone takes one run folder", file=sys.stderr)
            return 2
        print(render_alone(options.runs[0], options.alone))
        return exit_code(collect(options.runs[0]))
    code = 0
    for run_dir in options.runs:
        result = collect(run_dir)
        try:
            written = render(run_dir, tuple(options.formats or ALWAYS))
        except PdfError as error:
            print(error, file=sys.stderr)
            return 2
        for path in written.values():
            print(path)
        code = max(code, exit_code(result))
    return code


def _judge(options: argparse.Namespace) -> int:
    from bench.judge.command import run

    return run(options)


def _statement(options: argparse.Namespace) -> int:
    from bench.statements.cli import run_lint, run_list, run_show

    if options.verb == "list":
        return run_list(options.name, options.json)
    if options.verb == "lint":
        return run_lint(options.name, options.json)
    return run_show(options.name, options.id, options.json)


def _doctor(options: argparse.Namespace) -> int:
    from bench.doctor import main as doctor

    return doctor(options.json)
