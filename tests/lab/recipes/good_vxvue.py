"""Conforming captures of a VXvue: every service, many languages, difficult peers, difficult networks."""

from __future__ import annotations

from dataclasses import replace

from simulators.wire import RoleSelection
from tests.lab.conversation import Cut, Lab
from tests.lab.elements import EXPLICIT_LE
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.vxvue import (
    COMMITMENT,
    PACS,
    PACS2,
    PRINTER,
    RIS,
    VERIFICATION,
    WORKLIST,
    Peer,
    VXvue,
)
from tests.lab.products.vxvue_objects import DX, MPPS
from tests.lab.recipes import good

SMALL = Exposure(rows=12, columns=16)
LATERAL = Exposure(2, "LL", kvp=125, ma=250, ms=20, dap_dgycm2=2.5, ei=420, rows=16, columns=12)
CONFIG = {
    "ae_title": "VXVUE",
    "receiver": True,
    "worklist": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
    "mpps": {"ae_title": "RIS", "address": "10.0.0.20", "port": 104},
    "storage": [{"ae_title": "PACS", "address": "10.0.0.21", "port": 11112}],
    "commitment": {"ae_title": "PACS", "address": "10.0.0.21", "port": 11112},
    "printer": {"ae_title": "PRINTER", "address": "10.0.0.22", "port": 104},
}


def exam(language: str = "default", number: int = 1, shots: tuple[Exposure, ...] = (SMALL,)) -> Exam:
    """An exam in a language."""
    return Exam(PERSONS[language], number=number, exposures=shots)


@good(
    "vxvue",
    passes="""
        VX-ASC-001 VX-ASC-007
        VX-ASC-008 VX-GEN-002 VX-GEN-003 VX-GEN-004 VX-GEN-005 VX-GEN-006 VX-GEN-008
        VX-ASC-010 VX-PC-002 VX-PC-003 VX-PC-006 VX-MWL-002 VX-MWL-K-001 VX-MPPS-002
        VX-MPPS-006 VX-MPPS-NC-027 VX-MPPS-NS-008 VX-STO-002 VX-STO-DX-112 VX-STO-DX-141 VX-SR-002
        VX-SR-A-038 VX-SR-T-020 VX-SC-002 VX-SC-003 VX-SC-NA-001 VX-PRN-002 VX-PRN-003
        VX-PRN-004 VX-PRN-005 VX-PRN-006 VX-PRN-007 VX-PRN-FB-001 VX-PRN-IB-001
    """,
)
def vx_exam(lab: Lab) -> None:
    """A scheduled exam of two views with every service from the worklist to the film."""
    VXvue(lab).exam(exam(shots=(SMALL, LATERAL)), printer=PRINTER, full=True)


def _language(name: str, language: str, clause: str) -> None:
    def build(lab: Lab) -> None:
        VXvue(lab).exam(exam(language, 2, (SMALL,)), full=True, report="separate")

    build.__name__ = f"vx_exam_{name}"
    build.__doc__ = f"A scheduled exam whose texts are in {'|'.join(PERSONS[language].charset)}."
    good("vxvue", passes=[clause, "VX-STO-DX-001", "VX-MPPS-NC-001", "VX-SR-A-001"])(build)


_language("kanji", "kanji", "VX-CS-025")
_language("kanji_katakana", "kanjix", "VX-CS-025")
_language("katakana", "katakana", "VX-CS-021")
_language("korean", "korean", "VX-CS-028")
_language("chinese", "gb18030", "VX-CS-030")
_language("unicode", "utf8", "VX-CS-029")
_language("greek", "greek", "VX-CS-017")
_language("cyrillic", "cyrillic", "VX-CS-013")
_language("arabic", "arabic", "VX-CS-015")
_language("hebrew", "hebrew", "VX-CS-019")
_language("thai", "thai", "VX-CS-026")


@good(
    "vxvue",
    passes=[
        "VX-CS-003",
        "VX-CS-005",
        "VX-CS-007",
        "VX-CS-009",
        "VX-CS-011",
        "VX-CS-004",
        "VX-CS-014",
        "VX-CS-002",
    ],
)
def vx_exams_europe(lab: Lab) -> None:
    """Eight patients of one day, each with another Latin or Cyrillic set, two of them with code extensions."""
    vx = VXvue(lab)
    languages = ("latin1", "latin2", "latin3", "latin4", "latin5", "latin1x", "cyrillicx", "ir6")
    for number, language in enumerate(languages):
        vx.exam(exam(language, 10 + number), commitment=None, dose=False)
        lab.wait(60)


