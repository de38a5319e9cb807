"""A medium as the other checks see a capture: objects and directory records as data sets that the product sent.

Rules of this file:

* A file or record stands where a message stands; evidence names the file, the tag and the byte in the file.
* What is cut off is told by the rules of media: such a file is "not complete", as a message that did not come whole.
* Group 0004 belongs into a DICOMDIR: records are handed on without it, and it is judged by the rules of media.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, cast

from bench.checks import registry
from bench.checks.case import Case, Exchange, Stored, Sut, SutConfig
from bench.checks.finding import Check
from bench.checks.media.authors import authors
from bench.checks.media.history import History
from bench.journal import Event
from bench.resultmodel import Evidence
from bench.statements.model import Statement
from bench.witness.dataset import DataSet, DataSetProblem, Element
from bench.witness.medium import DicomFile, Directory, Medium, Record
from bench.witness.model import Capture, Message

AREAS: Final = ("media", "datasets", "charsets", "attributes", "iod", "sr")
"""Areas of checks that speak of media."""


@dataclass(frozen=True, slots=True)
class FileCommand:
    """What a C-STORE-RQ would say of the file."""

    sop_class: str
    sop_instance: str
    name: str = "C-STORE-RQ"
    is_request: bool = True
    has_dataset: bool = True
    message_id: int | None = None
    responded_to: int | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class FileMessage:
    """An object of the medium, or a record of the DICOMDIR, in the place of a message."""

    name: str
    number: int
    path: str
    begin: int
    dataset: DataSet | None
    complete: bool
    command: FileCommand
    transfer_syntax: str | None = None
    problems: tuple[Any, ...] = ()
    association: int = 0
    first_frame: int = 0
    first_time: float = 0.0
    first_pdu: int = 0
    sender: str = "requestor"
    context: None = None

    @property
    def sop_class(self) -> str:
        """As in a command."""
        return self.command.sop_class

    @property
    def sop_instance(self) -> str:
        """As in a command."""
        return self.command.sop_instance

    def frame_at(self, offset: int) -> int:
        """There are no frames."""
        return 0


@dataclass(frozen=True, slots=True)
class StoredFile(Stored):
    """An object on the medium."""

    @property
    def accepted(self) -> bool:
        """It is there."""
        return True


@dataclass(frozen=True, slots=True)
class _Whole:
    """In the place of an association: nothing is missing."""

    number: int = 0
    whole: bool = True
    end: str = "released"
    messages: tuple[Any, ...] = ()


@dataclass(frozen=True)
class MediaCase(Case):
    """One medium to be judged by one statement."""

    messages_by_file: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)
    story: History | None = None
    """What happened to it, when it is the medium of a cell."""

    @property
    def medium(self) -> Medium:
        """The medium."""
        return self.media[0]

    @cached_property
    def files(self) -> tuple[FileMessage, ...]:
        """The objects that the product wrote, in the order of the medium."""
        own = authors(self).own
        found = []
        for number, file in enumerate((f for f in self.medium.files if f.path in own and f.magic), 1):
            command = FileCommand(file.sop_class, file.sop_instance)
            found.append(
                FileMessage(
                    file.path,
                    number,
                    file.path,
                    file.begin,
                    file.dataset,
                    not file.lost,
                    command,
                    file.transfer_syntax,
                )
            )
        return tuple(found)

    @cached_property
    def records(self) -> tuple[FileMessage, ...]:
        """The DICOMDIR and its records, without group 0004; records of foreign objects are left out."""
        directory = self.medium.directory
        if directory is None:
            return ()
        file = directory.file
        syntax = file.transfer_syntax
        root = file.dataset
        found = []
        own = authors(self).records
        problems = self._problems(directory)
        if root is not None:
            # where the DICOMDIR breaks off, the rules of media say so, and its encoding is not judged
            outside = tuple(
                p for number, some in problems.items() if directory.broken or number not in own for p in some
            )
            bare = replace(root, elements=(), problems=outside, pixels=None, _index=None)
            command = FileCommand("", "", name="DICOMDIR")
            found.append(
                FileMessage(file.path, 0, file.path, file.begin, bare, not directory.broken, command, syntax)
            )
        for record in directory.records:
            if record.number not in own:
                continue
            inner = tuple(e for e in record.item.elements if e.tag >> 16 != 4)
            # offsets count from the root's begin
            length = root.length if root is not None else record.item.end
            inside = () if directory.broken else tuple(problems.get(record.number, ()))
            item = replace(record.item, elements=inner, problems=inside, offset=0, length=length, _index=None)
            name = f"{file.path}, {record.name}"
            command = FileCommand("", "", name="DICOMDIR")
            found.append(FileMessage(name, record.number, file.path, file.begin, item, True, command, syntax))
        return tuple(found)

    def _problems(self, directory: Directory) -> dict[int, list[DataSetProblem]]:
        """What is wrong with the encoding of the DICOMDIR, by the number of the record around it; 0: the root."""
        found: dict[int, list[DataSetProblem]] = {}
        root = directory.file.dataset
        begins = [record.item.offset for record in directory.records]
        for problem in root.problems if root is not None else ():
            if directory.file.begin + problem.offset >= directory.end:
                continue
            number = bisect_right(begins, problem.offset)
            if number and problem.offset >= directory.records[number - 1].item.end:
                number = 0
            found.setdefault(number, []).append(problem)
        return found

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """Objects and records."""
        return cast("tuple[Message, ...]", (*self.files, *self.records))

    def requests(self, name: str | None = None, sop_class: str | None = None) -> Iterator[Message]:
        """Objects, as C-STORE-RQ."""
        for message in self.files if name in (None, "C-STORE-RQ") else ():
            if sop_class in (None, message.sop_class):
                yield cast("Message", message)

    def received(self, name: str | None = None, sop_class: str | None = None) -> Iterator[Message]:
        """Nothing."""
        return iter(())

    def sends(self, thing: Any, association: Any = None) -> bool:
        """Everything here is the product's."""
        return True

    def sent(self) -> Iterator[Message]:
        """Objects and records."""
        return iter(self.messages)

    def association(self, message: Message) -> Any:
        """There is none; what asks learns that nothing is missing."""
        return _Whole()

    def exchange(self, request: Message) -> Exchange:
        """Nobody answers."""
        return Exchange(request)

    @cached_property
    def objects(self) -> tuple[Stored, ...]:
        """The objects that the product wrote."""
        return tuple(StoredFile(message, Exchange(message)) for message in self.requests())

    def at(
        self,
        thing: Any,
        element: Element | str | None = None,
        *,
        offset: int | None = None,
        association: Any = None,
        note: str | None = None,
    ) -> Evidence:
        """Return the file, the tag, and the byte in the file."""
        tag = element.tag_text if isinstance(element, Element) else element
        at = element.offset if isinstance(element, Element) else offset
        return Evidence(
            tag=tag,
            offset=None if at is None else thing.begin + at,
            note=note,
            what=thing.name if isinstance(thing, FileMessage) else str(getattr(thing, "path", "")),
        )


