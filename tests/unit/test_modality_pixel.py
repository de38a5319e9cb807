"""Instances in the five transfer syntaxes: headers, byte order, encapsulation, lossy flags, and what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragmented_frames

from modality.pixel import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    SYNTAXES,
    PixelError,
    Source,
    dataset_pieces,
    encode_instance,
    offered,
)
from tests.unit.test_modality_us_objects_lab import ALL_KINDS, Truth, master, order, write

MEDIA = ("1.2.392.200036.9107.700.1", "MG_DICOM V1.00")
CASES = [
    (kind, syntax)
    for kind in ALL_KINDS
    for syntax in SYNTAXES
    if not (kind.startswith("clip") and syntax == JPEG_LOSSLESS)
]
EXPECTED_VR = {IMPLICIT_LE: "OW"}  # PS3.5 A.1; OB in all others (A.2 to A.4)


def encoded(truth: Truth, folder: Path, syntax: str) -> Path:
    target = folder / f"{syntax.rsplit('.', 1)[1]}-{truth.instance.sop_instance}.dcm"
    encode_instance(write(truth, folder), target, syntax, implementation=MEDIA)
    return target


def texts(ds: Dataset) -> dict[str, object]:
    """Everything but the pixels and how they are described."""
    how = {
        "PixelData", "PhotometricInterpretation", "PlanarConfiguration", "LossyImageCompression",
        "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    }  # fmt: skip
    return {e.keyword: e.value for e in ds if e.keyword not in how}


@pytest.mark.parametrize(("kind", "syntax"), CASES)
def test_every_kind_in_every_syntax(kind: str, syntax: str, tmp_path: Path) -> None:
    truth = master(kind, rows=13, columns=11, of=order(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"))
    made = pydicom.dcmread(encoded(truth, tmp_path, syntax))
    original = pydicom.dcmread(write(truth, tmp_path))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert (made.file_meta.ImplementationClassUID, made.file_meta.ImplementationVersionName) == MEDIA
    assert texts(made) == texts(original)
    assert str(made.PatientName) == "Yamada^Tarou=山田^太郎"
    assert EXPECTED_VR.get(syntax, "OB") == made["PixelData"].VR
    gray = kind.endswith("gray")
    colour = "YBR_FULL_422" if syntax == JPEG_BASELINE else "RGB"
    assert made.PhotometricInterpretation == ("MONOCHROME2" if gray else colour)
    assert made.get("PlanarConfiguration") == (None if gray else 0)
    pixels = np.asarray(made.pixel_array).reshape(truth.pixels.shape)
    if syntax != JPEG_BASELINE:
        assert np.array_equal(pixels, truth.pixels)
        assert made.LossyImageCompression == "00"
        assert "LossyImageCompressionRatio" not in made
    else:
        assert made.LossyImageCompression == "01"
        assert made.LossyImageCompressionMethod == "ISO_10918_1"
        streams = [
            f
            for parts in generate_fragmented_frames(made.PixelData, number_of_frames=len(pixels))
            for f in parts
        ]
        assert float(made.LossyImageCompressionRatio) == pytest.approx(
            truth.pixels.nbytes / sum(map(len, streams)), abs=0.02
        )


@pytest.mark.parametrize("syntax", [JPEG_BASELINE, JPEG_LOSSLESS])
@pytest.mark.parametrize("kind", ["us-gray", "us-colour"])
def test_the_right_process_of_jpeg(kind: str, syntax: str, tmp_path: Path) -> None:
    """SOF0 with chroma in half of the columns, or SOF3 with selection value 1 and full components (PS3.5 A.4.1)."""
    made = pydicom.dcmread(encoded(master(kind), tmp_path, syntax))
    [stream] = [b"".join(parts) for parts in generate_fragmented_frames(made.PixelData, number_of_frames=1)]
    sof = stream.index(b"\xff\xc0" if syntax == JPEG_BASELINE else b"\xff\xc3")
    components = stream[sof + 9]
    assert components == (1 if kind == "us-gray" else 3)
    factors = [stream[sof + 11 + 3 * n] for n in range(components)]
    assert factors == ([0x21, 0x11, 0x11] if syntax == JPEG_BASELINE else [0x11] * 3)[
        :components
    ] or factors == [0x11]
    sos = stream.index(b"\xff\xda")
    after = sos + 5 + 2 * components
    assert stream[after] == (0 if syntax == JPEG_BASELINE else 1)


def test_fragments_and_offsets(tmp_path: Path) -> None:
    """One even fragment a frame, the table of their offsets, a delimiter and nothing behind (PS3.5 A.4)."""
    path = encoded(master("clip-colour", frames=4), tmp_path, JPEG_BASELINE)
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12
    assert struct.unpack_from("<HHI", data, at) == (0xFFFE, 0xE000, 16)
    table = struct.unpack_from("<4I", data, at + 8)
    first = at = at + 24
    for offset in table:
        group, element, length = struct.unpack_from("<HHI", data, at)
        assert (group, element, length % 2, at - first) == (0xFFFE, 0xE000, 0, offset)
        assert data[at + 8 : at + 10] == b"\xff\xd8"
        assert data[at + 8 : at + 8 + length].rstrip(b"\0").endswith(b"\xff\xd9")
        at += 8 + length
    assert data[at:] == b"\xfe\xff\xdd\xe0\0\0\0\0"


def test_big_endian_leaves_bytes_where_they_are(tmp_path: Path) -> None:
    """8-bit OB is no word: nothing is exchanged, but the numbers of the header are."""
    truth = master("us-colour", rows=3, columns=5)
    data = encoded(truth, tmp_path, EXPLICIT_BE).read_bytes()
    pixels = truth.pixels.tobytes()
    assert data.endswith(b"\x7f\xe0\x00\x10OB\0\0" + struct.pack(">I", len(pixels) + 1) + pixels + b"\0")
    assert b"\x00\x28\x00\x10US\x00\x02\x00\x03" in data  # Rows


def test_sixteen_bits_are_words(tmp_path: Path) -> None:
    """An image of the other product: OW, and exchanged in Big Endian."""
    made = pydicom.dcmread(write(master("us-gray", rows=2, columns=3), tmp_path))
    values = np.array([[1, 2, 3], [256, 512, 4095]], "<u2")
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made["PixelData"].VR = "OW"
    made.PixelData = values.tobytes()
    path = tmp_path / "wide.dcm"
    made.save_as(path)
    for syntax in (IMPLICIT_LE, EXPLICIT_BE):
        target = tmp_path / "out.dcm"
        encode_instance(path, target, syntax)
        found = pydicom.dcmread(target)
        assert found["PixelData"].VR == "OW"
        assert np.array_equal(np.asarray(found.pixel_array), values)
        encode_instance(target, tmp_path / "back.dcm", EXPLICIT_LE)
        assert pydicom.dcmread(tmp_path / "back.dcm").PixelData == values.tobytes()
    with pytest.raises(PixelError, match="16 bits"):
        encode_instance(path, tmp_path / "no.dcm", JPEG_BASELINE)
    assert not (tmp_path / "no.dcm").exists()


def test_words_of_bytes_in_big_endian_are_read(tmp_path: Path) -> None:
    """8-bit OW in Big Endian, as others write it: pairs are exchanged back (PS3.5 8.1.1)."""
    truth = master("us-gray", rows=2, columns=4)
    data = encoded(truth, tmp_path, EXPLICIT_BE).read_bytes()
    pixels = truth.pixels.tobytes()
    head = b"\x7f\xe0\x00\x10O%c\0\0" + struct.pack(">I", 8)
    swapped = np.frombuffer(pixels, "<u2").byteswap().tobytes()
    path = tmp_path / "ow.dcm"
    path.write_bytes(data.replace(head % ord("B") + pixels, head % ord("W") + swapped))
    encode_instance(path, tmp_path / "back.dcm", EXPLICIT_LE)
    assert pydicom.dcmread(tmp_path / "back.dcm").PixelData == pixels


@pytest.mark.parametrize(("kind", "frames"), [("us-gray", 1), ("clip-gray", 4), ("clip-colour", 3)])
def test_words_of_bytes_are_put_right_before_they_are_compressed(
    kind: str, frames: int, tmp_path: Path
) -> None:
    """Frames of odd length share a word with their neighbours; compressed, each is the one that was meant."""
    truth = master(kind, rows=5, columns=7, frames=frames)
    data = encoded(truth, tmp_path, EXPLICIT_BE).read_bytes()
    pixels = truth.pixels.tobytes()
    pixels += b"\0" * (len(pixels) % 2)
    head = b"\x7f\xe0\x00\x10O%c\0\0" + struct.pack(">I", len(pixels))
    swapped = np.frombuffer(pixels, "<u2").byteswap().tobytes()
    path = tmp_path / "ow.dcm"
    path.write_bytes(data.replace(head % ord("B") + pixels, head % ord("W") + swapped))
    assert pydicom.dcmread(path)["PixelData"].VR == "OW"
    for syntax in (JPEG_BASELINE, JPEG_LOSSLESS):
        if kind != "us-gray" and syntax == JPEG_LOSSLESS:
            continue
        for source in (path, write(truth, tmp_path)):
            encode_instance(source, tmp_path / f"{source.stem}.out", syntax)
        other = tmp_path / f"{write(truth, tmp_path).stem}.out"
        with Source(tmp_path / "ow.out") as one, Source(other) as two:
            assert list(one.streams()) == list(two.streams())


def test_compressed_words_are_refused(tmp_path: Path) -> None:
    """A stream of 8 bits under a header of 16 would be half as long as the data set says."""
    made = pydicom.dcmread(encoded(master("us-gray"), tmp_path, JPEG_LOSSLESS))
    made.BitsAllocated = 16
    made.save_as(tmp_path / "wide.dcm")
    for syntax in (EXPLICIT_LE, JPEG_BASELINE):
        with pytest.raises(PixelError, match="16 bits"):
            dataset_pieces(tmp_path / "wide.dcm", syntax)


def test_extended_offsets_stay_with_their_fragments(tmp_path: Path) -> None:
    """The Extended Offset Table is true of the fragments that it came with, and of no others (PS3.3 C.7.6.3.1.8)."""
    made = pydicom.dcmread(encoded(master("clip-gray", frames=3), tmp_path, JPEG_BASELINE))
    made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = bytes(24), bytes(24)
    path = tmp_path / "extended.dcm"
    made.save_as(path)
    assert b"\xe0\x7f\x01\x00OV" in path.read_bytes()
    for syntax in (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE):
        encode_instance(path, tmp_path / "x.dcm", syntax)
        found = pydicom.dcmread(tmp_path / "x.dcm")
        assert "ExtendedOffsetTable" not in found
        assert "ExtendedOffsetTableLengths" not in found
    still = pydicom.dcmread(encoded(master("us-gray"), tmp_path, JPEG_BASELINE))
    still.ExtendedOffsetTable, still.ExtendedOffsetTableLengths = bytes(8), bytes(8)
    still.save_as(path)
    encode_instance(path, tmp_path / "x.dcm", JPEG_LOSSLESS)
    assert "ExtendedOffsetTable" not in pydicom.dcmread(tmp_path / "x.dcm")


@pytest.mark.parametrize("spoil", ["first", "order", "twice"])
def test_offsets_that_lead_astray_are_refused(spoil: str, tmp_path: Path) -> None:
    """No fragment may be passed over, and no frame be empty or another one's."""
    made = pydicom.dcmread(encoded(master("clip-gray", frames=3), tmp_path, JPEG_BASELINE))
    streams = [b"".join(parts) for parts in generate_fragmented_frames(made.PixelData, number_of_frames=3)]
    made.PixelData = encapsulate(streams, fragments_per_frame=2)
    made.save_as(tmp_path / "split.dcm")
    data = (tmp_path / "split.dcm").read_bytes()
    at = data.index(b"\xfe\xff\x00\xe0\x0c\0\0\0") + 8
    a, b, c = struct.unpack_from("<3I", data, at)
    second = struct.unpack_from("<I", data, at + 12 + b + 4)[0] + 8
    wrong = {"first": (b, b + second, c), "order": (a, c, b), "twice": (a, b, b)}[spoil]
    (tmp_path / "split.dcm").write_bytes(data[:at] + struct.pack("<3I", *wrong) + data[at + 12 :])
    with pytest.raises(PixelError, match="from frame to frame"):
        encode_instance(tmp_path / "split.dcm", tmp_path / "x.dcm", EXPLICIT_LE)


