"""``setup:``: how the modality and the simulators are configured before the first step.

Rules of this file:

* Keys without a device are settings of the modality; a device's name holds settings of that simulator.
* Addresses and ports do not appear: they belong to the testbed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

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
    read_scalar,
)
from bench.scenario.problems import Problems
from bench.scenario.source import Mapping as MappingNode
from bench.scenario.source import Node
from bench.scenario.spec import CHARSET, DESTINATION, MEDIA, PEER, PEERS, PHANTOM, SYNTAX
from bench.scenario.vocabulary_mx1 import ULTRASOUND_SETUP, VOLUME_SETUP

_AE: Final = Text("an AE title (1 to 16 ASCII characters)", r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")
_TIMEOUTS: Final = Record(
    tuple(
        Field(name, DURATION, doc)
        for name, doc in (
            ("connect", "TCP connect"),
            ("association", "answer to A-ASSOCIATE-RQ"),
            ("dimse", "answer to a DIMSE request"),
            ("idle", "silence on an association"),
        )
    )
)

_KINDS: Final = Record(
    tuple(
        Field(name, SYNTAX, doc)
        for name, doc in (("still", "ultrasound images"), ("clip", "clips"), ("screen", "secondary captures"))
    )
)


@dataclass(frozen=True)
class Syntaxes:
    """A transfer syntax for each kind of object; one word is meant for all of them."""

    def convert(self, text: str) -> dict[str, str]:
        """Check one word; clips have no lossless syntax (MX-E-07) and stay as they are without it."""
        word = str(SYNTAX.convert(text))
        return {"still": word, "clip": "explicit" if word == "lossless" else word, "screen": word}

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        if isinstance(node, MappingNode):
            return _KINDS.read(node, ctx, what)
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give both ways to write it."""
        return {"anyOf": [SYNTAX.schema(), _KINDS.schema()]}

    @property
    def words(self) -> str:
        """Say it."""
        return f"{SYNTAX.words}, or a mapping of `still`, `clip`, `screen` to them"


_VERSION: Final = Enum(("1.20", "1.10"), "version")
MODALITY_FIELDS: Final = (
    Field(
        "auto_send",
        Enum(("complete", "accept", "off"), "moment", {"true": "complete", "false": "off"}),
        "when images are sent by themselves: at the end of the exam (`true` too), on acceptance, never (`false` too)",
    ),
    Field("auto_retry", Bool(), "send again by itself after a failure (off: VX-D-09)"),
    Field("retry_interval", DURATION, "pause between automatic retries"),
    Field("storage", ListOf(DESTINATION), "destinations of images, in their order"),
    Field("charset", CHARSET, "Specific Character Set of what is entered by hand"),
    Field("bits_stored", Enum(("12", "14"), "bits stored", whole=True), "Bits Stored (0028,0101) of images"),
    Field(
        "laterality",
        Enum(("L", "R", "B", "U"), "laterality"),
        "Image Laterality unless the view says otherwise",
    ),
    Field("institution", Text("a name", longest=64), "Institution Name (0008,0080)"),
    Field("station_name", Text("a name", longest=16), "Station Name (0008,1010)"),
    Field("ae_title", _AE, "the modality's own AE title"),
    Field("receiver", Bool(), "the modality's DICOM receiver is on"),
    Field("timeouts", _TIMEOUTS, "the modality's timeouts"),
    Field("version", _VERSION, "which software version the modality stands for (1.20 unless said)"),
    Field(
        "worklist_keys",
        ListOf(
            Text(
                "a keyword with its path, like `ScheduledProcedureStepSequence.Modality`",
                r"[A-Z]\w*(\.[A-Z]\w*)*",
            )
        ),
        "further keys that the worklist is asked for",
    ),
    Field("storage_syntax", Syntaxes(), "transfer syntaxes that are preferred for archives"),
    Field("media_syntax", Syntaxes(), "transfer syntaxes of files on media"),
)

_TITLES: Final = Record(tuple(Field(peer, _AE, f"of {peer}") for peer in PEERS))


