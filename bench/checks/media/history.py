"""What happened to a medium during a cell: what lay on it before, what the product says it saved, what is there now.

Rules of this file:

* Pure: journal events and what was read of the image in; sentences out.
* What the product says is a claim: it counts only where the medium bears it out, by the SHA-256 of every file.
* What an interruption left behind (the medium was pulled, the power cut, a write failed) is no fault of the product;
  what it had reported as saved before must still be there.
* A claim ends when the medium is formatted, or other content is put on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bench.witness.medium.hashes import Held

DIRECTORY: Final = "DICOMDIR"
MOST: Final = 40
"""Problems of one medium that are told one by one."""
NEW_CONTENT: Final = ("format", "replace", "replace_content")
"""Steps after which a medium holds something new: what lies there before is noted anew by who put it there."""


class Happened(Protocol):
    """An event of the journal."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Its fields."""

    @property
    def seq(self) -> int:
        """Its number."""


@dataclass(frozen=True, slots=True)
class Action:
    """An export or addition that the product reported as done; ``files`` are SHA-256 by name, in the order saved."""

    kind: str
    seq: int
    files: Mapping[str, str]
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the operator asked for (export, add); ``had``: there was a file-set (None: not known); ``done``: it was."""

    verb: str
    seq: int
    had: bool | None
    done: bool


@dataclass(frozen=True)
class History:
    """One medium of one cell.

    ``before`` is None when it is not known what lay on it; ``asked`` tells whether the operator asked for anything;
    ``interrupted`` is the sentence that says by what the last operation was broken off, empty when it was not;
    ``gave_up`` tells that nothing from outside did it: the product refused, or met something that lay there;
    ``ever_interrupted`` tells of any.
    """

    name: str
    held: Mapping[str, Held]
    before: Mapping[str, Held] | None = None
    actions: tuple[Action, ...] = ()
    asked: bool = False
    interrupted: str = ""
    attempts: tuple[Attempt, ...] = ()
    ever_interrupted: bool = False
    yanked: bool = False
    fidelity: str = ""
    gave_up: bool = False
    _memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def saved(self) -> Mapping[str, str]:
        """SHA-256 of every file that the product reported as saved, by name; of two reports the later one."""
        found: dict[str, str] = {}
        for action in self.actions:
            found.update(action.files)
        return found

    @property
    def directory(self) -> str:
        """SHA-256 of the DICOMDIR as last reported, empty without a report."""
        return self.actions[-1].directory if self.actions else ""

    @property
    def had_file_set(self) -> bool | None:
        """Whether there was a file-set before the first action; None when that is not known."""
        return None if self.before is None else DIRECTORY in self.before

    @property
    def changed(self) -> bool:
        """Whether the medium holds other files than before; True when that is not known."""
        if self.before is None:
            return True
        return {n: (h.bytes, h.sha256) for n, h in self.before.items()} != {
            n: (h.bytes, h.sha256) for n, h in self.held.items()
        }

    @property
    def leftovers(self) -> frozenset[str]:
        """Files that nobody reported and that were not there before: what an interruption left."""
        known = {DIRECTORY, *self.saved, *(self.before or {})}
        return frozenset(self.held) - known


def history(
    name: str, events: Iterable[Happened], held: Mapping[str, Held], before: Mapping[str, Held] | None
) -> History:
    """Tell what happened to a medium.

    Args:
        name: of the volume: usb or sd.
        events: the journal's, in order.
        held: what is on it now.
        before: what lay on it when the cell began, or after it was filled anew; None: not known.
    """
    actions: list[Action] = []
    attempts: list[Attempt] = []
    asked = yanked = ever = outside = False
    pending: tuple[str, int] | None = None
    there = None if before is None else DIRECTORY in before
    interrupted = ""
    fidelity = ""
    for event in events:
        data, mine = event.data, event.data.get("volume") == name
        if event.kind == "modality.media" and data.get("medium") == name and data.get("files") is not None:
            actions.append(_action(event))
            interrupted, outside = "", False
            if pending is not None:
                attempts.append(Attempt(*pending, there, True))
            there, pending = True, None
        elif event.kind == "step.start" and _new_content(name, str(data.get("text", ""))):
            actions, attempts, interrupted, yanked, outside = [], [], "", False, False
            there = None if before is None else DIRECTORY in before
        elif event.kind == "volume.inserted" and mine:
            fidelity = str(data.get("backend") or fidelity)
        elif event.kind == "volume.removed" and mine and data.get("how") == "yanked":
            yanked = outside = True
            interrupted = "the medium was pulled out while it was in use"
        elif event.kind == "fault.fired" and data.get("host") == name:
            interrupted, outside = f"the scenario broke it: {data.get('fault', 'a fault')}", True
        elif event.kind == "modality.warning" and data.get("service") == "media" and data.get("peer") == name:
            interrupted = interrupted or f"the product gave up: {data.get('text') or data.get('code')}"
        elif event.kind == "sut.exited" and not data.get("expected", False):
            interrupted, outside = "the product was switched off", True
        elif event.kind == "sut.request" and data.get("do") in ("export", "add"):
            pending = None
            if dict(data.get("args") or {}).get("medium") == name:
                asked, pending = True, (str(data.get("do")), event.seq)
        elif event.kind == "sut.answer" and data.get("do") in ("export", "add") and pending is not None:
            if not data.get("ok"):
                attempts.append(Attempt(*pending, there, False))
            pending = None
        ever = ever or bool(interrupted)
    return History(
        name,
        held,
        before,
        tuple(actions),
        asked,
        interrupted,
        tuple(attempts),
        ever,
        yanked,
        fidelity,
        bool(interrupted) and not outside,
    )


def _new_content(name: str, step: str) -> bool:
    verb, _, _ = step.partition(" ")
    host, _, what = verb.rstrip(":").partition(".")
    return host == name and what in NEW_CONTENT


def _action(event: Happened) -> Action:
    files: dict[str, str] = {}
    for entry in event.data.get("files") or ():
        if isinstance(entry, Mapping) and entry.get("file_id"):
            files[named(entry["file_id"])] = str(entry.get("sha256") or "")
    kind, directory = str(event.data.get("action") or ""), str(event.data.get("dicomdir_sha256") or "")
    return Action(kind, event.seq, files, directory)


def named(file_id: object) -> str:
    r"""Return a File ID with ``/`` between its components.

    >>> named("DICOM\\PA000001"), named(["DICOM", "PA000001"]), named("DICOM/PA000001")
    ('DICOM/PA000001', 'DICOM/PA000001', 'DICOM/PA000001')
    """
    if isinstance(file_id, list | tuple):
        return "/".join(map(str, file_id))
    return str(file_id).replace("\\", "/").strip("/")


def problems(story: History) -> tuple[str, ...]:
    """Return what is on the medium and should not be so, one sentence each; nothing when all is as was reported."""
    found = [*_saved(story), *_foreign(story), *_directory(story), *_extra(story)]
    if len(found) > MOST:
        found = [*found[:MOST], f"and {len(found) - MOST} more"]
    return tuple(found)


def remarks(story: History) -> tuple[str, ...]:
    """Return what a person should know and that is no fault: what an interruption left on the medium."""
    left = sorted(story.leftovers) if story.interrupted else []
    if not left:
        return ()
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return (
        f"{story.name}: {', '.join(left[:3])}{more} was left there unreported; {story.interrupted}"
        if len(left) == 1
        else f"{story.name}: {', '.join(left[:3])}{more} were left there unreported; {story.interrupted}",
    )


def _saved(story: History) -> Iterable[str]:
    for name, wanted in story.saved.items():
        now = story.held.get(name)
        where = f"{story.name}: {name}"
        if now is None:
            yield f"{where} was reported as saved, and it is not on the medium"
        elif not now.whole:
            yield f"{where} was reported as saved, and not all its {now.bytes} bytes are on the medium"
        elif wanted and now.sha256 and now.sha256 != wanted:
            yield f"{where} holds other bytes than were reported (SHA-256 {now.sha256[:12]}…, not {wanted[:12]}…)"


def _foreign(story: History) -> Iterable[str]:
    saved = story.saved
    for name, then in (story.before or {}).items():
        if name in saved or name == DIRECTORY:
            continue
        now = story.held.get(name)
        where = f"{story.name}: {then.shown or name}, which lay on the medium before,"
        if now is None:
            yield f"{where} is gone"
        elif (now.bytes, now.sha256) != (then.bytes, then.sha256):
            yield f"{where} was changed"


def _directory(story: History) -> Iterable[str]:
    now = story.held.get(DIRECTORY)
    where = f"{story.name}: the DICOMDIR"
    broken = (
        story.interrupted and not story.gave_up
    )  # then it may be the next one, which was not reported any more
    if story.directory:
        if now is None:
            yield f"{where} was reported as written, and it is not on the medium"
        elif now.sha256 != story.directory and not broken:
            yield f"{where} is not the one that was reported (SHA-256 {now.sha256[:12]}…, not {story.directory[:12]}…)"
    elif story.before is not None and not broken:
        then = story.before.get(DIRECTORY)
        if then is None and now is not None:
            yield f"{where} was written, and nothing was reported as saved"
        elif then is not None and now is None:
            yield f"{where}, which lay on the medium before, is gone"
        elif then is not None and now is not None and (now.bytes, now.sha256) != (then.bytes, then.sha256):
            yield f"{where} was changed, and nothing was reported as saved"


def _extra(story: History) -> Iterable[str]:
    if story.before is None or story.interrupted:
        return
    for name in sorted(story.leftovers):
        yield f"{story.name}: {story.held[name].shown or name} is on the medium, and nobody reported it as saved"


__all__ = ["Action", "Attempt", "History", "history", "named", "problems", "remarks"]
