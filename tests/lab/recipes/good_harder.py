"""Conforming captures that tempt a judge to blame the product for what is not its fault, or no fault at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulators.wire import (
    ApplicationContext,
    PresentationContextAC,
    PresentationData,
    RawItem,
    ReleaseRequest,
    ReleaseResponse,
    encode,
)
from simulators.wire.dimse import Command, encode_command
from simulators.wire.pdu import PDV
from tests.lab.conversation import Cut, Lab, Outgoing
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, DataSet, element
from tests.lab.products.facts import PERSONS, Exam, Person
from tests.lab.products.mx1 import MX1, STORAGE, Picture, Scan
from tests.lab.products.vxvue import (
    PACS,
    PACS2,
    PRINT,
    PRINTER,
    RIS,
    VERIFICATION,
    WORKLIST,
    Peer,
    VXvue,
    worklist_item,
    worklist_keys,
)
from tests.lab.products.vxvue_objects import DX
from tests.lab.recipes import good
from tests.lab.recipes.defects import OTHER, SMALL, dataset, exam


@good("vxvue", passes="VX-STO-002")
def vx_film_one_direction(lab: Lab) -> None:
    """Of a film and of a step only what VXvue said was recorded."""
    vx = VXvue(lab)
    vx.print_film(PRINTER, exam())
    vx.begin(RIS, exam())
    for stream in lab.streams:
        stream.one_direction = 0
    lab.wait(100)
    vx.store(PACS, exam())


@good("vxvue")
def vx_lost_images(lab: Lab) -> None:
    """The images were not recorded, the commitment and the end of the step were."""
    vx = VXvue(lab)
    vx.exam(exam(shots=(SMALL, OTHER)), dose=True)
    for conversation in lab.conversations:
        if conversation.proposal.contexts[0].abstract_syntax == DX:
            acts = conversation.stream.acts
            half = len(acts) // 2
            conversation.stream.acts = [
                replace(act, seen=act.what != "data" or n < 2) for n, act in enumerate(acts[:half])
            ]


@good("vxvue", passes="VX-VER-003 VX-VER-004")
def vx_ends(lab: Lab) -> None:
    """Connections end in every way that is right: either side first, or by RST behind the release."""
    vx = VXvue(lab)
    for way in range(5):
        a = vx.associate(PACS, VERIFICATION)
        a.request("C-ECHO-RQ")
        if way == 1:
            a.keepalive("acceptor")
            a.window("requestor", 0)
            lab.wait(2)
            a.window("requestor", 64240)
        a.respond()
        if way == 0:
            a.release(first_to_close="acceptor")
        elif way == 1:
            a.release(first_to_close="requestor")
        else:
            a.pdu("requestor", ReleaseRequest())
            a.pdu("acceptor", ReleaseResponse())
            if way < 4:
                a.reset("requestor" if way == 2 else "acceptor")
        lab.wait(1)


@good("vxvue", passes="VX-STO-DX-001 VX-STO-DX-112 VX-MPPS-NC-001")
def vx_minimal(lab: Lab) -> None:
    """An unknown patient: everything of type 2 is empty, everything optional absent."""
    optional = " ".join(
        (
            "SeriesDate SeriesTime ProtocolName SeriesDescription OperatorsName",
            "PerformedProcedureStepStartDate AcquisitionDate PerformedProcedureStepStartTime",
            "PerformedProcedureStepID PerformedProcedureStepDescription DerivationDescription AcquisitionTime",
            "PixelSpacing ViewCodeSequence DetectorConfiguration DetectorMode DetectorID DetectorBinning",
            "DateOfLastDetectorCalibration TimeOfLastDetectorCalibration DetectorTemperature KVP",
            "XRayTubeCurrent XRayTubeCurrentInuA ExposureTime ExposureTimeInuS Exposure ExposureInuAs",
            "ExposureIndex TargetExposureIndex DeviationIndex ImageAndFluoroscopyAreaDoseProduct",
            "InstitutionName InstitutionAddress InstitutionalDepartmentName DeviceSerialNumber",
            "SoftwareVersions DateOfLastCalibration TimeOfLastCalibration PatientAge PatientWeight",
            "PatientSize",
        )
    ).split()
    empty = [
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyDescription",
        "ReferringPhysicianName",
        "StationName",
    ]

    def strip(ds: DataSet) -> None:
        ds.drop(*optional)
        for keyword in empty:
            ds.put(keyword)

    dataset(lab, "C-STORE-RQ", strip)

    def unknown(ds: DataSet) -> None:
        for keyword in (
            "PatientName",
            "PatientBirthDate",
            "PatientSex",
            "PerformedStationName",
            "PerformedLocation",
        ):
            ds.put(keyword)

    dataset(lab, "N-CREATE-RQ", unknown)
    vx = VXvue(lab)
    today = replace(exam(scheduled=False), codes=False)
    vx.exam(today, mwl=None, dose=False, commitment=None)


@good("vxvue", passes="VX-STO-006 VX-SC-009 VX-MPPS-NS-023")
def vx_many_images(lab: Lab) -> None:
    """Twelve images in three series, sent in one set, with one report and one commitment."""
    shots = tuple(
        replace(
            SMALL,
            number=n + 1,
            series=n // 4 + 1,
            view=("PA", "LL", "AP")[n // 4],
            kvp=60 + 5 * n,
            ei=300 + 20 * n,
        )
        for n in range(12)
    )
    VXvue(lab).exam(Exam(PERSONS["latin1"], number=200, exposures=shots))


@good("vxvue", passes="VX-STO-DX-041 VX-MPPS-NC-031")
def vx_cr_item(lab: Lab) -> None:
    """The worklist item was scheduled for a CR; VXvue performs it as DX."""

    def reschedule(out: Outgoing) -> None:
        if out.name == "C-FIND-RSP" and isinstance(out.dataset, DataSet):
            out.dataset.item("ScheduledProcedureStepSequence").put("Modality", "CR")

    lab.edit(reschedule)
    dataset(lab, "C-FIND-RQ", lambda ds: ds.item("ScheduledProcedureStepSequence").put("Modality"))
    VXvue(lab).exam(exam(number=201))


@good("vxvue", passes="VX-STO-DX-001 VX-STO-DX-021 VX-SR-T-019")
def vx_long_names(lab: Lab) -> None:
    """Names with all components and trailing carets, times with fractions, values as long as they may be."""
    person = Person(
        ("ISO_IR 100",),
        name="Großmann-Müller^Jürgen^Karl Heinz^Dr.^M.A.",
        physician="Smith^John^^^",
        procedure="P" * 64,
        step="é" * 64,
        comment="Zeile 1\r\nZeile 2\tTabulator\fSeite\\kein Trenner",
        institution="Krankenhaus",
    )

    def fractions(ds: DataSet) -> None:
        for keyword in ("AcquisitionTime", "ContentTime"):
            if ds.has(keyword):
                ds.put(keyword, f"{ds.get(keyword)}.123456")

    dataset(lab, "C-STORE-RQ", fractions)
    VXvue(lab).exam(Exam(person, number=202, exposures=(SMALL,)), full=True)


@good("vxvue", passes="VX-VER-003 VX-STO-002")
def vx_neighbours(lab: Lab) -> None:
    """Another modality beside VXvue talks to the same archive and does much that VXvue may not."""
    vx = VXvue(lab)
    for number in range(2):
        vx.verify(PACS)
        a = lab.associate(
            client="10.0.0.66",
            server=PACS.address,
            port=PACS.port,
            calling="OTHER",
            called="PACS",
            contexts=[(DX, [IMPLICIT_LE]), ("1.2.840.10008.5.1.4.1.1.2", [IMPLICIT_LE])],
            ids=[2, 2],
            max_length=7000,
            implementation_version="OTHER",
        )
        a.accept()
        a.request("C-STORE-RQ", DataSet(PatientName=b"\xff\xfe"), sop_instance="1.02.3", how=Cut((333,)))
        a.reset("requestor")
        vx.exam(exam(number=210 + number), commitment=None)


@good("vxvue", passes="VX-STO-002 VX-MWL-002 VX-VER-003")
def vx_faulty_peers(lab: Lab) -> None:
    """The peers break the standard: odd answers, wrong lengths, undeclared text, late data; VXvue does not."""
    vx = VXvue(lab)

    def items(content: list[Any]) -> list[Any]:
        # No application context, an answer to a context that nobody proposed, an item of no type.
        answers = [i for i in content if not isinstance(i, ApplicationContext)]
        return [PresentationContextAC(99, 0, IMPLICIT_LE), *answers, RawItem(0x7E, b"junk")]

    a = vx.propose(PACS, VERIFICATION)
    a.accept(items=items, called="NOBODY", calling="NOTHING", implementation_class=None)
    a.request("C-ECHO-RQ")
    a.respond(0)
    a.release()
    lab.wait(1)

    # A worklist answer that is longer than VXvue takes, in odd fragments, with undeclared bytes.
    a = vx.associate(RIS, WORKLIST)
    asked = a.request("C-FIND-RQ", worklist_keys(lab.time, vx.ae))
    item = worklist_item(Exam(PERSONS["latin1"], number=220)).append(element("PatientID", b"AGAIN"))
    wrong = item.encode().replace(b"ISO_IR 100", b"ISO_IR 6  ") + b"\x29\x00\x10\x10LO\x01\x00x"
    a.respond(0xFF01, wrong, how=Cut((12345, 7), longest=40000))
    raw = bytearray(encode_command(asked.reply(0)))
    raw[8] ^= 4
    a.respond(command=bytes(raw))
    a.release()
    lab.wait(1)

    # Answers without SOP UIDs, with a wrong message id besides, with a status that nobody knows.
    today = exam(scheduled=False, shots=(SMALL, OTHER))
    a = vx.associate(PACS, DX)
    from tests.lab.products.vxvue_objects import dx_image

    for shot in today.exposures:
        command = a.request("C-STORE-RQ", dx_image(today, shot, mpps=False), sop_instance=today.image(shot))
        if shot is SMALL:
            a.respond(command=Command.new("C-STORE-RSP", MessageIDBeingRespondedTo=77, Status=0))
        a.respond(
            0 if shot is SMALL else 0x4711, to=command, AffectedSOPInstanceUID=None, AffectedSOPClassUID=None
        )
    a.pdu("requestor", ReleaseRequest())
    late = encode_command(Command.new("C-STORE-RSP", MessageIDBeingRespondedTo=2, Status=0))
    a.say("acceptor", encode(PresentationData((PDV(1, 3, late),))))
    a.pdu("acceptor", ReleaseResponse())
    a.close("acceptor")
    lab.wait(1)

    # Bytes of no protocol instead of an answer; VXvue aborts.
    a = vx.propose(PACS2, VERIFICATION)
    a.say("acceptor", b"220 mail.example.org ESMTP\r\n")
    a.abort("requestor", 2, 1)


@good("vxvue", passes="VX-PRN-003 VX-PRN-006")
def vx_plain_film(lab: Lab) -> None:
    """A film with nothing but what the printer must know; the printer names its boxes in its own order."""
    keep = ("ImageDisplayFormat", "ReferencedFilmSessionSequence")

    def plain(out: Outgoing) -> None:
        if (
            not isinstance(out.command, Command)
            or out.side != "requestor"
            or not isinstance(out.dataset, DataSet)
        ):
            return
        if out.name == "N-CREATE-RQ":
            if out.dataset.has("ImageDisplayFormat"):
                tags = {element(k).tag for k in keep}
                out.dataset.elements = [e for e in out.dataset.elements if e.tag in tags]
            else:
                out.dataset = None
                out.command.elements[0x0800] = 0x0101
        elif out.name == "N-SET-RQ":
            out.dataset.drop("Polarity", "MagnificationType", "SmoothingType")

    lab.edit(plain)
    VXvue(lab).print_film(PRINTER, exam(shots=(SMALL, OTHER)), columns=2)


@good("vxvue", passes="VX-PRN-001")
def vx_printer_fails(lab: Lab) -> None:
    """The printer is out of order: VXvue asks, sees it, and releases."""
    vx = VXvue(lab)
    a = vx.associate(PRINTER, PRINT)
    from tests.lab.elements import tag_of
    from tests.lab.products.vxvue import PRINTER_CLASS, PRINTER_INSTANCE, PRINTER_KEYS

    a.request(
        "N-GET-RQ",
        sop_class=PRINTER_CLASS,
        sop_instance=PRINTER_INSTANCE,
        AttributeIdentifierList=tuple(tag_of(key) for key in PRINTER_KEYS),
    )
    a.respond(0, DataSet(PrinterStatus="FAILURE", PrinterStatusInfo="FILM JAM"))
    a.release()


@good("mx1", passes="MX-STO-010 MX-STO-PC-005")
def mx_stills_only(lab: Lab) -> None:
    """MX1 proposes only the contexts of the one SOP class that it is about to send."""
    mx = MX1(lab)
    scan = Scan(PERSONS["utf8"], 70, start=lab.time - 100)
    from tests.lab.products.mx1 import US, image

    a = mx.associate(PACS, STORAGE[2:5])
    picture = Picture("us", IMPLICIT_LE, 1, 12, 16)
    a.request(
        "C-STORE-RQ", image(scan, picture, "1.20"), sop_class=US, sop_instance=scan.image(picture), context=1
    )
    a.respond()
    a.release()


@good("mx1", passes="MX-STO-010")
def mx_choosy_archives(lab: Lab) -> None:
    """Archives that take one syntax for each class, answer in another order, and take long or short PDUs."""
    mx = MX1(lab)
    for number, (length, prefer) in enumerate(
        ((4096, EXPLICIT_LE), (0, IMPLICIT_LE), (131072, EXPLICIT_LE), (65536, IMPLICIT_LE))
    ):
        peer = Peer(
            "PACS",
            "10.0.0.21",
            104,
            {"max_length": length, "prefer": [prefer], "items": lambda c: [c[0], *c[-2:0:-1], c[-1]]},
        )
        scan = Scan(PERSONS["kanjix"], 80 + number)
        mx.store(
            peer,
            scan,
            [
                Picture("us", prefer, 1, 64, 48),
                Picture("clip", prefer, 1, 20, 20),
                Picture("sc", prefer, 1, 9, 9),
            ],
        )
        lab.wait(5)


@good("vxvue")
def vx_lost_studies(lab: Lab) -> None:
    """Two exams whose images were recorded without the part that says whose study they are; the second is committed."""
    vx = VXvue(lab)
    for number in (230, 231):
        today = exam(number=number)
        vx.exam(today, mwl=None, mpps=None, dose=False, commitment=None)
        lab.wait(5)
    for conversation in lab.conversations:
        acts = conversation.stream.acts
        at = next(n for n, act in enumerate(acts) if len(act.data) > 1500)
        whole = acts[at]
        acts[at : at + 1] = [
            replace(whole, data=whole.data[:900]),
            replace(whole, data=whole.data[900:], seen=False, time=whole.time + 0.0001),
        ]
    vx.commit(PACS, today, dose=False)


@good("vxvue", passes="VX-STO-DX-001 VX-STO-DX-143")
def vx_empty_character_set(lab: Lab) -> None:
    """Specific Character Set is there and empty: the default repertoire, as the statement says (VX-CS-001)."""
    dataset(lab, "C-STORE-RQ", lambda ds: ds.put("SpecificCharacterSet"))
    VXvue(lab).exam(exam(number=240), commitment=None)


@good("vxvue", passes="VX-STO-DX-063 VX-STO-DX-128")
def vx_odd_values(lab: Lab) -> None:
    """Values in forms that are rare and right: spaces, signs, exponents, group lengths, padding at the end."""

    def change(ds: DataSet) -> None:
        ds.update(
            KVP="1.2E+02",
            DetectorTemperature=" +31.50 ",
            ExposureTime=" +10 ",
            InstitutionName="  Hospital ",
            BodyPartExamined=" CHEST ",
            ImageType=["DERIVED", "PRIMARY", ""],
            WindowCenter=["8191.5", "4000"],
            WindowWidth=["16384", "1"],
        )
        ds.append(element((0xFFFC, 0xFFFC), bytes(20), vr="OB"))

    dataset(lab, "C-STORE-RQ", change, of=DX)
    lab.undefined = True
    VXvue(lab).exam(exam(number=241), commitment=None, dose=False)


@good("mx1", passes="MX-STO-010")
def mx_swapped_lengths(lab: Lab) -> None:
    """The other reading of the statement: MX1 announces 128 KB and sends at most 64 KB (ruling C9)."""
    from simulators.wire import AssociateRequest, MaximumLength, UserInformation

    def edit(request: AssociateRequest) -> AssociateRequest:
        items = tuple(
            UserInformation(
                tuple(MaximumLength(131072) if isinstance(i, MaximumLength) else i for i in item.items)
            )
            if isinstance(item, UserInformation)
            else item
            for item in request.items
        )
        return replace(request, items=items)

    lab.edit_request(edit)
    mx = MX1(lab)
    mx.longest = 65536
    mx.verify(RIS)
    mx.store(
        Peer("PACS", "10.0.0.21", 104, {"max_length": 0}),
        Scan(number=90),
        [Picture("us", EXPLICIT_LE, 1, 200, 160)],
    )


@good("vxvue")
def vx_answers_only(lab: Lab) -> None:
    """Of what others asked of VXvue's receiver only its answers were recorded."""
    vx = VXvue(lab)
    vx.be_verified(PACS)
    today = exam(scheduled=False)
    vx.store(PACS, today, mpps=False)
    vx.commit(PACS, today, dose=False, report="separate")
    for stream in lab.streams:
        if stream.ends[1][0] == vx.address:
            stream.one_direction = 1


