"""PDUs against bytes written by hand from PS3.8 9.3 and PS3.7 D.3, and what a decoder must refuse."""

from __future__ import annotations

import pytest

from simulators.wire import (
    PDU,
    PDV,
    Abort,
    ApplicationContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    Limits,
    LocalProtocolError,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    PresentationData,
    RawItem,
    RawPDU,
    ReleaseRequest,
    ReleaseResponse,
    RemoteProtocolError,
    RoleSelection,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
    UserItem,
    decode,
    encode,
)

CALLED, CALLING = "PACS".ljust(16).encode().hex(), "MODALITY".ljust(16).encode().hex()
FIXED = f"0001 0000 {CALLED} {CALLING} {'00' * 32}"
CONTEXT = "10 00 0015 312e322e3834302e31303030382e332e312e312e31"
USER = "50 00 0008 51 00 0004 00004000"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def _associate(*items: str, pdu_type: int = 1, fixed: str = FIXED) -> bytes:
    body = _bytes(fixed + "".join(items))
    return bytes((pdu_type, 0)) + len(body).to_bytes(4, "big") + body


PROPOSED = "20 00 0014 01 00 00 00  30 00 0003 312e32  40 00 0005 312e322e33"
ANSWERED = "21 00 000d 01 00 00 00  40 00 0005 312e322e33"
USER_INFORMATION = UserInformation((MaximumLength(0x4000),))

EXACT: list[tuple[PDU, bytes]] = [
    (
        AssociateRequest(
            "PACS",
            "MODALITY",
            (ApplicationContext(), PresentationContextRQ(1, "1.2", ("1.2.3",)), USER_INFORMATION),
        ),
        _associate(CONTEXT, PROPOSED, USER),
    ),
    (
        AssociateAccept(
            "PACS", "MODALITY", (ApplicationContext(), PresentationContextAC(1, 0, "1.2.3"), USER_INFORMATION)
        ),
        _associate(CONTEXT, ANSWERED, USER, pdu_type=2),
    ),
    (
        AssociateRequest(
            "PACS",
            "MODALITY",
            (
                USER_INFORMATION,
                RawItem(0x7F, b"?"),
                PresentationContextRQ(1, "1.2", ("1.2.3",)),
                ApplicationContext(),
            ),
        ),
        _associate(USER, "7f 00 0001 3f", PROPOSED, CONTEXT),
    ),
    (AssociateReject(1, 2, 3), _bytes("03 00 00000004 00 01 02 03")),
    (
        PresentationData((PDV(1, 3, b"ab"), PDV(255, 0, b""))),
        _bytes("04 00 0000000e 00000004 01 03 6162 00000002 ff 00"),
    ),
    (ReleaseRequest(), _bytes("05 00 00000004 00000000")),
    (ReleaseResponse(), _bytes("06 00 00000004 00000000")),
    (Abort(2, 6), _bytes("07 00 00000004 00 00 02 06")),
]


@pytest.mark.parametrize(("pdu", "data"), EXACT, ids=lambda value: type(value).__name__)
def test_a_pdu_is_these_bytes(pdu: PDU, data: bytes) -> None:
    assert encode(pdu) == data
    assert decode(data) == pdu


USER_ITEMS: list[tuple[UserItem, str]] = [
    (MaximumLength(0xFFFFFFFE), "51 00 0004 fffffffe"),
    (ImplementationClassUID("1.2.3"), "52 00 0005 312e322e33"),
    (AsyncOperationsWindow(1, 0x203), "53 00 0004 0001 0203"),
    (RoleSelection("1.2", 1, 0), "54 00 0007 0003 312e32 01 00"),
    (ImplementationVersionName("A B"), "55 00 0003 412042"),
    (ExtendedNegotiation("1.2", b"\x01\x00"), "56 00 0007 0003 312e32 0100"),
    (CommonExtendedNegotiation("1.2", "1.3"), "57 00 000c 0003 312e32 0003 312e33 0000"),
    (
        CommonExtendedNegotiation("1.2", "1.3", ("1.4", "1"), 1, b"r"),
        "57 01 0015 0003 312e32 0003 312e33 0008 0003 312e34 0001 31 72",
    ),
    (UserIdentityRQ(2, 1, b"me", b"pw"), "58 00 000a 02 01 0002 6d65 0002 7077"),
    (UserIdentityRQ(1, 0, b"me"), "58 00 0008 01 00 0002 6d65 0000"),
    (UserIdentityAC(b"ok"), "59 00 0004 0002 6f6b"),
    (RawItem(0x5A, b"\x00\x01"), "5a 00 0002 0001"),
]


