"""Feature names become registers, formulas become numbers, and nonsense becomes one kind of error."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modality.acquisition.formula import FormulaError, evaluate
from modality.acquisition.genicam import FeatureError, NodeMap, parse_url, unzip

HEAD = b'<RegisterDescription xmlns="http://www.genicam.org/GenApi/Version_1_1">'
TAIL = b'<Port Name="Device"/></RegisterDescription>'

XML = (
    HEAD
    + b"""
<Integer Name="Width"><pValue>WidthReg</pValue><Min>16</Min><pMax>Sensor</pMax></Integer>
<IntReg Name="WidthReg"><Address>0xA000</Address><Length>4</Length><AccessMode>RW</AccessMode>
  <Endianess>BigEndian</Endianess></IntReg>
<Integer Name="Sensor"><Value>3072</Value></Integer>
<IntSwissKnife Name="Payload"><pVariable Name="W">Width</pVariable><Formula>W*W*2</Formula></IntSwissKnife>
<MaskedIntReg Name="Size"><Address>0xD04</Address><Length>4</Length><LSB>31</LSB><MSB>16</MSB>
  <Endianess>BigEndian</Endianess></MaskedIntReg>
<MaskedIntReg Name="Fire"><Address>0xD04</Address><Length>4</Length><Bit>0</Bit>
  <Endianess>BigEndian</Endianess></MaskedIntReg>
<MaskedIntReg Name="LowNibble"><Address>0xB000</Address><Length>4</Length><LSB>0</LSB><MSB>3</MSB></MaskedIntReg>
<IntReg Name="Signed"><Address>0xB004</Address><Length>2</Length><Sign>Signed</Sign></IntReg>
<FloatReg Name="Real"><Address>0xB008</Address><Length>8</Length><Endianess>BigEndian</Endianess></FloatReg>
<Float Name="Temperature"><pValue>TempConv</pValue></Float>
<Converter Name="TempConv"><FormulaTo>(FROM+100)/0.01</FormulaTo><FormulaFrom>TO*0.01-100</FormulaFrom>
  <pValue>TempReg</pValue></Converter>
<IntReg Name="TempReg"><Address>0xA024</Address><Length>4</Length><Endianess>BigEndian</Endianess></IntReg>
<Enumeration Name="Mode"><EnumEntry Name="Off"><Value>0</Value></EnumEntry>
  <EnumEntry Name="On"><Value>0x1</Value></EnumEntry><pValue>ModeReg</pValue></Enumeration>
<IntReg Name="ModeReg"><Address>0xA010</Address><Length>4</Length><Endianess>BigEndian</Endianess></IntReg>
<Enumeration Name="Fixed"><EnumEntry Name="Only"><Value>0</Value></EnumEntry><Value>0</Value></Enumeration>
<Command Name="Go"><pValue>ModeReg</pValue><CommandValue>7</CommandValue></Command>
<Boolean Name="Flag"><pValue>ModeReg</pValue><OnValue>5</OnValue><OffValue>4</OffValue></Boolean>
<StringReg Name="Model"><Address>0x68</Address><Length>32</Length></StringReg>
<IntReg Name="Far"><pAddress>Base</pAddress><Address>0x10</Address><Length>4</Length>
  <Endianess>BigEndian</Endianess></IntReg>
