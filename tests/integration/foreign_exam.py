"""Body of a sandbox: the reference console does an exam against peers that nobody here wrote.

Front end: the simulated detector, generator and hand switch.  Behind: DCMTK's wlmscpfs as RIS, and DCMTK's storescp or
Orthanc as archive, each in the namespace of its host.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.doctor import dcmtk

PORT = 104


def main(channel: Any, argument: Mapping[str, Any]) -> int:
    """Do the exam; send what the console claims to have made."""
    from bench.links import netns
    from bench.links.spec import standard
    from bench.links.veth import VethNetwork
    from bench.plan import ActorPlan, HostPlan
    from bench.runner.actors import Host
    from bench.runner.devices import specs
    from bench.sut import ReferenceSut
    from simulators.detector import Config as DetectorConfig
    from simulators.detector import write_factory_calibration

    folder = Path(argument["folder"])
    spec = standard(hosts=("modality", "ris", "pacs", "frontend"))
    fds = {host: netns.create() for host in spec.hosts}
    network = VethNetwork(spec, fds, argument["backend"])
    network.up()
    front = network.address("frontend")
    detector = {"host": front, "width": 1024, "height": 1024, "bits": 14, "serial": "FOREIGN"}
    actors = (
        ActorPlan("world", "world", {"phantom": "chest"}),
        ActorPlan("detector", "detector", detector),
        ActorPlan("generator", "generator", {"host": front, "prep_ms": 100}),
        ActorPlan("panel", "panel", {}),
    )
    host = Host.fork(
        "frontend", specs(HostPlan("frontend", front, actors)), lambda: netns.enter(fds["frontend"])
    )
    threading.Thread(target=host.listen, args=(lambda *event: None,), daemon=True).start()
    panel = DetectorConfig.from_dict(detector)
    disc = folder / "disc"
    disc.mkdir()
    write_factory_calibration(panel, disc)
    with netns.inside(fds["ris"]):
        ris = worklist_server(folder / "worklist", argument["item"], folder / "ris.log")
    with netns.inside(fds["pacs"]):
        archive = archive_server(argument["archive"], folder)
    host.wait_up(30)
    for name in ("ris", "pacs"):
        with netns.inside(fds["modality"]):
            wait_for(network.address(name), PORT)
    config = {
        "ae_title": "VXVUE",
        "receiver": {"enabled": False},
        "worklist": {"ae_title": "RIS", "host": network.address("ris"), "port": PORT},
        "storage": [{"name": "pacs", "ae_title": "ARCHIVE", "host": network.address("pacs"), "port": PORT}],
        "detector": {
            "address": front,
            "local_address": network.address("modality", "detector"),
            "counts_per_ugy": panel.sensitivity,
            "calibration": str(disc),
        },
        "generator": {"url": host.endpoints["generator"]["url"]},
    }

    def inside() -> contextlib.AbstractContextManager[None]:
        return netns.inside(fds["modality"])

    warnings: list[Any] = []

    def claim(stamp: int, kind: str, data: dict[str, Any]) -> None:
        if kind == "modality.warning":
            warnings.append(data)

    sut = ReferenceSut("vxvue", config, folder, inside, lambda kind, data: None, claim)
    sut.start()

    def do(verb: str, **args: Any) -> Mapping[str, Any]:
        answer = sut.do(verb, args, 60)
        assert answer.ok, f"{verb}: {answer.error}; warnings: {warnings}"
        return answer.result

    verified = do("verify", peer="pacs")
    found = do("query_worklist")
    do("start_exam", AccessionNumber=argument["accession"])
    do("prepare", view="PA", body_part="CHEST")
    host.command("panel", "expose", {}, 60)
    image = do("wait_image", timeout=60)
    do("accept")
    do("complete")
    sent = do("send", wait=30)
    channel.send(
        {
            "worklist": found["count"],
            "verified": verified,
            "image": dict(image),
            "sent": dict(sent),
            "warnings": warnings,
        }
    )
    assert sut.stop() is None
    assert host.stop() is None
    for server in (ris, archive):
        server.terminate()
        server.wait(20)
    return 0


def worklist_server(folder: Path, item: str, log: Path) -> subprocess.Popen[bytes]:
    """DCMTK's worklist server with one item, as text for dump2dcm."""
    place = folder / "RIS"
    place.mkdir(parents=True)
    (place / "lockfile").touch()
    dump = folder / "item.dump"
    dump.write_bytes(item.encode("latin-1"))
    subprocess.run(
        [str(dcmtk("dump2dcm")), str(dump), str(place / "item.wl")], check=True, capture_output=True
    )
    with open(log, "wb") as output:
        command = [str(dcmtk("wlmscpfs")), "-v", "-dfp", str(folder), str(PORT)]
        return subprocess.Popen(command, stdout=output, stderr=output)


def archive_server(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    """DCMTK's storescp, or Orthanc."""
    store = folder / "store"
    store.mkdir()
    with open(folder / "archive.log", "wb") as output:
        if kind == "storescp":
            command = [str(dcmtk("storescp")), "-v", "-aet", "ARCHIVE", "-od", str(store), str(PORT)]
        else:
            settings = {
                "Name": "archive",
                "StorageDirectory": str(store),
                "IndexDirectory": str(store),
                "StorageCompression": False,
                "DicomAet": "ARCHIVE",
                "DicomCheckCalledAet": True,
                "DicomAlwaysAllowStore": True,
                "DicomPort": PORT,
                "HttpServerEnabled": False,
                "Plugins": [],
            }
            file = folder / "orthanc.json"
            file.write_text(json.dumps(settings))
            program = shutil.which("Orthanc") or "Orthanc"
            command = [program, "--verbose", str(file)]
        return subprocess.Popen(command, stdout=output, stderr=output)


def wait_for(address: str, port: int, timeout: float = 30.0) -> None:
    """Wait until somebody else's server takes connections; it has no other way to say so."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
