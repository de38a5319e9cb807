"""What the test of mounted media that are pulled out does in a mount namespace of its own.

``python modality_media_mounted_body.py FOLDER YANKS [even]`` prints what happened as JSON.

Rules of this file:

* The console is a process of its own, on real mounts; what is on a medium is read from its image, without a mount.
* Every point begins with the same bytes on the medium; only where it is pulled out and what is lost differ.
* Six of ten points lie anywhere in what the operation writes, two near its end, one where the directory changes; the
  tenth comes right after the operator was told that all is saved, and takes along what was not kept yet.  With ``even``
  every byte that the operation writes is as likely as any other.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.links import netns
from bench.sandbox import isolate
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from tests.integration.modality_mx1_bench import Mx1Bench, sha256
from tests.integration.volumes_bodies import MB, Stick
from tests.unit.judged_media import explained, fails, judge

UNTOLD = {"STD-MED-010", "STD-MED-011", "STD-MED-016", "MX-MED-006", "MX-MED-007"}
"""Between the prefixes of the images and the new directory some sectors are written: whole images that no directory
is told of yet."""
END = 12_288
"""Bytes at the end of an operation in which the prefixes are written and the directory changes."""
NEAR = 2 * END
"""Bytes at its end from where the images are kept, not yet as DICOM files."""
CHANGE = 2560
"""Bytes at its very end, in which the new directory takes the old one's place."""
PULLED = ("io", "interrupted", "unreadable", "no-medium")
"""Codes by which a medium that was pulled out is told."""
MEDIA = {"usb": ("FAT16", 33 * MB, None), "sd": ("FAT32", 40 * MB, 512)}
"""Medium -> how it is formatted; 512-byte clusters make the smallest volume that is FAT32."""
LEFT = ("belong to no file", "FSInfo", "copies of the FAT differ")
"""What a check of the FAT may still find afterwards: chains are written in two copies, before names are and after
they go, and nobody repairs a medium between a pull and the next use."""
SETS = ("empty", "own", "foreign-fileset")
DIRECTORY = "DICOMDIR"


def files_of(image: Path) -> dict[str, bytes]:
    """Every file on a medium, read from its image, which stays as it is."""
    device = BlockDevice(image)
    try:
        volume = FatVolume.mount(device, read_only=True)
        found: dict[str, bytes] = {}

        def walk(folder: str) -> None:
            for name in volume.listdir(folder or "/"):
                path = f"{folder}/{name}"
                about = volume.stat(path)
                if about.is_dir:
                    walk(path)
                else:
                    handle = volume.open(path)
                    found[path[1:]] = volume.read(handle, 0, about.size)
                    volume.close(handle)

        walk("")
        volume.abandon()
        return found
    finally:
        device.close()


def sparse(source: Path, target: Path) -> None:
    """Give a file the bytes of another, in place: a device may have it open."""
    with source.open("rb") as data, target.open("r+b" if target.exists() else "wb") as out:
        out.truncate(0)
        while piece := data.read(1 << 18):
            if piece.count(0) < len(piece):
                out.write(piece)
            else:
                out.seek(len(piece), 1)
        out.truncate(source.stat().st_size)


def trouble_of(image: Path) -> list[str]:
    """What a check of the FAT finds; the dirty bit of a medium that was pulled out is no trouble."""
    device = BlockDevice(image)
    try:
        return [found for found in check_device(device) if "dirty bit" not in found]
    finally:
        device.close()


def records_size(directory: bytes) -> int:
    """Bytes of a DICOMDIR behind its file meta information, whose new UID is not always of the same length."""
    return len(directory) - int.from_bytes(directory[140:144], "little")


@dataclass(frozen=True)
class Case:
    """One medium as it is before, and as it is after an operation that nothing disturbed."""

    medium: str
    content: str
    start: Path
    old: dict[str, bytes] = field(repr=False)
    faults: set[str]
    total: int
    whole: dict[str, bytes] = field(repr=False)
    claims: dict[str, tuple[str, str]] = field(repr=False)

    @property
    def verb(self) -> str:
        """What the operator asks for."""
        return "export" if self.content == "empty" else "add"


