"""Command sets and messages of DIMSE (PS3.7 9.3, 10.3, E; PS3.8 E)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulators.wire import Limits, LocalProtocolError, PresentationData, RemoteProtocolError, decode
from simulators.wire.dimse import (
    ELEMENTS,
    MESSAGES,
    Assembler,
    Category,
    Command,
    Dataset,
    DatasetFragment,
    Field,
    MessageComplete,
    MessageEvent,
    MessageStarted,
    category,
    decode_command,
    describe,
    encode_command,
    fragments,
)

VERIFICATION = "1.2.840.10008.1.1"
ECHO = Command.new("C-ECHO-RQ", MessageID=7, AffectedSOPClassUID=VERIFICATION)
STORE = Command.new("C-STORE-RQ", MessageID=1, AffectedSOPClassUID="1.2.3", AffectedSOPInstanceUID="1.2.3.4")

# What PS3.7 calls mandatory, read from the services of 9.1 and 10.1 and the messages of 9.3 and 10.3.
RQ, RSP = "MessageID", "MessageIDBeingRespondedTo Status"
SERVICES = "C-STORE C-FIND C-GET C-MOVE C-ECHO N-EVENT-REPORT N-GET N-SET N-ACTION N-CREATE N-DELETE"
REQUIRED = {
    "C-STORE-RQ": f"{RQ} AffectedSOPClassUID AffectedSOPInstanceUID Priority",
    "C-FIND-RQ": f"{RQ} AffectedSOPClassUID Priority",
    "C-GET-RQ": f"{RQ} AffectedSOPClassUID Priority",
    "C-MOVE-RQ": f"{RQ} AffectedSOPClassUID Priority MoveDestination",
    "C-ECHO-RQ": f"{RQ} AffectedSOPClassUID",
    "C-CANCEL-RQ": "MessageIDBeingRespondedTo",
    "N-EVENT-REPORT-RQ": f"{RQ} AffectedSOPClassUID AffectedSOPInstanceUID EventTypeID",
    "N-GET-RQ": f"{RQ} RequestedSOPClassUID RequestedSOPInstanceUID",
    "N-SET-RQ": f"{RQ} RequestedSOPClassUID RequestedSOPInstanceUID",
    "N-ACTION-RQ": f"{RQ} RequestedSOPClassUID RequestedSOPInstanceUID ActionTypeID",
    "N-CREATE-RQ": f"{RQ} AffectedSOPClassUID",
    "N-DELETE-RQ": f"{RQ} RequestedSOPClassUID RequestedSOPInstanceUID",
    **{f"{service}-RSP": RSP for service in SERVICES.split(" ")},
}
ALWAYS = {"C-STORE-RQ", "C-FIND-RQ", "C-GET-RQ", "C-MOVE-RQ", "N-SET-RQ"}
NEVER = {"C-ECHO-RQ", "C-ECHO-RSP", "C-STORE-RSP", "C-CANCEL-RQ", "N-GET-RQ", "N-DELETE-RQ", "N-DELETE-RSP"}
SAMPLE = {"AffectedSOPClassUID": "1.2", "RequestedSOPClassUID": "1.2", "AffectedSOPInstanceUID": "1.3"} | {
    "RequestedSOPInstanceUID": "1.3",
    "MoveDestination": "DEST",
}


def sample(name: str) -> Command:
    """A command with exactly the elements that it must have."""
    values = {keyword: SAMPLE.get(keyword, 1) for keyword in REQUIRED[name].split()}
    return Command.new(name, **values)


# -- command sets -------------------------------------------------------------------------------------------------


def test_a_command_set_is_these_bytes() -> None:
    data = bytes.fromhex(
        "0000 0000 04000000 38000000"
        "0000 0200 12000000"
        + VERIFICATION.encode().hex()
        + "000000 0001 02000000 30000000 1001 02000000 07000000 0008 02000000 0101".replace(" ", "")
    )
    assert encode_command(ECHO) == data
    assert decode_command(data) == ECHO
    assert (ECHO.name, ECHO.field, ECHO.message_id, ECHO.has_dataset) == ("C-ECHO-RQ", 0x30, 7, False)


def test_all_messages_are_known() -> None:
    assert {field.name.replace("_", "-") for field in MESSAGES} == set(REQUIRED)
    assert set(MESSAGES) == set(Field)
    assert len(Field) == 23


@pytest.mark.parametrize("name", REQUIRED)
def test_each_message_needs_its_elements(name: str) -> None:
    command = sample(name)
    assert command.name == name
    assert decode_command(encode_command(command)) == command
    for keyword in [*REQUIRED[name].split(), "CommandField", "CommandDataSetType"]:
        without = Command({k: v for k, v in command.elements.items() if k != ELEMENTS[keyword]})
        with pytest.raises(RemoteProtocolError, match=keyword if keyword != "CommandField" else "field"):
            decode_command(encode_command(without))


@pytest.mark.parametrize("name", REQUIRED)
def test_each_message_has_its_data_set_or_none(name: str) -> None:
    expected = Dataset.ALWAYS if name in ALWAYS else Dataset.NEVER if name in NEVER else Dataset.MAYBE
    assert MESSAGES[sample(name).field].dataset is expected
    assert sample(name).has_dataset is (name in ALWAYS)
    for kind in (0x0000, 0x0001, 0x0101, 0x0102):
        command = sample(name)
        command.elements[0x0800] = kind
        if expected is Dataset.MAYBE or (kind != 0x0101) is (expected is Dataset.ALWAYS):
            assert decode_command(encode_command(command)).has_dataset is (kind != 0x0101)
        else:
            with pytest.raises(RemoteProtocolError, match="data set"):
                decode_command(encode_command(command))


@pytest.mark.parametrize("name", [name for name in REQUIRED if name.endswith("RQ") and name != "C-CANCEL-RQ"])
def test_a_reply_takes_over_what_it_answers(name: str) -> None:
    request = sample(name)
    reply = request.reply(0x0110, ErrorComment="no")
    assert decode_command(encode_command(reply)) == reply
    assert reply.name == name.replace("-RQ", "-RSP")
    assert not reply.is_request
    assert (reply.responded_to, reply.status, reply.has_dataset) == (request.message_id, 0x0110, False)
    assert (reply.sop_class, reply.sop_instance) == (request.sop_class, request.sop_instance)
    assert reply.get("ErrorComment") == "no"
    assert reply.get("EventTypeID") == request.get("EventTypeID")
    assert reply.get("ActionTypeID") == request.get("ActionTypeID")
    assert reply.get("RequestedSOPClassUID") is None
    assert request.reply(dataset=True, AffectedSOPClassUID=None).sop_class == ""


def test_properties_of_what_is_not_there() -> None:
    empty = Command({})
    assert (empty.field, empty.message_id, empty.responded_to, empty.status, empty.priority) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert (empty.sop_class, empty.sop_instance, empty.has_dataset, empty.name) == ("", "", False, "0000H")
    assert empty != 3
    assert repr(ECHO) == "<C-ECHO-RQ AffectedSOPClassUID='1.2.840.10008.1.1', MessageID=7>"
    assert repr(Command({0x0800: 0, 0x5110: b"x"})) == "<0000H 5110=b'x' + data set>"


def test_what_we_cannot_name_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError, match="C-ECHO-XX"):
        Command.new("C-ECHO-XX")
    with pytest.raises(LocalProtocolError, match="MesageID"):
        Command.new("C-ECHO-RQ", MesageID=1)
    with pytest.raises(LocalProtocolError, match="Stat"):
        ECHO.reply(Stat=1)
    with pytest.raises(LocalProtocolError, match="cannot be written"):
        encode_command(Command.new(Field.C_ECHO_RQ, MessageID=1 << 16))


def test_all_kinds_of_values() -> None:
    command = Command.new(
        "C-GET-RSP",
        MessageIDBeingRespondedTo=1,
        Status=0xB000,
        OffendingElement=(0x00100010, 0x7FE00010),
        ErrorComment="odd",
        NumberOfFailedSuboperations=3,
    )
    command.elements[0x5110] = b"retired!"
    data = encode_command(command)
    assert bytes.fromhex("00000109 08000000 1000 1000 e07f 1000".replace(" ", "")) in data
    assert b"odd " in data
    assert decode_command(data) == command


def test_anything_can_be_left_out_or_forged() -> None:
    without = Command.new("C-STORE-RQ", Priority=None, MessageID=None, dataset=False)
    assert without.elements == {0x0100: 1, 0x0800: 0x0101}
    forged = Command({0x0001: 5, 0x0002: b"\xff", 0x0100: 0x0030, 0x0110: b"\1\0\0\0"})
    assert encode_command(forged) == bytes.fromhex(
        "00000000040000002b000000"  # group length
        "000001000400000005000000"  # a number in an unknown element has 4 bytes
        "0000020001000000ff"
        "00000001020000003000"
        "000010010400000001000000"
    )


def test_titles_are_read_without_spaces() -> None:
    move = Command.new("C-MOVE-RQ", MessageID=1, AffectedSOPClassUID="1.2", MoveDestination=" A B ")
    assert decode_command(encode_command(move)).get("MoveDestination") == "A B"


GOOD = encode_command(ECHO)


def _set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return b"\0\0\0\0\4\0\0\0" + len(body).to_bytes(4, "little") + body


def _element(number: int, value: bytes, group: int = 0, length: int | None = None) -> bytes:
    return (
        group.to_bytes(2, "little")
        + number.to_bytes(2, "little")
        + (len(value) if length is None else length).to_bytes(4, "little")
        + value
    )


CLASS = _element(2, b"1.2\0")
FIELD = _element(0x100, b"\x30\0")
MESSAGE_ID = _element(0x110, b"\1\0")
TYPE = _element(0x800, b"\1\1")


def test_the_builder_below_makes_a_command_set_that_is_read() -> None:
    assert decode_command(_set(CLASS, FIELD, MESSAGE_ID, TYPE)).name == "C-ECHO-RQ"
    assert decode_command(_set(_element(2, b"1."+ b"2" * 62), FIELD, MESSAGE_ID, TYPE)).message_id == 1  # fmt: skip


MALFORMED = {
    "empty": b"",
    "11 bytes": GOOD[:11],
    "no group length": GOOD[12:],
    "group length too small": GOOD[:8] + b"\x37" + GOOD[9:],
    "group length too large": GOOD[:8] + b"\x39" + GOOD[9:],
    "group length only": _set(),
    "truncated": GOOD[:-1],
    "header ends": _set(CLASS, FIELD, MESSAGE_ID, TYPE, b"\0\0\0\x09"),
    "group 0002": _set(CLASS, FIELD, MESSAGE_ID, TYPE, _element(0x900, b"\0\0", group=2)),
    "group length twice": _set(_element(0, b"\0\0\0\0"), CLASS, FIELD, MESSAGE_ID, TYPE),
    "wrong order": _set(FIELD, CLASS, MESSAGE_ID, TYPE),
    "element twice": _set(CLASS, FIELD, MESSAGE_ID, MESSAGE_ID, TYPE),
    "odd length": _set(_element(2, b"1.2"), FIELD, MESSAGE_ID, TYPE),
    "length beyond": _set(CLASS, FIELD, MESSAGE_ID, _element(0x800, b"\1\1", length=4)),
    "length of 4 GB": _set(CLASS, FIELD, MESSAGE_ID, _element(0x800, b"\1\1", length=0xFFFFFFFE)),
    "undefined length": _set(CLASS, FIELD, MESSAGE_ID, _element(0x800, b"\1\1", length=0xFFFFFFFF)),
    "unknown field": _set(CLASS, _element(0x100, b"\x31\0"), MESSAGE_ID, TYPE),
    "field 8FFF": _set(CLASS, _element(0x100, b"\xff\x8f"), MESSAGE_ID, TYPE),
    "no field": _set(CLASS, MESSAGE_ID, TYPE),
    "US of 4 bytes": _set(CLASS, FIELD, _element(0x110, b"\1\0\0\0"), TYPE),
    "US of 0 bytes": _set(CLASS, FIELD, _element(0x110, b""), TYPE),
    "UID with a letter": _set(_element(2, b"1.2a"), FIELD, MESSAGE_ID, TYPE),
    "UID with two NUL": _set(_element(2, b"12\0\0"), FIELD, MESSAGE_ID, TYPE),
    "UID with a space": _set(_element(2, b"1.2 "), FIELD, MESSAGE_ID, TYPE),
    "UID of 66": _set(_element(2, b"1." + b"2" * 64), FIELD, MESSAGE_ID, TYPE),
    "path for a UID": _set(_element(2, b"../../x\0"), FIELD, MESSAGE_ID, TYPE),
    "required UID empty": _set(_element(2, b""), FIELD, MESSAGE_ID, TYPE),
    "AT of 6 bytes": _set(CLASS, FIELD, MESSAGE_ID, TYPE, _element(0x901, b"\0" * 6)),
    "title with a backslash": _set(CLASS, FIELD, MESSAGE_ID, _element(0x600, b"..\\x"), TYPE),
    "title with a NUL": _set(CLASS, FIELD, MESSAGE_ID, _element(0x600, b"AB\0\0"), TYPE),
    "title not ASCII": _set(CLASS, FIELD, MESSAGE_ID, _element(0x600, b"\xe9\xe9"), TYPE),
    "title of 17": _set(CLASS, FIELD, MESSAGE_ID, _element(0x600, b"A" * 17 + b" "), TYPE),
    "comment of 65": _set(CLASS, FIELD, MESSAGE_ID, TYPE, _element(0x902, b"A" * 65 + b" ")),
    "comment with a control character": _set(CLASS, FIELD, MESSAGE_ID, TYPE, _element(0x902, b"A\x1b")),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_command(data)


def test_an_optional_uid_may_be_empty() -> None:
    create = _set(CLASS, _element(0x100, b"\x40\1"), MESSAGE_ID, TYPE, _element(0x1000, b""))
    assert decode_command(create).sop_instance == ""


def test_at_the_limits_of_a_command_set() -> None:
    assert decode_command(GOOD, Limits(command_length=len(GOOD), command_elements=4)) == ECHO
    with pytest.raises(RemoteProtocolError, match="bytes"):
        decode_command(GOOD, Limits(command_length=len(GOOD) - 1))
    with pytest.raises(RemoteProtocolError, match="elements"):
        decode_command(GOOD, Limits(command_elements=3))


# -- messages -----------------------------------------------------------------------------------------------------


def pdvs(chunks: Iterator[bytes]) -> list[tuple[int, int, memoryview]]:
    """The fragments in P-DATA-TF PDUs, as the connection hands them out."""
    out = []
    for chunk in chunks:
        pdu = decode(chunk)
        assert isinstance(pdu, PresentationData)
        out += [(pdv.context_id, pdv.control, memoryview(pdv.data)) for pdv in pdu.pdvs]
    return out


def assemble(items: list[tuple[int, int, memoryview]], limits: Limits | None = None) -> list[MessageEvent]:
    """All events of these fragments."""
    return list(Assembler(limits or Limits()).events(items))


def test_a_message_without_data_set() -> None:
    chunks = list(fragments(5, ECHO))
    assert len(chunks) == 1
    assert chunks[0][:12] == bytes.fromhex("0400 0000004a 00000046 05 03".replace(" ", ""))
    assert assemble(pdvs(iter(chunks))) == [MessageStarted(5, ECHO), MessageComplete(5, ECHO, 0)]


@pytest.mark.parametrize("max_length", [7, 8, 13, 100, 16384, 0])
@pytest.mark.parametrize("length", [0, 1, 2, 93, 94, 95, 188, 1000])
@pytest.mark.parametrize("shape", ["bytes", "memoryview", "pieces"])
def test_a_data_set_is_cut_to_the_maximum_and_joined_again(max_length: int, length: int, shape: str) -> None:
    dataset = bytes(i % 251 for i in range(length))
    given: bytes | memoryview | list[bytes]
    if shape == "bytes":
        given = dataset
    elif shape == "memoryview":
        given = memoryview(dataset)
    else:
        given = [dataset[i : i + 37] for i in range(0, length, 37)]
    chunks = list(fragments(1, STORE, given, max_length))
    assert all(len(chunk) - 6 <= (max_length or 1 << 16) for chunk in chunks)
    started, *middle, complete = assemble(pdvs(iter(chunks)))
    assert started == MessageStarted(1, STORE)
    assert complete == MessageComplete(1, STORE, length)
    assert all(isinstance(event, DatasetFragment) for event in middle)
    assert b"".join(event.data for event in middle) == dataset
    assert [event.last for event in middle] == [False] * (len(middle) - 1) + [True]
    if max_length != 7:
        assert all(len(event.data) % 2 == 0 for event in middle[:-1])
        assert all(event.data for event in middle[:-1])


def test_a_maximum_without_room_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError, match="6"):
        list(fragments(1, ECHO, None, 6))


def test_a_command_may_be_given_as_bytes() -> None:
    assert list(fragments(1, GOOD)) == list(fragments(1, ECHO))


COMMAND, DATA, LAST = 1, 0, 2
STORE_BYTES = memoryview(encode_command(STORE))
NO = memoryview(b"")
BAD_SEQUENCES = {
    "data first": [(1, DATA | LAST, NO)],
    "context changes within the command": [
        (1, COMMAND, STORE_BYTES[:5]),
        (3, COMMAND | LAST, STORE_BYTES[5:]),
    ],
    "context changes before the data": [(1, COMMAND | LAST, STORE_BYTES), (3, DATA, NO)],
    "context changes within the data": [
        (1, COMMAND | LAST, STORE_BYTES),
        (1, DATA, NO),
        (3, DATA | LAST, NO),
    ],
    "data within the command": [(1, COMMAND, STORE_BYTES[:5]), (1, DATA, NO)],
    "command within the data": [(1, COMMAND | LAST, STORE_BYTES), (1, COMMAND | LAST, STORE_BYTES)],
    "data after a command without data set": [(1, COMMAND | LAST, memoryview(GOOD)), (1, DATA | LAST, NO)],
    "an empty command": [(1, COMMAND | LAST, NO)],
    "garbage": [(1, COMMAND | LAST, memoryview(b"GET / HTTP/1.1\r\n"))],
}


@pytest.mark.parametrize("items", BAD_SEQUENCES.values(), ids=BAD_SEQUENCES.keys())
def test_sequences_that_are_no_message(items: list[tuple[int, int, memoryview]]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        assemble(items)
    assert caught.value.answer is None  # the service user aborts, not the provider


def test_the_unused_control_bits_are_not_tested() -> None:
    items = [(1, 0xFD, STORE_BYTES[:7]), (1, 0xFF, STORE_BYTES[7:]), (1, 0xFE, memoryview(b"x"))]
    assert assemble(items)[-1] == MessageComplete(1, STORE, 1)


def test_the_assembler_says_where_it_is() -> None:
    assembler = Assembler()
    assert assembler.idle
    events = assembler.events([(1, COMMAND | LAST, STORE_BYTES), (1, DATA, memoryview(b"abc"))])
    assert next(events) == MessageStarted(1, STORE)
    assert assembler.command == STORE
    assert next(events) == DatasetFragment(memoryview(b"abc"), False)
    assert (assembler.idle, assembler.dataset_length) == (False, 3)
    assert list(events) == []
    assert len(list(assembler.events([(1, DATA | LAST, NO)]))) == 2
    assert (assembler.idle, assembler.dataset_length, assembler.command) == (True, 0, None)


def test_at_the_limits_of_a_message() -> None:
    chunks = pdvs(fragments(1, STORE, bytes(100), 46))
    count = len(chunks)
    exact = Limits(dataset_length=100, command_length=len(STORE_BYTES), message_pdvs=count)
    assert assemble(chunks, exact)[-1] == MessageComplete(1, STORE, 100)
    for limits in (
        Limits(dataset_length=99),
        Limits(command_length=len(STORE_BYTES) - 1),
        Limits(message_pdvs=count - 1),
    ):
        with pytest.raises(RemoteProtocolError):
            assemble(chunks, limits)


def test_a_command_that_never_ends_is_not_collected() -> None:
    endless = [(1, COMMAND, memoryview(bytes(10)))] * 5
    assert assemble(endless, Limits(command_length=50)) == []
    with pytest.raises(RemoteProtocolError, match="50"):
        assemble([*endless, (1, COMMAND, memoryview(b"x"))], Limits(command_length=50))


def test_two_messages_follow_each_other() -> None:
    items = pdvs(fragments(1, STORE, b"ab")) + pdvs(fragments(3, ECHO)) + pdvs(fragments(1, STORE, b""))
    ends = [event for event in assemble(items) if isinstance(event, MessageComplete)]
    assert ends == [MessageComplete(1, STORE, 2), MessageComplete(3, ECHO, 0), MessageComplete(1, STORE, 0)]


# -- statuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x0000, Category.SUCCESS),
        (0x0001, Category.WARNING),
        (0x0107, Category.WARNING),
        (0x0116, Category.WARNING),
        (0xB000, Category.WARNING),
        (0xBFFF, Category.WARNING),
        (0xFE00, Category.CANCEL),
        (0xFF00, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFF02, Category.FAILURE),
        (0x0110, Category.FAILURE),
        (0xA700, Category.FAILURE),
        (0xC001, Category.FAILURE),
        (0x1234, Category.FAILURE),
    ],
)
def test_the_kind_of_a_status(status: int, kind: Category) -> None:
    assert category(status) is kind


def test_statuses_for_people() -> None:
    assert describe(0) == "0000H Success (success)"
    assert describe(0xA712) == "A712H Out of resources (failure)"
    assert describe(0x1234) == "1234H (failure)"
