"""The detector's features: one table makes both the GenICam XML and the register addresses.

Rules of this file:

* A feature is written down once, in :func:`features`; its register is placed by :func:`layout`; the XML comes from
  the same pair, so that they cannot disagree.
* GenApi 1.1; standard names follow the SFNC, our own carry NameSpace "Custom".
* Nothing is cachable: the device may change any value (faults do).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from simulators.detector import gvsp
from simulators.detector.bootstrap import Reg
from simulators.detector.registers import Span

BASE: Final = 0xA000
"""First register of the manufacturer's space."""
XML_ADDRESS: Final = 0x10000

EVENT_EXPOSURE_START: Final = 0x0003
EVENT_EXPOSURE_END: Final = 0x0004

STATES: Final = ("Idle", "Prepared", "Integrating", "Readout", "Fault")
PIXEL_FORMATS: Final = {"Mono14": gvsp.MONO14, "Mono16": gvsp.MONO16}


@dataclass(frozen=True)
class Feature:
    """What all features have; ``address`` None: the layout finds a place."""

    name: str
    category: str
    access: str = "RW"
    address: int | None = None
    standard: bool = True
    tip: str = ""


@dataclass(frozen=True)
class Int(Feature):
    """A 32-bit integer; ``mask`` (lsb, msb; 0 = most significant) for a part of a register."""

    low: int | None = None
    high: int | None = None
    step: int = 1
    unit: str = ""
    start: int = 0
    mask: tuple[int, int] | None = None


@dataclass(frozen=True)
class Scaled(Feature):
    """A float kept as an integer register: value = register x ``factor`` + ``shift``."""

    low: float = 0.0
    high: float = 0.0
    unit: str = ""
    factor: str = "1"
    shift: int = 0
    start: int = 0


@dataclass(frozen=True)
class Choice(Feature):
    """An enumeration."""

    entries: Mapping[str, int] = field(default_factory=dict)
    start: int = 0


@dataclass(frozen=True)
class Command(Feature):
    """Writing ``value`` does it; commands may share a register (``address`` by ``with_``)."""

    value: int = 1
    with_: str = ""
    mask: tuple[int, int] | None = None


@dataclass(frozen=True)
class Text(Feature):
    """A string in the bootstrap registers."""

    length: int = 32


@dataclass(frozen=True)
class Formula(Feature):
    """An integer computed from other features by the client."""

    formula: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EventPort(Feature):
    """An event's id, timestamp and block id, read from the EVENT datagram itself."""

    event: int = 0


