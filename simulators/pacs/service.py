"""Storage and Verification as a service class provider (PS3.4 A and B).

Rules of this file:

* An object is answered when it is in the store, and told (``pacs.stored``) just before that.
* SOP class and instance of command and data set must be the same, else A900 (B.2.3); what is no data set is C000;
  what cannot be written is A700.
* Nothing is judged beyond that: a bad object is stored and shown.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from simulators.base import CommandError, Emit
from simulators.dicom.config import ConfigError, ServerConfig
from simulators.dicom.elements import BULK_THRESHOLD, MalformedDataset, decode, to_json
from simulators.dicom.negotiation import Policy
from simulators.dicom.server import Server
from simulators.dicom.service import (
    MISMATCH,
    NOT_UNDERSTOOD,
    OUT_OF_RESOURCES,
    SOP_CLASS_NOT_SUPPORTED,
    UNRECOGNISED_OPERATION,
    VERIFICATION,
    Answer,
    Echo,
    Refused,
    Request,
    Sink,
)
from simulators.pacs.store import Incoming, Store
from simulators.pacs.syntaxes import (
    DEFAULT,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    check_syntaxes,
    storage_classes,
)

_SOP_CLASS: Final = 0x00080016
_SOP_INSTANCE: Final = 0x00080018


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """A PACS."""

    ae_title: str = "PACS"
    store: str | None = None
    """Folder of the received objects; None: they are not kept."""
    hash: bool = True
    """Whether objects and pixel data are hashed (without, a scenario cannot match pixels)."""
    transfer_syntaxes: tuple[str, ...] = DEFAULT
    """Transfer syntaxes that are accepted for objects."""
    sop_classes: tuple[str, ...] | None = None
    """Storage SOP classes that are accepted; None: all of pydicom's dictionary."""
    verification: bool = True
    """Whether Verification is accepted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            check_syntaxes(self.transfer_syntaxes)
        except ValueError as error:
            raise ConfigError(f"transfer_syntaxes: {error}") from None


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored object."""

    sop_class: str
    sop_instance: str
    sha256: str | None
    bytes: int
    object: str | None


