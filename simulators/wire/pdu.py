"""The protocol data units of the DICOM upper layer and their items, as plain values (PS3.8 9.3 and D, PS3.7 D.3).

Rules of this file:

* A PDU is a frozen value; the order of its items is the order on the wire.
* Nothing is checked here: a scenario may build any nonsense.  :func:`simulators.wire.encode` writes it as it
  is; :func:`simulators.wire.decode` reads only what the standard allows.
* What is unknown stays as :class:`RawItem`, so that ``decode(encode(x)) == x``.
* The classes are also the events of :class:`simulators.wire.Connection`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""The DICOM application context name (PS3.7 A.2.1)."""


@dataclass(frozen=True, slots=True)
class RawItem:
    """An item or user sub-item given by its bytes: unknown to the standard, or deliberately wrong.

    ``length`` is written instead of the length of ``data`` when given.
    """

    item_type: int
    data: bytes = b""
    length: int | None = None


@dataclass(frozen=True, slots=True)
class ApplicationContext:
    """Application Context item, 10H (PS3.8 9.3.2.1)."""

    uid: str = APPLICATION_CONTEXT


@dataclass(frozen=True, slots=True)
class PresentationContextRQ:
    """A proposed presentation context, 20H (PS3.8 9.3.2.2)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PresentationContextAC:
    """The answer to a proposed presentation context, 21H (PS3.8 9.3.3.2).

    ``result``: 0 acceptance, 1 user rejection, 2 no reason, 3 abstract syntax not supported, 4 transfer syntaxes
    not supported.  ``transfer_syntax`` has a meaning for result 0 only; None: the sub-item is absent.
    """

    context_id: int
    result: int
    transfer_syntax: str | None


@dataclass(frozen=True, slots=True)
class MaximumLength:
    """User item 51H: the longest variable field of a P-DATA-TF PDU that the sender takes; 0 = any (PS3.8 D.1)."""

    length: int


@dataclass(frozen=True, slots=True)
class ImplementationClassUID:
    """User item 52H (PS3.7 D.3.3.2.1)."""

    uid: str


@dataclass(frozen=True, slots=True)
class AsyncOperationsWindow:
    """User item 53H: operations outstanding at a time, 0 = unlimited (PS3.7 D.3.3.3)."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """User item 54H: SCU and SCP role of one SOP class, 0 or 1 each (PS3.7 D.3.3.4)."""

    sop_class: str
    scu: int
    scp: int


@dataclass(frozen=True, slots=True)
class ImplementationVersionName:
    """User item 55H, 1 to 16 characters (PS3.7 D.3.3.2.3)."""

    name: str


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """User item 56H: SOP class extended negotiation (PS3.7 D.3.3.5)."""

    sop_class: str
    information: bytes = b""


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """User item 57H: SOP class common extended negotiation (PS3.7 D.3.3.6).

    ``version`` stands where other items have a reserved byte; ``reserved`` is what follows the related classes.
    """

    sop_class: str
    service_class: str
    related_classes: tuple[str, ...] = ()
    version: int = 0
    reserved: bytes = b""


@dataclass(frozen=True, slots=True)
class UserIdentityRQ:
    """User item 58H: who asks (PS3.7 D.3.3.7.1).

    ``identity_type``: 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JSON web token.
    """

    identity_type: int
    response_requested: int
    primary: bytes
    secondary: bytes = b""


@dataclass(frozen=True, slots=True)
class UserIdentityAC:
    """User item 59H: the answer to a user identity (PS3.7 D.3.3.7.2)."""

    response: bytes = b""


UserItem: TypeAlias = (
    MaximumLength
    | ImplementationClassUID
    | AsyncOperationsWindow
    | RoleSelection
    | ImplementationVersionName
    | ExtendedNegotiation
    | CommonExtendedNegotiation
    | UserIdentityRQ
    | UserIdentityAC
    | RawItem
)


@dataclass(frozen=True, slots=True)
class UserInformation:
    """User Information item, 50H: a list of user items (PS3.8 9.3.2.3)."""

    items: tuple[UserItem, ...] = ()


AssociateItem: TypeAlias = (
    ApplicationContext | PresentationContextRQ | PresentationContextAC | UserInformation | RawItem
)


@dataclass(frozen=True, slots=True)
class _Associate:
    """What A-ASSOCIATE-RQ and -AC have in common.  AE titles are without their trailing spaces."""

    called: str
    calling: str
    items: tuple[AssociateItem, ...]
    protocol_version: int = 1

    @property
    def application_context(self) -> str | None:
        """The application context name, or None when the item is missing."""
        for item in self.items:
            if type(item) is ApplicationContext:
                return item.uid
        return None

    @property
    def user_items(self) -> tuple[UserItem, ...]:
        """The items of the (first) User Information item, in order."""
        for item in self.items:
            if type(item) is UserInformation:
                return item.items
        return ()

    @property
    def max_length(self) -> int:
        """The maximum length that the sender takes; 0 = any, also when the item is missing."""
        for item in self.user_items:
            if type(item) is MaximumLength:
                return item.length
        return 0

    @property
    def implementation_class_uid(self) -> str | None:
        """The sender's implementation class UID, if any."""
        for item in self.user_items:
            if type(item) is ImplementationClassUID:
                return item.uid
        return None

    @property
    def implementation_version(self) -> str | None:
        """The sender's implementation version name, if any."""
        for item in self.user_items:
            if type(item) is ImplementationVersionName:
                return item.name
        return None

    @property
    def roles(self) -> dict[str, tuple[int, int]]:
        """SOP class -> (SCU, SCP) of every role selection item."""
        return {
            item.sop_class: (item.scu, item.scp) for item in self.user_items if type(item) is RoleSelection
        }


