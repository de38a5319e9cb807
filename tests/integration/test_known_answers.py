"""Every known-answer capture is judged: what is wrong is named, and nothing else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.checks.case import SutConfig
from bench.judge.engine import judge_capture
from bench.judge.who import choose
from bench.statements import load
from bench.verdict import Verdict
from bench.witness import read
from tests.lab import make_captures

FOLDER = Path(__file__).resolve().parents[1] / "captures"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))


@cache
def _statement(name: str) -> Any:
    return load(name)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_answer(path: Path) -> None:
    """The judge says of a capture what is known of it."""
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    statement = _statement(known["statement"])
    config = SutConfig(known.get("config", {}), path.name)
    capture = read(path.parent / known["capture"])
    sut = choose(capture, statement, known["who"], config)
    told = {clause.id: clause for clause in judge_capture(capture, statement, sut, config=config).clauses}

    assert not [id for id in (*known["fail"], *known.get("may", ())) if id not in told], "unknown ids"
    failed = {id for id, clause in told.items() if clause.verdict is Verdict.FAIL}
    broken = {id: clause.reason for id, clause in told.items() if clause.verdict is Verdict.ERROR}
    assert not broken
    bystanders = failed - {*known["fail"], *known.get("may", ())}
    assert not {id: told[id].reason for id in bystanders}
    missed = [id for id in known["fail"] if id not in failed]
    assert not {id: (told[id].verdict.name, told[id].reason) for id in missed}
    good = (Verdict.PASS, Verdict.PASS_ERRATUM)
    dull = [id for id in known.get("pass", ()) if told[id].verdict not in good]
    assert not {id: (told[id].verdict.name, told[id].reason) for id in dull}


def test_there_are_enough() -> None:
    """Both products, good and bad, and at least forty single defects."""
    known = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in MANIFESTS]
    assert sum(bool(answer["fail"]) for answer in known) >= 40
    for statement in ("vxvue", "mx1"):
        assert {bool(answer["fail"]) for answer in known if answer["statement"] == statement} == {True, False}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000


def test_captures_are_what_their_source_makes(tmp_path: Path) -> None:
    """What is committed is what the laboratory writes today (compressed files: their content)."""
    for name, recipe in make_captures.load().items():
        made = make_captures.write(recipe, tmp_path)
        kept = FOLDER / made.name
        assert kept.is_file(), f"{made.name} is not committed: python -m tests.lab.make_captures"
        assert make_captures.content(made) == make_captures.content(kept), f"{name} has changed"
        kept_answer = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        assert make_captures.manifest(recipe, made.name) == kept_answer, f"{name} has another answer"
