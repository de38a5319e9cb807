"""The register of defects of the services, and the edits that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from simulators.wire.dimse import Command
from tests.lab.conversation import Conversation, Lab, Outgoing
from tests.lab.products.vxvue import VXvue
from tests.lab.recipes.defects import OTHER, exam, on

Build = Callable[[Lab], object]
DEFECTS: Final[dict[str, tuple[Build, frozenset[str], dict[str, Any]]]] = {}
CONFIG: Final = {
    "worklist": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
    "mpps": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
}


def defect(*fails: str, **how: Any) -> Callable[[Build], Build]:
    """A conversation with one defect: exactly these rows FAIL."""

    def add(build: Build) -> Build:
        if build.__name__ in DEFECTS:
            raise ValueError(f"two defects are called {build.__name__}")
        DEFECTS[build.__name__] = (build, frozenset(fails), how)
        return build

    return add


def command(lab: Lab, name: str, *, of: str | None = None, nth: int | None = None, **values: Any) -> None:
    """Change command elements."""

    def change(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        old = out.command
        known = {k: old.get(k) for k in ("MessageID", "AffectedSOPClassUID", "RequestedSOPClassUID")}
        for k in (
            "AffectedSOPInstanceUID",
            "RequestedSOPInstanceUID",
            "ActionTypeID",
            "EventTypeID",
            "Status",
        ):
            known[k] = old.get(k)
        known["MessageIDBeingRespondedTo"] = old.get("MessageIDBeingRespondedTo")
        kept = {k: v for k, v in (known | values).items() if v is not None}
        out.command = Command.new(name, dataset=old.has_dataset, **kept)

    on(lab, name, change, of=of, nth=nth)


def shots(lab: Lab, **how: Any) -> None:
    VXvue(lab).exam(exam(shots=(SHOT, OTHER)), **how)


SHOT: Final = replace(OTHER, number=1, view="PA")


@contextmanager
def ending(client: str, how: Callable[[Conversation], None]) -> Iterator[None]:
    """The associations of one host end otherwise than by a release."""
    original = Conversation.release

    def release(self: Conversation, *arguments: Any, **named: Any) -> None:
        if self.stream.ends[0][0] == client:
            how(self)
        else:
            original(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversation, "release", release)
        yield


def aborting() -> AbstractContextManager[None]:
    return ending("10.0.0.5", lambda a: a.abort("requestor"))


def closing() -> AbstractContextManager[None]:
    return ending("10.0.0.5", lambda a: a.close("requestor"))
