"""Ultrasound images against the pictures that the probe's front end made, on the network and on media alike.

Rules of this file:

* The front end's own events are truth (``ultrasound.frame``); what the console says of itself is a claim, used only to
  find out which pictures an image was made of.
* Of what was sent the archive tells the digest (``pacs.stored``); of files on a medium the witness makes it.
* Pixels are compared where the transfer syntax keeps them; an image of the screen has no picture of its own.
* Without a journal nothing is said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.resultmodel import Evidence

if TYPE_CHECKING:
    from bench.checks.case import Case, Stored

PIXELS: Final = "STD-X-081"
AS_THEY_ARE: Final = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"))
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Digests of the front end's pictures with the event's number; claims, and digests of the archive, by instance."""

    by_sequence: Mapping[int, tuple[str, int]]
    by_digest: Mapping[str, int]
    claims: Mapping[str, Mapping[str, Any]]
    archived: Mapping[str, str]


@check(PIXELS)
def probe_truth(case: Case) -> Iterator[Finding]:
    """Every image of a run whose pictures are known."""
    pictures = case.once(_pictures)
    if not pictures.by_digest:
        return
    for stored in case.objects:
        claim = pictures.claims.get(stored.sop_instance)
        if claim is None or stored.dataset is None or not _as_they_are(stored):
            continue
        seen = stored.dataset.pixels.sha256 if stored.dataset.pixels is not None else None
        digest = seen if case.media else pictures.archived.get(stored.sop_instance)
        if not digest:
            continue
        where = case.at(stored.message, stored.dataset.get("PixelData"))
        if digest != claim.get("sha256"):
            reason = "the pixels are not those that the console acquired for this instance"
            yield failed(PIXELS, reason, where)
            continue
        yield from _one(claim, pictures, where)


def _as_they_are(stored: Stored) -> bool:
    syntax = stored.message.transfer_syntax or ""
    if syntax in AS_THEY_ARE:
        return True
    element = stored.dataset.get("PixelData") if stored.dataset is not None else None
    return syntax == BIG_ENDIAN and element is not None and element.vr == "OB"


def _one(claim: Mapping[str, Any], pictures: _Pictures, where: Evidence) -> Iterator[Finding]:
    raw, kind = str(claim.get("raw_sha256") or ""), claim.get("kind")
    if kind == "still":
        seq = pictures.by_digest.get(raw)
        if seq is None:
            yield failed(PIXELS, "the front end made no picture of which this image could be", where)
        elif claim.get("sha256") == raw:
            text = f"the pixels are those of picture {claim.get('sequence')} of the probe"
            yield passed(PIXELS, text, where, Evidence(seq=seq))
    elif kind == "clip" and not claim.get("missing"):
        span = claim.get("sequence")
        if not isinstance(span, list | tuple) or len(span) != 2:
            return
        made = [pictures.by_sequence.get(number) for number in range(int(span[0]), int(span[1]) + 1)]
        known = [one for one in made if one is not None]
        if len(known) != len(made) or len(made) != claim.get("frames"):
            return
        digest = hashlib.sha256("".join(one[0] for one in known).encode("ascii")).hexdigest()
        if digest == raw:
            text = f"the frames are pictures {span[0]} to {span[1]} of the probe"
            yield passed(PIXELS, text, where, Evidence(seq=known[0][1]))
        else:
            text = f"the frames are not pictures {span[0]} to {span[1]} of the probe"
            yield failed(PIXELS, text, where, Evidence(seq=known[0][1]))
    elif kind == "screen":
        yield passed(PIXELS, "the pixels are those of the screen as the console kept it", where)


def _pictures(case: Case) -> _Pictures:
    by_sequence: dict[int, tuple[str, int]] = {}
    by_digest: dict[str, int] = {}
    claims: dict[str, Mapping[str, Any]] = {}
    archived: dict[str, str] = {}
    for event in case.happened("ultrasound.frame", "modality.image", "pacs.stored"):
        if event.kind == "pacs.stored":
            dataset = event.data.get("dataset")
            pixels = dataset.get("7FE00010") if isinstance(dataset, Mapping) else None
            if isinstance(pixels, Mapping) and pixels.get("sha256"):
                archived.setdefault(str(event.data.get("sop_instance")), str(pixels["sha256"]))
            continue
        if event.kind == "modality.image":
            uid = event.data.get("sop_instance")
            if isinstance(uid, str):
                claims.setdefault(uid, event.data)
            continue
        digest, number = event.data.get("sha256"), event.data.get("sequence")
        if isinstance(digest, str):
            by_digest.setdefault(digest, event.seq)
            if isinstance(number, int):
                by_sequence[number] = (digest, event.seq)
    return _Pictures(by_sequence, by_digest, claims, archived)


__all__ = ["probe_truth"]
