"""Record DCMTK's tools in the role of a modality: ``python -m tests.lab.record_dcmtk FOLDER`` (root, dumpcap, ip).

Two fresh network namespaces joined by a veth pair, nothing of the host is touched: 10.0.0.5 is the modality, 10.0.0.9
the peer, dumpcap records on the modality's side.  Ports, times and UIDs of the tools differ from run to run, so these
captures are recorded once and committed; what a judge must say of them stands in their manifests (`dcmtk-*.yaml`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.doctor import dcmtk
from tests.lab.conversation import START
from tests.lab.elements import DataSet, part10
from tests.lab.products.facts import PERSONS, Exam, Exposure
from tests.lab.products.vxvue import study_keys, worklist_item, worklist_keys
from tests.lab.products.vxvue_objects import dx_image

MODALITY: Final = "10.0.0.5"
PEER: Final = "10.0.0.9"
PORT: Final = "11112"
PRINTER_CFG: Final = """
[[GENERAL]]
[PRINT]
Spooler = dcmprscu
Server = dcmprscp
Directory = {spool}
DetailedLog = false
BinaryLog = false
DeletePrintJobs = false
[DATABASE]
Directory = {database}
[LUT]
Directory = {spool}
[NETWORK]
aetitle = VXVUE
[[COMMUNICATION]]
[FILM]
Type = {kind}
Hostname = {peer}
Port = 11112
Description = film
AETitle = PRINTER
DisableNewVRs = false
FilmDestination = PROCESSOR\\MAGAZINE
FilmSizeID = 14INX17IN\\8INX10IN
ImplicitOnly = false
MagnificationType = CUBIC\\BILINEAR
MaxDensity = 400
MaxPDU = 16384
MediumType = BLUE FILM\\CLEAR FILM
MinDensity = 40
OmitSOPClassUIDFromCreateResponse = false
PresentationLUTinFilmSession = false
PresentationLUTMatchRequired = false
PresentationLUTPreferSCPRendering = false
SmoothingType = NORMAL
SupportsPresentationLUT = false
Supports12Bit = true
SupportsDecimateCrop = false
SupportsImageSize = false
SupportsTrim = false
BorderDensity = BLACK\\WHITE
BlockImageBoxes = false
"""


class Stage:
    """The two namespaces; everything here runs inside the modality's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.other = self._start("unshare", "-n", "sleep", "600")
        time.sleep(0.3)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        self.run("ip", "link", "set", "v1", "netns", str(self.other.pid))
        self.run("ip", "addr", "add", f"{MODALITY}/24", "dev", "v0")
        self.run("ip", "link", "set", "v0", "up")
        self.there("ip", "addr", "add", f"{PEER}/24", "dev", "v1")
        self.there("ip", "link", "set", "v1", "up")

    def _start(self, *command: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
        self.running.append(process)
        return process

    def run(self, *command: str, check: bool = True, cwd: Path | None = None) -> None:
        """Run something here."""
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=60, check=False, cwd=cwd
        )
        if check and done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")

    def there(self, *command: str) -> None:
        """Run something in the peer's namespace."""
        self.run("nsenter", "-t", str(self.other.pid), "-n", *command)

    def peer(self, name: str, *options: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a server in the peer's namespace."""
        process = self._start("nsenter", "-t", str(self.other.pid), "-n", tool(name), *options, cwd=cwd)
        time.sleep(1.0)
        return process

    def record(self, name: str, act: Callable[[], None]) -> None:
        """Record what happens into NAME.pcapng."""
        path = self.folder / f"{name}.pcapng"
        recorder = self._start("dumpcap", "-q", "-i", "v0", "-f", "tcp", "-w", str(path))
        time.sleep(1.0)
        act()
        time.sleep(0.8)
        recorder.terminate()
        recorder.wait(10)
        print(path, path.stat().st_size)

    def end(self) -> None:
        """Stop what was started."""
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                process.wait(10)


def tool(name: str) -> str:
    """The path of a DCMTK program."""
    path = dcmtk(name)
    if path is None:
        raise SystemExit(f"DCMTK's {name} is not installed")
    return path


def _file(folder: Path, name: str, dataset: DataSet) -> str:
    path = folder / name
    path.write_bytes(part10(dataset))
    return str(path)


def _all(stage: Stage, work: Path) -> None:
    exam = Exam(
        PERSONS["latin1"], exposures=(Exposure(rows=12, columns=16), Exposure(2, "LL", rows=16, columns=12))
    )
    images = [_file(work, f"image{e.number}.dcm", dx_image(exam, e, mpps=False)) for e in exam.exposures]
    to = ("-aet", "VXVUE", "-aec", "PACS", PEER, PORT)

    def act(name: str, *options: str, cwd: Path | None = None) -> Callable[[], None]:
        return lambda: stage.run(tool(name), *options, check=False, cwd=cwd)

    archive = work / "archive"
    archive.mkdir()
    server = stage.peer("storescp", "-aet", "PACS", "-od", str(archive), PORT)
    stage.record("dcmtk-echo", act("echoscu", *to))
    stage.record("dcmtk-echo-abort", act("echoscu", "--abort", *to))
    stage.record("dcmtk-echo-thrice", act("echoscu", "--repeat", "3", *to))
    stage.record("dcmtk-echo-long-pdu", act("echoscu", "-pdu", "32768", *to))
    stage.record("dcmtk-store", act("storescu", "-R", *to, *images))
    stage.record("dcmtk-store-all", act("storescu", *to, images[0]))
    server.terminate()
    server.wait(10)

    server = stage.peer("storescp", "--refuse", "-aet", "PACS", PORT)
    stage.record("dcmtk-echo-refused", act("echoscu", *to))
    server.terminate()
    server.wait(10)

    lists = work / "lists"
    (lists / "RIS").mkdir(parents=True)
    (lists / "RIS" / "lockfile").touch()
    for number, language in enumerate(("latin1", "kanji")):
        item = Exam(PERSONS[language], number=number + 1)
        _file(lists / "RIS", f"item{number}.wl", worklist_item(item))
    keys = _file(work, "keys.dcm", worklist_keys(START - 600, "VXVUE"))
    server = stage.peer("wlmscpfs", "-dfp", str(lists), PORT)
    to = ("-aet", "VXVUE", "-aec", "RIS", PEER, PORT)
    stage.record("dcmtk-worklist", act("findscu", "-W", *to, keys))
    few = ("-k", "PatientName=", "-k", "PatientID=", "-k", "ScheduledProcedureStepSequence[0].Modality=DX")
    stage.record("dcmtk-worklist-few-keys", act("findscu", "-W", *few, *to))
    server.terminate()
    server.wait(10)

    film = work / "film"
    for name in ("spool", "database", "scp-spool", "scp-database"):
        (film / name).mkdir(parents=True)
    mine, theirs = film / "scu.cfg", film / "scp.cfg"
    mine.write_text(
        PRINTER_CFG.format(spool=film / "spool", database=film / "database", peer=PEER, kind="STORAGE")
    )
    text = PRINTER_CFG.format(
        spool=film / "scp-spool", database=film / "scp-database", peer="localhost", kind="LOCALPRINTER"
    )
    theirs.write_text(text)
    mine.write_text(mine.read_text().replace("Type = STORAGE", "Type = PRINTER"))
    server = stage.peer("dcmprscp", "-c", str(theirs), "-p", "FILM", cwd=film)
    stage.run(tool("dcmpsprt"), "-c", str(mine), "-p", "FILM", images[0], cwd=film)
    jobs = [str(path) for path in sorted((film / "database").glob("SP_*"))]
    stage.record("dcmtk-film", act("dcmprscu", "-c", str(mine), "-p", "FILM", *jobs, cwd=film))
    server.terminate()
    server.wait(10)

    if dcmtk("dcmqrscp"):
        config = work / "qr.cfg"
        store = work / "qr"
        store.mkdir()
        config.write_text(
            f"NetworkTCPPort = {PORT}\nMaxPDUSize = 16384\nMaxAssociations = 4\n"
            "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nPACS {store} RW (20, 8mb) ANY\nAETable END\n"
        )
        server = stage.peer("dcmqrscp", "-c", str(config))
        stage.run(tool("storescu"), "-aet", "LOADER", "-aec", "PACS", PEER, PORT, images[0])
        to = ("-aet", "VXVUE", "-aec", "PACS", PEER, PORT)
        keys = _file(work, "study.dcm", study_keys(StudyDate="20250601-20250630"))
        stage.record("dcmtk-query", act("findscu", "-S", *to, keys))
        server.terminate()
        server.wait(10)


def main() -> None:
    """Enter the namespaces, record everything, leave nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if os.environ.get("MODBENCH_RECORDS") != "1":
        environment = {**os.environ, "MODBENCH_RECORDS": "1"}
        command = ["unshare", "-n", sys.executable, "-m", "tests.lab.record_dcmtk", str(options.folder)]
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
    options.folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(options.folder.resolve())
    with tempfile.TemporaryDirectory() as work:
        try:
            _all(stage, Path(work))
        finally:
            stage.end()


if __name__ == "__main__":
    main()