def test_planes_are_interleaved_for_jpeg(tmp_path: Path) -> None:
    """Planar Configuration 1 has no place in a compressed syntax (PS3.5 8.2.1)."""
    truth = master("us-colour", rows=6, columns=10)
    made = pydicom.dcmread(write(truth, tmp_path))
    made.PlanarConfiguration = 1
    made.PixelData = np.ascontiguousarray(truth.pixels[0].transpose(2, 0, 1)).tobytes()
    made.save_as(tmp_path / "planes.dcm")
    encode_instance(tmp_path / "planes.dcm", tmp_path / "x.dcm", JPEG_LOSSLESS)
    found = pydicom.dcmread(tmp_path / "x.dcm")
    assert found.PlanarConfiguration == 0
    assert np.array_equal(np.asarray(found.pixel_array), truth.pixels[0])


def test_a_frame_in_several_fragments_is_read(tmp_path: Path) -> None:
    """As others write it: with the offset table that tells which belong together, and not without."""
    truth = master("clip-gray", frames=3)
    made = pydicom.dcmread(encoded(truth, tmp_path, JPEG_BASELINE))
    plain = np.asarray(made.pixel_array)
    streams = [b"".join(parts) for parts in generate_fragmented_frames(made.PixelData, number_of_frames=3)]
    for table in (True, False):
        made.PixelData = encapsulate(streams, fragments_per_frame=2, has_bot=table)
        made.save_as(tmp_path / "split.dcm")
        if table:
            encode_instance(tmp_path / "split.dcm", tmp_path / "back.dcm", EXPLICIT_LE)
            assert np.array_equal(np.asarray(pydicom.dcmread(tmp_path / "back.dcm").pixel_array), plain)
        else:
            with pytest.raises(PixelError, match="cannot be told apart"):
                encode_instance(tmp_path / "split.dcm", tmp_path / "back.dcm", EXPLICIT_LE)