@pytest.mark.parametrize(("item", "text"), USER_ITEMS, ids=lambda value: type(value).__name__)
def test_a_user_item_is_these_bytes(item: UserItem, text: str) -> None:
    data = _bytes(text)
    user = (b"\x50\x00" + len(data).to_bytes(2, "big") + data).hex()
    pdu = AssociateRequest(
        "PACS",
        "MODALITY",
        (ApplicationContext(), PresentationContextRQ(1, "1.2", ("1.2.3",)), UserInformation((item,))),
    )
    assert encode(pdu) == _associate(CONTEXT, PROPOSED, user)
    assert decode(encode(pdu)) == pdu


def test_reserved_bytes_are_not_tested() -> None:
    noisy = _bytes("07 ff 00000004 ff ff 02 06")
    assert decode(noisy) == Abort(2, 6)
    fixed = f"0001 ffff {CALLED} {CALLING} {'ff' * 32}"
    item = "20 ff 0014 01 ff ff ff  30 ff 0003 312e32  40 ff 0005 312e322e33"
    assert decode(_associate(CONTEXT, item, USER, fixed=fixed)) == EXACT[0][0]


def test_the_echoed_titles_and_refused_syntaxes_of_an_answer_are_not_tested() -> None:
    fixed = f"0001 0000 {'ff' * 16} {'00' * 16} {'00' * 32}"
    refused = "21 00 0009 01 00 03 00  40 00 0001 ff"
    answer = decode(_associate(CONTEXT, refused, USER, pdu_type=2, fixed=fixed))
    assert isinstance(answer, AssociateAccept)
    assert answer.called == "ÿ" * 16
    assert answer.contexts == (PresentationContextAC(1, 3, "ÿ"),)
    assert decode(encode(answer)) == answer
    bare = decode(_associate(CONTEXT, "21 00 0004 01 00 04 00", USER, pdu_type=2))
    assert isinstance(bare, AssociateAccept)
    assert bare.contexts == (PresentationContextAC(1, 4, None),)
    assert decode(encode(bare)) == bare


def test_unknown_sub_items_of_a_context_are_skipped() -> None:
    """PS3.8 9.3.1: items of unrecognized types shall be ignored."""
    proposed = "20 00 0019 01 00 00 00  30 00 0003 312e32  7f 00 0001 00  40 00 0005 312e322e33"
    assert decode(_associate(CONTEXT, proposed, USER)) == EXACT[0][0]
    answered = "21 00 0012 01 00 00 00  7f 00 0001 00  40 00 0005 312e322e33"
    assert decode(_associate(CONTEXT, answered, USER, pdu_type=2)) == EXACT[1][0]


def test_the_bits_of_a_pdv() -> None:
    bits = [(PDV(1, control, b"").is_command, PDV(1, control, b"").is_last) for control in (0, 1, 2, 3, 0xFC)]
    assert bits == [(False, False), (True, False), (False, True), (True, True), (False, False)]


def test_spaces_around_an_ae_title_mean_nothing() -> None:
    fixed = f"0001 0000 {b'  A B           '.hex()} {CALLING} {'00' * 32}"
    request = decode(_associate(CONTEXT, PROPOSED, USER, fixed=fixed))
    assert isinstance(request, AssociateRequest)
    assert request.called == "A B"


def test_what_a_request_says_about_itself() -> None:
    request = AssociateRequest.build(
        called="A",
        calling="B",
        contexts={"1.2": ["1.3", "1.4"], "1.5": ["1.6"]},
        max_length=7,
        implementation_class_uid="1.9",
        implementation_version="V",
        user_items=[RoleSelection("1.2", 0, 1)],
    )
    assert request.contexts == (
        PresentationContextRQ(1, "1.2", ("1.3", "1.4")),
        PresentationContextRQ(3, "1.5", ("1.6",)),
    )
    assert request.application_context == "1.2.840.10008.3.1.1.1"
    assert (request.max_length, request.implementation_class_uid, request.implementation_version) == (
        7,
        "1.9",
        "V",
    )
    assert request.roles == {"1.2": (0, 1)}
    assert request == decode(encode(request))
    empty = AssociateRequest("A", "B", ())
    assert empty.application_context is None
    assert empty.implementation_class_uid is None
    assert empty.implementation_version is None
    assert (empty.max_length, empty.contexts, empty.user_items, empty.roles) == (0, (), (), {})


