"""What was read of an association becomes the association that is judged: its end, its problems, its frames.

Rules of this file: pure; what was left out is told as a problem.  An association that neither a PDU nor TCP ended is
open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.witness.building import Building
from bench.witness.model import Association, Problem
from bench.witness.problems import PER_CODE

if TYPE_CHECKING:
    from bench.witness.flow import Facts, Flow
    from bench.witness.stream import Stream


def association(
    current: Building, flow: Flow, streams: tuple[Stream, Stream], facts: Facts, *, first: bool, last: bool
) -> Association:
    """Return the association; *first*, *last*: of its TCP connection, whose frames it then shares."""
    gaps: list[Problem] = []
    for stream in streams:
        for code, position, missing, frame in stream.gaps:
            text = f"{missing} bytes of the stream are missing"
            if code == "frame-cut":
                text = f"{missing} bytes of the frame were not captured (snap length)"
            gaps.append(Problem(code, text, frame, current.sides[stream.number], position))
        if stream.gap_count > len(stream.gaps):
            text = f"{stream.gap_count - len(stream.gaps)} more gaps"
            gaps.append(Problem("left-out", text, None, current.sides[stream.number]))
    tcp = facts.tcp(current.sides, tuple(gaps))
    problems = [*current.problems, *gaps]
    for code, count in current.counts.items():
        if count > PER_CODE:
            problems.append(Problem("left-out", f"{count - PER_CODE} more of {code}", None))
    if current.left_out:
        problems.append(Problem("left-out", f"{current.left_out} more PDUs", None))
    if tcp.mid_stream and current.request is None:
        problems.append(Problem("mid-stream", "the association began before the capture", flow.first_frame))
    if tcp.one_direction:
        problems.append(Problem("one-direction", "only one direction was captured", flow.first_frame))
    end, ended_by = current.end, current.ended_by
    if end is None:
        if not last:
            end = "open"
        elif tcp.reset is not None and (tcp.first_fin is None or tcp.reset == tcp.first_fin):
            end, ended_by = "reset", tcp.reset
        elif tcp.first_fin is not None:
            end, ended_by = "closed", tcp.first_fin
        else:
            end = "open"
    number = current.requestor
    begin = (
        (flow.first_frame, flow.first_time) if first else current.first or (flow.first_frame, flow.first_time)
    )
    finish = (flow.last_frame, flow.last_time) if last else current.last
    return Association(
        number=0,
        requestor=facts.addresses[number],
        acceptor=facts.addresses[1 - number],
        requestor_mac=facts.macs[number],
        acceptor_mac=facts.macs[1 - number],
        request=current.request,
        answer=current.answer,
        pdus=tuple(current.pdus),
        contexts=current.contexts,
        messages=tuple(current.messages[key] for key in sorted(current.messages)),
        problems=tuple(problems),
        tcp=tcp,
        first_frame=begin[0],
        last_frame=finish[0],
        first_time=begin[1],
        last_time=finish[1],
        end=end,
        ended_by=ended_by,
        whole=current.request is not None
        and not tcp.one_direction
        and not any(stream.gap_count for stream in streams)
        and not any(half.absent for half in flow.halves),
        titles=current.request.raw[10:42] if current.request else current.titles,
        data_pdus={current.sides[0]: current.data_pdus[0], current.sides[1]: current.data_pdus[1]},
    )