@dataclass(frozen=True)
class Switch(Bool):
    """``true`` or ``false``, handed on as ``{"enabled": …}``."""

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        value = super().read(node, ctx, what)
        return value if value is INVALID else {"enabled": value}


CONFIGURE_FIELDS: Final = (
    *(
        item
        for item in MODALITY_FIELDS
        if item.name not in ("bits_stored", "receiver", "version", "worklist_keys")
    ),
    Field("receiver", Switch(), "the modality's DICOM receiver is on"),
    Field("worklist", PEER, "which peer is asked for the worklist"),
    Field("peer_titles", _TITLES, "AE titles under which the modality calls its peers"),
)
"""What an operator can change while the modality runs; the bench fills in where the peers are."""

_PEER_FIELDS: Final = (
    Field("ae_title", _AE, "AE title of this peer"),
    Field("max_pdu", Number(whole=True, low=0, high=2**20, unit="bytes"), "largest PDU it announces; 0: any"),
    Field("accept_called", ListOf(_AE), "called AE titles that it accepts (else only its own)"),
    Field("accept_calling", ListOf(_AE), "calling AE titles that it accepts (else any)"),
    Field("running", Bool(), "`false`: its service is down when the cell begins"),
)
_PEER_SETUP: Final = Record(_PEER_FIELDS)
_RIS_SETUP: Final = Record(
    (*_PEER_FIELDS, Field("charset", CHARSET, "Specific Character Set of its answers"))
)
_DETECTOR_SETUP: Final = Record(
    (
        Field("width", Number(whole=True, low=64, high=8192, unit="pixels"), "columns of the sensor"),
        Field("height", Number(whole=True, low=64, high=8192, unit="pixels"), "rows of the sensor"),
        Field("bits", Enum(("14", "16"), "pixel format", whole=True), "Mono14 or Mono16"),
        Field("pixel_pitch_mm", Number(low=0.01, high=1, unit="mm"), "distance of pixel centres"),
        Field("rate_mbps", Number(low=1, high=10000, unit="Mbit/s"), "pace of the stream"),
        Field("seed", Number(whole=True, low=0, high=2**31 - 1), "seed of this panel's defects"),
    )
)
_GENERATOR_SETUP: Final = Record(
    (
        Field("prep", DURATION, "from the first stage of the hand switch to ready"),
        Field("cooldown", DURATION, "pause after an exposure"),
        Field("max_kw", Number(low=1, high=200, unit="kW"), "limit of the generator"),
    )
)
_WORLD_SETUP: Final = Record(
    (
        Field("phantom", PHANTOM, "what lies on the table"),
        Field("sid_mm", Number(low=100, high=4000, unit="mm"), "distance from source to detector"),
        Field("seed", Number(whole=True, low=0, high=2**31 - 1), "seed of the quantum noise"),
    )
)
_DEVICES: Final = (
    Field("ris", _RIS_SETUP, "the simulated RIS"),
    *(Field(peer, _PEER_SETUP, f"the simulated {peer}") for peer in PEERS if peer != "ris"),
    Field("detector", _DETECTOR_SETUP, "the simulated detector"),
    Field("generator", _GENERATOR_SETUP, "the simulated generator"),
    Field("world", _WORLD_SETUP, "what the X-ray passes through"),
    Field("ultrasound", Record(ULTRASOUND_SETUP), "the simulated ultrasound front end"),
    *(Field(place, Record(VOLUME_SETUP), f"the medium for the {place} slot") for place in MEDIA),
)
ONLY: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("bits_stored", "laterality", "receiver", "detector", "generator", "world", "bits"), "vxvue"
    ),
    **dict.fromkeys(("version", "storage_syntax", "media_syntax", "ultrasound", *MEDIA), "mx1"),
}
"""Settings, devices and axes that one product only has."""
SETUP: Final = Record((*MODALITY_FIELDS, *_DEVICES))


def only_others(node: MappingNode, product: str | None, problems: Problems, what: str) -> None:
    """Record every key of a mapping that only the other product has."""
    for key, _ in node.items():
        if product is not None and ONLY.get(key.text, product) != product:
            problems.add(key.line, f"{what}: {key.text} is nothing that {product} has")