@good("vxvue", passes=["VX-STO-002", "VX-STO-DX-022"])
def vx_unscheduled(lab: Lab) -> None:
    """An unscheduled exam: nobody ordered it, no procedure step is reported."""
    today = replace(exam(number=3, shots=(SMALL, LATERAL)), scheduled=False)
    VXvue(lab).exam(today, mwl=None, mpps=None)


@good("vxvue", passes=["VX-MPPS-002", "VX-MPPS-NC-005", "VX-MPPS-NS-008"])
def vx_unscheduled_step(lab: Lab) -> None:
    """An unscheduled exam with a procedure step of its own."""
    today = replace(exam(number=4), scheduled=False)
    VXvue(lab).exam(today, mwl=None)


@good("vxvue", passes=["VX-MPPS-NS-008", "VX-MPPS-006"])
def vx_discontinued(lab: Lab) -> None:
    """Two exams are discontinued: one before the first image, one after it."""
    vx = VXvue(lab)
    nothing = exam(number=5, shots=())
    nothing.start = lab.time
    vx.worklist(RIS, [nothing])
    vx.begin(RIS, nothing)
    lab.wait(60)
    vx.end(RIS, nothing, "DISCONTINUED")
    lab.wait(60)
    vx.exam(exam(number=6), result="DISCONTINUED", dose=False)


@good("vxvue", passes=["VX-MPPS-013"])
def vx_appended(lab: Lab) -> None:
    """A view is added after the step was completed: a new step of the same study."""
    vx = VXvue(lab)
    first = exam(number=7)
    vx.exam(first, dose=False, commitment=None)
    lab.wait(120)

    class Second(Exam):
        """The same order, another step."""

        @property
        def step(self) -> str:
            return self.uid("second step")

        @property
        def performed_id(self) -> str:
            return f"PPS{self.number:04d}B"

        def time(self, exposure: Exposure) -> float:
            return began + 10

    began = lab.time
    second = Second(first.person, number=7, exposures=(replace(LATERAL, series=2),), start=first.start)
    vx.begin(RIS, second)
    lab.time = max(lab.time, began + 60)
    vx.store(PACS, second)
    vx.end(RIS, second)


@good(
    "vxvue",
    passes=["VX-SC-003", "VX-SC-005", "VX-SC-006", "VX-SC-007", "VX-SC-009", "VX-SC-010", "VX-SC-011"],
)
def vx_commitments(lab: Lab) -> None:
    """Commitment is reported at once, later on an association of the archive, with a failure, and once never."""
    vx = VXvue(lab)
    for number, (report, failed) in enumerate(
        (("same", False), ("separate", False), ("separate", True), (None, False))
    ):
        today = exam(number=20 + number, shots=(SMALL, LATERAL))
        vx.exam(today, mwl=None, mpps=None, dose=False, commitment=None)
        lab.wait(1)
        missing = [today.image(LATERAL)] if failed else []
        vx.commit(
            PACS, today, dose=False, report=report, failed=missing, wait=20 if report == "separate" else 0.5
        )
        lab.wait(30)


@good(
    "vxvue",
    passes=["VX-PRN-002", "VX-PRN-006", "VX-PRN-010", "VX-PRN-FS-001", "VX-PRN-FB-003", "VX-PRN-IB-016"],
)
def vx_films(lab: Lab) -> None:
    """Three films: one image, two images in landscape with all options, and one on a printer that is short of film."""
    vx = VXvue(lab)
    pair = exam(number=30, shots=(SMALL, LATERAL))
    vx.print_film(PRINTER, exam(number=31))
    lab.wait(5)
    vx.print_film(
        PRINTER,
        pair,
        columns=2,
        session={
            "NumberOfCopies": 2,
            "PrintPriority": "HIGH",
            "FilmDestination": "BIN_3",
            "FilmSessionLabel": "Chest",
        },
        film={"FilmOrientation": "LANDSCAPE", "FilmSizeID": "8INX10IN", "MagnificationType": "BILINEAR"},
        box={"RequestedImageSize": "150"},
    )
    lab.wait(5)
    vx.print_film(PRINTER, exam(number=32), printer_status="WARNING")


