"""Who the SUT is: captures of one modality and its peers, and those where it cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import witness
from bench.checks.case import SutConfig
from bench.judge.who import NoSut, candidates, choose, class_uids
from bench.statements import load
from bench.witness.model import Capture
from tests.lab.conversation import Lab
from tests.lab.elements import DataSet

VXVUE = load("vxvue")
LE = "1.2.840.10008.1.2.1"
ECHO = "1.2.840.10008.1.1"
MWL = "1.2.840.10008.5.1.4.31"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
COMMIT = "1.2.840.10008.1.20.1"
MODALITY, PACS, RIS, ARCHIVE = "10.0.0.5", "10.0.0.9", "10.0.0.8", "10.0.0.10"


def read(lab: Lab, tmp_path: Path) -> Capture:
    path = tmp_path / "lab.pcapng"
    lab.write(path)
    return witness.read(path)


def echo(lab: Lab, client: str, server: str, calling: str = "TEST", called: str = "PACS") -> None:
    a = lab.associate(client=client, server=server, calling=calling, called=called, contexts=[(ECHO, [LE])])
    a.accept()
    a.request("C-ECHO-RQ")
    a.respond()
    a.release()


def store(lab: Lab, client: str, server: str, uid: str, calling: str = "VXVUE", called: str = "PACS") -> None:
    a = lab.associate(client=client, server=server, calling=calling, called=called, contexts=[(DX, [LE])])
    a.accept()
    data = DataSet(SOPClassUID=DX, SOPInstanceUID=uid, PatientID="P1")
    a.request("C-STORE-RQ", data, sop_class=DX, sop_instance=uid)
    a.respond()
    a.release()


def report(lab: Lab, role: bool) -> None:
    """An archive opens an association to report a commitment."""
    from simulators.wire import RoleSelection

    items = [RoleSelection(COMMIT, 0, 1)] if role else []
    a = lab.associate(
        client=PACS,
        server=MODALITY,
        calling="PACS",
        called="VXVUE",
        contexts=[(COMMIT, [LE])],
        user_items=items,
    )
    a.accept()
    data = DataSet(TransactionUID="1.2.3")
    a.request(
        "N-EVENT-REPORT-RQ", data, sop_class=COMMIT, sop_instance="1.2.840.10008.1.20.1.1", EventTypeID=1
    )
    a.respond()
    a.release()


def test_the_modality_is_found_among_its_peers(tmp_path: Path) -> None:
    """Monitoring pings and commitment reports are more, and still no modality."""
    lab = Lab()
    for _ in range(5):
        echo(lab, ARCHIVE, MODALITY, "MONITOR", "VXVUE")
    store(lab, MODALITY, PACS, "1.2.3.4")
    for role in (True, False, False):
        report(lab, role)
    sut = choose(read(lab, tmp_path), VXVUE)
    assert sut.addresses == {MODALITY}
    assert sut.ae_titles == {"VXVUE"}
    assert "1" in sut.why
    assert ARCHIVE in sut.why


def test_who_hands_on_is_no_modality(tmp_path: Path) -> None:
    """An archive that forwards in more associations than it received in stays an archive."""
    lab = Lab()
    store(lab, MODALITY, PACS, "1.2.3.4")
    for _ in range(3):
        store(lab, PACS, ARCHIVE, "1.2.3.4", "PACS", "ARCHIVE")
    capture = read(lab, tmp_path)
    assert choose(capture, VXVUE).addresses == {MODALITY}
    assert "hands on 3 objects" in str(candidates(capture, VXVUE)[1])


def test_a_tie_lists_the_candidates(tmp_path: Path) -> None:
    """Two modalities in one capture: a person must say which."""
    lab = Lab()
    store(lab, MODALITY, PACS, "1.2.3.4", "VXVUE")
    store(lab, "10.0.0.6", PACS, "1.2.3.5", "OTHER")
    capture = read(lab, tmp_path)
    with pytest.raises(NoSut) as error:
        choose(capture, VXVUE)
    text = str(error.value)
    assert "10.0.0.5 (AE title VXVUE)" in text
    assert "10.0.0.6 (AE title OTHER)" in text
    assert "--who" in text
    assert choose(capture, VXVUE, "OTHER").addresses == {"10.0.0.6"}
    known = SutConfig({"ae_titles": ("OTHER",)}, "site.yaml")
    assert choose(capture, VXVUE, config=known).addresses == {"10.0.0.6"}
    known = SutConfig({"address": ("10.0.0.5",)}, "site.yaml")
    assert choose(capture, VXVUE, config=known).addresses == {MODALITY}


def test_nobody_lists_the_candidates(tmp_path: Path) -> None:
    """A capture of another service names who speaks in it."""
    lab = Lab()
    a = lab.associate(
        client=MODALITY,
        server=PACS,
        calling="CT",
        called="PACS",
        contexts=[("1.2.840.10008.5.1.4.1.1.2", [LE])],
        implementation_class="1.2.3.4",
    )
    a.accept()
    a.release()
    with pytest.raises(NoSut, match="nobody in this capture requests a service") as error:
        choose(read(lab, tmp_path), VXVUE)
    assert "(AE title CT)" in str(error.value)


def test_two_modalities_behind_one_address(tmp_path: Path) -> None:
    """--who AE takes only what is spoken under this title when others share the address."""
    lab = Lab()
    store(lab, MODALITY, PACS, "1.2.3.4", "VXVUE")
    store(lab, MODALITY, PACS, "1.2.3.5", "VXVUE2")
    capture = read(lab, tmp_path)
    sut = choose(capture, VXVUE, "VXVUE2")
    assert (sut.addresses, sut.ae_titles) == (frozenset(), {"VXVUE2"})
    assert choose(capture, VXVUE, MODALITY).ae_titles == {"VXVUE", "VXVUE2"}
    both = choose(capture, VXVUE)
    assert both.addresses == {MODALITY}
    assert "VXVUE, VXVUE2" in both.why


def test_both_ends_on_one_host(tmp_path: Path) -> None:
    """On loopback AE titles decide."""
    lab = Lab()
    store(lab, "127.0.0.1", "127.0.0.1", "1.2.3.4")
    echo(lab, "127.0.0.1", "127.0.0.1", "PACS", "VXVUE")
    sut = choose(read(lab, tmp_path), VXVUE)
    assert (sut.addresses, sut.ae_titles) == (frozenset(), {"VXVUE"})


def test_tools_on_one_host_are_one_modality(tmp_path: Path) -> None:
    """Whatever echoscu, findscu and storescu call themselves; the archive there stays apart."""
    lab = Lab()
    here = "127.0.0.1"
    echo(lab, here, here, "ECHOSCU")
    store(lab, here, here, "1.2.3.4", "STORESCU")
    store(lab, here, here, "1.2.3.5", "STORESCU2")
    echo(lab, here, here, "PACS", "OTHER")
    store(lab, here, here, "1.2.3.4", "PACS", "ARCHIVE")
    sut = choose(read(lab, tmp_path), VXVUE)
    assert (sut.addresses, sut.ae_titles) == (frozenset(), {"ECHOSCU", "STORESCU", "STORESCU2"})


def test_a_product_that_is_only_called_is_known_by_its_uid(tmp_path: Path) -> None:
    """Whoever announces the Implementation Class UID of the statement is the product."""
    assert class_uids(VXVUE) == {"1.3.6.1.4.1.19719"}
    assert class_uids(load("mx1")) == {"1.2.392.200036.9107.804"}
    lab = Lab()
    for _ in range(3):
        a = lab.associate(
            client=PACS,
            server=MODALITY,
            calling="PACS",
            called="VXVUE",
            contexts=[(ECHO, [LE])],
            implementation_class="1.2.276.0.7230010.3.0.3.6.8",
        )
        a.accept(implementation_class="1.3.6.1.4.1.19719")
        a.request("C-ECHO-RQ")
        a.respond()
        a.release()
    sut = choose(read(lab, tmp_path), VXVUE)
    assert sut.addresses == {MODALITY}
    assert "alone announces the Implementation Class UID" in sut.why


def test_named_by_what_is_not_there(tmp_path: Path) -> None:
    """A wrong name is told with the nearest right one."""
    lab = Lab()
    store(lab, MODALITY, PACS, "1.2.3.4")
    capture = read(lab, tmp_path)
    with pytest.raises(NoSut, match="did you mean 'VXVUE'"):
        choose(capture, VXVUE, "VXVEU")
    with pytest.raises(NoSut, match=r"no TCP connection of this capture has this address"):
        choose(capture, VXVUE, "10.9.9.9")
    with pytest.raises(NoSut, match="MAC"):
        choose(capture, VXVUE, "00-11-22-33-44-FF")
    mac = capture.associations[0].requestor_mac
    assert mac is not None
    assert choose(capture, VXVUE, mac.upper().replace(":", "-")).addresses == {mac.lower()}
