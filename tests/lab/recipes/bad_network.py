"""Defects of associations, PDUs, commands and policies of a VXvue."""

from __future__ import annotations

from dataclasses import replace

from simulators.wire import (
    ApplicationContext,
    AssociateRequest,
    AsyncOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextRQ,
    PresentationData,
    UserIdentityRQ,
    UserInformation,
    encode,
)
from simulators.wire.dimse import Command, encode_command
from simulators.wire.pdu import PDV
from tests.lab.conversation import Cut, Lab, Outgoing
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE
from tests.lab.products.vxvue import PACS, RIS, VERIFICATION, WORKLIST, Peer, VXvue, worklist_keys
from tests.lab.products.vxvue_objects import DX, dx_image
from tests.lab.recipes import bad
from tests.lab.recipes.defects import OTHER, SMALL, exam, on, one_image


def _users(lab: Lab, change: object) -> None:
    """Change the user items of every request."""

    def edit(request: AssociateRequest) -> AssociateRequest:
        items = tuple(
            UserInformation(tuple(change(list(item.items)))) if isinstance(item, UserInformation) else item  # type: ignore[operator]
            for item in request.items
        )
        return replace(request, items=items)

    lab.edit_request(edit)


def _contexts(lab: Lab, *contexts: PresentationContextRQ) -> None:
    """Propose these contexts instead."""

    def edit(request: AssociateRequest) -> AssociateRequest:
        items = [item for item in request.items if not isinstance(item, PresentationContextRQ)]
        return replace(request, items=(items[0], *contexts, *items[1:]))

    lab.edit_request(edit)


@bad("vxvue", "VX-ASC-001")
def bad_maximum_length(lab: Lab) -> None:
    """VXvue announces a maximum length of 32768."""
    _users(lab, lambda items: [MaximumLength(32768) if isinstance(i, MaximumLength) else i for i in items])
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-ASC-007")
def bad_implementation_class(lab: Lab) -> None:
    """VXvue announces another implementation class UID."""
    _users(
        lab,
        lambda items: [
            ImplementationClassUID("1.2.826.0.1.3680043.8.498.1")
            if isinstance(i, ImplementationClassUID)
            else i
            for i in items
        ],
    )
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-ASC-007", "VX-ASC-009")
def bad_two_implementation_classes(lab: Lab) -> None:
    """The worklist query of VXvue names another implementation class than its verification."""
    vx = VXvue(lab)
    vx.verify(PACS)
    _users(
        lab,
        lambda items: [
            ImplementationClassUID("1.3.6.1.4.1.19719.2") if isinstance(i, ImplementationClassUID) else i
            for i in items
        ],
    )
    vx.worklist(RIS, [exam()])


@bad("vxvue", "VX-ASC-008")
def bad_version_name(lab: Lab) -> None:
    """VXvue sends an implementation version name."""
    _users(lab, lambda items: [*items, ImplementationVersionName("VXVUE_38")])
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-ASC-005")
def bad_asynchronous(lab: Lab) -> None:
    """VXvue proposes an asynchronous operations window."""
    _users(lab, lambda items: [*items, AsyncOperationsWindow(4, 4)])
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-SEC-001")
def bad_user_identity(lab: Lab) -> None:
    """VXvue sends a user identity."""
    _users(lab, lambda items: [*items, UserIdentityRQ(1, 0, b"operator")])
    VXvue(lab).verify(PACS)


@bad("vxvue", "STD-UL-001")
def bad_application_context(lab: Lab) -> None:
    """The application context name is wrong."""
    lab.edit_request(
        lambda r: replace(
            r,
            items=tuple(
                ApplicationContext("1.2.840.10008.3.1.1.2") if isinstance(i, ApplicationContext) else i
                for i in r.items
            ),
        )
    )
    VXvue(lab).verify(PACS)


@bad("vxvue", "STD-UL-011", "VX-ASC-001")
def bad_no_maximum_length(lab: Lab) -> None:
    """The maximum length sub-item is missing."""
    _users(lab, lambda items: [i for i in items if not isinstance(i, MaximumLength)])
    VXvue(lab).verify(PACS)


