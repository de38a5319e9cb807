"""What the wire does not show about the SUT (ruling B2): ``--config FILE``, or the run folder.

Rules of this file:

* One list of keys (:data:`CONFIG`) for both sources, for the documentation and for editors.
* A key that is absent is unknown, never false: a check that needs it says so.
* Every fault of a file is told as ``file:line: message``, with the nearest known word.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bench.checks.case import SutConfig
from bench.scenario.fields import (
    DURATION,
    INVALID,
    Bool,
    Context,
    Enum,
    Field,
    ListOf,
    Number,
    Record,
    Text,
)
from bench.scenario.problems import InputErrors, Problems, did_you_mean, shorten
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import describe, parse, read_text
from bench.scenario.spec import CHARSET
from bench.statements.model import Statement

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ConfigErrors(InputErrors):
    """A configuration file cannot be used."""


@dataclass(frozen=True)
class _Address(Text):
    """An IP address or a host's MAC address, written in lower case."""

    say: str = "an IP address like `10.0.0.5`"
    longest: int = 64

    def convert(self, text: str) -> str:
        """Check it."""
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            raise ValueError(f"'{shorten(text)}' is not {self.say}") from None


_AE: Final = Text("an AE title (1 to 16 ASCII characters)", r"[ -\[\]-~]{0,15}[!-\[\]-~]")
_NAME: Final = Text("a short text", longest=64)
_PORT: Final = Number(whole=True, low=1, high=65535)
_PEER_FIELDS: Final = (
    Field("ae_title", _AE, "its AE title, as configured in the product"),
    Field("address", _Address(), "its IP address"),
    Field("port", _PORT, "its TCP port"),
    Field("calling", _AE, "the product's own AE title towards it, where it is not `ae_title`"),
)
PEER: Final = Record(_PEER_FIELDS)
_KEYWORD: Final = Text(
    "keywords with a path, like `ScheduledProcedureStepSequence.Modality`", r"[A-Z]\w*(\.[A-Z]\w*)*"
)

CONFIG: Final = Record(
    (
        Field("reference", Bool(), "it is the reference software of this project: defaults are binding"),
        Field("ae_title", _AE, "the product's own AE title"),
        Field("ae_titles", ListOf(_AE), "all its AE titles, when it has several"),
        Field("address", ListOf(_Address()), "its IP addresses"),
        Field("receiver", Bool(), "its DICOM receiver is on"),
        Field("receiver_port", _PORT, "the port of its receiver"),
        Field("worklist", PEER, "the worklist SCP"),
        Field("mpps", PEER, "the MPPS SCP"),
        Field(
            "storage",
            ListOf(
                Record(
                    (
                        *_PEER_FIELDS,
                        Field("name", _NAME, "what the operator calls it"),
                        Field("commitment", PEER, "who commits to what is stored there"),
                    )
                )
            ),
            "the destinations of images, in their order",
        ),
        Field("commitment", PEER, "the storage commitment SCP of every destination without its own"),
        Field("printer", PEER, "the print SCP"),
        Field("query", PEER, "the query/retrieve SCP"),
        Field("verification", PEER, "the peer that the operator verifies"),
        Field("charset", CHARSET, "Specific Character Set of what is entered by hand"),
        Field("species", Enum(("human", "veterinary")), "who is examined (VXvue: Species)"),
        Field("variants", ListOf(_NAME), "variants of the statement that this product is (MX1: `V1.10`)"),
        Field("software_version", _NAME, "its software version"),
        Field("serial", _NAME, "its serial number"),
        Field("tester", _NAME, "who judges it: for the report"),
        Field("manufacturer", _NAME, "Manufacturer (0008,0070) as configured"),
        Field("oem_manufacturer", _NAME, "the name of the OEM that sells it, when configured"),
        Field("station_name", Text("a name", longest=16), "Station Name (0008,1010)"),
        Field("institution", _NAME, "Institution Name (0008,0080)"),
        Field("bits_stored", Number(whole=True, low=1, high=32), "Bits Stored (0028,0101)"),
        Field("laterality", Enum(("L", "R", "B", "U"), "laterality"), "Image Laterality by default"),
        Field("trim", Bool(), "the print option Trim is on"),
        Field(
            "image_display_format",
            Text("a film layout like `STANDARD\\1,1`", r"[A-Z]+(\\\d+(,\d+)*)?"),
            "Image Display Format (2010,0010)",
        ),
        Field("worklist_keys_removed", ListOf(_KEYWORD), "worklist keys that were switched off"),
        Field("worklist_keys_added", ListOf(_KEYWORD), "worklist keys that were added"),
        Field("auto_send", Enum(("complete", "accept", "off"), "moment"), "when images are sent"),
        Field("auto_retry", Bool(), "it sends again by itself after a failure"),
        Field("retry_interval", DURATION, "pause between automatic retries"),
        Field(
            "timeouts",
            Record(
                tuple(
                    Field(name, DURATION, doc)
                    for name, doc in (
                        ("connect", "TCP connect"),
                        ("association", "answer to A-ASSOCIATE-RQ"),
                        ("dimse", "answer to a DIMSE request"),
                        ("idle", "silence on an association"),
                    )
                )
            ),
            "its timeouts",
        ),
        Field(
            "max_pdu",
            Record(
                (
                    Field("receive", Number(whole=True, low=0, high=2**31), "the maximum that it announces"),
                    Field("send", Number(whole=True, low=0, high=2**31), "the longest PDU that it sends"),
                )
            ),
            "PDU sizes, where they are settings",
        ),
        Field("medium", Enum(("usb", "sd", "cd", "dvd"), "medium"), "the kind of the removable medium"),
    )
)
"""Every key of a configuration; docs/judge.md lists them (a test compares)."""


