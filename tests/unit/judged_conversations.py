"""Conversations judged by the checks of negotiation, upper layer and messages alone: which ids fail, which pass."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench.witness
from bench.checks.case import Case, Sut, SutConfig
from bench.checks.finding import Check
from bench.checks.verdicts import judge
from bench.resultmodel import ClauseResult
from bench.statements import load
from simulators.wire import AssociateRequest, PresentationContextRQ, UserInformation
from tests.lab.conversation import Conversation, Lab

MODULES = (
    "upperlayer.proposal",
    "upperlayer.answer",
    "upperlayer.pdata",
    "upperlayer.states",
    "dimse.commandset",
    "dimse.content",
    "dimse.dialogue",
    "contexts",
)
OWN = {
    "vxvue": ("VX-GEN", "VX-ASC", "VX-PC", "VX-VER", "VX-COM", "VX-CFG", "VX-SEC"),
    "mx1": ("MX-GEN", "MX-VER", "MX-STO-0", "MX-STO-PC", "MX-MWL-0", "MX-MWL-PC", "MX-COM", "MX-CFG"),
}
STANDARD = ("STD-UL", "STD-DIMSE")
DX = "1.2.840.10008.5.1.4.1.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def checks(statement: str) -> tuple[Check, ...]:
    """The checks that are tested."""
    names = [
        *MODULES,
        *((f"{statement}.association", f"{statement}.configuration") if statement in OWN else ()),
    ]
    modules = [importlib.import_module(f"bench.checks.{name}") for name in names]
    return tuple(dict.fromkeys(v for m in modules for v in vars(m).values() if isinstance(v, Check)))


def case(
    lab: Lab,
    statement: str = "vxvue",
    *,
    who: str = "10.0.0.5",
    config: Mapping[str, Any] | None = None,
    **how: Any,
) -> Case:
    """The case of what was said in a laboratory."""
    with tempfile.TemporaryDirectory() as folder:
        capture = bench.witness.read(lab.write(Path(folder) / "a.pcapng", **how))
    return Case(load(statement), capture, Sut(addresses=frozenset({who})), SutConfig(config or {}))


def results(lab: Lab, statement: str = "vxvue", **how: Any) -> dict[str, ClauseResult]:
    """Every verdict that is tested, by id."""
    found = judge(case(lab, statement, **how), checks(statement))
    return {r.id: r for r in found if r.id.startswith((*OWN.get(statement, ("",)), *STANDARD))}


def verdicts(lab: Lab, statement: str = "vxvue", **how: Any) -> dict[str, str]:
    """Verdicts by id; a failing check is an error of the test."""
    found = {id: str(r.verdict) for id, r in results(lab, statement, **how).items()}
    assert "ERROR" not in found.values(), {id: r.reason for id, r in results(lab, statement, **how).items()}
    return found


def failing(lab: Lab, statement: str = "vxvue", **how: Any) -> set[str]:
    """Ids that FAIL."""
    return {id for id, verdict in verdicts(lab, statement, **how).items() if verdict == "FAIL"}


def users(request: AssociateRequest, *items: Any) -> AssociateRequest:
    """A request with these user items added."""
    from dataclasses import replace

    changed = tuple(
        UserInformation((*item.items, *items)) if isinstance(item, UserInformation) else item
        for item in request.items
    )
    return replace(request, items=changed)


def contexts(request: AssociateRequest, *new: PresentationContextRQ) -> AssociateRequest:
    """A request with these contexts instead."""
    from dataclasses import replace

    items = [i for i in request.items if not isinstance(i, PresentationContextRQ)]
    return replace(request, items=(items[0], *new, *items[1:]))


def echo(a: Conversation) -> None:
    """A verification on an accepted association, to its end."""
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