def features(width: int, height: int, bits: int, sensitivity: float) -> tuple[Feature, ...]:
    """All features of a detector with this sensor (pixels, ADC bits, counts per µGy)."""
    ro = "RO"
    device, image, acq, tl, det, event = (
        "DeviceControl",
        "ImageFormatControl",
        "AcquisitionControl",
        "TransportLayerControl",
        "DetectorControl",
        "EventControl",
    )
    pixel = PIXEL_FORMATS["Mono14" if bits == 14 else "Mono16"]
    return (
        Text("DeviceVendorName", device, ro, Reg.VENDOR, length=32),
        Text("DeviceModelName", device, ro, Reg.MODEL, length=32),
        Text("DeviceVersion", device, ro, Reg.VERSION, length=32),
        Text("DeviceManufacturerInfo", device, ro, Reg.INFO, length=48),
        Text("DeviceID", device, ro, Reg.SERIAL, length=16),
        Text("DeviceSerialNumber", device, ro, Reg.SERIAL, length=16),
        Text("DeviceUserID", device, "RW", Reg.USER_NAME, length=16),
        Scaled("DeviceTemperature", device, ro, unit="C", factor="0.01", shift=-100, low=-100, high=200),
        Int("SensorWidth", image, ro, start=width),
        Int("SensorHeight", image, ro, start=height),
        Int("Width", image, low=16, high=width, step=2, start=width),
        Int("Height", image, low=2, high=height, step=2, start=height),
        Int("OffsetX", image, low=0, high=width - 16, step=2),
        Int("OffsetY", image, low=0, high=height - 2, step=2),
        Choice("PixelFormat", image, entries=PIXEL_FORMATS, start=pixel),
        Choice("AcquisitionMode", acq, entries={"Continuous": 1, "SingleFrame": 2, "MultiFrame": 3}, start=1),
        Int("AcquisitionFrameCount", acq, low=1, high=65535, start=1),
        Command("AcquisitionStart", acq, "WO", value=1),
        Command("AcquisitionStop", acq, "WO", value=0, with_="AcquisitionStart"),
        Choice("TriggerSelector", acq, entries={"FrameStart": 0}),
        Choice("TriggerMode", acq, entries={"Off": 0, "On": 1}, start=1),
        Choice("TriggerSource", acq, entries={"Line1": 0, "Software": 1}),
        Command("TriggerSoftware", acq, "WO", value=1),
        Scaled("ExposureTime", acq, unit="us", factor="1", low=100, high=10_000_000, start=500_000),
        Formula("PayloadSize", tl, ro, formula="W*H*2", variables={"W": "Width", "H": "Height"}),
        Int("GevSCPSPacketSize", tl, "RW", Reg.SCPS, low=576, high=9000, step=4, mask=(31, 16)),
        Command("GevSCPSFireTestPacket", tl, "RW", Reg.SCPS, value=1, mask=(0, 0)),
        Int("GevSCPD", tl, "RW", Reg.SCPD, low=0, high=10_000_000, unit="ns"),
        Int("GevHeartbeatTimeout", tl, "RW", Reg.HEARTBEAT, low=500, high=600_000, unit="ms"),
        Int("GevTimestampTickFrequency", tl, ro, Reg.TICKS_LOW, unit="Hz"),
        Int("GevLinkSpeed", tl, ro, Reg.LINK_SPEED, unit="Mbps"),
        Int("TLParamsLocked", tl, low=0, high=1),
        Choice("DetectorState", det, ro, standard=False, entries={n: i for i, n in enumerate(STATES)}),
        Command("DetectorPrepare", det, "WO", standard=False, value=1),
        Choice("FrameKind", det, standard=False, entries={"Image": 0, "Dark": 1}),
        Scaled(
            "DetectorSensitivity",
            det,
            ro,
            standard=False,
            tip="Counts per microgray of air kerma at the detector",
            factor="0.001",
            low=0,
            high=4_000_000,
            start=round(sensitivity * 1000),
        ),
        Scaled(
            "PixelPitch",
            det,
            ro,
            standard=False,
            tip="Distance of pixel centres",
            unit="mm",
            factor="0.000001",
            low=0,
            high=4,
        ),
        Choice(
            "EventSelector",
            event,
            entries={"ExposureStart": EVENT_EXPOSURE_START, "ExposureEnd": EVENT_EXPOSURE_END},
            start=EVENT_EXPOSURE_START,
        ),
        Choice("EventNotification", event, entries={"Off": 0, "On": 1}, start=1),
        EventPort("EventExposureStart", event, ro, event=EVENT_EXPOSURE_START),
        EventPort("EventExposureEnd", event, ro, event=EVENT_EXPOSURE_END),
    )


def layout(table: Iterable[Feature]) -> dict[str, int]:
    """Address of every feature that has a register."""
    places: dict[str, int] = {}
    following = BASE
    for f in table:
        if isinstance(f, Formula | EventPort):
            continue
        if f.address is not None:
            places[f.name] = f.address
        elif isinstance(f, Command) and f.with_:
            places[f.name] = places[f.with_]
        else:
            places[f.name] = following
            following += 4
    return places


def spans(table: Iterable[Feature], places: Mapping[str, int]) -> list[tuple[Span, int]]:
    """The manufacturer registers of the table with their start values."""
    return [
        (Span(places[f.name], 4, f.access, f.name), int(getattr(f, "start", 0)))
        for f in table
        if f.address is None and f.name in places and not (isinstance(f, Command) and f.with_)
    ]


# -------------------------------------------------------------------- XML


def _tags(**values: object) -> str:
    return "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in values.items() if v is not None and v != "")


def _register(name: str, address: int, access: str, mask: tuple[int, int] | None = None) -> str:
    kind = "MaskedIntReg" if mask else "IntReg"
    bits = _tags(LSB=mask[0], MSB=mask[1]) if mask else ""
    where = _tags(Address=f"0x{address:X}", Length=4, AccessMode=access, pPort="Device", Cachable="NoCache")
    return (
        f'<{kind} Name="{name}">{where}{bits}<Sign>Unsigned</Sign><Endianess>BigEndian</Endianess></{kind}>'
    )