# -- every byte can be commanded ----------------------------------------------------------------------------------


def test_illegal_things_can_be_written() -> None:
    assert encode(RawPDU(0x42, b"x", length=0xFFFFFFFF)) == b"\x42\x00\xff\xff\xff\xffx"
    assert encode(RawPDU(0x42, b"x")) == b"\x42\x00\x00\x00\x00\x01x"
    long_title = encode(AssociateRequest("A" * 20, "B", ()))
    assert long_title[10:46] == b"A" * 20 + b"B".ljust(16)
    control = encode(AssociateRequest("\x00\x1b", "", (RawItem(0x10, b"x", length=9),)))
    assert control[10:12] == b"\x00\x1b"
    assert control[-5:] == b"\x10\x00\x00\x09x"
    assert encode(AssociateRequest("日本", "", ()))[10:16] == "日本".encode()
    wrong = encode(AssociateRequest("", "", (PresentationContextRQ(2, "not a uid", ()),)))
    assert b"not a uid" in wrong


@pytest.mark.parametrize(
    "pdu",
    [
        Abort(256, 0),
        AssociateReject(-1, 0, 0),
        AssociateRequest("A", "B", (), protocol_version=1 << 16),
        AssociateRequest("A", "B", (PresentationContextRQ(256, "1", ("1",)),)),
        AssociateRequest("A", "B", (RawItem(0x10, bytes(1 << 16)),)),
        PresentationData((PDV(1, 256, b""),)),
    ],
)
def test_a_number_without_a_place_is_our_fault(pdu: PDU) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be written"):
        encode(pdu)


@pytest.mark.parametrize(
    "thing", [b"bytes", AssociateRequest("A", "B", (b"x",)), AssociateRequest("A", "B", (UserInformation((b"x",)),))]
)  # fmt: skip
def test_what_is_no_pdu_is_our_fault(thing: PDU) -> None:
    with pytest.raises(LocalProtocolError):
        encode(thing)


# -- what is refused --------------------------------------------------------------------------------------------


def _user(text: str) -> bytes:
    data = _bytes(text)
    return _associate(CONTEXT, PROPOSED, (b"\x50\x00" + len(data).to_bytes(2, "big") + data).hex())


