"""One association for one service: opened, used and released, and every way it can fail turned into a warning.

Rules of this file:

* A new association for every service (VX-ASC-010); contexts, PDU sizes and identity are those of the product's
  profile.  A product may promise one association at a time to each peer: the second one waits for its turn.
* Success is only what an answer said: after a peer's abort pynetdicom returns an *empty* status while still calling the
  association established (field issue M8), so :func:`answered` raises on every missing status.
* An answer is one to its request: pynetdicom takes any message for it, also a second answer to the request before, so
  every request is announced by :func:`ask`, and what comes must have its kind, message id and instance (PS3.7 9.1 and
  10.1).  Anything else ends the association.
* Sending is pushed back by the network: at most :data:`_IN_FLIGHT` PDUs wait in memory, so the answer's timeout starts
  when the request has left and not when it was queued.
"""

from __future__ import annotations

import collections
import logging
import queue
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import build_context

from ..config import Config, Peer
from ..notices import ServiceFailure
from .turns import turn
from .uids import SYNTAX_NAMES

if TYPE_CHECKING:
    from ..products.profile import Profile

_config.STORE_SEND_CHUNKED_DATASET = True  # C-STORE reads the file piece by piece
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_REQUEST_IDENTIFIERS = False
logging.getLogger("pynetdicom").setLevel(
    logging.CRITICAL
)  # what matters becomes a warning with a peer's name

_IN_FLIGHT: Final = 64
_SEND_BUFFER: Final = 1 << 20
_CLOSING_S: Final = 2.0
"""How long the end of a connection is waited for before the next one begins."""

_REJECTION: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


class _Waiting(collections.deque[Any]):
    """What waits to be sent, as pynetdicom looks at it: no data as long as the peer has something to say.

    pynetdicom reads only when nothing waits to be sent, and would push a whole image at a peer that has aborted.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def __getitem__(self, index: Any) -> Any:
        head = super().__getitem__(index)
        if isinstance(head, P_DATA) and self._poll.poll(0):
            raise IndexError("the peer first")
        return head


class _Outbox(queue.Queue[Any]):
    """pynetdicom's queue of outgoing primitives with a bound; what a dead association can no longer send is dropped."""

    def __init__(self, alive: Any, sock: socket.socket) -> None:
        self._socket = sock
        super().__init__(_IN_FLIGHT)
        self._alive = alive

    def _init(self, maxsize: int) -> None:
        self.queue = _Waiting(self._socket)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        while self._alive():
            try:
                super().put(item, True, 0.2)
                return
            except queue.Full:
                continue


@dataclass(frozen=True)
class Asked:
    """What a request says of itself that its answer must repeat."""

    kind: type
    """pynetdicom's class of both, such as ``C_STORE``."""
    message_id: int
    sop_instance: str = ""
    """Compared when the answer names one too; empty: it is no matter of this service."""

    def why_not(self, message: Any) -> str:
        """Why a message is no answer to it; empty when it is one."""
        number = getattr(message, "MessageIDBeingRespondedTo", None)
        if not isinstance(message, self.kind) or number is None:
            return type(message).__name__.replace("_", "-") + ("-RQ" if number is None else "-RSP")
        if number != self.message_id:
            return f"it answers message {number}, not {self.message_id}"
        named = str(getattr(message, "AffectedSOPInstanceUID", None) or "").rstrip("\0 ")
        return f"it is of {named}" if self.sop_instance and named not in ("", self.sop_instance) else ""


@dataclass
class Watch:
    """What was seen of one association while it lived; filled by pynetdicom's events."""

    connected: bool = False
    abort: tuple[int, int] | None = None
    reject: tuple[int, int, int] | None = None
    """Result, source and reason as they came: one who rejects and closes at once overtakes pynetdicom's own state."""
    asked: Asked | None = None
    wrong: str = ""
    """Why what came instead of an answer is none."""
    started: float = field(default_factory=time.monotonic)
    closed: threading.Event = field(default_factory=threading.Event)