@good("vxvue", passes=["VX-QR-001", "VX-QR-002", "VX-QR-003", "VX-QR-005", "VX-QR-K-001", "VX-QR-K-010"])
def vx_queries(lab: Lab) -> None:
    """Study queries by date, by accession number, and one that finds nothing."""
    vx = VXvue(lab)
    vx.query(PACS, [exam("kanji", 40), exam("greek", 41), exam(number=42)], StudyDate="20250601-20250630")
    lab.wait(3)
    vx.query(PACS, [exam(number=42)], AccessionNumber="ACC00042")
    lab.wait(3)
    vx.query(PACS)


@good("vxvue", passes=["VX-MWL-002", "VX-MWL-006"])
def vx_worklists(lab: Lab) -> None:
    """Worklist queries: many answers in several sets, no answer, a name in Unicode, a status that failed."""
    vx = VXvue(lab)
    vx.worklist(RIS, [exam(language, 50 + n) for n, language in enumerate(PERSONS)])
    lab.wait(2)
    vx.worklist(RIS)
    lab.wait(2)
    vx.worklist(RIS, [exam("kanji", 99)], keys={"PatientName": "山田*"})
    lab.wait(2)
    vx.worklist(RIS, status=0xA700)


@good("vxvue", config=CONFIG)
def vx_refusals(lab: Lab) -> None:
    """Peers that reject, refuse contexts, fail, warn, abort, close or are silent; nothing of it is VXvue's fault."""
    vx = VXvue(lab)
    for result, source, reason in ((1, 1, 7), (1, 1, 3), (2, 3, 1), (2, 3, 2), (1, 2, 2)):
        vx.propose(PACS, VERIFICATION).reject(result, source, reason)
        lab.wait(1)
    for abstract in (WORKLIST, DX, MPPS, COMMITMENT):
        a = vx.propose(PACS, abstract)
        a.accept(refuse={abstract: 3 if abstract != DX else 4})
        a.release()
        lab.wait(1)
    # The peer aborts instead of an answer, in place of one, and closes without a word.
    vx.propose(RIS, WORKLIST).abort("acceptor", 2, 1)
    lab.wait(1)
    a = vx.associate(RIS, WORKLIST)
    from tests.lab.products.vxvue import worklist_keys

    a.request("C-FIND-RQ", worklist_keys(lab.time, "VXVUE"))
    a.abort("acceptor", 2, 0)
    lab.wait(1)
    a = vx.propose(PACS, VERIFICATION)
    a.close("acceptor")
    lab.wait(1)
    # Silence: VXvue gives up after 30 s.
    a = vx.propose(PACS, VERIFICATION)
    lab.wait(30)
    a.abort("requestor")
    a = vx.associate(PACS, VERIFICATION)
    a.request("C-ECHO-RQ")
    lab.wait(30)
    a.abort("requestor")
    # No port, no host.
    lab.connect(vx.address, PACS.address, PACS.port).handshake = "refused"
    lab.wait(1)
    lab.connect(vx.address, "10.0.0.99", 104).handshake = "unanswered"
    lab.wait(10)
    vx.verify(PACS, status=0x0122)


@good("vxvue", config=CONFIG)
def vx_failures(lab: Lab) -> None:
    """An archive refuses an image for lack of room and takes it later; one is stored with a warning; the step fails."""
    vx = VXvue(lab)
    today = exam(number=60, shots=(SMALL, LATERAL))
    today.start = lab.time
    vx.worklist(RIS, [today])
    lab.time = today.start + 100
    vx.store(PACS, today, mpps=False, statuses=[0xA700, 0xB007])
    lab.wait(60)
    vx.store(PACS, replace(today, exposures=(SMALL,)), mpps=False)
    lab.wait(2)
    vx.commit(PACS, today, dose=False, failed=[today.image(SMALL)], report="separate")
    lab.wait(60)
    other = exam(number=61)
    other.start = lab.time
    vx.worklist(RIS, [other])
    vx.begin(RIS, other, status=0x0110)
    lab.time = other.start + 100
    vx.store(PACS, other, mpps=False)


