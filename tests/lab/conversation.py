"""Conversations between modality and peers, put down as if a recorder had seen them.

A guide::

    from tests.lab.conversation import Lab
    from tests.lab.elements import DataSet, Element

    lab = Lab()
    a = lab.associate(client="10.0.0.5", server="10.0.0.9", port=104, calling="VXVUE", called="PACS",
                      contexts=[("1.2.840.10008.1.1", ["1.2.840.10008.1.2.1"])])
    a.accept()                          # every context with its first transfer syntax; or accept(refuse={uid: 3}) …
    a.request("C-ECHO-RQ")              # context, message id and SOP class are found; all can be given
    a.respond(0x0000)                   # by the other side
    a.release()                         # A-RELEASE-RQ/RP and FINs; also a.abort(), a.close(), a.reset()
    lab.write(path)                     # .pcapng, .pcap, either with .gz

* ``a.request(name, dataset, …)``: ``dataset`` a :class:`~tests.lab.elements.DataSet` (encoded in the context's syntax)
  or bytes; command elements by keyword (``MessageID=7``, None leaves out); ``side="acceptor"`` for N-EVENT-REPORT;
  ``command=`` bytes instead of everything; ``how=Cut(...)`` for odd PDVs.
* ``a.say(side, bytes)`` puts any bytes on the wire; ``a.pdu(side, pdu)`` any PDU value of simulators.wire.
* ``lab.wait(seconds)``; ``lab.time`` may be set (also back: conversations interleave by time).
* ``lab.client_port``, ``lab.isn``: the same for every connection (reused ports, sequence numbers that wrap).
* ``with a.unseen(): …`` what is said inside is missing; ``lab.missing_until = time`` the capture began there.
* ``lab.edit(fn)``: fn(:class:`Outgoing`) sees every message before it is encoded, ``lab.edit_request(fn)`` every
  A-ASSOCIATE-RQ: the way to make one defect in a right conversation.
* ``lab.write(path, order="shuffled|retransmitted|overlapping|gaps", link="vlan|ipv6|sll|…", mss=…, mtu=…)``.

Nothing is validated.  The same calls always give the same bytes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from simulators.wire import (
    PDU,
    Abort,
    ApplicationContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RawPDU,
    ReleaseRequest,
    ReleaseResponse,
    RoleSelection,
    UserInformation,
    UserItem,
    encode,
)
from simulators.wire.dimse import Command, encode_command
from simulators.wire.pdu import APPLICATION_CONTEXT
from tests.lab import files, network
from tests.lab.elements import EXPLICIT_LE, DataSet

Side: TypeAlias = Literal["requestor", "acceptor"]
Contexts: TypeAlias = Iterable[tuple[str, Sequence[str]]]
START: Final = 1_750_000_000.0
"""When the laboratory's clock starts: 2025-06-15 15:06:40 UTC."""
PEER_CLASS: Final = "1.2.276.0.7230010.3.0.3.6.8"
PEER_VERSION: Final = "OFFIS_DCMTK_368"
_REQUESTED: Final = frozenset(["N-GET-RQ", "N-SET-RQ", "N-ACTION-RQ", "N-DELETE-RQ"])


@dataclass(frozen=True, slots=True)
class Cut:
    """How a message is cut: PDV sizes (repeating; None: as large as allowed), PDVs of one PDU, longest PDU (None: the
    receiver's maximum), whether command and data set share a PDU, and an empty last fragment."""

    sizes: tuple[int, ...] | None = None
    pdvs: int = 1
    longest: int | None = None
    together: bool = False
    empty_last: bool = False


@dataclass(slots=True)
class Outgoing:
    """A message on its way: everything may be changed by an edit."""

    association: Conversation
    side: Side
    name: str
    command: Command | bytes
    dataset: DataSet | bytes | None
    context_id: int
    how: Cut
    transfer_syntax: str
    skip: bool = False


