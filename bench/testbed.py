"""Testbed files: what stands in the lab, and at which fidelity (docs/testbeds.md).

Rules of this file:

* A testbed knows addresses, interfaces and devices, and no scenario.
* Without a file the built-in virtual testbed is used: :data:`VIRTUAL`.
* All faults of a file are found in one go, as ``file:line: message``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.scenario.fields import INVALID, SIZE, Context, Enum, Field, ListOf, Number, Record, Text
from bench.scenario.problems import Problems, TestbedErrors, did_you_mean, shorten
from bench.scenario.setup import MODALITY_FIELDS
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node, describe, parse, read_text
from bench.scenario.spec import LINK_HOSTS, LINK_MODE, PEERS, PRODUCT

LINK_BACKENDS: Final[dict[str, str]] = {
    "nic": "a network interface of this machine with a cable to the device",
    "wire": "a TAP wire that the bench itself switches",
    "veth": "a pair of virtual interfaces in network namespaces (root)",
    "userns": "the same in a user namespace (no root)",
    "loopback": "127.0.0.1 with configured ports: no link is tested",
}
VOLUME_BACKENDS: Final[dict[str, str]] = {
    "usbsdmux": "a USB-SD-Mux between the device and this machine",
    "gadget": "a USB gadget port of this machine",
    "vm": "the USB and SD stack of a virtual machine",
    "block": "a block device and the kernel's file system",
    "fuse": "FUSE over a FAT image",
    "image": "a FAT image only",
    "folder": "a folder",
}
ADAPTERS: Final[dict[str, str]] = {
    "reference": "the reference modality software of this project, as a process",
    "operator": "a person at the real product, told what to do in sentences",
    "command": "a program that does what it is told on its standard input",
}


@dataclass(frozen=True)
class SutBed:
    """The system under test and how it is driven."""

    adapter: str = "reference"
    product: str | None = None
    serial: str | None = None
    version: str | None = None
    ae: str | None = None
    address: str | None = None
    port: int | None = None
    command: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkBed:
    """One cable; `options` is what else was written (``interface``, ``mode``)."""

    backend: str
    interface: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PeerBed:
    """Where one of the bench's own peers listens on the lab's network."""

    address: str | None = None
    port: int | None = None
    ae: str | None = None


@dataclass(frozen=True)
class SerialBed:
    """One serial line, as a pyserial URL or device name."""

    url: str
    baud: int | None = None


@dataclass(frozen=True)
class VolumeBed:
    """One removable medium; `options` is what else was written."""

    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Testbed:
    """What stands in the lab."""

    __test__ = False  # pytest must not take the name for a test class

    name: str
    file: str = ""
    sut: SutBed = field(default_factory=SutBed)
    links: Mapping[str, LinkBed] = field(default_factory=dict)
    peers: Mapping[str, PeerBed] = field(default_factory=dict)
    serial: Mapping[str, SerialBed] = field(default_factory=dict)
    volumes: Mapping[str, VolumeBed] = field(default_factory=dict)


VIRTUAL: Final = Testbed("virtual")


@dataclass(frozen=True)
class Address(Text):
    """An IP address."""

    say: str = "an IP address like `10.0.0.5`"

    def convert(self, text: str) -> str:
        """Check it."""
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            raise ValueError(f"'{shorten(text)}' is not {self.say}") from None


@dataclass(frozen=True)
class SerialUrl(Text):
    """A pyserial URL, or the name of a device."""

    say: str = "a serial line like `/dev/ttyUSB0`, `COM3`, `rfc2217://host:port` or `socket://host:port`"

    def convert(self, text: str) -> str:
        """Check it."""
        network = re.fullmatch(r"(rfc2217|socket)://[A-Za-z0-9.:\[\]-]{1,253}:(\d{1,5})(\?.*)?", text)
        if network is not None and 0 < int(network[2]) < 65536:
            return text
        if re.fullmatch(r"/dev/[A-Za-z0-9_./-]{1,100}|COM\d{1,3}", text) and ".." not in text:
            return text
        raise ValueError(f"'{shorten(text)}' is not {self.say}")


_AE: Final = Text("an AE title (1 to 16 ASCII characters)", r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")
_PORT: Final = Number(whole=True, low=1, high=65535)
_INTERFACE: Final = Text("the name of a network interface", r"[A-Za-z0-9_.:@-]{1,15}")
_LABEL: Final = Text("a short text", longest=64)

SUT: Final = Record(
    (
        Field("adapter", Enum(tuple(ADAPTERS), "adapter"), "who drives it", required=True),
        Field("product", PRODUCT, "which product it is (else what the scenario says)"),
        Field("serial", _LABEL, "its serial number, for the report"),
        Field("version", _LABEL, "its software version, for the report"),
        Field("ae", _AE, "its AE title"),
        Field("address", Address(), "its address on the hospital LAN"),
        Field("port", _PORT, "port of its DICOM receiver"),
        Field(
            "command",
            ListOf(Text("a word", longest=4096), most=64),
            "program and arguments (adapter `command`)",
        ),
        Field("config", Record(MODALITY_FIELDS), "how it is configured, so that the judge knows"),
    )
)
LINK: Final = Record(
    (
        Field("backend", Enum(tuple(LINK_BACKENDS), "link backend"), "what the cable is", required=True),
        Field("interface", _INTERFACE, "the interface (backends `nic` and `wire`)"),
        Field("mode", LINK_MODE, "the only mode it can do"),
    )
)
PEER: Final = Record(
    (
        Field("address", Address(), "where this peer of the bench listens"),
        Field("port", _PORT, "its port"),
        Field("ae", _AE, "its AE title, as configured in the SUT"),
    )
)
SERIAL: Final = Record(
    (
        Field("url", SerialUrl(), "the line", required=True),
        Field("baud", Number(whole=True, low=300, high=4_000_000), "its speed"),
    )
)
VOLUME: Final = Record(
    (
        Field("backend", Enum(tuple(VOLUME_BACKENDS), "volume backend"), "what the medium is", required=True),
        Field("serial", _LABEL, "serial number of the mux"),
        Field("device", Text("a device like `/dev/sda`", r"/dev/[A-Za-z0-9_/-]{1,100}"), "the block device"),
        Field("path", Text("a path", longest=4096), "the image or folder"),
        Field("size", SIZE, "size of a medium that the bench makes"),
    )
)
GROUPS: Final[dict[str, tuple[tuple[str, ...], Record, str]]] = {
    "links": (LINK_HOSTS, LINK, "cables"),
    "peers": (PEERS, PEER, "where the bench's own peers listen"),
    "serial": (("generator",), SERIAL, "serial lines"),
    "volumes": (("usb", "sd"), VOLUME, "removable media"),
}
TOP_LEVEL: Final = ("testbed", "sut", *GROUPS)


def load_testbed(path: Path | str, *, label: str | None = None) -> Testbed:
    """Read a testbed file; raises :class:`TestbedErrors` with every fault."""
    path = Path(path)
    problems = Problems(label or str(path))
    text = read_text(path, problems)
    if text is None:
        raise TestbedErrors(problems.found)
    return load_testbed_text(text, file=problems.file)


def load_testbed_text(text: str, *, file: str = "<text>") -> Testbed:
    """Read a testbed from text; raises :class:`TestbedErrors` with every fault."""
    problems = Problems(file)
    root = parse(text, problems)
    testbed = None
    if root is not None:
        testbed = _read(root, Context(problems, allow_refs=False))
    elif not problems.found:
        problems.add(1, "the file is empty")
    if problems.found or testbed is None:
        raise TestbedErrors(problems.found)
    return testbed


def _read(root: Node, ctx: Context) -> Testbed | None:
    problems = ctx.problems
    if not isinstance(root, MappingNode):
        problems.add(root.line, f"a testbed is a mapping with the keys testbed and sut, not {describe(root)}")
        return None
    for key, _ in root.items():
        if key.text not in TOP_LEVEL:
            problems.unknown(key.line, "key", key.text, TOP_LEVEL)
    name_node, sut_node = root.get("testbed"), root.get("sut")
    name: Any = INVALID
    if name_node is None:
        problems.add(root.line, "'testbed' is missing", "the name of this bench")
    else:
        name = Text("a name", r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}").read(name_node, ctx, "testbed")
    sut: Any = {"adapter": "reference"} if sut_node is None else SUT.read(sut_node, ctx, "sut")
    if sut is not INVALID and sut_node is not None:
        _check_sut(sut, sut_node, problems)
    found = {group: _group(root.get(group), group, ctx) for group in GROUPS}
    if problems.found:
        return None
    return Testbed(
        name,
        problems.file,
        SutBed(**sut),
        {
            key: LinkBed(values.pop("backend"), values.pop("interface", None), values)
            for key, values in found["links"].items()
        },
        {key: PeerBed(**values) for key, values in found["peers"].items()},
        {key: SerialBed(**values) for key, values in found["serial"].items()},
        {key: VolumeBed(values.pop("backend"), values) for key, values in found["volumes"].items()},
    )


def _check_sut(sut: Mapping[str, Any], node: Node, problems: Problems) -> None:
    adapter = sut["adapter"]
    if adapter == "command" and not sut.get("command"):
        problems.add(node.line, "sut: adapter 'command' needs 'command': the program and its arguments")
    if adapter != "command" and sut.get("command"):
        problems.add(node.line, f"sut: adapter '{adapter}' runs no 'command'")
    if adapter == "operator":
        for key in ("product", "ae", "address"):
            if key not in sut:
                problems.add(
                    node.line, f"sut: adapter 'operator' needs '{key}': the bench cannot ask the product"
                )


def _group(node: Node | None, group: str, ctx: Context) -> dict[str, dict[str, Any]]:
    names, record, _ = GROUPS[group]
    out: dict[str, dict[str, Any]] = {}
    if node is None:
        return out
    if not isinstance(node, MappingNode):
        ctx.bad(node, f"{group}: expected a mapping of names, not {describe(node)}")
        return out
    for key, value_node in node.items():
        if key.text not in names:
            hint = did_you_mean(key.text, names) or "there are " + ", ".join(names)
            ctx.problems.add(key.line, f"{group}: unknown name '{shorten(key.text)}'", hint)
            continue
        values = record.read(value_node, ctx, f"{group}: {key.text}")
        if values is INVALID:
            continue
        if group == "links":
            physical = values["backend"] in ("nic", "wire")
            if physical and "interface" not in values:
                ctx.problems.add(
                    key.line, f"links: {key.text}: backend '{values['backend']}' needs 'interface'"
                )
            if not physical and "interface" in values:
                ctx.problems.add(
                    key.line, f"links: {key.text}: backend '{values['backend']}' has no 'interface'"
                )
        out[key.text] = dict(values)
    return out