@good("vxvue", passes=["VX-ASC-003", "VX-STO-006", "VX-SC-009"])
def vx_two_archives(lab: Lab) -> None:
    """Images go to two archives at the same time, each on an association of its own; each commits to them."""
    vx = VXvue(lab)
    today = exam(number=70, shots=(SMALL, LATERAL))
    today.start = lab.time
    vx.worklist(RIS, [today])
    vx.begin(RIS, today)
    start = lab.time = today.start + 100
    vx.store(PACS, today)
    ended = lab.time
    lab.time = start + 0.0031
    vx.store(PACS2, today)
    lab.time = max(lab.time, ended) + 2
    vx.end(RIS, today)
    lab.wait(2)
    vx.commit(PACS, today, dose=False)
    vx.commit(PACS2, today, dose=False, report="separate")


@good("vxvue", passes=["VX-STO-002", "VX-MWL-002"])
def vx_odd_peers(lab: Lab) -> None:
    """Peers with odd but legal habits: undefined lengths, many small PDVs, several in a PDU, large and tiny maxima."""
    vx = VXvue(lab)
    lab.undefined = True
    odd = Peer(
        "RIS", "10.0.0.20", 104, {"max_length": 0, "implementation_version": None}, Cut((30, 2, 500), pdvs=3)
    )
    vx.exam(exam("kanji", 80, (SMALL, LATERAL)), mwl=odd, mpps=odd, commitment=None)
    lab.wait(1)
    joined = replace(odd, how=Cut(together=True))
    vx.worklist(joined, [exam("utf8", 81)])
    tiny = Peer("TINY", "10.0.0.24", 104, {"max_length": 512, "implementation_class": "1.2.3.4"})
    vx.exam(exam(number=82), mwl=None, mpps=None, storage=[tiny], commitment=None)
    lab.how = Cut((100,), pdvs=2)
    vx.exam(exam(number=83), mwl=None, mpps=None, storage=[tiny], commitment=None)


@good("vxvue", passes=["VX-STO-002"], write={"order": "shuffled"})
def vx_out_of_order(lab: Lab) -> None:
    """An exam whose packets were recorded out of order."""
    VXvue(lab).exam(exam("korean", 90, (SMALL, LATERAL)))


@good("vxvue", passes=["VX-STO-002"], write={"order": "retransmitted"})
def vx_retransmitted(lab: Lab) -> None:
    """An exam with packets that were sent twice."""
    VXvue(lab).exam(exam(number=91, shots=(SMALL, LATERAL)))


@good("vxvue", passes=["VX-STO-002"], write={"order": "overlapping", "mss": 536})
def vx_overlapping(lab: Lab) -> None:
    """An exam with retransmissions that were cut elsewhere and overlap."""
    VXvue(lab).exam(exam(number=92, shots=(SMALL, LATERAL)))


@good("vxvue", write={"order": "gaps"})
def vx_lost_packets(lab: Lab) -> None:
    """The recorder lost packets of an exam: much cannot be told, nothing is held against VXvue."""
    VXvue(lab).exam(exam(number=93, shots=(SMALL, LATERAL)), printer=PRINTER)


