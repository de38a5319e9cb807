"""Modality Worklist, Modality Performed Procedure Step and Verification as service class providers.

Rules of this file:

* A query is answered while it is being matched, one item at a time: ten thousand items cost no more than one.
* C-CANCEL is looked at between two responses; the answer to it is FE00.
* MPPS rules are those of :mod:`simulators.ris.mpps`; this file only turns them into messages and events.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulators.base import CommandError, Emit
from simulators.dicom.config import ConfigError, ServerConfig
from simulators.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, DataSet, encode, to_json
from simulators.dicom.negotiation import Policy
from simulators.dicom.server import Server
from simulators.dicom.service import (
    CANCELLED,
    NOT_UNDERSTOOD,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_UNSUPPORTED,
    PROCESSING_FAILURE,
    SUCCESS,
    UNRECOGNISED_OPERATION,
    VERIFICATION,
    Answer,
    Collect,
    Echo,
    Refused,
    Request,
    Sink,
)
from simulators.ris import mpps
from simulators.ris.worklist import Defaults, Worklist, answer, build_items, unsupported

WORKLIST: Final = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND."""
_SYNTAXES: Final = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """A RIS."""

    ae_title: str = "RIS"
    seed: int = 0
    """What is made up in worklist items depends on it."""
    charset: str = ""
    """Specific Character Set of items that state none, backslashes between several; empty: the default one."""
    items: tuple[Mapping[str, Any], ...] = ()
    """Worklist at the start."""
    item_defaults: Mapping[str, Any] | None = None
    """Keywords that every item gets unless it states them."""
    mpps_checks: str = "type1"
    """Attribute rules that are enforced: ``state``, ``type1`` or ``full``."""
    services: tuple[str, ...] = ("worklist", "mpps", "verification")
    """Which services are offered."""
    max_matches: int = 0
    """End a query with A700 after so many matches, as some RIS do; 0: no limit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mpps_checks not in mpps.CHECKS:
            raise ConfigError(f"mpps_checks must be one of {', '.join(mpps.CHECKS)}")
        unknown = set(self.services) - {"worklist", "mpps", "verification"}
        if unknown:
            raise ConfigError(f"services: unknown {sorted(unknown)[0]!r}")


class Ris:
    """The simulator: a server with the worklist, MPPS and Verification services."""

    source = "ris"

    def __init__(self, config: Config, emit: Emit) -> None:
        """Touches nothing; raises :class:`~simulators.dicom.config.ConfigError` for a bad worklist."""
        self._config = config
        self._emit = emit
        self._server = Server(config, self, emit)
        self._defaults = Defaults(config.seed, config.charset, config.item_defaults)
        self._worklist = Worklist()
        self._steps = mpps.Steps(config.mpps_checks)  # type: ignore[arg-type]
        self._lock = threading.Lock()
        self._cancelled: set[tuple[int, int]] = set()
        try:
            self._worklist.set(build_items(config.items, self._defaults))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        syntaxes = {}
        for name, uid in (("worklist", WORKLIST), ("mpps", mpps.SOP_CLASS), ("verification", VERIFICATION)):
            if name in config.services:
                syntaxes[uid] = _SYNTAXES
        own = (config.ae_title,) if config.accept_called is None else config.accept_called or None
        self._policy = Policy(syntaxes, own, config.accept_calling, config.max_pdu)

    # -- simulator --------------------------------------------------------------------------------

    def start(self) -> Mapping[str, Any]:
        """Listen; return host, port and AE title."""
        return self._server.start()

    def stop(self) -> None:
        """End everything; worklist and steps stay, and :meth:`start` may follow."""
        self._server.stop()

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """``worklist``: set items; ``steps``: list MPPS; ``clear``: forget all; ``arm``, ``disarm``, ``watch``."""
        known = self._server.faults.command(verb, args)
        if known is not None:
            return known
        if verb == "worklist":
            return self._set_worklist(args)
        if verb == "steps":
            return {
                "steps": [
                    {"sop_instance": s.sop_instance, "state": s.state, "dataset": to_json(s.dataset)}
                    for s in self._steps.all()
                ]
            }
        if verb == "clear":
            self._worklist.set(())
            self._steps.clear()
            return {}
        raise CommandError(f"a RIS cannot {verb!r}; it knows worklist, steps, clear, arm, disarm, watch")

    def _set_worklist(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        unknown = set(args) - {"items", "charset", "add"}
        if unknown:
            raise CommandError(f"worklist has no argument {sorted(unknown)[0]!r}")
        items = args.get("items")
        if not isinstance(items, list | tuple):
            raise CommandError("worklist wants a list of items")
        add = bool(args.get("add", False))
        charset = str(args.get("charset") or self._config.charset)
        defaults = Defaults(self._defaults.seed, charset, self._defaults.keywords)
        try:
            built = build_items(items, defaults, len(self._worklist) if add else 0)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self._worklist.set(built, add=add)
        return {"items": len(self._worklist)}

    # -- service --------------------------------------------------------------------------------

    def policy(self) -> Policy:
        """What is accepted."""
        return self._policy

    def cancel(self, assoc: int, message_id: int) -> None:
        """Remember; the query looks between two responses."""
        with self._lock:
            self._cancelled.add((assoc, message_id))

    def begin(self, request: Request) -> Sink:
        """C-FIND, N-CREATE, N-SET and C-ECHO, each in its presentation context; else 0211."""
        name, syntax = request.name, request.abstract_syntax
        limit = self._config.max_dataset
        if name == "C-ECHO-RQ" and syntax == VERIFICATION:
            return Echo(request, self._emit, self.source)
        if name == "C-FIND-RQ" and syntax == WORKLIST:
            return Collect(request, limit, self._find, too_long=OUT_OF_RESOURCES)
        if name == "N-CREATE-RQ" and syntax == mpps.SOP_CLASS:
            return Collect(request, limit, self._create, malformed=PROCESSING_FAILURE)
        if name == "N-SET-RQ" and syntax == mpps.SOP_CLASS:
            return Collect(request, limit, self._set, malformed=PROCESSING_FAILURE)
        raise Refused(UNRECOGNISED_OPERATION, f"no {name} in this presentation context")

    # -- worklist --------------------------------------------------------------------------------

    def _find(self, request: Request, keys: DataSet | None) -> Iterator[Answer]:
        if keys is None:
            raise Refused(NOT_UNDERSTOOD, "a query without an identifier")
        strange = unsupported(keys)
        key = (request.assoc, request.command.message_id)
        with self._lock:
            self._cancelled.discard(key)
        sent, status = 0, SUCCESS
        for item, seen in self._worklist.find(keys, request.calling):
            if self._config.max_matches and sent >= self._config.max_matches:
                status = OUT_OF_RESOURCES
                break
            found = answer(keys, item, seen)
            pending = PENDING_UNSUPPORTED if any(tag not in seen for tag in strange) else PENDING
            yield Answer(pending, encode(found, request.transfer_syntax))
            sent += 1
            if key in self._cancelled:
                status = CANCELLED
                with self._lock:
                    self._cancelled.discard(key)
                self._emit("ris.cancelled", assoc=request.assoc, msgid=request.command.message_id, sent=sent)
                break
        if status != CANCELLED:
            self._emit(
                "ris.queried",
                assoc=request.assoc,
                calling=request.calling,
                msgid=request.command.message_id,
                matches=sent,
                status=status,
                identifier=to_json(keys),
            )
        yield Answer(status)

    # -- MPPS --------------------------------------------------------------------------------

    def _create(self, request: Request, dataset: DataSet | None) -> Iterable[Answer]:
        uid = request.command.sop_instance
        # The SCU may leave the UID to us (PS3.7 10.1.5.1.4); then the response is where it learns it.
        uid = uid or f"2.25.{secrets.randbits(122) | 1 << 122}"
        if len(uid) > 64 or not _UID.fullmatch(uid):
            raise Refused(0x0117, f"invalid SOP instance UID {uid!r}")
        try:
            step = self._steps.create(uid, dataset or {})
        except mpps.Refusal as refusal:
            raise Refused(refusal.status, refusal.comment, refusal.error_id) from None
        self._tell("ris.mpps_created", request, step, dataset or {})
        return (Answer(SUCCESS, None, {"AffectedSOPInstanceUID": uid}),)

    def _set(self, request: Request, dataset: DataSet | None) -> Iterable[Answer]:
        try:
            step = self._steps.set(request.command.sop_instance, dataset or {})
        except mpps.Refusal as refusal:
            raise Refused(refusal.status, refusal.comment, refusal.error_id) from None
        self._tell("ris.mpps_set", request, step, dataset or {})
        return (Answer(SUCCESS),)

    def _tell(self, kind: str, request: Request, step: mpps.Step, dataset: DataSet) -> None:
        self._emit(
            kind,
            assoc=request.assoc,
            calling=request.calling,
            msgid=request.command.message_id,
            sop_instance=step.sop_instance,
            state=step.state,
            status=SUCCESS,
            dataset=to_json(dataset),
        )


def create(config: Config | Mapping[str, Any], emit: Emit) -> Ris:
    """Build the simulator; a mapping is checked as :meth:`Config.from_dict` does."""
    return Ris(config if isinstance(config, Config) else Config.from_dict(config), emit)
