"""The quick response is the wire's response."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.dicom.quick import response
from simulators.wire import dimse

UIDS = st.sampled_from(["", "1.2", "1.2.3", "1.2.840.10008.1.1", "2.25." + "1" * 39, "1." * 31 + "1"])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["C-ECHO-RQ", "C-STORE-RQ", "C-FIND-RQ", "N-SET-RQ", "N-CREATE-RQ"]),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    UIDS,
    UIDS,
    st.integers(0, 127),
)
def test_the_same_bytes_as_the_wire(
    name: str, msgid: int, status: int, sop_class: str, sop_instance: str, context: int
) -> None:
    requested = name == "N-SET-RQ"
    request = dimse.Command.new(
        name,
        MessageID=msgid,
        **{
            "RequestedSOPClassUID" if requested else "AffectedSOPClassUID": sop_class or None,
            "RequestedSOPInstanceUID" if requested else "AffectedSOPInstanceUID": sop_instance or None,
        },
    )
    theirs = b"".join(dimse.fragments(context, request.reply(status)))
    ours = response(
        context, request.field | 0x8000, msgid, status, request.sop_class, request.sop_instance, 16384
    )
    assert ours == theirs


@pytest.mark.parametrize(("room", "fits"), [(0, True), (78, True), (77, False)])
def test_a_response_that_does_not_fit_is_left_to_the_wire(room: int, fits: bool) -> None:
    made = response(1, 0x8030, 1, 0, "1.2.3.4.5.6", "", room)
    assert (made is not None) is fits
    if made is not None:
        assert len(made) == 78 + 6
