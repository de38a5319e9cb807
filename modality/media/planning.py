"""What an operation will write, decided before the medium is changed: files, folders, and the whole new DICOMDIR.

Rules of this file:

* Instances that are whole on the medium already, or are asked for twice, are skipped and told.
* What takes long, comparing and encoding, is told piece by piece, and may be stopped there.
* One Patient ID is one person's on a medium; two with one are refused.
* An image in the wished transfer syntax goes to the medium as the bytes of its master behind a new file meta
  information; another one is encoded on the device's own disk first, so that its size is known and nothing can fail
  half-way for its sake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import master as m
from . import records
from .elements import file_meta
from .layout import ROOT, Tree
from .master import Master
from .matching import Matcher, Person, plain, text
from .model import MediaError, Options
from .names import BASE, NameGiver
from .presence import Presence
from .source import Source
from .volume import Names, Volume
from .wholeness import is_whole
from .work import Work

MOST_FILES: Final = 1000
"""Files in a folder; in a long one FAT is slow, since it is searched from its beginning."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that will be written."""

    source: Source
    names: Names
    file_id: str
    sop_class: str
    sop_instance: str
    syntax: str


@dataclass
class Plan:
    """All that will be written."""

    files: list[PlannedFile] = field(default_factory=list)
    folders: list[Names] = field(default_factory=list)


def source_of(
    master: Master, syntax: str, implementation: tuple[str, str], target: Path, work: Work
) -> Source:
    """Make the file's bytes available; *target* is where it is encoded when it has to be.

    Raises:
        MediaError: ``image``: it is not whole on the device, or cannot be encoded so.
    """
    from ..pixel import PixelError, encode_instance
    from ..pixel import Source as Pixels

    path = master.path
    try:
        if syntax == master.syntax:
            Pixels(path).close()  # what is cut off on the device is not copied
            meta = file_meta(master.sop_class, master.sop_instance, syntax, implementation)
            return Source(path, master.body, master.size - master.body, bytes(128) + b"DICM" + meta)
        part = work.part(master.size)
        done = encode_instance(
            path, target, syntax, implementation=implementation, spool=target.parent, progress=part.share
        )
        part.end()
        return Source(target, 0, done.bytes, b"")
    except PixelError as error:
        raise MediaError("image", f"The image {path.name} cannot be encoded: {error}.") from error
    except OSError as error:
        raise MediaError("image", f"The image {path.name} cannot be encoded: {error.strerror}.") from error


def choose(
    volume: Volume,
    masters: Sequence[Master],
    tree: Tree,
    root: list[str],
    options: Options,
    spool: Path,
    work: Work,
) -> tuple[list[Master], list[str], tuple[str, ...]]:
    """The images that have to be written, the instances that need not be, and what the operator should know.

    An image that the DICOMDIR names and whose file is gone, is another one or is not whole, is not on the medium: it is
    written again, under a name and with a record of its own.

    Raises:
        MediaError: ``patient-conflict``: the Patient ID of an image would be that of two persons.
    """
    matcher, presence = Matcher(tree), Presence(volume, root)
    wanted: list[Master] = []
    seen: set[str] = set()
    skipped: list[str] = []
    gone = damaged = 0

    def made(master: Master, syntax: str) -> Source | None:
        try:
            return source_of(master, syntax, options.implementation, spool / "compared", work)
        except MediaError as error:
            if isinstance(error.__cause__, OSError):
                raise
            return None  # it has no such form here

    def whole(master: Master, names: Names) -> bool:
        about = volume.find(names)
        part = work.part(about.size if about is not None else 0)
        found = is_whole(volume, names, master, options.implementation, made, part.tell)
        part.end()
        return found

    left = sum(_effort(one, options) for one in masters)
    for one in masters:
        left -= _effort(one, options)
        if one.sop_instance in seen:
            skipped.append(one.sop_instance)
            continue
        seen.add(one.sop_instance)
        named = matcher.files_of(one.sop_instance)
        there = [names for file in named if (names := presence.found(file, one.sop_instance)) is not None]
        work.guess(left)
        if any(whole(one, names) for names in there):
            skipped.append(one.sop_instance)
            continue
        damaged += bool(there)
        gone += bool(named) and not there
        wanted.append(one)
        left += _effort(one, options)
    work.guess(left)
    _check_patients(matcher, wanted)
    told = []
    if gone:
        told.append(
            f"{gone} image(s) of the DICOMDIR were not on the medium any more and were written again."
        )
    if damaged:
        told.append(f"{damaged} image(s) on the medium were not whole and were written again.")
    return wanted, skipped, tuple(told)


def _effort(master: Master, options: Options) -> int:
    """Bytes that have to be encoded and written for an image, as far as its master tells."""
    return master.size * (1 if options.syntax_of(master.sop_class) == master.syntax else 2)