def test_padding_of_the_file_is_not_sent(tmp_path: Path) -> None:
    path = write(master("us-gray"), tmp_path)
    padded = tmp_path / "padded.dcm"
    padded.write_bytes(path.read_bytes() + b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0" + bytes(4))
    for syntax in SYNTAXES:
        encode_instance(path, tmp_path / "a.dcm", syntax)
        encode_instance(padded, tmp_path / "b.dcm", syntax)
        assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_unknown_sequences_and_private_elements_pass(tmp_path: Path) -> None:
    """UN of undefined length is a sequence in Implicit VR (PS3.5 6.2.2); private values pass as they are."""
    good = write(master("us-gray"), tmp_path).read_bytes()
    at = good.index(b"\x28\x00\x02\x00US")
    inner = b"\x08\x00\x50\x00\x04\0\0\0A123"
    private = b"\x21\x00\x10\x00LO\x04\x00MINE\x21\x00\x01\x10UN\0\0\x02\0\0\0\x07\x08"
    sequence = b"\x21\x00\x02\x10UN\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\x0c\0\0\0" + inner
    sequence += b"\xfe\xff\xdd\xe0\0\0\0\0"
    (tmp_path / "p.dcm").write_bytes(good[:at] + private + sequence + good[at:])
    for syntax in (EXPLICIT_BE, IMPLICIT_LE):
        encode_instance(tmp_path / "p.dcm", tmp_path / "x.dcm", syntax)
        found = pydicom.dcmread(tmp_path / "x.dcm")
        assert found[0x00211001].value == b"\x07\x08"
        if syntax == EXPLICIT_BE:
            assert found[0x00211002].value[0].AccessionNumber == "A123"


def test_long_headers_and_group_lengths(tmp_path: Path) -> None:
    """A header far beyond what is read at first; a retired group length does not become a wrong one."""
    good = write(master("us-gray"), tmp_path).read_bytes()
    at = good.index(b"\x28\x00\x02\x00US")
    much = (
        b"\x21\x00\x10\x00LO\x04\x00MINE\x21\x00\x01\x10OB\0\0" + struct.pack("<I", 700_000) + bytes(700_000)
    )
    group = b"\x28\x00\x00\x00UL\x04\x00\x01\0\0\0"
    (tmp_path / "p.dcm").write_bytes(good[:at] + much + group + good[at:])
    for syntax in (IMPLICIT_LE, JPEG_LOSSLESS):
        encode_instance(tmp_path / "p.dcm", tmp_path / "x.dcm", syntax)
        found = pydicom.dcmread(tmp_path / "x.dcm")
        assert len(found[0x00211001].value) == 700_000
        assert 0x00280000 not in found


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_there_and_back(syntax: str, tmp_path: Path) -> None:
    """The master comes back byte for byte from every lossless syntax."""
    truth = master("us-colour", rows=7, columns=9)
    first = write(truth, tmp_path)
    encode_instance(first, tmp_path / "there.dcm", syntax)
    encode_instance(tmp_path / "there.dcm", tmp_path / "back.dcm", EXPLICIT_LE)
    if syntax != JPEG_BASELINE:
        assert (tmp_path / "back.dcm").read_bytes() == first.read_bytes()


def test_lossy_once_is_lossy_for_ever(tmp_path: Path) -> None:
    """MX-D-15: flag, ratio and method stay after decompression; a second loss is added."""
    encode_instance(write(master("us-colour"), tmp_path), tmp_path / "1.dcm", JPEG_BASELINE)
    for number, syntax in enumerate((EXPLICIT_LE, JPEG_LOSSLESS, IMPLICIT_LE), 2):
        done = encode_instance(tmp_path / f"{number - 1}.dcm", tmp_path / f"{number}.dcm", syntax)
        made = pydicom.dcmread(tmp_path / f"{number}.dcm")
        assert made.LossyImageCompression == "01"
        assert made.LossyImageCompressionMethod == "ISO_10918_1"
        assert done.lossy_ratio is None
        assert made.PhotometricInterpretation == "RGB"
    again = encode_instance(tmp_path / "4.dcm", tmp_path / "5.dcm", JPEG_BASELINE)
    made = pydicom.dcmread(tmp_path / "5.dcm")
    assert list(made.LossyImageCompressionMethod) == ["ISO_10918_1"] * 2
    assert float(made.LossyImageCompressionRatio[1]) == again.lossy_ratio


def test_the_same_syntax_passes_unchanged(tmp_path: Path) -> None:
    path = write(master("clip-colour"), tmp_path)
    with dataset_pieces(path, EXPLICIT_LE) as pieces, Source(path) as source:
        assert b"".join(pieces) == path.read_bytes()[source.start :]
        assert pieces.length == path.stat().st_size - source.start


@pytest.mark.parametrize(("kind", "syntax"), CASES)
def test_pieces_are_as_long_as_they_say(kind: str, syntax: str, tmp_path: Path) -> None:
    """Even, as said, and the same as in the file."""
    path = write(master(kind, rows=7, columns=9), tmp_path)
    told: list[tuple[int, int]] = []
    with dataset_pieces(path, syntax, progress=lambda done, total: told.append((done, total))) as pieces:
        data = b"".join(pieces)
        assert len(data) == pieces.length
        assert len(data) % 2 == 0
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    file = io.BytesIO()
    done = encode_instance(path, file, syntax)
    assert file.getvalue().endswith(data)
    assert done.bytes == len(file.getvalue())
    assert done.sha256 == hashlib.sha256(file.getvalue()).hexdigest()


def test_a_source_application_entity_when_asked(tmp_path: Path) -> None:
    path = write(master("us-gray"), tmp_path)
    encode_instance(path, tmp_path / "a.dcm", EXPLICIT_LE, source_ae="MX1")
    encode_instance(path, tmp_path / "b.dcm", EXPLICIT_LE)
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.SourceApplicationEntityTitle == "MX1"
    assert (tmp_path / "b.dcm").read_bytes() == path.read_bytes()


def test_lossless_clips_are_not_offered(tmp_path: Path) -> None:
    assert not offered("1.2.840.10008.5.1.4.1.1.3.1", JPEG_LOSSLESS)
    with pytest.raises(PixelError, match="MX-E-07"):
        encode_instance(write(master("clip-gray"), tmp_path), tmp_path / "x.dcm", JPEG_LOSSLESS)
    with pytest.raises(PixelError, match="not offered"):
        encode_instance(write(master("us-gray"), tmp_path), tmp_path / "x.dcm", "1.2.840.10008.1.2.4.90")


def test_ending_the_work_leaves_nothing(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    path = write(master("clip-gray"), tmp_path)
    for syntax in (IMPLICIT_LE, JPEG_BASELINE):
        with pytest.raises(Stop):
            encode_instance(path, tmp_path / "x.dcm", syntax, progress=stop)
        assert not (tmp_path / "x.dcm").exists()


def test_giving_up_ends_the_threads(tmp_path: Path) -> None:
    """Who closes half-way leaves no thread behind."""
    encode_instance(write(master("clip-colour", frames=20), tmp_path), tmp_path / "a.dcm", JPEG_BASELINE)
    with dataset_pieces(tmp_path / "a.dcm", IMPLICIT_LE) as pieces:
        next(iter(pieces))
        next(iter(pieces))
    assert not [t for t in threading.enumerate() if t.name.startswith("pixels")]


def test_without_the_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Native images go; JPEG says what is missing."""
    path = write(master("us-gray"), tmp_path)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    encode_instance(path, tmp_path / "x.dcm", IMPLICIT_LE)
    with pytest.raises(PixelError, match="imagecodecs"):
        encode_instance(path, tmp_path / "x.dcm", JPEG_BASELINE)


def test_what_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    """Only what this call has begun is removed when it fails."""
    path = write(master("us-gray"), tmp_path)
    (tmp_path / "link.dcm").symlink_to(tmp_path / "none" / "there.dcm")
    with pytest.raises(FileNotFoundError):
        encode_instance(path, tmp_path / "link.dcm", IMPLICIT_LE)
    assert (tmp_path / "link.dcm").is_symlink()


def test_a_file_is_not_written_over_itself(tmp_path: Path) -> None:
    path = write(master("us-gray"), tmp_path)
    before = path.read_bytes()
    with pytest.raises(PixelError, match="over itself"):
        encode_instance(path, path, IMPLICIT_LE)
    assert path.read_bytes() == before


def test_a_master_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write(master("us-colour"), tmp_path)
    with dataset_pieces(path, IMPLICIT_LE) as pieces:
        os.truncate(path, 2000)
        with pytest.raises(PixelError, match="no longer there"):
            list(pieces)


# -- broken masters


def broken(tmp_path: Path, data: bytes) -> str:
    """What is said about a file that cannot be used, whatever it is to become."""
    path = tmp_path / "broken.dcm"
    path.write_bytes(data)
    said = set()
    for syntax in (EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE):
        with pytest.raises(PixelError) as error:
            encode_instance(path, tmp_path / "x.dcm", syntax)
        said.add(str(error.value))
    assert len(said) == 1
    assert "broken.dcm" in said.copy().pop()
    return said.pop()


def test_broken_masters(tmp_path: Path) -> None:
    good = write(master("us-gray", rows=4, columns=6), tmp_path).read_bytes()
    assert "no DICOM file" in broken(tmp_path, b"")
    assert "no DICOM file" in broken(tmp_path, b"\0" * 5000)
    assert "Pixel Data ends" in broken(tmp_path, good[:-1])
    assert "no Pixel Data" in broken(tmp_path, good[:-36])
    assert "4 frame(s)" in broken(tmp_path, _with(good, b"\x28\x00\x10\x00US", NumberOfFrames="4"))
    assert "follows Pixel Data" in broken(tmp_path, good + b"\xff\xff\x10\x00OB\0\0\0\0\0\0")
    for number in ("9" * 5000, "0", "-1", "1.0", "9" * 9):
        assert "Number of Frames is" in broken(
            tmp_path, _with(good, b"\x28\x00\x10\x00US", NumberOfFrames=number)
        )
    rows = good.index(b"\x28\x00\x10\x00US\x02\x00")
    assert "Pixel Data has 24 bytes" in broken(tmp_path, good[: rows + 8] + b"\x05\x00" + good[rows + 10 :])
    assert "3 frame(s)" not in broken(
        tmp_path, good[: rows + 8] + b"\x03\x00" + good[rows + 10 :]
    )  # too much
    assert "0 pixels" in broken(tmp_path, good[: rows + 8] + b"\x00\x00" + good[rows + 10 :])
    assert "no value representation" in broken(tmp_path, good[: rows + 4] + b"zz" + good[rows + 6 :])
    assert "out of place" in broken(tmp_path, good[:rows] + b"\x08\x00\x10\x00" + good[rows + 4 :])
    assert "transfer syntax" in broken(
        tmp_path, good.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1)
    )


def _with(data: bytes, before: bytes, *, NumberOfFrames: str) -> bytes:
    at = data.index(before)
    value = NumberOfFrames.encode() + b" " * (len(NumberOfFrames) % 2)
    return data[:at] + b"\x28\x00\x08\x00IS" + struct.pack("<H", len(value)) + value + data[at:]


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    """Wherever a file ends too early: a clear error, never another one."""
    for syntax in (EXPLICIT_LE, JPEG_LOSSLESS):
        source = tmp_path / "whole.dcm"
        encode_instance(write(master("us-gray", rows=4, columns=6), tmp_path), source, syntax)
        data = source.read_bytes()
        path = tmp_path / "cut.dcm"
        for length in range(0, len(data), 7):
            path.write_bytes(data[:length])
            with pytest.raises(PixelError):
                Source(path)


def test_a_broken_stream_is_refused(tmp_path: Path) -> None:
    encode_instance(write(master("us-gray"), tmp_path), tmp_path / "a.dcm", JPEG_BASELINE)
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "b.dcm").write_bytes(data.replace(b"\xff\xd8\xff", b"\xff\x00\xff"))
    with pytest.raises(PixelError, match="decompressed"):
        encode_instance(tmp_path / "b.dcm", tmp_path / "c.dcm", EXPLICIT_LE)
    assert not (tmp_path / "c.dcm").exists()
    small = data.replace(
        struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 48), struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 47)
    )
    (tmp_path / "b.dcm").write_bytes(small)
    with pytest.raises(PixelError, match="the header says"):
        encode_instance(tmp_path / "b.dcm", tmp_path / "c.dcm", EXPLICIT_LE)


def test_fragments_without_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty fragments by the hundred thousand cost no memory."""
    monkeypatch.setattr("modality.pixel.source._MOST_FRAGMENTS", 100)
    data = encoded(master("us-gray"), tmp_path, JPEG_BASELINE).read_bytes()
    (tmp_path / "many.dcm").write_bytes(data[:-8] + b"\xfe\xff\x00\xe0\0\0\0\0" * 101 + data[-8:])
    with pytest.raises(PixelError, match="more than 100 fragments"):
        Source(tmp_path / "many.dcm")


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    good = write(master("us-gray"), tmp_path).read_bytes()
    at = good.index(b"\x28\x00\x02\x00US")
    nest = (b"\x21\x00\x11\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 5000
    assert "nested" in broken(tmp_path, good[:at] + nest + good[at:])


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        encode_instance(tmp_path / "none.dcm", tmp_path / "x.dcm", EXPLICIT_LE)


def test_files_are_closed(tmp_path: Path) -> None:
    path = write(master("clip-colour"), tmp_path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for syntax in (EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE):
        encode_instance(path, tmp_path / "x.dcm", syntax)
        pieces = dataset_pieces(path, syntax)
        next(iter(pieces))
        pieces.close()
        pieces.close()
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after == before


# -- memory and speed


def _big_clip(folder: Path, frames: int = 128) -> Path:
    """300 MB: 128 frames of 1024 x 768 RGB, frame by frame behind a header."""
    one = master("clip-colour", rows=768, columns=1024, frames=1)
    start = one.instance.start
    head = start.rindex(b"\xe0\x7f\x10\x00OB\0\0")
    length = struct.pack("<I", frames * one.pixels.nbytes)
    number = f"{frames:<4}".encode()
    start = start[:head].replace(b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x04\x00" + number)
    path = folder / "clip.dcm"
    with path.open("wb") as file:
        file.write(start + b"\xe0\x7f\x10\x00OB\0\0" + length)
        for shift in range(frames):
            file.write(np.roll(one.pixels, 3 * shift, axis=2).tobytes())
    return path


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, JPEG_BASELINE])
def test_a_long_clip_in_little_memory(syntax: str, tmp_path: Path) -> None:
    """300 MB into any syntax with less than 100 MB more of memory at any time."""
    path = _big_clip(tmp_path)
    encode_instance(write(master("us-colour"), tmp_path), io.BytesIO(), syntax)  # loads the codec
    before, most, started = _resident(), 0, time.perf_counter()

    def look(done: int, total: int) -> None:
        nonlocal most
        most = max(most, _resident())

    target = tmp_path / "out.dcm"
    done = encode_instance(path, target, syntax, progress=look)
    seconds = time.perf_counter() - started
    print(
        f"{syntax}: {path.stat().st_size / seconds / 1e6:.0f} MB/s, {(most - before) >> 20} MB more, {done.bytes} bytes"
    )
    assert most - before < 100 << 20
    assert target.stat().st_size == done.bytes
