"""For tests of media: judge a file-set that was made, and say what is not right about it."""

from __future__ import annotations

from pathlib import Path

from bench.checks.case import SutConfig
from bench.judge.medium import judge_medium
from bench.resultmodel import ClauseResult
from bench.statements import load
from bench.verdict import Verdict
from bench.witness.medium import read_medium
from tests.lab.media import FileSet


def judge(path: Path, **config: object) -> dict[str, ClauseResult]:
    """Judge an image or folder by MX1's statement, as a USB stick."""
    config.setdefault("medium", "usb")
    judged = judge_medium(read_medium(path), load("mx1"), config=SutConfig(config))
    return {row.id: row for row in judged.clauses}


def judge_set(made: FileSet, folder: Path, **how: object) -> dict[str, ClauseResult]:
    """Write a file-set into an image and judge it."""
    return judge(made.write_image(folder / "medium.img", **how))


def fails(rows: dict[str, ClauseResult]) -> set[str]:
    """Ids that are FAIL or ERROR."""
    return {id for id, row in rows.items() if row.verdict in (Verdict.FAIL, Verdict.ERROR)}


def explained(rows: dict[str, ClauseResult]) -> str:
    """Everything that is not as it should be, for a failing test."""
    return "\n".join(
        f"{id} {row.verdict.value}: {row.reason}"
        for id, row in rows.items()
        if row.verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.DEV_FROM_STD)
    )