@bad("vxvue", "STD-UL-004")
def bad_even_context(lab: Lab) -> None:
    """The presentation context has an even id."""
    _contexts(lab, PresentationContextRQ(2, VERIFICATION, (EXPLICIT_LE,)))
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-PC-001")
def bad_more_syntaxes(lab: Lab) -> None:
    """Verification is proposed with Implicit VR Little Endian as well."""
    _contexts(lab, PresentationContextRQ(1, VERIFICATION, (EXPLICIT_LE, IMPLICIT_LE)))
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-PC-001", "VX-GEN-010")
def bad_private_syntax(lab: Lab) -> None:
    """A private transfer syntax is proposed."""
    _contexts(lab, PresentationContextRQ(1, VERIFICATION, (EXPLICIT_LE, "1.2.840.113619.5.2")))
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-GEN-009")
def bad_private_class(lab: Lab) -> None:
    """A private SOP class is proposed beside Verification."""
    _contexts(
        lab,
        PresentationContextRQ(1, VERIFICATION, (EXPLICIT_LE,)),
        PresentationContextRQ(3, "1.2.410.200010.1.1", (EXPLICIT_LE,)),
    )
    VXvue(lab).verify(PACS)


@bad("vxvue", "VX-GEN-011", may="VX-GEN-009")
def bad_retrieve(lab: Lab) -> None:
    """Study Root MOVE is proposed."""
    _contexts(
        lab,
        PresentationContextRQ(1, "1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT_LE,)),
        PresentationContextRQ(3, "1.2.840.10008.5.1.4.1.2.2.2", (EXPLICIT_LE,)),
    )
    VXvue(lab).query(PACS, [exam()])


@bad("vxvue", "VX-ASC-012", "STD-UL-003")
def bad_title_padding(lab: Lab) -> None:
    """The calling AE title is padded with NUL."""
    vx = VXvue(lab)
    built = AssociateRequest(
        "PACS", "VXVUE", (ApplicationContext(), PresentationContextRQ(1, VERIFICATION, (EXPLICIT_LE,)),
                          UserInformation((MaximumLength(16384), ImplementationClassUID("1.3.6.1.4.1.19719")))),
    )  # fmt: skip
    raw = encode(built).replace(b"VXVUE".ljust(16), b"VXVUE".ljust(16, b"\0"))
    a = lab.associate(client=vx.address, server=PACS.address, port=PACS.port, called="PACS", request=raw)
    a.accept(calling="VXVUE")
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()


@bad("vxvue", "VX-ASC-012", config={"ae_title": "VXvue1"}, may="VX-ASC-011 VX-CFG-001")
def bad_title_case(lab: Lab) -> None:
    """The configured calling AE title is VXvue1, the wire says VXVUE1."""
    VXvue(lab, ae="VXVUE1").verify(PACS)


@bad("vxvue", "VX-VER-004")
def bad_abort(lab: Lab) -> None:
    """VXvue aborts a verification that went well."""
    vx = VXvue(lab)
    a = vx.associate(PACS, VERIFICATION)
    a.request("C-ECHO-RQ")
    a.respond()
    a.abort("requestor")


@bad("vxvue", "VX-VER-004", "STD-UL-056")
def bad_close(lab: Lab) -> None:
    """VXvue closes the connection of a verification without release."""
    vx = VXvue(lab)
    a = vx.associate(PACS, VERIFICATION)
    a.request("C-ECHO-RQ")
    a.respond()
    a.close("requestor")


@bad("vxvue", "VX-STO-005", "STD-UL-056")
def bad_reset(lab: Lab) -> None:
    """VXvue resets the connection after the last image."""
    vx = VXvue(lab)
    today = exam(scheduled=False)
    a = vx.associate(PACS, DX)
    a.request("C-STORE-RQ", dx_image(today, SMALL, mpps=False), sop_instance=today.image(SMALL))
    a.respond()
    a.reset("requestor")


@bad("vxvue", "VX-VER-003")
def bad_two_echoes(lab: Lab) -> None:
    """Two C-ECHO requests in one verification."""
    a = VXvue(lab).associate(PACS, VERIFICATION)
    for _ in range(2):
        a.request("C-ECHO-RQ")
        a.respond()
    a.release()


@bad("vxvue", "VX-ASC-010")
def bad_two_services(lab: Lab) -> None:
    """The worklist is queried on the association of a verification."""
    vx = VXvue(lab)
    a = vx.lab.associate(
        client=vx.address,
        server=RIS.address,
        called="RIS",
        contexts=[(VERIFICATION, [EXPLICIT_LE]), (WORKLIST, [EXPLICIT_LE])],
    )
    a.accept()
    a.request("C-ECHO-RQ")
    a.respond()
    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"), sop_class=WORKLIST)
    a.respond()
    a.release()


@bad("vxvue", "STD-UL-040", may="VX-D-04")
def bad_pdu_too_long(lab: Lab) -> None:
    """The archive takes PDUs of 4096 bytes, VXvue sends longer ones."""
    vx = VXvue(lab)
    small = Peer("PACS", "10.0.0.21", 11112, {"max_length": 4096})
    today = exam(scheduled=False, shots=(replace(SMALL, rows=64, columns=64),))
    lab.how = Cut(longest=16384)
    vx.store(small, today, mpps=False)


@bad("vxvue", "STD-UL-043", may="VX-D-02")
def bad_refused_context(lab: Lab) -> None:
    """The archive refuses the context for images, VXvue sends the image all the same."""
    vx = VXvue(lab)
    today = exam(scheduled=False)
    a = vx.propose(PACS, DX)
    a.accept(refuse=[DX])
    a.request(
        "C-STORE-RQ",
        dx_image(today, SMALL, mpps=False),
        sop_class=DX,
        sop_instance=today.image(SMALL),
        context=1,
    )
    a.abort("acceptor", 2, 6)


@bad("vxvue", "STD-UL-053", may="VX-VER-003")
def bad_data_after_release(lab: Lab) -> None:
    """VXvue sends a C-ECHO request after its A-RELEASE-RQ."""
    from simulators.wire import ReleaseRequest, ReleaseResponse

    a = VXvue(lab).associate(PACS, VERIFICATION)
    a.request("C-ECHO-RQ")
    a.respond()
    a.pdu("requestor", ReleaseRequest())
    late = encode_command(Command.new("C-ECHO-RQ", MessageID=2, AffectedSOPClassUID=VERIFICATION))
    a.say("requestor", encode(PresentationData((PDV(1, 3, late),))), after=0.0001)
    a.pdu("acceptor", ReleaseResponse())
    a.close()


@bad("vxvue", "STD-UL-044")
def bad_odd_fragments(lab: Lab) -> None:
    """The fragments of an image have odd lengths."""
    lab.how = Cut((1001, 1003))
    one_image(lab)


@bad("vxvue", "VX-ASC-006", "STD-DIMSE-041")
def bad_no_waiting(lab: Lab) -> None:
    """The second image is sent before the first is answered."""
    vx = VXvue(lab)
    today = exam(scheduled=False, shots=(SMALL, OTHER))
    a = vx.associate(PACS, DX)
    asked = [
        a.request("C-STORE-RQ", dx_image(today, shot, mpps=False), sop_instance=today.image(shot))
        for shot in today.exposures
    ]
    for command in asked:
        a.respond(to=command)
    a.release()


@bad("vxvue", "STD-DIMSE-004")
def bad_group_length(lab: Lab) -> None:
    """The command group length of a C-STORE request is too small."""

    def edit(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        raw = bytearray(encode_command(out.command))
        raw[8:12] = (int.from_bytes(raw[8:12], "little") - 8).to_bytes(4, "little")
        a = out.association
        a.last["requestor"], a._asked, a._context = out.command, "requestor", out.context_id
        out.command = bytes(raw)

    on(lab, "C-STORE-RQ", edit)
    one_image(lab)


@bad("vxvue", "STD-DIMSE-023")
def bad_instance_of_command(lab: Lab) -> None:
    """The command names another SOP instance than the image."""
    on(lab, "C-STORE-RQ", lambda out: out.command.elements.update({0x1000: "2.25.4711"}))  # type: ignore[union-attr]
    one_image(lab)


@bad("vxvue", "STD-DIMSE-011")
def bad_priority(lab: Lab) -> None:
    """The priority of a C-STORE request is 3."""
    on(lab, "C-STORE-RQ", lambda out: out.command.elements.update({0x0700: 3}))  # type: ignore[union-attr]
    one_image(lab)


@bad("vxvue", "STD-DIMSE-006", may="VX-STO-002 STD-DIMSE-022 VX-GEN-006")
def bad_no_instance_in_command(lab: Lab) -> None:
    """The command of a C-STORE request has no Affected SOP Instance UID."""
    on(lab, "C-STORE-RQ", lambda out: out.command.elements.pop(0x1000))  # type: ignore[union-attr]
    one_image(lab)


@bad("vxvue", "VX-MWL-006", may="VX-ASC-002")
def bad_two_worklists(lab: Lab) -> None:
    """Two worklist queries share an association."""
    a = VXvue(lab).associate(RIS, WORKLIST)
    for _ in range(2):
        a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
        a.respond()
    a.release()


@bad("vxvue", "VX-STO-006")
def bad_association_per_image(lab: Lab) -> None:
    """Each image of a set goes over an association of its own."""
    vx = VXvue(lab)
    for shot in (SMALL, OTHER):
        vx.store(PACS, exam(scheduled=False, shots=(shot,)), mpps=False)


@bad("vxvue", "VX-ASC-013", config={"receiver": True})
def bad_receiver(lab: Lab) -> None:
    """VXvue's receiver accepts images."""
    a = lab.associate(
        client="10.0.0.21",
        server="10.0.0.5",
        calling="PACS",
        called="VXVUE",
        contexts=[(DX, [EXPLICIT_LE])],
        implementation_class="1.2.3",
    )
    a.accept(implementation_class="1.3.6.1.4.1.19719", implementation_version=None)
    a.release()


@bad("vxvue", "VX-VER-006", "STD-SVC-002", config={"receiver": True})
def bad_echo_answer(lab: Lab) -> None:
    """VXvue's receiver answers a verification with 0122H, SOP class not supported."""
    a = VXvue(lab).accept(PACS, [(VERIFICATION, [EXPLICIT_LE])])
    a.request("C-ECHO-RQ")
    a.respond(0x0122)
    a.release()


@bad("vxvue", "STD-DIMSE-020", may="STD-SVC-011 STD-DIMSE-021")
def bad_dataset_type(lab: Lab) -> None:
    """Command Data Set Type says that no data set follows; the image follows."""
    on(lab, "C-STORE-RQ", lambda out: out.command.elements.update({0x0800: 0x0101}))  # type: ignore[union-attr]
    one_image(lab)


@bad("vxvue", "STD-DIMSE-006", may="STD-SVC-011 STD-DIMSE-020 STD-DIMSE-021")
def bad_no_dataset_type(lab: Lab) -> None:
    """The command of an image has no Command Data Set Type; the image follows."""
    on(lab, "C-STORE-RQ", lambda out: out.command.elements.pop(0x0800))  # type: ignore[union-attr]
    one_image(lab)


@bad("vxvue", "STD-DIMSE-006", may="STD-DIMSE-022 STD-DIMSE-030 VX-STO-002")
def bad_no_class_in_command(lab: Lab) -> None:
    """The command of an image has no Affected SOP Class UID; the step and the commitment name the image rightly."""
    from tests.lab.recipes.defects import one_exam

    on(lab, "C-STORE-RQ", lambda out: out.command.elements.pop(0x0002))  # type: ignore[union-attr]
    one_exam(lab, commitment=True)


@bad("vxvue", "STD-DIMSE-030", "VX-PRN-004", may="STD-SVC-501")
def bad_class_of_film_box(lab: Lab) -> None:
    """The film box is created under another SOP class; the printer does so, and the film is printed rightly."""
    from tests.lab.products.vxvue import FILM_BOX
    from tests.lab.recipes.defects import one_film

    def edit(out: Outgoing) -> None:
        assert isinstance(out.command, Command)
        out.command.elements[0x0002] = "1.2.840.10008.5.1.1.27"

    on(lab, "N-CREATE-RQ", edit, of=FILM_BOX)
    one_film(lab)
