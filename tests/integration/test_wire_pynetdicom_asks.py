"""The wire answers an implementation that nobody here wrote: pynetdicom, over 127.0.0.1."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.wire import (
    Abort,
    AssociateReject,
    AssociateRequest,
    UserIdentityRQ,
    accept,
    dimse,
)
from tests.integration.wire_driver import (
    COMMITMENT,
    EXPLICIT,
    IMPLICIT,
    MPPS,
    SECONDARY_CAPTURE,
    TIMEOUT,
    VERIFICATION,
    WORKLIST,
    Driver,
    acceptor,
    answer_success,
    dataset_of,
    serve_all,
)


@pytest.fixture
def pynetdicom() -> Any:
    """The package, with timeouts that end a hanging test."""
    return pytest.importorskip("pynetdicom")


def _associate(pynetdicom: Any, port: int, *abstract: str, **more: Any) -> Any:
    entity = pynetdicom.AE("PYNETDICOM")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT
    for uid in abstract:
        entity.add_requested_context(uid, [EXPLICIT, IMPLICIT])
    return entity.associate("127.0.0.1", port, ae_title="WIRE", **more)


def test_pynetdicom_echoes_and_stores_and_releases(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset

    stored: list[tuple[dimse.Command, bytes]] = []

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        stored.append((command, dataset))
        return [(command.reply(0xB006 if command.name == "C-STORE-RQ" else 0), None)]

    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE, "1.2.3.4"
    image.PatientName = "X" * 60
    image.PixelData = bytes(range(256)) * 400
    image.BitsAllocated = 8
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = EXPLICIT
    with acceptor(serve_all(VERIFICATION, SECONDARY_CAPTURE, answer=answer)) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION, SECONDARY_CAPTURE, MPPS)
        assert association.is_established
        assert [context.abstract_syntax for context in association.rejected_contexts] == [MPPS]
        assert association.acceptor.maximum_length == 16384
        assert association.send_c_echo().Status == 0
        status = association.send_c_store(image)
        assert status.Status == 0xB006
        association.release()
        assert association.is_released
    [driver] = drivers
    assert driver.log == ["AssociateRequest", "C-ECHO-RQ", "C-STORE-RQ", "ReleaseRequest", "ConnectionClosed"]
    command, dataset = stored[1]
    assert (command.sop_class, command.sop_instance) == (SECONDARY_CAPTURE, "1.2.3.4")
    from io import BytesIO

    from pynetdicom.dsutils import decode as decode_dataset

    assert decode_dataset(BytesIO(dataset), False, True) == image
    assert driver.wire.request is not None
    assert driver.wire.request.calling == "PYNETDICOM"


def test_pynetdicom_finds_with_pending_answers(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        pending = [
            (command.reply(0xFF00, dataset=True), dataset_of(PatientName=f"P{n}", PatientID="7" * n))
            for n in range(5)
        ]
        return [*pending, (command.reply(), None)]

    query = Dataset()
    query.PatientName = "*"
    with acceptor(serve_all(WORKLIST, answer=answer)) as (port, _):
        association = _associate(pynetdicom, port, WORKLIST)
        results = list(association.send_c_find(query, WORKLIST))
        association.release()
    assert [status.Status for status, _ in results] == [0xFF00] * 5 + [0]
    assert [str(found.PatientName) for _, found in results[:-1]] == [f"P{n}" for n in range(5)]


def test_pynetdicom_normalized_services(pynetdicom: Any) -> None:
    from pydicom.dataset import Dataset

    seen: list[dimse.Command] = []

    def answer(command: dimse.Command, dataset: bytes) -> list[tuple[dimse.Command, bytes | None]]:
        seen.append(command)
        back = dataset if command.name in ("N-CREATE-RQ", "N-SET-RQ") else None
        if command.name in ("N-GET-RQ", "N-ACTION-RQ"):
            back = dataset_of(PatientID="7")
        return [(command.reply(dataset=back is not None), back)]

    step = Dataset()
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    action = Dataset()
    action.TransactionUID = "1.2.3"
    with acceptor(serve_all(MPPS, COMMITMENT, answer=answer)) as (port, _):
        association = _associate(pynetdicom, port, MPPS, COMMITMENT)
        for status, back in (
            association.send_n_create(step, MPPS, "1.2.3"),
            association.send_n_set(step, MPPS, "1.2.3"),
            association.send_n_get([0x00100010, 0x00100020], MPPS, "1.2.3"),
            association.send_n_action(action, 1, COMMITMENT, "1.2.840.10008.1.20.1.1"),
            association.send_n_event_report(action, 2, COMMITMENT, "1.2.840.10008.1.20.1.1"),
        ):
            assert status.Status == 0
            assert back is not None or seen[-1].name == "N-EVENT-REPORT-RQ"
        assert association.send_n_delete(MPPS, "1.2.3").Status == 0
        association.release()
    assert [command.name for command in seen] == [
        f"N-{name}-RQ" for name in ("CREATE", "SET", "GET", "ACTION", "EVENT-REPORT", "DELETE")
    ]
    assert seen[2].get("AttributeIdentifierList") == (0x00100010, 0x00100020)


def test_pynetdicom_aborts(pynetdicom: Any) -> None:
    with acceptor(serve_all(VERIFICATION, answer=answer_success)) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION)
        association.abort()
    assert drivers[0].log == ["AssociateRequest", "Abort"]


def test_pynetdicom_is_rejected(pynetdicom: Any) -> None:
    def serve(driver: Driver) -> None:
        for event in driver.events():
            if isinstance(event, AssociateRequest):
                driver.send(AssociateReject(2, 3, 2))

    with acceptor(serve) as (port, drivers):
        # Not ``is_rejected``: where the answer comes before it has looked at its connection, pynetdicom only finds that
        # closed, and calls the association aborted.
        heard: list[Any] = []
        association = _associate(
            pynetdicom,
            port,
            VERIFICATION,
            evt_handlers=[(pynetdicom.evt.EVT_PDU_RECV, lambda event: heard.append(event.pdu))],
        )
        assert not association.is_established
        (answer,) = heard
        assert (answer.pdu_type, answer.result, answer.source, answer.reason_diagnostic) == (3, 2, 3, 2)
    assert drivers[0].log == ["AssociateRequest", "ConnectionClosed"]


def test_pynetdicom_is_aborted_within_a_message(pynetdicom: Any) -> None:
    def serve(driver: Driver) -> None:
        for event in driver.events():
            if isinstance(event, AssociateRequest):
                driver.send(accept(event, {VERIFICATION: []}))
            elif isinstance(event, tuple):
                driver.send(Abort())

    with acceptor(serve) as (port, drivers):
        association = _associate(pynetdicom, port, VERIFICATION)
        assert "Status" not in association.send_c_echo()
        association.join(TIMEOUT)
        assert association.is_aborted
    assert drivers[0].log == ["AssociateRequest", "C-ECHO-RQ", "ConnectionClosed"]


def test_pynetdicom_proposes_everything_it_can(pynetdicom: Any) -> None:
    """128 contexts, role selection, extended negotiation, user identity, asynchronous operations."""
    from pynetdicom.pdu_primitives import (
        AsynchronousOperationsWindowNegotiation,
        SOPClassCommonExtendedNegotiation,
        SOPClassExtendedNegotiation,
        UserIdentityNegotiation,
    )
    from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = CTImageStorage, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.3", "1.2.4"]
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"me", b"secret"
    identity.positive_response_requested = True
    items = [
        window,
        extended,
        common,
        identity,
        pynetdicom.build_role(CTImageStorage, scu_role=True, scp_role=True),
    ]
    uids = [f"1.2.3.{n}" for n in range(127)]
    with acceptor(serve_all(CTImageStorage, answer=answer_success)) as (port, drivers):
        association = _associate(pynetdicom, port, CTImageStorage, *uids, ext_neg=items)
        assert association.is_established
        assert len(association.rejected_contexts) == 127
        association.release()
    request = drivers[0].wire.request
    assert request is not None
    assert len(request.contexts) == 128
    assert request.roles == {CTImageStorage: (1, 1)}
    assert UserIdentityRQ(2, 1, b"me", b"secret") in request.user_items
    kinds = {type(item).__name__ for item in request.user_items}
    assert {
        "AsyncOperationsWindow",
        "ExtendedNegotiation",
        "CommonExtendedNegotiation",
        "RoleSelection",
    } <= kinds