def sources_of(wanted: Sequence[Master], options: Options, spool: Path, work: Work) -> list[Source]:
    """Make the bytes of all files available, below *spool* where they have to be encoded.

    Raises:
        MediaError: as :func:`source_of`.
    """
    left = sum(_effort(one, options) for one in wanted)
    found = []
    for number, one in enumerate(wanted):
        left -= _effort(one, options) - one.size
        work.guess(left)
        syntax = options.syntax_of(one.sop_class)
        found.append(source_of(one, syntax, options.implementation, spool / f"{number:06d}", work))
    return found


def _check_patients(matcher: Matcher, wanted: Sequence[Master]) -> None:
    """Refuse what would give two persons one Patient ID: the standard allows one record for it (PS3.3 F.5.1)."""
    persons: dict[str, list[Person]] = {}
    checked: set[tuple[bytes, ...]] = set()
    for one in wanted:
        key = tuple(one.value(tag) for tag in (m.PATIENT_ID, m.NAME, m.BIRTH_DATE, m.SEX, m.CHARSET))
        if key in checked:
            continue
        checked.add(key)
        patient, person = plain(key[0], key[-1]), Person.read(one.values)
        known = persons.setdefault(patient, [])
        where = "in the chosen exams"
        differs = next(filter(None, map(person.differs, known)), "")
        if not differs:
            known.append(person)
            where = "on the medium"
            differs = matcher.somebody_else(one)
        if differs:
            shown = "".join(sign if sign.isprintable() else "?" for sign in patient[:64])
            raise MediaError(
                "patient-conflict",
                f"The Patient ID {shown} is also that of a patient with another {differs} {where}: a medium can have "
                "only one of them. Nothing was changed on it; the images are still on the device.",
            )


def plan(
    volume: Volume,
    tree: Tree,
    masters: Sequence[Master],
    sources: Sequence[Source],
    options: Options,
    giver: NameGiver,
) -> Plan:
    """Give names, hang the records into the tree, and say what has to be written."""
    placer = _Placer(tree, giver)
    made = Plan()
    for master, source in zip(masters, sources, strict=True):
        series, folder = placer.series(master)
        name, number = giver.give(folder, "IM")
        if number > MOST_FILES:
            folder = placer.another(series)
            name, number = giver.give(folder, "IM")
        file_id = (*folder, name)
        syntax = options.syntax_of(master.sop_class)
        tree.append(series, records.image(master, file_id, syntax, str(number).encode()))
        names = (*giver.ensure(folder), name)
        made.files.append(
            PlannedFile(source, names, "/".join(file_id), master.sop_class, master.sop_instance, syntax)
        )
    made.folders = giver.folders
    return made


class _Placer:
    """Finds or makes the records above an image, with their folders."""

    def __init__(self, tree: Tree, giver: NameGiver) -> None:
        self._tree = tree
        self._giver = giver
        self._matcher = Matcher(tree)
        self._patients: dict[tuple[str, str], int] = {}
        self._below: dict[tuple[int, bytes], int] = {}
        self._folders: dict[int, Names] = {}

    def _folder(self, record: int, depth: int, above: Names, prefix: str) -> Names:
        """The folder of a record: where an image below it lies already, or a new one."""
        if record not in self._folders:
            known = self._matcher.folder(record)[:depth]
            if len(known) != depth or known[:-1] != above:
                known = (*above, self._giver.give(above, prefix)[0])
            self._folders[record] = known
        return self._folders[record]

    def another(self, series: int) -> Names:
        """One more folder for a series whose folder is full."""
        above = self._folders[series][:-1]
        self._folders[series] = (*above, self._giver.give(above, "SE")[0])
        return self._folders[series]

    def series(self, master: Master) -> tuple[int, Names]:
        """The record of the image's series, and its folder."""
        tree = self._tree
        charset = master.value(m.CHARSET)
        key = (plain(master.value(m.PATIENT_ID), charset), text(master.value(m.NAME), charset))
        patient = self._patients.get(key, -1)
        if patient < 0:
            patient = self._matcher.patient(master)
            if patient < 0:
                patient = tree.append(ROOT, records.patient(master))
            self._patients[key] = patient
        at = self._folder(patient, 2, (BASE,), "PA")
        study = self._below.get((patient, master.value(m.STUDY)), -1)
        if study < 0:
            study = self._matcher.study(patient, master)
            if study < 0:
                study = tree.append(patient, records.study(master))
            self._below[patient, master.value(m.STUDY)] = study
        at = self._folder(study, 3, at, "ST")
        series = self._below.get((study, master.value(m.SERIES)), -1)
        if series < 0:
            series = self._matcher.series(study, master)
            if series < 0:
                number = str(len(tree.below(study)) + 1).encode()
                series = tree.append(study, records.series(master, number))
            self._below[study, master.value(m.SERIES)] = series
        return series, self._folder(series, 4, at, "SE")