MALFORMED = {
    "no header": b"\x01\x00\x00",
    "half a PDU": EXACT[0][1][:-1],
    "a byte too many": EXACT[0][1] + b"\0",
    "type 00": _bytes("00 00 00000004 00000000"),
    "type 08": _bytes("08 00 00000004 00000000"),
    "release of 5 bytes": _bytes("05 00 00000005 0000000000"),
    "abort of 3 bytes": _bytes("07 00 00000003 000000"),
    "reject with result 0": _bytes("03 00 00000004 00 00 01 01"),
    "reject with result 3": _bytes("03 00 00000004 00 03 01 01"),
    "reject by source 4": _bytes("03 00 00000004 00 01 04 01"),
    "request of 67 bytes": _bytes("01 00 00000043" + "00" * 67),
    "no items": _associate(),
    "no application context": _associate(PROPOSED, USER),
    "two application contexts": _associate(CONTEXT, CONTEXT, PROPOSED, USER),
    "no presentation context": _associate(CONTEXT, USER),
    "no user information": _associate(CONTEXT, PROPOSED),
    "two user informations": _associate(CONTEXT, PROPOSED, USER, USER),
    "answered context in a request": _associate(CONTEXT, PROPOSED, ANSWERED, USER),
    "proposed context in an answer": _associate(CONTEXT, PROPOSED, ANSWERED, USER, pdu_type=2),
    "stray transfer syntax": _associate(CONTEXT, PROPOSED, "40 00 0001 31", USER),
    "context id twice": _associate(CONTEXT, PROPOSED, PROPOSED, USER),
    "context id 2": _associate(CONTEXT, PROPOSED.replace("0014 01", "0014 02"), USER),
    "context id 0": _associate(CONTEXT, PROPOSED.replace("0014 01", "0014 00"), USER),
    "context of 3 bytes": _associate(CONTEXT, "20 00 0003 010000", USER),
    "context without abstract syntax": _associate(CONTEXT, "20 00 000d 01000000 40 00 0005 312e322e33", USER),
    "context without transfer syntax": _associate(CONTEXT, "20 00 000b 01000000 30 00 0003 312e32", USER),
    "two abstract syntaxes": _associate(CONTEXT, PROPOSED.replace("0014", "0019") + "30 00 0001 31", USER),
    "item ends beyond the PDU": _associate(CONTEXT, PROPOSED, "50 00 0009 51 00 0004 00004000"),
    "item header ends beyond the PDU": _associate(CONTEXT, PROPOSED, USER, "7f 00 00"),
    "sub-item ends beyond its item": _associate(CONTEXT, PROPOSED.replace("0005", "0006"), USER),
    "result 5": _associate(CONTEXT, ANSWERED.replace("01 00 00 00", "01 00 05 00"), USER, pdu_type=2),
    "accepted without transfer syntax": _associate(CONTEXT, "21 00 0004 01000000", USER, pdu_type=2),
    "accepted with two": _associate(CONTEXT, ANSWERED.replace("0d", "12") + "40 00 0001 31", USER, pdu_type=2),
    "UID with a letter": _associate(CONTEXT, PROPOSED.replace("312e32 ", "312e61 "), USER),
    "UID padded with NUL": _associate(CONTEXT, PROPOSED.replace("312e32 ", "313200 "), USER),
    "UID ending in a dot": _associate(CONTEXT, PROPOSED.replace("312e32 ", "31322e "), USER),
    "UID with an empty part": _associate(CONTEXT, PROPOSED.replace("312e322e33", "312e2e2e33"), USER),
    "UID with a line feed": _associate(CONTEXT, PROPOSED.replace("312e32 ", "31320a "), USER),
    "empty UID": _associate(CONTEXT, "20 00 0011 01000000 30 00 0000  40 00 0005 312e322e33", USER),
    "user item header ends": _user("51 00 00"),
    "user item ends": _user("51 00 0004 000000"),
    "maximum length of 3 bytes": _user("51 00 0003 000000"),
    "maximum length twice": _user("51 00 0004 00000000 51 00 0004 00000000"),
    "window of 2 bytes": _user("53 00 0002 0000"),
    "role 2": _user("54 00 0007 0003 312e32 02 00"),
    "SCP role 2": _user("54 00 0007 0003 312e32 00 02"),
    "role item with a byte too many": _user("54 00 0008 0003 312e32 01 00 00"),
    "role item with a UID too long": _user("54 00 0007 0006 312e32 01 00"),
    "empty version name": _user("55 00 0000"),
    "version name with a control character": _user("55 00 0002 410a"),
    "version name not ASCII": _user("55 00 0002 c384"),
    "extended negotiation without UID": _user("56 00 0001 00"),
    "related class ends": _user("57 00 0010 0003 312e32 0003 312e33 0004 0003 31 72"),
    "identity type 0": _user("58 00 0006 00 00 0000 0000"),
    "identity type 6": _user("58 00 0006 06 00 0000 0000"),
    "identity response 2": _user("58 00 0006 01 02 0000 0000"),
    "identity without second field": _user("58 00 0004 01 00 0000"),
    "identity with a byte too many": _user("58 00 0007 01 00 0000 0000 00"),
    "identity answer ends": _user("59 00 0002 0001"),
    "data without PDV": _bytes("04 00 00000000"),
    "PDV header ends": _bytes("04 00 00000005 00000001 01"),
    "PDV of length 0": _bytes("04 00 00000006 00000000 0103"),
    "PDV of length 1": _bytes("04 00 00000006 00000001 0103"),
    "PDV ends beyond the PDU": _bytes("04 00 00000006 00000003 0103"),
    "second PDV header ends": _bytes("04 00 00000007 00000002 0103 00"),
    "4 GB": _bytes("04 00 ffffffff"),
}  # fmt: skip


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert caught.value.abort_reason in (1, 5, 6)