@dataclass(frozen=True, slots=True)
class AssociateRequest(_Associate):
    """A-ASSOCIATE-RQ, 01H (PS3.8 9.3.2)."""

    @property
    def contexts(self) -> tuple[PresentationContextRQ, ...]:
        """The proposed presentation contexts, in order."""
        return tuple(item for item in self.items if type(item) is PresentationContextRQ)

    @classmethod
    def build(
        cls,
        *,
        called: str,
        calling: str,
        contexts: Iterable[tuple[str, Sequence[str]]] | Mapping[str, Sequence[str]],
        max_length: int = 16384,
        implementation_class_uid: str | None = None,
        implementation_version: str | None = None,
        user_items: Iterable[UserItem] = (),
    ) -> AssociateRequest:
        """A usual request: (abstract syntax, transfer syntaxes) pairs get the context ids 1, 3, 5…"""
        pairs = contexts.items() if isinstance(contexts, Mapping) else contexts
        proposed = [
            PresentationContextRQ(2 * index + 1, abstract, tuple(transfers))
            for index, (abstract, transfers) in enumerate(pairs)
        ]
        user = UserInformation(
            (
                MaximumLength(max_length),
                ImplementationClassUID(implementation_class_uid or IMPLEMENTATION_CLASS_UID),
                ImplementationVersionName(implementation_version or IMPLEMENTATION_VERSION),
                *user_items,
            )
        )
        return cls(called, calling, (ApplicationContext(), *proposed, user))


@dataclass(frozen=True, slots=True)
class AssociateAccept(_Associate):
    """A-ASSOCIATE-AC, 02H (PS3.8 9.3.3).  ``called`` and ``calling`` are echoes that nobody tests."""

    @property
    def contexts(self) -> tuple[PresentationContextAC, ...]:
        """The answers to the presentation contexts, in order."""
        return tuple(item for item in self.items if type(item) is PresentationContextAC)


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ, 03H (PS3.8 9.3.4, Table 9-21).

    ``result`` 1 permanent, 2 transient; ``source`` 1 user, 2 provider (ACSE), 3 provider (presentation); reason of
    source 1: 1 none, 2 application context, 3 calling AE title, 7 called AE title; source 2: 1 none, 2 protocol
    version; source 3: 1 temporary congestion, 2 local limit exceeded.
    """

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class PDV:
    """One presentation data value: a fragment of a command (control bit 0 set) or data set; bit 1: the last one.

    The other bits of ``control`` are sent as 0 and never checked (PS3.8 E.2).
    """

    context_id: int
    control: int
    data: bytes

    @property
    def is_command(self) -> bool:
        """Whether this is a fragment of a command set."""
        return bool(self.control & 1)

    @property
    def is_last(self) -> bool:
        """Whether this is the last fragment of its command or data set."""
        return bool(self.control & 2)


@dataclass(frozen=True, slots=True)
class PresentationData:
    """P-DATA-TF, 04H (PS3.8 9.3.5)."""

    pdvs: tuple[PDV, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ, 05H (PS3.8 9.3.6)."""


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """A-RELEASE-RP, 06H (PS3.8 9.3.7)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT, 07H (PS3.8 9.3.8): ``source`` 0 service user (then ``reason`` means nothing), 2 service provider."""

    source: int = 0
    reason: int = 0


@dataclass(frozen=True, slots=True)
class RawPDU:
    """A PDU given by its bytes, for scenarios that send what nobody may.  ``length`` overrides the true length."""

    pdu_type: int
    data: bytes = b""
    length: int | None = None


PDU: TypeAlias = (
    AssociateRequest
    | AssociateAccept
    | AssociateReject
    | PresentationData
    | ReleaseRequest
    | ReleaseResponse
    | Abort
)

IMPLEMENTATION_CLASS_UID: Final = "2.25.219385744022834506124866713218509342817"
"""Names this implementation towards peers (PS3.7 D.3.3.2); a UUID-derived UID (PS3.5 B.2)."""
IMPLEMENTATION_VERSION: Final = "MODALITY_BENCH_1"