def load_config(path: Path | str, statement: Statement | None = None) -> SutConfig:
    """Read a configuration file.

    Args:
        path: YAML with the keys of :data:`CONFIG`.
        statement: whose ``variants`` are known; without it they are not compared.

    Raises:
        ConfigErrors: every fault with file and line.
    """
    path = Path(path)
    problems = Problems(str(path))
    text = read_text(path, problems)
    if text is None:
        raise ConfigErrors(problems.found)
    return load_config_text(text, str(path), statement)


def load_config_text(text: str, file: str = "<text>", statement: Statement | None = None) -> SutConfig:
    """Read a configuration from text; see :func:`load_config`."""
    problems = Problems(file)
    root = parse(text, problems)
    if root is None and not problems.found:
        root = MappingNode(1)
    values: Any = INVALID
    if isinstance(root, MappingNode):
        values = CONFIG.read(root, Context(problems, allow_refs=False), "configuration")
        _variants(root, values, statement, problems)
    elif root is not None:
        problems.add(root.line, f"a configuration is a mapping of settings, not {describe(root)}")
    if problems.found or values is INVALID:
        raise ConfigErrors(problems.found)
    return SutConfig(completed(values), file)


def _variants(root: MappingNode, values: Any, statement: Statement | None, problems: Problems) -> None:
    if values is INVALID or statement is None:
        return
    known = statement.product.variants
    node = root.get("variants")
    for name in values.get("variants", ()):
        if name not in known and node is not None:
            hint = did_you_mean(name, known) or (
                "there are " + ", ".join(known) if known else "the statement has none"
            )
            problems.add(node.line, f"configuration: unknown variant '{shorten(name)}'", hint)


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Say the same thing under each key that a check may ask for: one AE title is the list of all, and so on."""
    out = dict(values)
    if isinstance(out.get("charset"), str):
        out["charset"] = tuple(out["charset"].split("\\"))
    if "species" in out and "variants" not in out:
        out["variants"] = ("veterinary",) if out["species"] == "veterinary" else ()
    elif out.get("variants") and "veterinary" in out["variants"]:
        out.setdefault("species", "veterinary")
    if "ae_title" in out:
        out.setdefault("ae_titles", (out["ae_title"],))
    if "storage" in out and "commitment" in out:
        out["storage"] = tuple({"commitment": out["commitment"], **peer} for peer in out["storage"])
    return out


def load_modality(path: Path | str, product: str = "") -> SutConfig:
    """Read how the reference modality of a run was configured (``modality.yaml`` of a cell).

    *product* is the name of its statement: its settings have other defaults.

    Raises:
        ConfigErrors: it cannot be read.
    """
    path = Path(path)
    problems = Problems(path.name)
    text = read_text(path, problems)
    try:
        found = yaml.load(text, Loader=_LOADER) if text is not None else None  # noqa: S506  # a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problems.add(mark.line + 1 if mark else 1, "not YAML")
        found = None
    if not isinstance(found, dict):
        if not problems.found:
            problems.add(1, "no mapping of settings")
        raise ConfigErrors(problems.found)
    return SutConfig(from_modality(found, product), path.name)


def from_modality(settings: Mapping[str, Any], product: str = "") -> dict[str, Any]:
    """Return the settings of the reference modality under the keys of :data:`CONFIG`.

    Every setting of the reference software that has a default is known, also when the file does not name it.
    """
    out = _mx1(settings) if product == "mx1" else _vxvue(settings)
    out |= {
        "reference": True,
        "auto_retry": bool(settings.get("auto_retry", False)),
        "storage": tuple(_peer(peer) for peer in settings.get("storage") or ()),
    }
    for name in ("worklist", "mpps", "commitment", "printer", "query"):
        if isinstance(settings.get(name), Mapping):
            out[name] = _peer(settings[name])
    for name in ("station_name", "institution", "manufacturer", "oem_manufacturer", "auto_send"):
        if settings.get(name) not in (None, ""):
            out[name] = settings[name]
    if isinstance(settings.get("timeouts"), Mapping):
        out["timeouts"] = dict(settings["timeouts"])
    return completed({**out, "charset": "\\".join(out["charset"])})


def _vxvue(settings: Mapping[str, Any]) -> dict[str, Any]:
    receiver = settings.get("receiver") or {}
    out: dict[str, Any] = {
        "ae_title": str(settings.get("ae_title", "VXVUE")),
        "receiver": bool(receiver.get("enabled", True)),
        "charset": _terms(settings.get("charset", "ISO_IR 192")),
        "species": "veterinary" if settings.get("species") == "veterinary" else "human",
        "bits_stored": int(settings.get("bits_stored", 14)),
        "laterality": str(settings.get("laterality", "U")),
        "trim": bool(settings.get("trim", False)),
    }
    if receiver.get("port"):
        out["receiver_port"] = int(receiver["port"])
    if receiver.get("host"):
        out["address"] = (str(receiver["host"]),)
    return out


def _mx1(settings: Mapping[str, Any]) -> dict[str, Any]:
    version = str(settings.get("version", "1.20"))
    return {
        "ae_title": str(settings.get("ae_title", "MX1")),
        "receiver": False,
        "charset": _terms(settings.get("charset", ("", "ISO 2022 IR 87"))),
        "software_version": version,
        "variants": ("V1.10",) if version == "1.10" else (),
    }


def _terms(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split("\\"))
    return tuple(str(term or "") for term in value or ("",))


def _peer(settings: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for mine, theirs in (("ae_title", "ae_title"), ("address", "host"), ("port", "port"), ("name", "name")):
        if settings.get(theirs) not in (None, ""):
            out[mine] = settings[theirs]
    if isinstance(settings.get("commitment"), Mapping):
        out["commitment"] = _peer(settings["commitment"])
    return out


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Modality Bench: what the judge is told about a product",
        **CONFIG.schema(),
    }


__all__ = [
    "CONFIG",
    "ConfigErrors",
    "completed",
    "config_schema",
    "from_modality",
    "load_config",
    "load_config_text",
    "load_modality",
]