def test_the_malformed_ones_differ_from_good_ones_in_that_point_only() -> None:
    """The builders used above do make PDUs that are read."""
    assert decode(_user("54 00 0007 0003 312e32 01 00")) is not None
    assert decode(_associate(CONTEXT, ANSWERED, USER, pdu_type=2)) is not None
    assert decode(_bytes("04 00 00000006 00000002 0103")) == PresentationData((PDV(1, 3, b""),))


# -- limits: at the limit, and one more ---------------------------------------------------------------------------


def _request(
    contexts: int = 1,
    transfers: int = 1,
    uid: str = "1.2",
    user: tuple[UserItem, ...] = (),
    others: tuple[RawItem, ...] = (),
) -> bytes:
    proposed = [PresentationContextRQ(2 * i + 1, uid, ("1.2",) * transfers) for i in range(contexts)]
    return encode(
        AssociateRequest("A", "B", (ApplicationContext(), *proposed, UserInformation(user), *others))
    )


RAW = RawItem(0x7F)
RELATED = ("1.2",)
AT_THE_LIMIT: dict[str, tuple[Limits, bytes, bytes]] = {
    "contexts": (Limits(contexts=5), _request(contexts=5), _request(contexts=6)),
    "contexts, by the standard": (Limits(), _request(contexts=128), b""),
    "transfer syntaxes": (Limits(transfer_syntaxes=3), _request(transfers=3), _request(transfers=4)),
    "many transfer syntaxes": (Limits(transfer_syntaxes=300), _request(transfers=300), _request(transfers=301)),
    "UID": (Limits(), _request(uid="1." + "2" * 62), _request(uid="1." + "2" * 63)),
    "short UID": (Limits(uid=21), _request(uid="1." + "2" * 19), _request(uid="1." + "2" * 20)),
    "user items": (Limits(user_items=4), _request(user=(RAW,) * 4), _request(user=(RAW,) * 5)),
    "version name": (
        Limits(),
        _request(user=(ImplementationVersionName("V" * 16),)),
        _request(user=(ImplementationVersionName("V" * 17),)),
    ),
    "related classes": (
        Limits(related_classes=2),
        _request(user=(CommonExtendedNegotiation("1", "2", RELATED * 2),)),
        _request(user=(CommonExtendedNegotiation("1", "2", RELATED * 3),)),
    ),
    "user identity": (
        Limits(user_identity=9),
        _request(user=(UserIdentityRQ(1, 0, b"x" * 9),)),
        _request(user=(UserIdentityRQ(1, 0, b"x" * 10),)),
    ),
    "second field of user identity": (
        Limits(user_identity=9),
        _request(user=(UserIdentityRQ(2, 0, b"", b"x" * 9),)),
        _request(user=(UserIdentityRQ(2, 0, b"", b"x" * 10),)),
    ),
    "application information": (
        Limits(user_identity=9),
        _request(user=(ExtendedNegotiation("1", b"x" * 9),)),
        _request(user=(ExtendedNegotiation("1", b"x" * 10),)),
    ),
    "unknown items": (Limits(user_items=2), _request(others=(RAW,) * 2), _request(others=(RAW,) * 3)),
    "length of A-ASSOCIATE": (
        Limits(associate_length=len(_request()) - 6),
        _request(),
        _request(user=(RAW,)),
    ),
    "length of P-DATA": (
        Limits(data_length=100),
        encode(PresentationData((PDV(1, 0, bytes(94)),))),
        encode(PresentationData((PDV(1, 0, bytes(95)),))),
    ),
    "PDVs": (
        Limits(pdvs=7),
        encode(PresentationData((PDV(1, 0, b""),) * 7)),
        encode(PresentationData((PDV(1, 0, b""),) * 8)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("limits", "good", "bad"), AT_THE_LIMIT.values(), ids=AT_THE_LIMIT.keys())
def test_at_the_limit_and_one_more(limits: Limits, good: bytes, bad: bytes) -> None:
    assert encode(decode(good, limits)) == good
    if bad:
        with pytest.raises(RemoteProtocolError):
            decode(bad, limits)


def test_limits_are_sensible() -> None:
    with pytest.raises(ValueError, match="contexts"):
        Limits(contexts=0)
    with pytest.raises(ValueError, match="uid"):
        Limits(uid="64")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="data_length"):
        Limits(data_length=6)
