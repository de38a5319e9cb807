"""The closed list of journal event kinds.

Rules of this file:

* A kind is ``source.what``; the part before the dot says whose fact it is, not who wrote the line.
* Kinds whose first part is in :data:`STRICT` must be matched by an expectation or named by ``allow:``;
  everything else is context for people and checks.
* ``modality.*`` is what the SUT says about itself: a claim, never evidence.
* Kinds are added, never renamed: old journals stay readable.
"""

from __future__ import annotations

from typing import Final

KINDS: Final[dict[str, str]] = {
    # the run itself
    "cell.start": "a cell began: scenario, axis values, seed, versions",
    "cell.end": "a cell ended",
    "step.start": "a step of the scenario began: index, line, text",
    "step.end": "a step ended: index, outcome",
    "clock.pair": "CLOCK_MONOTONIC and CLOCK_REALTIME read together: mono, real (ns)",
    "clock.step": "CLOCK_REALTIME was set by somebody: by (ns)",
    "host.started": "a simulated host is up: host, pid, endpoints",
    "host.exited": "a simulated host ended by itself: host, status",
    "bench.error": "the bench could not do or see something: where, message",
    "bench.note": "something worth reading, without consequence: message",
    # links and captures
    "link.up": "a link exists: link, backend, mode",
    "link.calibrated": "goodput was measured: link, mode, measured_mbps, nominal_mbps, ok",
    "link.pulled": "a cable was pulled: link",
    "link.plugged": "a cable was plugged in: link",
    "link.mode": "a link changed its mode: link, mode",
    "capture.started": "a capture runs: link, file",
    "capture.stopped": "a capture ended: link, file, packets, dropped",
    # faults and triggers
    "fault.armed": "a fault waits for its moment: id, host, fault",
    "fault.fired": "a fault happened: id, host, fault, where",
    "trigger.hit": "a watched condition came true inside a simulator: id, host",
    # DICOM upper layer and DIMSE as a peer of the SUT saw them (context for the ladder; not strict)
    "wire.open": "a TCP connection was accepted or made: assoc, peer, port, role",
    "wire.associate": "an association was accepted: assoc, calling, called, contexts, max_pdu",
    "wire.reject": "an association was rejected: assoc, result, source, reason, by",
    "wire.message": "a DIMSE message: assoc, dir (in, out), field, msgid, context, status, sop_class, "
    "sop_instance, bytes, complete",
    "wire.release": "an association was released: assoc, by",
    "wire.abort": "an association was aborted: assoc, by, source, reason",
    "wire.close": "a TCP connection ended: assoc, by, how, bytes_in, bytes_out",
    # services
    "pacs.stored": "an object was received and kept: assoc, msgid, sop_class, sop_instance, sha256, bytes, "
    "object, dataset",
    "pacs.echoed": "C-ECHO was answered: assoc, calling",
    "pacs.refused": "a request was answered with a failure of the simulator's own: assoc, field, status, reason",
    "pacs.lost": "an association ended without release: assoc, how (abort, closed, reset, timeout), pending",
    "pacs.garbage": "a peer broke the protocol: assoc, reason",
    "ris.queried": "a worklist query was answered: assoc, identifier, matches, status, calling",
    "ris.cancelled": "C-CANCEL ended a query: assoc, msgid, sent",
    "ris.mpps_created": "N-CREATE of an MPPS: assoc, sop_instance, state, status, dataset",
    "ris.mpps_set": "N-SET of an MPPS: assoc, sop_instance, state, status, dataset",
    "ris.echoed": "C-ECHO was answered: assoc, calling",
    "ris.refused": "a request was answered with a failure of the simulator's own: assoc, field, status, reason",
    "ris.lost": "an association ended without release: assoc, how, pending",
    "ris.garbage": "a peer broke the protocol: assoc, reason",
    "printer.printed": "a film was printed",
    # acquisition
    "world.exposure": "photons: kvp, ma, ms, mas, sid_mm, phantom, start, end (monotonic ns), truncated",
    "detector.control": "a client took or lost control: owner, how",
    "detector.state": "state changed: from, to, reason",
    "detector.frame": "a frame left the sensor: block, sha256, width, height, format, seed, kvp, mas, photons, truth",
    "detector.sent": "a frame left the interface: block, packets, bytes, seconds, resent, dropped",
    "detector.resent": "packets of an earlier frame were asked for again: block, packets, refused",
    "detector.fault": "the device reports a fault of its own: what",
    "generator.state": "state changed: from, to, reason",
    "generator.set": "technique was set: kvp, ma, ms",
    "generator.refused": "a command or exposure was refused: command, code, reason",
    "generator.exposure": "X-ray went off again: kvp, ma, ms, mas, set_ms, truncated, heat_units, dap_dgycm2",
    "generator.fault": "the device reports a fault of its own: code, what",
    "generator.garbage": "bytes on the serial line were no frame: why, size, sample, total",
    "generator.line": "a console opened or left the serial line: how, baud",
    "panel.contact": "a contact changed: prep, expose",
    "panel.footswitch": "the foot switch was pressed or released: pressed",
    "panel.freeze": "the freeze key was pressed or released: pressed",
    "panel.barcode": "the barcode reader read something: text",
    "panel.line": "a console opened or left the serial line of a contact or reader: how",
    "ultrasound.frame": "a picture was made, before any of it left: sequence, sha256 (of its pixels), width, height, "
    "components, mode, source (bank, synthesis), geometry (number), spacing_mm, region, due (monotonic ns)",
    "ultrasound.geometry": "pictures are calibrated so from the next one on: geometry (number), width, height, "
    "components, spacing_mm, regions",
    "ultrasound.set": "knobs were turned: by, depth, gain, dynamic_range, freeze, probe, mode",
    "ultrasound.refused": "a knob cannot be set so: by, reason",
    "ultrasound.probe": "the probe was plugged in or pulled: probe, plugged",
    "ultrasound.client": "a client joined or left the stream: client, peer, how, sent, dropped",
    "ultrasound.dropped": "a picture was not sent: client (null: to nobody), sequence, why (slow client, fault)",
    "ultrasound.late": "the device could not keep its pace and left out pictures: slots, seconds, after (sequence)",
    "ultrasound.garbage": "bytes of a client were no message: client, reason",
    # removable media
    "volume.inserted": "a medium was put in: volume (usb, sd), backend, format, size, label",
    "volume.removed": "a medium was taken out: volume, how (clean, yanked), written, unsynced, lost (bytes)",
    "volume.refused": "a medium is in and cannot be read as a volume: volume, why",
    "volume.synced": "the host made everything durable: volume, written (bytes since it was made)",
    # the system under test
    "sut.started": "the SUT was started: pid, command",
    "sut.ready": "the SUT answered for the first time",
    "sut.exited": "the SUT ended: status, expected",
    "sut.request": "the operator (or adapter) did something: do, args",
    "sut.answer": "the SUT answered: do, ok, result, error",
    "modality.warning": "claim: a warning the operator would see: service, peer, text, ...",
    "modality.image": "claim: an image was acquired: sop_instance, sha256, raw_sha256, ...",
    "modality.media": "claim: files were written to a medium: action (export, add), medium, files, dicomdir_sha256",
    "modality.state": "claim: exam, queue or device state changed",
}
"""Kind -> meaning and fields.  A test compares what every simulator emits with this list."""

STRICT: Final = ("pacs", "ris", "printer", "modality.warning")
"""Prefixes (or whole kinds) that an expectation must match or ``allow:`` must name (DESIGN, strictness)."""


def is_strict(kind: str) -> bool:
    """Tell whether an unmatched event of this kind makes a cell FAIL."""
    return kind in STRICT or kind.partition(".")[0] in STRICT