def in_file(
    file: DicomFile,
    element: Element | str | None = None,
    *,
    offset: int | None = None,
    note: str | None = None,
) -> Evidence:
    """Evidence in a file: an element of its data set (or its tag), or a byte of the file."""
    tag = element.tag_text if isinstance(element, Element) else element
    at = file.begin + element.offset if isinstance(element, Element) else offset
    if isinstance(element, Element) and element.tag >> 16 == 2:
        at = element.offset
    return Evidence(tag=tag, offset=at, note=note, what=file.path)


def in_record(medium: Medium, record: Record, key: str = "") -> Evidence:
    """Evidence in a record: an element of it by keyword, or its begin."""
    directory = medium.directory
    begin = directory.file.begin if directory is not None else 0
    element = record.item.get(key) if key else None
    what = f"{directory.file.path if directory is not None else 'DICOMDIR'}, {record.name}"
    if element is not None:
        return Evidence(tag=element.tag_text, offset=begin + element.offset, what=what)
    from bench.checks.iod.tables import tag_text

    return Evidence(tag=tag_text(key) if key else None, offset=record.offset, what=what)


def case_of(
    medium: Medium,
    statement: Statement,
    config: SutConfig,
    *,
    reference: bool = False,
    sut: Sut | None = None,
    story: History | None = None,
    events: Sequence[Event] = (),
) -> MediaCase:
    """Make a case of a medium; *story* and *events* are known for the medium of a cell."""
    capture = Capture((medium.name,), 0, medium.size, (), (), (), None, None)
    return MediaCase(
        statement=statement,
        capture=capture,
        sut=sut or Sut(why="the whole medium is taken for the product's"),
        config=config,
        reference=reference,
        media=(medium,),
        events=tuple(events),
        story=story,
    )


def story_of(case: Case) -> History | None:
    """Return what happened to the medium; None for one that no cell left."""
    return case.story if isinstance(case, MediaCase) else None


def checks_for(statement: str) -> Sequence[Check]:
    """Return the checks that speak of media."""
    return tuple(one for one in registry.checks(statement) if one.name.split(".", 1)[0] in AREAS)


__all__ = ["FileMessage", "MediaCase", "case_of", "checks_for", "in_file", "in_record", "story_of"]
