"""Media storage against the usual tools, on the same folder in the same run.

* ``media.export``: 500 images of 300 KB, written, made durable, read back, with their DICOMDIR, against ``cp -r`` and
  ``sync -f`` of the same files and ``dcmmkdir`` over them.  The files that ``cp`` gets have 8.3 names already.
* ``media.add``: adding one image to 50 against adding one to 5,000, times three: 1.0 is just three times the cost.

Both sides end with everything durable: ``sync -f`` makes the whole file system so, ours does it file by file.
Pairs of rounds alternate, and the best of each is taken.  The medium is a FAT32 image mounted by the bench's own FUSE
server in a process of its own, inside a mount namespace of its own; where that is not allowed, or with ``--on
FOLDER``, a plain folder.

``python tests/benchmarks/bench_media.py [--quick] [--on FOLDER]``; exit 1 below a committed ratio (``--quick``: below
half of it).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from bench.doctor import dcmtk  # noqa: E402
from tests.benchmarks.test_modality_media_calls import add_images, export_images  # noqa: E402
from tests.lab.elements import DataSet  # noqa: E402
from tests.lab.media import START, object_file  # noqa: E402
from tests.lab.products.facts import PERSONS, uid  # noqa: E402
from tests.lab.products.mx1 import Picture, Scan, image  # noqa: E402

ROWS, COLUMNS = 480, 640


def images(folder: Path, count: int, size: int = ROWS * COLUMNS, first: int = 1) -> list[Path]:
    """Masters of one series: 8-bit stills."""
    folder.mkdir(parents=True, exist_ok=True)
    scan = Scan(PERSONS["kanji"], number=1, start=START)
    ds: DataSet = image(scan, Picture("us", number=1), "1.20")
    made = []
    for number in range(first, first + count):
        ds.update(
            Rows=size // COLUMNS, Columns=COLUMNS, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
            SOPInstanceUID=uid("bench", number), InstanceNumber=number,
        )  # fmt: skip
        ds.put("PixelData", os.urandom(size // COLUMNS * COLUMNS), vr="OB")
        path = folder / f"IM{number:06d}"
        path.write_bytes(object_file(ds, uid="1.2.3", version="X"))
        made.append(path)
    return made


def served(image_file: Path, target: Path) -> int | None:
    """Mount a FAT32 medium, served by a child; return the child's id, None where mounting is not allowed."""
    from bench.volumes import mounting
    from bench.volumes.device import BlockDevice
    from bench.volumes.fat import FatVolume
    from bench.volumes.files import FatFiles
    from bench.volumes.format import format_image
    from bench.volumes.fuse import Server

    format_image(image_file, size=1 << 30, fat="FAT32")
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            device = BlockDevice(image_file)
            server = Server(FatFiles(FatVolume.mount(device), device))
            server.mount(target)
            os.write(told, b"x")
            server.join(3600)
        except OSError as error:
            print(f"no FUSE volume: {error}", file=sys.stderr)
        finally:
            os._exit(0)
    os.close(told)
    if os.read(ready, 1) == b"x" and mounting.mounted(target):
        return child
    os.waitpid(child, 0)
    return None


def timed(work: Callable[[], object]) -> float:
    """Seconds on the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def theirs(source: Path, medium: Path, program: str) -> None:
    """Copy, index, make durable."""
    (medium / "DICOM").mkdir(parents=True)
    subprocess.run(["cp", "-r", str(source), str(medium / "DICOM")], check=True)
    subprocess.run(
        [program, "+r", "+id", str(medium), "+D", str(medium / "DICOMDIR"), "-Pgp", "DICOM"],
        check=True,
        capture_output=True,
    )
    subprocess.run(["sync", "-f", str(medium)], check=True)


def clear(medium: Path) -> None:
    """An empty medium."""
    for one in medium.iterdir():
        if one.is_dir():
            shutil.rmtree(one)
        else:
            one.unlink()


def exported(place: Path, device: Path, rounds: int) -> float:
    """The ratio of times: theirs by ours."""
    program = dcmtk("dcmmkdir")
    if program is None:
        raise SystemExit("dcmmkdir of DCMTK is needed")
    masters = images(device / "IMAGES", 500)
    mine: list[float] = []
    other: list[float] = []
    medium = place / "medium"
    medium.mkdir()
    for _ in range(rounds):
        other.append(timed(lambda: theirs(device / "IMAGES", medium, program)))
        clear(medium)
        mine.append(timed(lambda: export_images(medium, masters, device / "state")))
        clear(medium)
    print(f"500 images: {min(mine):.2f} s, {min(other):.2f} s by cp, dcmmkdir and sync")
    return min(other) / min(mine)


def grown(place: Path, device: Path, rounds: int) -> float:
    """Three times the cost of adding one to 50, by that of adding one to 5,000."""
    costs: dict[int, list[float]] = {}
    more = images(device / "more", rounds * 2, first=900_001)
    places = {}
    for count in (50, 5000):
        places[count] = place / f"medium-{count}"
        places[count].mkdir()
        export_images(places[count], images(device / f"{count}", count, size=COLUMNS), None, verify=False)
        costs[count] = []
    for number in range(rounds):
        for count, medium in places.items():
            start = time.perf_counter()
            written = add_images(medium, [more[number]], device / "state")
            costs[count].append(time.perf_counter() - start)
            if written != 1:
                raise SystemExit("nothing was added")
    little, much = min(costs[50]), min(costs[5000])
    print(f"one more: to 50 {little * 1e3:.1f} ms, to 5,000 {much * 1e3:.1f} ms")
    return 3 * little / much


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--on", type=Path, help="a folder on the medium to be measured")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.on is None and not arguments.inside:
        alone = ["unshare", "--mount", "--propagation", "private"]
        if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0:
            os.execvp("unshare", [*alone, sys.executable, __file__, "--inside", *sys.argv[1:]])
    ratios: dict[str, float] = {}
    rounds = 2 if arguments.quick else 4
    with tempfile.TemporaryDirectory() as device, tempfile.TemporaryDirectory(dir=arguments.on) as place:
        mount = Path(place) / "medium"
        mount.mkdir()
        child = served(Path(device) / "medium.img", mount) if arguments.inside else None
        print("on a FAT32 volume through FUSE" if child is not None else f"in {place}")
        try:
            ratios["media.export"] = exported(mount, Path(device), rounds)
            ratios["media.add"] = grown(mount, Path(device), rounds * 4)
        finally:
            if child is not None:
                subprocess.run(["umount", str(mount)], check=True)
                os.waitpid(child, 0)
    committed = json.loads((HERE / "ratios.json").read_text("utf-8"))
    bad = 0
    for name, ratio in ratios.items():
        least = committed.get(name, 0.0) * (0.5 if arguments.quick else 1.0)
        bad += ratio < least
        print(f"{name:16s} {ratio:7.2f}  (at least {least})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