def make_ae(config: Config) -> AE:
    """An application entity with the statement's identity and the configured timeouts (VX-D-05, MX-D-04)."""
    ae = AE(config.ae_title)
    ae.maximum_pdu_size = config.profile.announced_pdu
    ae.implementation_class_uid = config.profile.implementation_class_uid
    ae.implementation_version_name = config.profile.implementation_version_name
    ae.connection_timeout = config.timeouts.connect
    ae.acse_timeout = config.timeouts.association
    ae.dimse_timeout = config.timeouts.dimse
    ae.network_timeout = config.timeouts.idle
    return ae


@contextmanager
def associate(config: Config, peer: Peer, service: str) -> Iterator[Association]:
    """Open an association for one service; release it at the end, abort it when the body raises.

    Raises:
        ServiceFailure: no connection, rejected, aborted, no answer, or no context accepted.  A release that fails
            after the work was answered is no failure of the work (field issue AN-16).
    """
    if config.profile.ipv4_only and ":" in peer.host:
        text = f"{peer.name}: {peer.host} is no IPv4 address, and this product speaks IPv4 only"
        raise ServiceFailure(service, peer.name, text, connection="refused")
    if not config.profile.one_association:
        with _association(config, peer, service, Watch()) as association:
            yield association
        return
    with turn(peer.host, peer.port, peer.ae_title):
        watch = Watch()
        try:
            with _association(config, peer, service, watch) as association:
                yield association
        finally:
            if watch.connected:
                watch.closed.wait(_CLOSING_S)


@contextmanager
def _association(config: Config, peer: Peer, service: str, watch: Watch) -> Iterator[Association]:
    ae = make_ae(config)
    handlers = [
        (evt.EVT_CONN_OPEN, _on_open, [watch, config.timeouts.idle]),
        (evt.EVT_CONN_CLOSE, _on_close, [watch]),
        (evt.EVT_PDU_RECV, _on_pdu, [watch]),
    ]
    contexts = [
        build_context(context.abstract_syntax, list(context.transfer_syntaxes))
        for context in config.profile.contexts[service]
    ]
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            contexts=contexts,
            ae_title=peer.ae_title,
            max_pdu=config.profile.announced_pdu,
            evt_handlers=handlers,
        )
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise ServiceFailure(
            service, peer.name, f"{peer.name}: no association: {error}", abort=None
        ) from error
    association.watch = watch
    if not association.is_established:
        raise _not_established(config, peer, service, association, watch)
    _limit_pdus(config.profile, association)
    _listen(association, watch)
    try:
        yield association
    except BaseException:
        if association.is_established:
            association.abort()
        raise
    if association.is_established:
        association.release()


def _limit_pdus(profile: Profile, association: Association) -> None:
    """A peer without limit (0) and one that takes more than the product sends get the product's length (VX-D-04)."""
    length = association.acceptor.maximum_length or profile.unlimited_pdu
    length = min(length, profile.longest_pdu or length)
    if length != association.acceptor.maximum_length:
        for item in association.acceptor.primitive.user_information:
            if hasattr(item, "maximum_length_received"):
                item.maximum_length_received = length


def _listen(association: Association, watch: Watch) -> None:
    """Show pynetdicom only what answers the request; anything else is to it as if nothing had come.

    Only who asked takes messages.  The association's own thread also looks for some: between two requests in quick
    succession it may still do so when the second answer is there, and would throw it away.
    """
    take = association.dimse.get_msg

    def get_msg(block: bool = False) -> tuple[int | None, Any]:
        context, message = take(block) if block else (None, None)
        if message is None:
            return context, message
        watch.wrong = watch.asked.why_not(message) if watch.asked else "nothing was asked"
        return (None, None) if watch.wrong else (context, message)

    association.dimse.get_msg = get_msg


def ask(association: Association, kind: type, message_id: int, sop_instance: str = "") -> None:
    """Say what is about to be asked, so that only its answer is taken for one."""
    association.watch.asked, association.watch.wrong = Asked(kind, message_id, sop_instance), ""


