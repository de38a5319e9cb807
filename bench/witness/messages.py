"""Fragments of commands and data sets become messages (PS3.7 6.3, PS3.8 E).

Rules of this file:

* Behind a gap nothing is reported until a new command begins.
* Data sets pass by in fragments; only what :class:`bench.witness.dataset.Reader` keeps is kept.
* A data set without an accepted transfer syntax is read as its first element looks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bench.witness.building import Building, Incoming
from bench.witness.command import LONGEST, read_command
from bench.witness.dataset import DataSet, Reader, guess
from bench.witness.encodings import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from bench.witness.model import Message, Places
from bench.witness.talk import Talk

if TYPE_CHECKING:
    from bench.witness.flow import Flow
    from bench.witness.stream import Stream

EXACT: Final = 1 << 16
"""Fragments of a data set whose places are kept exactly; those behind them only to within ``COARSE`` bytes."""
COARSE: Final = 4096
_GROUP_LENGTH: Final = b"\0\0\0\0"


class Messages(Talk):
    """The messages of both directions, put together of fragments."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self.data_state = [(0, 0, 0), (0, 0, 0)]
        """Index, position and length of each stream's last P-DATA-TF."""
        self.pdu_index = 0
        self.pdu_position = 0
        self.pdu_length = 0

    def fragment(
        self, stream: Stream, context_id: int, control: int, data: memoryview, position: int
    ) -> None:
        """A fragment of a command or data set, or a piece of one (its last bit is set with the last piece only)."""
        number = stream.number
        incoming = self.incoming[number]
        if control & 1:
            incoming = self._command_fragment(stream, incoming, context_id, control, data, position)
            if incoming is None:
                return
        else:
            if incoming is None or incoming.command is None:
                self._orphan(stream, incoming, context_id, control, position)
                return
            if context_id != incoming.context_id:
                self._changed(stream, incoming, context_id, position)
            index = self.data_state[number][0]
            if incoming.last_pdu != index:
                self._count(incoming, number)
            size = len(data)
            if not incoming.broken:
                reader = incoming.reader
                if reader is None:
                    reader = self._reader(stream, incoming, data)
                offsets, positions = incoming.offsets, incoming.positions
                if len(offsets) < EXACT or position - positions[-1] - incoming.length + offsets[-1] > COARSE:
                    offsets.append(incoming.length)
                    positions.append(position)
                try:
                    reader.feed(data)
                except Exception as error:  # the witness's own fault, and it must say so
                    self._failed(stream, incoming, error)
            incoming.length += size
            if size > incoming.largest_fragment:
                incoming.largest_fragment = size
            if control & 2:
                self._complete(stream, incoming)

    def _count(self, incoming: Incoming, number: int) -> None:
        index, _, length = self.data_state[number]
        if incoming.first_pdu < 0:
            incoming.first_pdu = index
        incoming.last_pdu = index
        incoming.pdus += 1
        incoming.largest = max(incoming.largest, length)

    def _command_fragment(
        self,
        stream: Stream,
        incoming: Incoming | None,
        context_id: int,
        control: int,
        data: memoryview,
        position: int,
    ) -> Incoming | None:
        number = stream.number
        if incoming is not None and incoming.command is not None:
            # A command where the data set was to begin or to go on.
            if not incoming.broken:
                code = "command-in-dataset" if incoming.length else "dataset-missing"
                text = (
                    f"a command fragment instead of the {'rest of the ' if incoming.length else ''}data set of "
                    + (f"{incoming.command.name}")
                )
                self._problem(code, text, stream, position=position, incoming=incoming, pdu=self.pdu_index)
            self._store(stream, incoming, complete=False)
            incoming = None
        if incoming is None:
            if self.muted[number]:
                if bytes(data[:4]) != _GROUP_LENGTH:
                    return None
                self.muted[number] = False
            first, time, _, _ = self._times(stream, self.data_state[number][1], 1)
            incoming = self.incoming[number] = Incoming(context_id, first, time)
        elif context_id != incoming.context_id:
            self._changed(stream, incoming, context_id, position)
        if incoming.last_pdu != self.data_state[number][0]:
            self._count(incoming, number)
        incoming.command_length += len(data)
        if incoming.command_length > LONGEST:
            text = f"a command set of more than {LONGEST} bytes"
            self._problem(
                "command-long", text, stream, position=position, incoming=incoming, pdu=self.pdu_index
            )
            self.incoming[number] = None
            self.muted[number] = True
            return None
        incoming.parts.append(bytes(data))
        if control & 2:
            self._command(stream, incoming, position)
        return incoming

    def _command(self, stream: Stream, incoming: Incoming, position: int) -> None:
        """A command set is whole."""
        current = self._building(stream)
        current.numbers += 1
        incoming.number = current.numbers
        raw = b"".join(incoming.parts)
        incoming.parts = []
        command, faults = read_command(raw)
        incoming.command = command
        index = self.data_state[stream.number][0]
        for code, text, offset in faults:
            self._problem(code, text, stream, position=position, offset=offset, pdu=index, incoming=incoming)
        incoming.command_frame, incoming.command_time = stream.frame, stream.time
        self._context(stream, current, incoming, position)
        if not command.has_dataset:
            self._complete(stream, incoming)

    def _context(self, stream: Stream, current: Building, incoming: Incoming, position: int) -> None:
        number, context_id = stream.number, incoming.context_id
        context = incoming.context = current.contexts.get(context_id)
        index = self.data_state[number][0]

        def tell(code: str, text: str) -> None:
            self._problem(
                code, text, stream, position=position, pdu=index, incoming=incoming, context_id=context_id
            )

        assert incoming.command is not None
        name = incoming.command.name
        if context is None or not context.proposed:
            if current.request is None or current.unsure or not current.request.pdu:
                tell("context-unseen", f"the proposal of presentation context {context_id} was not captured")
            else:
                tell(
                    "context-unknown",
                    f"{name} in presentation context {context_id}, which was never proposed",
                )
        elif context.result is None and (current.answer is None or current.unsure):
            tell("context-unseen", f"the answer to presentation context {context_id} was not captured")
        elif context.result != 0:
            result = "never answered" if context.result is None else f"refused (result {context.result})"
            tell("context-refused", f"{name} in presentation context {context_id}, which was {result}")

    def _changed(self, stream: Stream, incoming: Incoming, context_id: int, position: int) -> None:
        if not incoming.broken:
            text = f"a fragment in presentation context {context_id} of a message that began in {incoming.context_id}"
            self._problem(
                "context-changed",
                text,
                stream,
                position=position,
                pdu=self.data_state[stream.number][0],
                incoming=incoming,
                context_id=context_id,
            )

    def _orphan(
        self, stream: Stream, incoming: Incoming | None, context_id: int, control: int, position: int
    ) -> None:
        """A data set fragment without a command that announced it."""
        number = stream.number
        if self.muted[number]:
            return
        current = self._building(stream)
        before = current.last_message[number]
        if incoming is not None:
            text = "a data set fragment within a command set"
            code = "dataset-without-command"
        elif before is not None and before[1]:
            text = f"a data set fragment after the data set of {before[0]} had ended"
            code = "dataset-without-command"
        elif before is not None:
            text, code = f"a data set after {before[0]}, which announced none", "dataset-unannounced"
        else:
            text, code = "a data set fragment without a command before it", "dataset-without-command"
        sent = [m.number for m in current.messages.values() if m.sender == current.sides[number]]
        self._problem(
            code,
            text,
            stream,
            position=position,
            pdu=self.data_state[number][0],
            context_id=context_id,
            message=max(sent, default=None),
        )
        if not control & 2:
            self.muted[number] = True  # the rest of it needs no second mention

    def _reader(self, stream: Stream, incoming: Incoming, data: memoryview) -> Reader:
        context = incoming.context
        syntax = context.transfer_syntax if context is not None and context.accepted else None
        if not syntax:
            candidates = context.proposed if context is not None else ()
            guessed = guess(bytes(data[:8]))
            same = [uid for uid in candidates if _shape(uid) == guessed]
            syntax = same[0] if same else guessed
            self._problem(
                "transfer-syntax-guessed",
                f"presentation context {incoming.context_id} has no accepted transfer syntax: read as {syntax}",
                stream,
                incoming=incoming,
                pdu=self.data_state[stream.number][0],
                context_id=incoming.context_id,
            )
        incoming.syntax = syntax
        incoming.reader = Reader(syntax, limits=self.flow.limits)
        return incoming.reader

    def _failed(self, stream: Stream, incoming: Incoming, error: Exception) -> None:
        incoming.broken = True
        text = f"the data set could not be read: {type(error).__name__}: {error}"
        self._problem("reader-failed", text, stream, incoming=incoming, pdu=self.data_state[stream.number][0])

    def _complete(self, stream: Stream, incoming: Incoming) -> None:
        self._store(stream, incoming, complete=not incoming.broken)

    def _store(self, stream: Stream, incoming: Incoming, *, complete: bool) -> None:
        """The message is over, whole or not."""
        number = stream.number
        self.incoming[number] = None
        command = incoming.command
        if command is None:
            return
        current = self._building(stream)
        dataset: DataSet | None = None
        if incoming.reader is not None:
            try:
                dataset = incoming.reader.finish()
            except Exception as error:
                complete = False
                self._failed(stream, incoming, error)
        elif command.has_dataset and complete:
            dataset = Reader(incoming.syntax or IMPLICIT_LITTLE).finish()
        current.last_message[number] = command.name, command.has_dataset
        assert stream.trail is not None
        current.messages[incoming.number] = Message(
            association=0,
            number=incoming.number,
            sender=current.sides[number],
            context=incoming.context,
            context_id=incoming.context_id,
            command=replace(command, problems=tuple(incoming.problems)) if incoming.problems else command,
            dataset=dataset,
            first_frame=incoming.first_frame,
            command_frame=incoming.command_frame,
            last_frame=stream.frame,
            first_time=incoming.first_time,
            last_time=stream.time,
            first_pdu=incoming.first_pdu,
            last_pdu=incoming.last_pdu,
            pdus=incoming.pdus,
            largest_pdu=incoming.largest,
            complete=complete,
            problems=tuple(incoming.problems),
            transfer_syntax=incoming.syntax,
            dataset_length=incoming.length,
            largest_fragment=incoming.largest_fragment,
            command_time=incoming.command_time,
            places=Places(stream.trail, incoming.offsets, incoming.positions),
        )
        current.touch(incoming.first_frame, incoming.first_time, stream.frame, stream.time)

    def _close(self, current: Building) -> None:
        """Store what was begun and never ended."""
        for stream in self.streams:
            incoming = self.incoming[stream.number]
            self.incoming[stream.number] = None
            if incoming is None:
                continue
            if incoming.broken or not (current.end is not None or self._over()):
                code = "message-open"
            elif self._stopped(current, stream):
                code = "message-stopped"
            else:
                code = "message-cut" if incoming.command is not None else "command-cut"
            what = incoming.command.name if incoming.command is not None else "a command set"
            if incoming.command is not None:
                what += f" after {incoming.length} bytes of its data set"
            self._problem(code, f"no end of {what}", stream, incoming=incoming)
            self._store(stream, incoming, complete=False)


def _shape(uid: str) -> str:
    """The uncompressed transfer syntax that has the same encoding of elements."""
    return uid if uid in (IMPLICIT_LITTLE, EXPLICIT_BIG) else EXPLICIT_LITTLE