def _node(f: Feature, place: int, sharing: Mapping[int, str]) -> list[str]:
    space = "Standard" if f.standard else "Custom"
    head = f"Name={quoteattr(f.name)} NameSpace={quoteattr(space)}"
    tip = _tags(ToolTip=f.tip)
    reg = f"{f.name}Reg"
    if isinstance(f, Text):
        where = _tags(Address=f"0x{place:X}", Length=f.length, AccessMode=f.access, pPort="Device")
        return [f"<StringReg {head}>{tip}{where}<Cachable>NoCache</Cachable></StringReg>"]
    if isinstance(f, Int):
        limits = _tags(Min=f.low, Max=f.high, Inc=f.step if f.low is not None else None, Unit=f.unit)
        return [
            f"<Integer {head}>{tip}<pValue>{reg}</pValue>{limits}</Integer>",
            _register(reg, place, f.access, f.mask),
        ]
    if isinstance(f, Scaled):
        limits = _tags(Min=f.low, Max=f.high, Unit=f.unit)
        to, back = (f"(FROM-({f.shift}))/{f.factor}", f"TO*{f.factor}+({f.shift})")
        convert = _tags(FormulaTo=to, FormulaFrom=back, pValue=reg)
        return [
            f"<Float {head}>{tip}<pValue>{f.name}Conv</pValue>{limits}</Float>",
            f'<Converter Name="{f.name}Conv">{convert}</Converter>',
            _register(reg, place, f.access),
        ]
    if isinstance(f, Choice):
        entries = "".join(
            f'<EnumEntry Name={quoteattr(k)} NameSpace="{space}"><Value>{v}</Value></EnumEntry>'
            for k, v in f.entries.items()
        )
        return [
            f"<Enumeration {head}>{tip}{entries}<pValue>{reg}</pValue></Enumeration>",
            _register(reg, place, f.access),
        ]
    if isinstance(f, Command):
        reg = sharing[place] if f.mask is None else reg
        node = f"<Command {head}>{tip}<pValue>{reg}</pValue><CommandValue>{f.value}</CommandValue></Command>"
        return [node] if f.with_ else [node, _register(reg, place, f.access, f.mask)]
    if isinstance(f, Formula):
        variables = "".join(f'<pVariable Name="{k}">{v}</pVariable>' for k, v in f.variables.items())
        return [
            f"<IntSwissKnife {head}>{tip}{variables}<Formula>{escape(f.formula)}</Formula></IntSwissKnife>"
        ]
    if isinstance(f, EventPort):
        port = f"{f.name}Port"
        parts = {"": (2, 2), "FrameID": (6, 2), "Timestamp": (8, 8)}
        out = [f'<Port Name="{port}"><EventID>{f.event:04X}</EventID></Port>']
        for suffix, (at, length) in parts.items():
            where = _tags(Address=f"0x{at:X}", Length=length, AccessMode="RO", pPort=port, Cachable="NoCache")
            out += [
                f'<Integer Name="{f.name}{suffix}" NameSpace="{space}"><pValue>{f.name}{suffix}Reg</pValue></Integer>',
                f'<IntReg Name="{f.name}{suffix}Reg">{where}<Sign>Unsigned</Sign>'
                "<Endianess>BigEndian</Endianess></IntReg>",
            ]
        return out
    raise TypeError(f"no XML for {f!r}")


def xml(table: Iterable[Feature], places: Mapping[str, int], vendor: str, model: str) -> bytes:
    """The device description as UTF-8."""
    table = tuple(table)
    sharing = {places[f.name]: f"{f.name}Reg" for f in table if isinstance(f, Command) and not f.with_}
    categories: dict[str, list[str]] = {}
    for f in table:
        names = [f.name + s for s in ("", "FrameID", "Timestamp")] if isinstance(f, EventPort) else [f.name]
        categories.setdefault(f.category, []).extend(names)
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<RegisterDescription ModelName={quoteattr(_identifier(model))} VendorName={quoteattr(_identifier(vendor))} "
        'ToolTip="X-ray flat panel detector" StandardNameSpace="GEV" SchemaMajorVersion="1" SchemaMinorVersion="1" '
        'SchemaSubMinorVersion="0" MajorVersion="1" MinorVersion="0" SubMinorVersion="0" '
        'ProductGuid="5A7D3C4E-1B62-4C57-9E5D-5E1F0C6A3B10" VersionGuid="5A7D3C4E-1B62-4C57-9E5D-5E1F0C6A3B11" '
        'xmlns="http://www.genicam.org/GenApi/Version_1_1" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.genicam.org/GenApi/Version_1_1 GenApiSchema.xsd">'
    )
    lines = [head, '<Category Name="Root" NameSpace="Standard">']
    lines += [f"<pFeature>{c}</pFeature>" for c in categories] + ["</Category>"]
    for category, names in categories.items():
        inside = "".join(f"<pFeature>{n}</pFeature>" for n in names)
        space = "Custom" if category == "DetectorControl" else "Standard"
        lines.append(f'<Category Name="{category}" NameSpace="{space}">{inside}</Category>')
    for f in table:
        lines += _node(f, places.get(f.name, 0), sharing)
    lines += ['<Port Name="Device" NameSpace="Standard"/>', "</RegisterDescription>\n"]
    return "\n".join(lines).encode()


def _identifier(text: str) -> str:
    """A C-like identifier, as the schema wants for vendor and model."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text) or "_"