<Integer Name="Base"><Value>0xC000</Value></Integer>
<Integer Name="Circle"><pValue>Circle2</pValue></Integer><Integer Name="Circle2"><pValue>Circle</pValue></Integer>
<Integer Name="Dangling"><pValue>Nowhere</pValue></Integer>
"""
    + TAIL
)


class Memory:
    """A register space of plain bytes."""

    def __init__(self) -> None:
        self.bytes = bytearray(0x10000)

    def read_register(self, address: int) -> int:
        return int(struct.unpack_from(">I", self.bytes, address)[0])

    def write_register(self, address: int, value: int) -> None:
        struct.pack_into(">I", self.bytes, address, value)

    def read_memory(self, address: int, count: int) -> bytes:
        return bytes(self.bytes[address : address + count])

    def write_memory(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = data


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def nodes(memory: Memory) -> NodeMap:
    return NodeMap(XML, memory)


def test_integers_and_their_limits(nodes: NodeMap, memory: Memory) -> None:
    nodes.set_int("Width", 512)
    assert memory.read_register(0xA000) == 512
    assert nodes.get_int("Payload") == 512 * 512 * 2
    assert nodes.limits("Width") == (16.0, 3072.0)
    for wrong in (15, 3073):
        with pytest.raises(FeatureError, match="outside"):
            nodes.set_int("Width", wrong)


def test_masked_registers_keep_the_other_bits(nodes: NodeMap, memory: Memory) -> None:
    memory.write_register(0xD04, 0x40000000 | 1500)
    assert nodes.get_int("Size") == 1500
    nodes.set_int("Size", 8000)
    assert memory.read_register(0xD04) == 0x40000000 | 8000
    nodes.set_int("Fire", 1)
    assert memory.read_register(0xD04) == 0xC0000000 | 8000
    memory.bytes[0xB000:0xB004] = b"\xa5\0\0\0"
    assert nodes.get_int("LowNibble") == 5
    nodes.set_int("LowNibble", 3)
    assert memory.bytes[0xB000] == 0xA3
    with pytest.raises(FeatureError, match="fit"):
        nodes.set_int("LowNibble", 16)


def test_signed_float_and_converted(nodes: NodeMap, memory: Memory) -> None:
    memory.bytes[0xB004:0xB006] = struct.pack("<h", -123)
    assert nodes.get_int("Signed") == -123
    nodes.set_float("Real", 2.5)
    assert memory.bytes[0xB008:0xB010] == struct.pack(">d", 2.5)
    nodes.set_float("Temperature", 31.5)
    assert memory.read_register(0xA024) == 13150
    assert nodes.get_float("Temperature") == pytest.approx(31.5)


def test_enumerations_commands_booleans_strings(nodes: NodeMap, memory: Memory) -> None:
    nodes.set_enum("Mode", "On")
    assert nodes.get_enum("Mode") == "On"
    with pytest.raises(FeatureError, match="Off, On"):
        nodes.set_enum("Mode", "Maybe")
    nodes.execute("Go")
    assert memory.read_register(0xA010) == 7
    with pytest.raises(FeatureError, match="unknown value 7"):
        nodes.get_enum("Mode")
    nodes.set_int("Flag", 1)
    assert memory.read_register(0xA010) == 5
    assert nodes.get_int("Flag") == 1
    nodes.set_enum("Fixed", "Only")
    memory.bytes[0x68:0x6D] = b"FPD\0x"
    assert nodes.get_text("Model") == "FPD"
    memory.write_register(0xC010, 99)
    assert nodes.get_int("Far") == 99


@pytest.mark.parametrize("name", ["Circle", "Dangling", "Missing", "Device", "Model"])
def test_what_cannot_be_resolved_says_so(nodes: NodeMap, name: str) -> None:
    with pytest.raises(FeatureError):
        nodes.get_int(name)
    with pytest.raises(FeatureError):
        nodes.set_int(name, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html/>",
        HEAD,
        b'<!DOCTYPE a [<!ENTITY x "y">]>' + XML,
        b"\xff\xfe<" + XML,
        b"<?xml version='1.0' encoding='nonsense-7'?>" + XML,
    ],
)
def test_no_description(data: bytes, memory: Memory) -> None:
    with pytest.raises(FeatureError):
        NodeMap(data, memory)


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_any_bytes_are_a_description_or_an_error(data: bytes) -> None:
    for xml in (data, HEAD + data + TAIL):
        try:
            nodes = NodeMap(xml, Memory())
        except FeatureError:
            continue
        assert "Width" not in nodes


def test_where_the_description_is() -> None:
    assert parse_url("Local:det.xml;10000;2BAD") == (0x10000, 0x2BAD, False)
    assert parse_url("local:det.zip;1;2?SchemaVersion=1.1.0") == (1, 2, True)
    for wrong in ("http://x/y.xml", "Local:a;b", "Local:a;zz;1", "Local:a;1;0", "Local:a;1;FFFFFFFF", ""):
        with pytest.raises(FeatureError):
            parse_url(wrong)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("det.xml", XML)
    assert unzip(packed.getvalue()) == XML
    with pytest.raises(FeatureError):
        unzip(b"PK\3\4 nothing")


@pytest.mark.parametrize(
    ("formula", "integer", "value"),
    [
        ("1+2*3", False, 7),
        ("(1+2)*3", False, 9),
        ("2**3", False, 8),
        ("-2**2", False, -4),
        ("7/2", False, 3.5),
        ("7/2", True, 3),
        ("-7/2", True, -3),
        ("-7 % 3", True, -1),
        ("A>3 ? A : 0-A", False, 5),
        ("A=5 && B<>5", False, 1),
        ("0x10 | 0x01", True, 17),
        ("1<<4 >> 2", True, 4),
        ("~0 & 0xFF", True, 255),
        ("FLOOR(2.7) + SQRT(16)", False, 6),
        ("1.5e2 * .5", False, 75.0),
    ],
)
def test_formulas(formula: str, integer: bool, value: float) -> None:
    assert evaluate(formula, {"A": 5, "B": 2}, integer=integer) == value


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "1+",
        "(1",
        "1/0",
        "X",
        "1 2",
        "__import__('os')",
        "9**9**9",
        "1<<1000",
        "(" * 200,
        "-" * 200 + "1",
        "LN(0)",
    ],
)
def test_what_is_no_formula(formula: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(formula, {})


@given(st.text(alphabet="0123456789.+-*/%()<>=&|^~?: xeABTO", max_size=60), st.booleans())
@settings(max_examples=200)
def test_any_text_is_a_number_or_an_error(formula: str, integer: bool) -> None:
    try:
        value = evaluate(formula, {"A": 3, "B": 0.5, "TO": 7}, integer=integer)
    except FormulaError:
        return
    assert isinstance(value, int | float)