class Pacs:
    """The simulator: a server with the Storage and Verification services."""

    source = "pacs"

    def __init__(self, config: Config, emit: Emit) -> None:
        """Touches nothing; :meth:`start` does."""
        self._config = config
        self._emit = emit
        self._store = Store(Path(config.store) if config.store else None, hashing=config.hash)
        self._server = Server(config, self, emit)
        self._lock = threading.Lock()
        self._objects: list[Stored] = []
        self._copies: dict[str, int] = {}
        syntaxes = dict.fromkeys(config.sop_classes or storage_classes(), config.transfer_syntaxes)
        if config.verification:
            syntaxes[VERIFICATION] = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
        own = (config.ae_title,) if config.accept_called is None else config.accept_called or None
        self._policy = Policy(syntaxes, own, config.accept_calling, config.max_pdu)

    # -- simulator --------------------------------------------------------------------------------

    def start(self) -> Mapping[str, Any]:
        """Listen; return host, port and AE title."""
        self._store.open()
        return self._server.start()

    def stop(self) -> None:
        """End everything; what was stored stays, and :meth:`start` may follow."""
        self._server.stop()
        self._store.close()

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """``objects``: list what was stored; ``clear``: forget it (files stay); ``arm``, ``disarm``, ``watch``."""
        known = self._server.faults.command(verb, args)
        if known is not None:
            return known
        if verb == "objects":
            with self._lock:
                names = [f.name for f in fields(Stored)]
                return {"objects": [{n: getattr(o, n) for n in names} for o in self._objects]}
        if verb == "clear":
            with self._lock:
                count = len(self._objects)
                self._objects.clear()
                self._copies.clear()
            return {"forgotten": count}
        raise CommandError(f"a PACS cannot {verb!r}; it knows objects, clear, arm, disarm, watch")

    # -- service --------------------------------------------------------------------------------

    def policy(self) -> Policy:
        """What is accepted."""
        return self._policy

    def cancel(self, assoc: int, message_id: int) -> None:
        """Nothing here takes so long that it could be cancelled."""

    def begin(self, request: Request) -> Sink:
        """C-STORE and C-ECHO; 0211 for every other request."""
        command = request.command
        if request.name == "C-ECHO-RQ" and request.abstract_syntax == VERIFICATION:
            return Echo(request, self._emit, self.source)
        if request.name != "C-STORE-RQ" or request.abstract_syntax == VERIFICATION:
            raise Refused(UNRECOGNISED_OPERATION, f"no {request.name} in this presentation context")
        if command.sop_class != request.abstract_syntax:
            raise Refused(SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the presentation context")
        try:
            incoming = self._store.receive(
                command.sop_class, command.sop_instance, request.transfer_syntax, request.calling
            )
        except OSError as error:
            raise Refused(OUT_OF_RESOURCES, f"cannot write: {error.strerror}") from None
        return _Storing(self, request, incoming)

    def stored(self, request: Request, incoming: Incoming) -> Iterator[Answer]:
        """An object is whole: check, keep, tell, answer."""
        command = request.command
        try:
            digest, bulk = incoming.finish()
            dataset = decode(
                incoming.cutter.kept, request.transfer_syntax, bulk=bulk, bulk_over=BULK_THRESHOLD
            )
        except MalformedDataset as error:
            raise Refused(NOT_UNDERSTOOD, f"malformed data set: {error}") from None
        for tag, name, wanted in (
            (_SOP_CLASS, "SOP Class UID", command.sop_class),
            (_SOP_INSTANCE, "SOP Instance UID", command.sop_instance),
        ):
            found = dataset[tag].first if tag in dataset else None
            if found != wanted:
                raise Refused(MISMATCH, f"{name} {found} in the data set, {wanted} in the command")
        summary = to_json(dataset)
        file = incoming.keep(digest)
        path = self._store.path_in_run(file) if file is not None else None
        entry = Stored(command.sop_class, command.sop_instance, digest, incoming.size, path)
        with self._lock:
            self._objects.append(entry)
            copy = self._copies[command.sop_instance] = self._copies.get(command.sop_instance, 0) + 1
        self._emit(
            "pacs.stored",
            assoc=request.assoc,
            msgid=command.message_id,
            calling=request.calling,
            sop_class=command.sop_class,
            sop_instance=command.sop_instance,
            transfer_syntax=request.transfer_syntax,
            sha256=digest,
            bytes=incoming.size,
            object=path,
            copy=copy,
            dataset=summary,
        )
        yield Answer()


class _Storing:
    """The sink of one C-STORE."""

    __slots__ = ("_incoming", "_pacs", "_request")

    def __init__(self, pacs: Pacs, request: Request, incoming: Incoming) -> None:
        self._pacs = pacs
        self._request = request
        self._incoming = incoming

    @property
    def expected(self) -> int:
        """What is left of the pixel data."""
        return self._incoming.cutter.remaining

    def write(self, parts: Sequence[memoryview]) -> None:
        """Write and hash fragments."""
        try:
            self._incoming.add(parts)
        except MalformedDataset as error:
            raise Refused(NOT_UNDERSTOOD, f"malformed data set: {error}") from None
        except OSError as error:
            raise Refused(OUT_OF_RESOURCES, f"cannot write: {os.strerror(error.errno or 0)}") from None

    def finish(self) -> Iterable[Answer]:
        """Store and answer."""
        try:
            yield from self._pacs.stored(self._request, self._incoming)
        except OSError as error:
            raise Refused(OUT_OF_RESOURCES, f"cannot write: {os.strerror(error.errno or 0)}") from None
        finally:
            self._incoming.drop()

    def abandon(self) -> None:
        """Forget the object."""
        self._incoming.drop()


def create(config: Config | Mapping[str, Any], emit: Emit) -> Pacs:
    """Build the simulator; a mapping is checked as :meth:`Config.from_dict` does."""
    return Pacs(config if isinstance(config, Config) else Config.from_dict(config), emit)