@good("vxvue")
def vx_mid_stream(lab: Lab) -> None:
    """The capture begins in the middle of the images and ends in the middle of the film."""
    vx = VXvue(lab)
    vx.exam(exam(number=94, shots=(SMALL, LATERAL)), printer=PRINTER)
    store = next(c for c in lab.conversations if c.proposal.contexts[0].abstract_syntax == DX)
    third = [act for act in store.stream.acts if act.what == "data"][2]
    lab.missing_until = third.time + 0.00001
    for stream in lab.streams[-1:]:
        del stream.acts[len(stream.acts) // 2 :]


@good("vxvue")
def vx_one_direction(lab: Lab) -> None:
    """Only what the peers said was recorded of the images, only what VXvue said of the step."""
    vx = VXvue(lab)
    vx.exam(exam(number=95), commitment=None)
    for conversation in lab.conversations:
        abstract = conversation.proposal.contexts[0].abstract_syntax
        if abstract in (DX, MPPS):
            conversation.stream.one_direction = 1 if abstract == DX else 0


@good("vxvue", passes=["VX-VER-003", "VX-STO-002"])
def vx_reused_ports(lab: Lab) -> None:
    """Every connection to the archive has the same two ports."""
    vx = VXvue(lab)
    lab.client_port = 50000
    for number in range(4):
        vx.verify(PACS)
        lab.wait(0.2 + number * 70)
        vx.store(PACS, replace(exam(number=96), scheduled=False), mpps=False)
        lab.wait(0.2)


@good("vxvue", who="fd00::5", passes=["VX-STO-002"], write={"link": "vlan"})
def vx_vlan_ipv6(lab: Lab) -> None:
    """An exam over IPv6 in a VLAN."""
    archive, ris = Peer("PACS", "fd00::21", 11112), Peer("RIS", "fd00::20")
    VXvue(lab, address="fd00::5").exam(
        exam("cyrillic", 97), mwl=ris, mpps=ris, storage=[archive], commitment=archive
    )


@good(
    "vxvue",
    passes=["VX-STO-002"],
    suffix=".pcap",
    write={"link": "sll", "nanoseconds": True, "order": "normal"},
)
def vx_cooked(lab: Lab) -> None:
    """An exam recorded on Linux's any device, in a pcap file with nanoseconds."""
    VXvue(lab).exam(exam(number=98))


@good("vxvue", passes=["VX-STO-002"], suffix=".pcap.gz", write={"mtu": 576})
def vx_fragments(lab: Lab) -> None:
    """IP fragments on the way, sequence numbers that pass 2^32, in a compressed pcap file."""
    lab.isn = (0xFFFFFF00, 0xFFFFFFF8)
    VXvue(lab).exam(exam(number=99))


@good("vxvue", passes=["VX-VER-003"], write={"sections": 3, "nanoseconds": True})
def vx_other_traffic(lab: Lab) -> None:
    """Beside the DICOM: a TLS handshake, an HL7 message, a web page, an empty connection and half a greeting."""
    vx = VXvue(lab)
    vx.verify(PACS)
    hello = bytes.fromhex("160301002f0100002b0303") + bytes(32) + bytes.fromhex("0000021301010000000000")
    hl7 = b"\x0bMSH|^~\\&|RIS|HOSP|VXVUE|ROOM1|20250615150000||ORM^O01|1|P|2.3\rPID|||7\r\x1c\r"
    for port, data in (
        (2762, hello),
        (2575, hl7),
        (80, b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"),
        (445, b""),
        (104, b"\x01"),
    ):
        stream = lab.connect("10.0.0.77", "10.0.0.21", port)
        if data:
            lab.wait(0.001)
            stream.add(lab.time, 0, "data", data)
        lab.wait(0.01)
        stream.add(lab.time, 0, "fin")
        stream.add(lab.time + 0.001, 1, "fin")
        lab.wait(0.01)
    vx.verify(PACS2)


@good("vxvue", config=CONFIG, passes="VX-ASC-013 VX-ASC-014")
def vx_receiver(lab: Lab) -> None:
    """Others ask VXvue's receiver for what it serves, for a mixture, and for what it does not serve."""
    vx = VXvue(lab)
    vx.be_verified(PACS)
    lab.wait(1)
    a = vx.accept(PACS2, [(VERIFICATION, [EXPLICIT_LE]), (DX, [EXPLICIT_LE]), (WORKLIST, [EXPLICIT_LE])])
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()
    lab.wait(1)
    vx.accept(PACS, [(DX, [EXPLICIT_LE])]).release()
    lab.wait(1)
    b = lab.associate(
        client="10.0.0.21", server=vx.address, calling="PACS", called="VXVUE", contexts=[(DX, [EXPLICIT_LE])],
        implementation_class="1.2.3", user_items=[RoleSelection(DX, 0, 1)],
    )  # fmt: skip
    b.reject(1, 1, 1)


@good("vxvue", config={"oem_manufacturer": "Example Imaging"}, passes=["VX-STO-DX-062"])
def vx_oem(lab: Lab) -> None:
    """The product is sold by an OEM, whose name is configured."""

    def rename(out: object) -> None:
        dataset = getattr(out, "dataset", None)
        if dataset is not None and getattr(out, "name", "") == "C-STORE-RQ":
            dataset.put("Manufacturer", "Example Imaging")

    lab.edit(rename)
    VXvue(lab).exam(exam(number=100), commitment=None)