class Conversation:
    """One TCP connection that carries (or should carry) one association."""

    def __init__(self, lab: Lab, stream: network.Stream, request: AssociateRequest) -> None:
        self.lab = lab
        self.stream = stream
        self.proposal = request
        self.contexts: dict[int, tuple[str, str | None]] = {}
        self.limits: dict[Side, int] = {"requestor": request.max_length or 65536, "acceptor": 16384}
        self.last: dict[Side, Command] = {}
        self._next = {"requestor": 1, "acceptor": 1}
        self._seen = True
        self._context = 1

    # -- bytes ----------------------------------------------------------------------------------------------

    def say(self, side: Side, data: bytes, *, after: float = 0.001) -> None:
        """Put bytes on the wire, ``after`` seconds from now."""
        self.lab.time += after
        self.stream.add(self.lab.time, side != "requestor", "data", data, seen=self._seen)
        self.lab.time += len(data) / 1460 * 0.00002

    def pdu(self, side: Side, pdu: PDU | RawPDU) -> None:
        """Put one PDU on the wire."""
        self.say(side, encode(pdu))

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What is said inside is missing in the capture."""
        self._seen = False
        yield
        self._seen = True

    # -- association ----------------------------------------------------------------------------------------

    def accept(
        self,
        only: Mapping[str | int, str] | None = None,
        *,
        refuse: Mapping[str | int, int] | Iterable[str | int] = (),
        prefer: Sequence[str] = (),
        max_length: int = 16384,
        implementation_class: str | None = PEER_CLASS,
        implementation_version: str | None = PEER_VERSION,
        user_items: Iterable[UserItem] = (),
        roles: bool = True,
        calling: str | None = None,
        called: str | None = None,
        items: Callable[[list[Any]], list[Any]] | None = None,
    ) -> Conversation:
        """A-ASSOCIATE-AC.  ``only``: {abstract syntax or id: transfer syntax}, others are refused with 3; ``refuse``:
        those with a result (default 3); ``prefer``: transfer syntaxes by choice; ``roles``: answer role selection.
        """
        results = dict(refuse) if isinstance(refuse, Mapping) else dict.fromkeys(refuse, 3)
        answers = []
        for proposed in self.proposal.contexts:
            keys = (proposed.context_id, proposed.abstract_syntax)
            result = next((results[k] for k in keys if k in results), 0)
            choice: str | None = next(
                (ts for ts in prefer if ts in proposed.transfer_syntaxes),
                (*proposed.transfer_syntaxes, "")[0],
            )
            if only is not None and not result:
                choice = next((only[k] for k in keys if k in only), None)
                result = 0 if choice else 3
            answers.append(PresentationContextAC(proposed.context_id, result, choice or EXPLICIT_LE))
            self.contexts[proposed.context_id] = (proposed.abstract_syntax, None if result else choice)
        extra = [i for i in self.proposal.user_items if type(i) is RoleSelection] if roles else []
        extra = [i for i in extra if any(a == i.sop_class and ts for a, ts in self.contexts.values())]
        users: list[UserItem] = [MaximumLength(max_length)]
        if implementation_class:
            users.append(ImplementationClassUID(implementation_class))
        users += extra
        if implementation_version:
            users.append(ImplementationVersionName(implementation_version))
        content: list[Any] = [ApplicationContext(), *answers, UserInformation((*users, *user_items))]
        if items is not None:
            content = items(content)
        self.limits["acceptor"] = max_length or 65536
        ours = self.proposal
        echoes = (ours.called if called is None else called, ours.calling if calling is None else calling)
        self.pdu("acceptor", AssociateAccept(*echoes, tuple(content)))
        return self

    def reject(self, result: int = 1, source: int = 1, reason: int = 1, *, close: bool = True) -> None:
        """A-ASSOCIATE-RJ; then the requestor closes (PS3.8 Sta 13: the acceptor waits)."""
        self.pdu("acceptor", AssociateReject(result, source, reason))
        if close:
            self.close("requestor")

    def release(self, by: Side = "requestor", *, first_to_close: Side | None = None) -> None:
        """A-RELEASE-RQ, A-RELEASE-RP, and the end of the connection."""
        other: Side = "acceptor" if by == "requestor" else "requestor"
        self.pdu(by, ReleaseRequest())
        self.pdu(other, ReleaseResponse())
        self.close(first_to_close or by)

    def abort(self, by: Side = "requestor", source: int = 0, reason: int = 0, *, close: bool = True) -> None:
        """A-ABORT; then the other side closes."""
        self.pdu(by, Abort(source, reason))
        if close:
            self.close("acceptor" if by == "requestor" else "requestor")

    def close(self, first: Side = "requestor") -> None:
        """FIN from both sides."""
        side = 0 if first == "requestor" else 1
        for number in (side, 1 - side):
            self.lab.time += 0.0005
            self.stream.add(self.lab.time, number, "fin", seen=self._seen)

    def reset(self, by: Side = "requestor") -> None:
        """RST."""
        self.lab.time += 0.0005
        self.stream.add(self.lab.time, by != "requestor", "rst", seen=self._seen)

    def window(self, side: Side, size: int) -> None:
        """An acknowledgement with this window (0: stop)."""
        self.lab.time += 0.0005
        self.stream.add(self.lab.time, side != "requestor", "window", value=size)

    def keepalive(self, side: Side) -> None:
        """A keep-alive probe: one old byte."""
        self.lab.time += 0.0005
        self.stream.add(self.lab.time, side != "requestor", "keepalive", b"\0")

    # -- messages -------------------------------------------------------------------------------------------

    def find_context(self, abstract: str | int | None) -> int:
        """The id of the (first accepted, else first) context with an abstract syntax."""
        if isinstance(abstract, int):
            return abstract
        mine = [i for i, (a, _) in self.contexts.items() if abstract is None or a == abstract]
        mine = mine or list(self.contexts) or [1]
        return next((i for i in mine if self.contexts.get(i, ("", None))[1]), mine[0])

    def request(
        self,
        name: str,
        dataset: DataSet | bytes | None = None,
        *,
        sop_class: str | None = None,
        sop_instance: str | None = None,
        context: str | int | None = None,
        side: Side = "requestor",
        how: Cut | None = None,
        transfer_syntax: str | None = None,
        command: Command | bytes | None = None,
        **elements: Any,
    ) -> Command:
        """Send a request.  Gives the command as it was sent (with an edit's changes)."""
        if context is None:
            known = any(a == sop_class for a, _ in self.contexts.values())
            context = self.find_context(sop_class if known else None)
        context_id = self.find_context(context)
        abstract = self.contexts.get(context_id, ("", None))[0]
        if command is None:
            ours: dict[str, Any] = {}
            if name != "C-CANCEL-RQ":
                ours["MessageID"] = self._next[side]
                self._next[side] += 1
                which = "Requested" if name in _REQUESTED else "Affected"
                ours[f"{which}SOPClassUID"] = sop_class or abstract
                if sop_instance is not None:
                    ours[f"{which}SOPInstanceUID"] = sop_instance
            command = Command.new(name, dataset=dataset is not None, **(ours | elements))
        syntax = self._syntax(context_id, transfer_syntax)
        return self._send(
            Outgoing(self, side, name, command, dataset, context_id, how or self.lab.how, syntax)
        )

    def respond(
        self,
        status: int = 0,
        dataset: DataSet | bytes | None = None,
        *,
        to: Command | None = None,
        side: Side | None = None,
        context: str | int | None = None,
        how: Cut | None = None,
        transfer_syntax: str | None = None,
        command: Command | bytes | None = None,
        **elements: Any,
    ) -> Command:
        """Answer the last request of the other side (or ``to``)."""
        if to is None:
            asking = ("acceptor" if side == "requestor" else "requestor") if side else self._asked
            to = self.last[asking]
        if side is None:
            side = "requestor" if self.last.get("acceptor") is to else "acceptor"
        if command is None:
            command = to.reply(status, dataset=dataset is not None, **elements)
        context_id = self._context if context is None else self.find_context(context)
        name = command.name if isinstance(command, Command) else ""
        syntax = self._syntax(context_id, transfer_syntax)
        return self._send(
            Outgoing(self, side, name, command, dataset, context_id, how or self.lab.how, syntax)
        )

    def _syntax(self, context_id: int, given: str | None) -> str:
        return given or self.contexts.get(context_id, ("", None))[1] or EXPLICIT_LE

    def _send(self, out: Outgoing) -> Command:
        for edit in self.lab.edits:
            edit(out)
        command = out.command
        if isinstance(command, Command) and command.is_request and out.name != "C-CANCEL-RQ":
            self.last[out.side] = command
            self._asked = out.side
            self._context = out.context_id
        if out.skip:
            return command if isinstance(command, Command) else Command({})
        data = out.dataset
        if isinstance(data, DataSet):
            data = data.encode(out.transfer_syntax, undefined=self.lab.undefined)
        raw = command if isinstance(command, bytes) else encode_command(command)
        other: Side = "acceptor" if out.side == "requestor" else "requestor"
        self.say(out.side, b"".join(pdus(out.context_id, raw, data, self.limits[other], out.how)))
        return command if isinstance(command, Command) else Command({})


def pdus(
    context_id: int, command: bytes | None, dataset: bytes | None, longest: int, how: Cut
) -> Iterator[bytes]:
    """The P-DATA-TF PDUs of a message, cut as asked."""
    longest = how.longest or longest
    pieces: list[bytes] = []
    for control, data in ((1, command), (0, dataset)):
        if data is None:
            continue
        room = (longest - 6 * how.pdvs) // how.pdvs
        sizes = how.sizes or (room,)
        at, turn = 0, 0
        part: list[bytes] = []
        while at < len(data) or not part:
            size = min(sizes[turn % len(sizes)], room)
            part.append(data[at : at + size])
            at, turn = at + size, turn + 1
        if how.empty_last:
            part.append(b"")
        for index, piece in enumerate(part):
            flags = control | (2 if index == len(part) - 1 else 0)
            pieces.append((len(piece) + 2).to_bytes(4, "big") + bytes((context_id, flags)) + piece)
        if control and not how.together:
            yield from _pack(pieces, how.pdvs, longest)
            pieces = []
    yield from _pack(pieces, max(how.pdvs, 2) if how.together else how.pdvs, longest)


def _pack(pieces: list[bytes], most: int, longest: int) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        if held and (len(held) == most or sum(map(len, held)) + len(piece) > longest):
            yield _data(held)
            held = []
        held.append(piece)
    if held:
        yield _data(held)


def _data(pdvs: list[bytes]) -> bytes:
    body = b"".join(pdvs)
    return b"\x04\0" + len(body).to_bytes(4, "big") + body


@dataclass(slots=True)
class Lab:
    """A network, its recorder, and the conversations on it."""

    time: float = START
    how: Cut = Cut()
    undefined: bool = False
    conversations: list[Conversation] = field(default_factory=list)
    streams: list[network.Stream] = field(default_factory=list)
    edits: list[Callable[[Outgoing], None]] = field(default_factory=list)
    request_edits: list[Callable[[AssociateRequest], AssociateRequest]] = field(default_factory=list)
    missing_until: float = 0.0
    interfaces: dict[str, int] = field(default_factory=dict)
    client_port: int | None = None
    isn: tuple[int, int] | None = None
    _port: int = 49152

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds

    def edit(self, change: Callable[[Outgoing], None]) -> None:
        """Let ``change`` see and change every message before it is encoded."""
        self.edits.append(change)

    def edit_request(self, change: Callable[[AssociateRequest], AssociateRequest]) -> None:
        """Let ``change`` see every A-ASSOCIATE-RQ before it is sent; it gives the one to send."""
        self.request_edits.append(change)

    def connect(
        self,
        client: str,
        server: str,
        port: int = 104,
        *,
        client_port: int | None = None,
        isn: tuple[int, int] | None = None,
        macs: tuple[str, str] | None = None,
        mss: int | None = None,
    ) -> network.Stream:
        """A TCP connection without DICOM on it (``stream.add``)."""
        client_port = client_port or self.client_port
        isn = isn or self.isn
        if client_port is None:
            client_port, self._port = self._port, self._port + 1
        number = len(self.streams) + 1
        seqs = isn or ((number * 0x9E3779B1) & 0xFFFFFFFF, (number * 0x85EBCA77) & 0xFFFFFFFF)
        hardware = (
            tuple(bytes.fromhex(m.replace(":", "")) for m in macs) if macs else (_mac(client), _mac(server))
        )
        self.time += 0.002
        stream = network.Stream(
            (client, client_port),
            (server, port),
            start=self.time,
            isn=seqs,
            macs=(hardware[0], hardware[1]),
            mss=mss,
        )
        self.time += 0.0001
        self.streams.append(stream)
        return stream

    def associate(
        self,
        *,
        client: str = "10.0.0.5",
        server: str = "10.0.0.9",
        port: int = 104,
        client_port: int | None = None,
        calling: str = "VXVUE",
        called: str = "PACS",
        contexts: Contexts = (("1.2.840.10008.1.1", (EXPLICIT_LE,)),),
        max_length: int | None = 16384,
        implementation_class: str | None = "1.3.6.1.4.1.19719",
        implementation_version: str | None = None,
        user_items: Iterable[UserItem] = (),
        application_context: str = APPLICATION_CONTEXT,
        ids: Sequence[int] | None = None,
        request: AssociateRequest | bytes | None = None,
        say: bool = True,
        isn: tuple[int, int] | None = None,
        macs: tuple[str, str] | None = None,
        mss: int | None = None,
    ) -> Conversation:
        """Connect and send A-ASSOCIATE-RQ (``request``: this one; bytes: as they are; ``say=False``: not yet)."""
        stream = self.connect(client, server, port, client_port=client_port, isn=isn, macs=macs, mss=mss)
        proposed = [
            PresentationContextRQ(ids[n] if ids else 2 * n + 1, abstract, tuple(syntaxes))
            for n, (abstract, syntaxes) in enumerate(contexts)
        ]
        users: list[UserItem] = []
        if max_length is not None:
            users.append(MaximumLength(max_length))
        if implementation_class is not None:
            users.append(ImplementationClassUID(implementation_class))
        if implementation_version is not None:
            users.append(ImplementationVersionName(implementation_version))
        users += user_items
        built = AssociateRequest(
            called,
            calling,
            (ApplicationContext(application_context), *proposed, UserInformation(tuple(users))),
        )
        if isinstance(request, AssociateRequest):
            built = request
        for change in self.request_edits:
            built = change(built)
        conversation = Conversation(self, stream, built)
        conversation.contexts = {c.context_id: (c.abstract_syntax, None) for c in built.contexts}
        self.conversations.append(conversation)
        if say:
            conversation.say("requestor", request if isinstance(request, bytes) else encode(built))
        return conversation

    def frames(
        self, *, order: str = "normal", mss: int = 1460, link: str = "ethernet", mtu: int = 0
    ) -> list[files.Frame]:
        """Every frame of the capture in the order of the recorder."""
        out: list[files.Frame] = []
        for number, stream in enumerate(self.streams):
            segments = network.disturb(stream.segments(mss), stream.order or order, number + 1)
            interface = self.interfaces.get(stream.ends[0][0], 0)
            out += network.frames(stream, segments, link=link, mtu=mtu, interface=interface)
        out.sort(key=lambda frame: frame.time)
        return [frame for frame in out if frame.time >= self.missing_until]

    def write(
        self,
        path: Path | str,
        *,
        order: str = "normal",
        mss: int = 1460,
        link: str = "ethernet",
        mtu: int = 0,
        **how: Any,
    ) -> Path:
        """Write the capture; the name says the format; ``how``: arguments of files.pcap or files.pcapng."""
        frames = self.frames(order=order, mss=mss, link=link, mtu=mtu)
        name = Path(path).name.removesuffix(".gz")
        make = files.pcap if name.endswith((".pcap", ".cap", ".dmp")) else files.pcapng
        return files.write(path, make(frames, **how))


def _mac(address: str) -> bytes:
    """A locally administered MAC address made from the IP address."""
    return b"\x02\x00" + ipaddress.ip_address(address).packed[-4:]