@good("vxvue", passes="VX-STO-002")
def vx_cut_messages(lab: Lab) -> None:
    """The end of every long message of VXvue was lost, in the middle of an item or a value."""
    vx = VXvue(lab)
    shots = tuple(replace(SMALL, number=n + 1) for n in range(6))
    for number, kept in enumerate((200, 300, 340, 400, 470, 530)):
        vx.exam(Exam(PERSONS["kanji"], number=250 + number, exposures=shots), printer=PRINTER)
        lab.wait(30)
        for conversation in lab.conversations[-6:]:
            acts = conversation.stream.acts
            for at in reversed(
                [n for n, act in enumerate(acts) if len(act.data) > kept and act.side == 0 and n]
            ):
                whole = acts[at]
                acts[at : at + 1] = [
                    replace(whole, data=whole.data[:kept]),
                    replace(whole, data=whole.data[kept:], seen=False, time=whole.time + 0.0001),
                ]


@good("vxvue", passes="VX-VER-006")
def vx_answers_then_reuse(lab: Lab) -> None:
    """Two verifications of VXvue's receiver from the same port; of the first only the answers were recorded."""
    lab.client_port = 50000
    vx = VXvue(lab)
    vx.be_verified(PACS)
    lab.streams[0].one_direction = 1
    lab.wait(10)
    vx.be_verified(PACS)