class Media:
    """A console with an exam, two media, and what is to be found out about them."""

    def __init__(self, folder: Path, bench: Mx1Bench) -> None:
        self.folder = folder
        self.bench = bench
        self.sticks: dict[str, Stick] = {}
        for name, (fat, size, cluster) in MEDIA.items():
            place = folder / name
            place.mkdir()
            more = {"cluster": cluster} if cluster else {}
            self.sticks[name] = Stick(place, name=name, format=fat, size=size, inserted=False, **more)
        bench.settings(media={name: str(stick.mount) for name, stick in self.sticks.items()})
        self.operator = bench.start()
        self.images: dict[str, str] = {}
        self.seen: Counter[str] = Counter()

    # -- before

    def first_exam(self) -> None:
        """Two stills, which file-sets of our own hold before."""
        self.bench.exam(PatientID="P0", PatientName="Roe^Richard")
        for _ in range(2):
            self.operator.do("capture_still")

    def second_exam(self) -> None:
        """Four stills and a clip, which are to be saved; their files on the device are remembered."""
        self.operator.do("complete")
        self.bench.exam(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
        for _ in range(4):
            self.operator.do("capture_still")
        self.operator.do("capture_clip", frames=3)
        self.operator.do("freeze")
        for path in (self.bench.folder / "data" / "images").glob("*.dcm"):
            self.images[path.stem] = sha256(path.read_bytes())

    def on_the_device(self) -> None:
        """All images are still there, byte by byte, and the console says so."""
        told = self.operator.do("exam_state")["exam"]["images"]
        assert [image["kind"] for image in told] == ["still"] * 4 + ["clip"], told
        assert {image["state"] for image in told} == {"accepted"}, told
        folder = self.bench.folder / "data" / "images"
        for name, digest in self.images.items():
            assert sha256((folder / f"{name}.dcm").read_bytes()) == digest, name

    def start_image(self, medium: str, content: str) -> Path:
        """A medium as it lies in the drawer; those with our own file-set were written by the console."""
        stick = self.sticks[medium]
        cluster = MEDIA[medium][2]
        more = {"cluster": cluster} if cluster else {}
        stick.do("format", content=[] if content == "own" else [content], **more)
        if content == "own":
            stick.do("insert")
            self.operator.do("export", medium=medium)
            stick.do("remove")
        start = self.folder / f"start-{medium}-{content}.img"
        sparse(stick.image, start)
        return start

    def put_in(self, medium: str, start: Path) -> Stick:
        """The medium with these bytes is in."""
        stick = self.sticks[medium]
        stick.do("disarm", id="*")
        sparse(start, stick.image)
        stick.events.clear()
        stick.do("insert")
        return stick

    def learn(self, medium: str, content: str, start: Path) -> Case:
        """Do the operation once undisturbed."""
        old, faults = files_of(start), fails(judge(start, medium=medium))
        stick = self.put_in(medium, start)
        before = stick.do("state")["written"]
        verb = "export" if content == "empty" else "add"
        claim = self.operator.do(verb, medium=medium)
        total = stick.do("state")["written"] - before
        stick.do("remove")
        rows = judge(stick.image, medium=medium)
        assert fails(rows) <= faults, explained(rows)
        whole = files_of(stick.image)
        claims = {file["sop_instance"]: (file["file_id"], file["sha256"]) for file in claim["files"]}
        assert len(claims) == 5
        case = Case(medium, content, start, old, faults, total, whole, claims)
        self.as_claimed(case, whole)
        assert set(old) <= set(whole)
        return case

    def as_claimed(self, case: Case, now: dict[str, bytes]) -> None:
        """Every image is on the medium as it was said."""
        for file_id, digest in case.claims.values():
            assert sha256(now[file_id]) == digest, file_id

    # -- the points

    def pull(self, case: Case, at: int, lose: int | str) -> None:
        """Pull the medium out while it is written to; look; put it in again and repeat."""
        point = (case.medium, case.content, at, case.total, lose)
        stick = self.put_in(case.medium, case.start)
        stick.do("arm", id="yank", fault="yank", args={"at_bytes": at, "lose": lose})
        done = self.ask(case.verb, case)
        if stick.do("state")["inserted"]:
            assert done is not None, point
            stick.do("disarm", id="*")
            stick.do("arm", id="late", fault="yank", args={"lose": lose})
            self.seen["pulled afterwards"] += 1
        removed = stick.wait("volume.removed")
        assert removed["how"] == "yanked", removed
        self.seen["bytes lost with it"] += removed["lost"] > 0
        self.on_the_device()
        now = files_of(stick.image)
        rows = judge(stick.image, medium=case.medium)
        self.look(case, now, fails(rows), done is None, point)
        assert fails(rows) - case.faults <= UNTOLD, (point, explained(rows))
        self.bench.until(lambda: not stick.mount.exists())
        self.repeat(case, stick, point)

    def ask(self, verb: str, case: Case) -> dict[str, Any] | None:
        """Ask for it; what is refused has been told to the operator by exactly one warning with a code."""
        self.operator.events.clear()
        answer = self.operator.ask(verb, medium=case.medium)
        self.operator.do("queue")  # the events that came meanwhile
        told = [e["data"] for e in self.operator.events if e["event"] == "modality.warning"]
        if answer["ok"]:
            assert not told, told
            return dict(answer["result"])
        assert len(told) == 1, told
        assert (told[0]["service"], told[0]["peer"]) == ("media", case.medium), told
        assert told[0]["code"] in (*PULLED, "exists"), told
        self.seen[f"told as {told[0]['code']}"] += 1
        return None

    def look(
        self, case: Case, now: dict[str, bytes], faults: set[str], refused: bool, point: tuple[Any, ...]
    ) -> None:
        """The old or the new file-set is there, and all that was there before."""
        for name, data in case.old.items():
            assert name == DIRECTORY or now.get(name) == data, (point, name)
        self.seen["refused" if refused else "succeeded"] += 1
        self.seen["valid at once" if faults <= case.faults else "untold images"] += 1
        if now.get(DIRECTORY, b"") == case.old.get(DIRECTORY, b""):
            assert refused, point
            kind, known = "old set", set(case.old) | {DIRECTORY}
        else:
            kind, known = "new set", set(case.whole)
            self.as_claimed(case, now)
            sizes = records_size(now[DIRECTORY]), records_size(case.whole[DIRECTORY])
            assert sizes[0] == sizes[1], (point, sizes)
        self.seen[f"{kind} with leftovers" if set(now) - known else kind] += 1
        if case.total - point[2] >= END:
            assert kind == "old set", point
            assert faults <= case.faults, (point, faults)

    def repeat(self, case: Case, stick: Stick, point: tuple[Any, ...]) -> None:
        """Put in again, the same once more: nothing is left of what was interrupted, and all images are there."""
        stick.do("disarm", id="*")
        before = self.seen["told as exists"]
        stick.do("insert")
        done = self.ask(case.verb, case)
        if done is None:
            # The set was whole already: the medium says so, and adding finds nothing to do.
            assert self.seen["told as exists"] == before + 1, point
            done = self.ask("add", case)
            assert done is not None, point
            assert not done["files"], (point, done)
        assert len(done["files"]) + len(done["skipped"]) == 5, (point, done)
        stick.do("remove")
        now = files_of(stick.image)
        rows = judge(stick.image, medium=case.medium)
        assert fails(rows) <= case.faults, (point, explained(rows))
        assert set(now) == set(case.whole), (point, set(now) ^ set(case.whole))
        assert all(now[name] == data for name, data in case.whole.items() if name != DIRECTORY), point
        assert sha256(now[DIRECTORY]) == done["dicomdir_sha256"], point
        self.seen["clean after the repeat"] += 1
        trouble = trouble_of(stick.image)
        for found in trouble:
            kinds = [kind for kind in LEFT if kind in found]
            assert kinds, (point, trouble)
            self.seen[f"FAT: {kinds[0]}"] += 1
        self.seen["FAT without findings"] += not trouble
        events = {kind for kind, _ in stick.events}
        assert not events & {"bench.note", "bench.error", "volume.refused"}, (point, stick.events)


def points(cases: list[Case], count: int, even: bool) -> list[tuple[Case, int, int | str]]:
    """Where the media are pulled out: FAT16 and FAT32 in turn, each content in turn."""
    chance = random.Random("mounted")  # repeatable
    losses: list[int | str] = [0, 512, 4096, 20_000, 200_000, "all"]
    by = {(case.medium, case.content): case for case in cases}
    found: list[tuple[Case, int, int | str]] = []
    for number in range(count):
        case = by[tuple(MEDIA)[number % 2], SETS[number % 3]]
        last = (case.total, case.total, case.total, NEAR, CHANGE)[number % 5]
        at, lose = case.total - chance.randrange(case.total if even else last), chance.choice(losses)
        late = number % 10 == 9 and not even
        found.append((case, at + MB, "all") if late else (case, at, lose))
    return found


def run(folder: Path, count: int, even: bool) -> dict[str, Any]:
    """All of it; what happened, counted."""
    began = time.monotonic()
    with Mx1Bench(folder, {"size": "640x480", "fps": 10.0}) as bench:
        media = Media(folder, bench)
        media.first_exam()
        starts = {(m, c): media.start_image(m, c) for c in SETS for m in MEDIA}
        media.second_exam()
        cases = [media.learn(m, c, start) for (m, c), start in starts.items()]
        first = time.monotonic()
        for case, at, lose in points(cases, count, even):
            media.pull(case, at, lose)
        for stick in media.sticks.values():
            stick.actor.stop()
            stick.gone()
    return {
        "seen": dict(sorted(media.seen.items())),
        "bytes": {f"{c.medium} {c.content}": c.total for c in cases},
        "seconds": round(time.monotonic() - began, 1),
        "seconds before the first": round(first - began, 1),
    }


def main() -> None:
    """Enter a mount namespace, do it, and see that nothing is left in it."""
    assert threading.active_count() == 1
    netns.unshare(netns.CLONE_NEWNS)
    isolate.mount("none", "/", "", isolate.MS_REC | isolate.MS_PRIVATE)
    before = Path("/proc/self/mountinfo").read_text()
    told = run(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["even"])
    assert Path("/proc/self/mountinfo").read_text() == before, "a mount is left"
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