def _not_established(
    config: Config, peer: Peer, service: str, association: Association, watch: Watch
) -> ServiceFailure:
    """Say why there is no association (VX-STO-007, VX-MWL-007 and sisters; VX-D-10)."""
    name = peer.name
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    if watch.reject is not None:
        result, source, reason = watch.reject
        why = _REJECTION.get((source, reason), f"reason {reason}")
        kind = {1: "permanently", 2: "for now"}.get(result, "")
        text = f"{name}: {where} rejected the association {kind}: {why} ({result}/{source}/{reason})"
        return ServiceFailure(service, name, text, result=result, source=source, reason=reason)
    if not watch.connected:
        waited = time.monotonic() - watch.started
        if waited >= config.timeouts.connect * 0.95:
            text = f"{name}: no connection to {where} within {config.timeouts.connect:g} s"
            return ServiceFailure(service, name, text, timeout="connect")
        return ServiceFailure(service, name, f"{name}: no connection to {where}", connection="refused")
    if watch.abort is not None:
        return _aborted(service, name, watch, "during negotiation")
    if association.rejected_contexts:
        refused = ", ".join(
            dict.fromkeys(f"{cx.abstract_syntax.name} ({cx.result})" for cx in association.rejected_contexts)
        )
        offered = {uid for cx in config.profile.contexts[service] for uid in cx.transfer_syntaxes}
        shown = " or ".join(name_ for uid, name_ in SYNTAX_NAMES.items() if uid in offered)
        text = f"{name}: {where} does not serve {refused} in {shown}"
        results = [int(cx.result) for cx in association.rejected_contexts]
        return ServiceFailure(service, name, text, contexts=results)
    if time.monotonic() - watch.started >= config.timeouts.association * 0.95:
        text = f"{name}: no answer to the association request within {config.timeouts.association:g} s"
        return ServiceFailure(service, name, text, timeout="association")
    text = f"{name}: the connection to {where} was lost during negotiation"
    return ServiceFailure(service, name, text, connection="lost")


def _aborted(service: str, name: str, watch: Watch, when: str) -> ServiceFailure:
    source, reason = watch.abort or (0, 0)
    text = f"{name}: the peer aborted the association {when} (source {source}, reason {reason})"
    return ServiceFailure(service, name, text, abort={"source": source, "reason": reason})


def lost(config: Config, peer: Peer, service: str, association: Association, when: str) -> ServiceFailure:
    """The failure of a request that got no answer."""
    watch: Watch = association.watch
    watch.closed.wait(0.5)  # the reader thread may be a moment behind
    if watch.abort is not None:
        return _aborted(service, peer.name, watch, when)
    if watch.closed.is_set() and not association._sent_abort:
        text = f"{peer.name}: the connection was lost {when}"
        return ServiceFailure(service, peer.name, text, connection="lost")
    text = f"{peer.name}: no answer within {config.timeouts.dimse:g} s {when}"
    return ServiceFailure(service, peer.name, text, timeout="dimse")


def answered(
    config: Config,
    peer: Peer,
    service: str,
    association: Association,
    status: Dataset,
    when: str,
) -> int:
    """The status of the answer to what was asked (see :func:`ask`).

    Raises:
        ServiceFailure: there was none (abort, lost connection, timeout), or it answers something else.
    """
    wrong = association.watch.wrong
    if wrong:
        text = f"{peer.name}: what came {when} is no answer to the request: {wrong}"
        raise ServiceFailure(service, peer.name, text, answer=wrong)
    if "Status" not in status:
        raise lost(config, peer, service, association, when)
    return int(status.Status)


def comment(status: Dataset) -> str:
    """What a peer wrote beside its status, made fit for one line."""
    text = str(status.get("ErrorComment", "") or "")
    return f": {text[:200]!r}" if text else ""


def _on_open(event: evt.Event, watch: Watch, idle: float) -> None:
    """Socket options of every association; called by pynetdicom before the first PDU."""
    watch.connected = True
    transport = event.assoc.dul.socket
    sock: socket.socket = transport.socket
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(idle * 1000))
    sock.settimeout(idle)
    event.assoc.dul.to_provider_queue = _Outbox(event.assoc.dul.is_alive, sock)


def _on_close(event: evt.Event, watch: Watch) -> None:
    watch.closed.set()


def _on_pdu(event: evt.Event, watch: Watch) -> None:
    if event.pdu.pdu_type == 0x03:
        pdu = event.pdu
        watch.reject = (int(pdu.result or 0), int(pdu.source or 0), int(pdu.reason_diagnostic or 0))
    elif event.pdu.pdu_type == 0x07:
        watch.abort = (int(event.pdu.source or 0), int(event.pdu.reason_diagnostic or 0))
