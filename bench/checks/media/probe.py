"""Ultrasound images against the pictures that the probe's front end made, on the network and on media alike.

Rules of this file:

* The front end's own events are truth (``ultrasound.frame``); what the console says of itself is a claim, used only to
  find out which pictures an image was made of.
* The witness makes a digest of every stored frame.  What the archive tells (``pacs.stored``) is a second source: where
  it differs, nobody knows what was stored, and that is the bench's fault.
* An image is right when every frame of it is a picture of the probe, they are in the probe's order, and they are the
  ones that the console names; nothing less is PASS.
* Pixels are compared where transfer syntax and Image Pixel module keep the probe's samples as they are.  Of native
  pixels that are arranged otherwise nobody can tell (INCONCLUSIVE); of compressed ones nothing is said.
* An image of the screen has no picture of its own: only that it differs from what was acquired can be seen.
* Without a journal nothing is said.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bench.checks.finding import Finding, check, failed, inconclusive, passed
from bench.resultmodel import Evidence
from bench.verdict import Verdict

if TYPE_CHECKING:
    from bench.checks.case import Case, Stored
    from bench.witness.dataset import DataSet

PIXELS: Final = "STD-X-081"
AS_THEY_ARE: Final = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"))
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
COMPONENTS: Final = {("MONOCHROME2", 1): 1, ("RGB", 3): 3}
"""Components of a picture that is stored as it is, by Photometric Interpretation and Samples per Pixel."""


@dataclass(frozen=True, slots=True)
class _Pictures:
    """What the front end made, and what console and archive say of instances."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    """By digest: the numbers of the pictures that look so."""
    shown: dict[int, int] = field(default_factory=dict)
    """By number: the event of the picture."""
    shapes: dict[int, set[tuple[int, int, int]]] = field(default_factory=dict)
    """By number: columns, rows and components, as far as they were told."""
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    archived: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """By instance and transfer syntax: digests of the archive."""


@check(PIXELS)
def probe_truth(case: Case) -> Iterator[Finding]:
    """Every image of a run whose pictures are known."""
    pictures = case.once(_pictures)
    if not pictures.numbers:
        return
    for stored in case.objects:
        claim = pictures.claims.get(stored.sop_instance)
        if claim is not None and stored.dataset is not None and _as_they_are(stored):
            where = case.at(stored.message, stored.dataset.get("PixelData"))
            yield from _one(case, stored, stored.dataset, claim, pictures, where)


def _as_they_are(stored: Stored) -> bool:
    syntax = stored.message.transfer_syntax or ""
    if syntax in AS_THEY_ARE:
        return True
    element = stored.dataset.get("PixelData") if stored.dataset is not None else None
    return syntax == BIG_ENDIAN and element is not None and element.vr == "OB"


def _one(
    case: Case,
    stored: Stored,
    dataset: DataSet,
    claim: Mapping[str, Any],
    pictures: _Pictures,
    where: Evidence,
) -> Iterator[Finding]:
    seen, element = dataset.pixels, dataset.get("PixelData")
    if element is None and stored.message.complete:
        return  # that there are none is another rule's affair
    if element is None or element.truncated or not stored.message.complete or seen is None or not seen.sha256:
        if stored.accepted:  # what broke off was not stored
            yield inconclusive(
                PIXELS, "the pixels were not seen whole: they are compared with nothing", where
            )
        return
    told = pictures.archived.get((stored.sop_instance, stored.message.transfer_syntax or ""))
    if not case.media and stored.accepted and told and seen.sha256 not in told:
        reason = (
            "the witness saw other pixels than the archive tells of: the bench does not know what was stored"
        )
        yield Finding(PIXELS, Verdict.ERROR, reason, (where,))
        return
    acquired = claim.get("sha256")
    if isinstance(acquired, str) and seen.sha256 != acquired:
        reason = "the pixels are not those that the console acquired for this instance"
        yield failed(PIXELS, reason, where)
        return
    if claim.get("kind") == "screen" and stored.sop_class == SECONDARY_CAPTURE:
        return
    span = _span(claim)
    doubt = _incomparable(dataset, span, pictures)
    if doubt:
        yield inconclusive(PIXELS, f"the pixels cannot be compared with the probe's: {doubt}", where)
        return
    yield from _frames(seen.frames, span, claim, pictures, where)


def _span(claim: Mapping[str, Any]) -> tuple[int, int] | None:
    """Numbers of the first and the last picture that the console names."""
    said = claim.get("sequence")
    first, last = said if isinstance(said, list | tuple) and len(said) == 2 else (said, said)
    return (first, last) if isinstance(first, int) and isinstance(last, int) else None


def _incomparable(dataset: DataSet, span: tuple[int, int] | None, pictures: _Pictures) -> str:
    """Why the stored samples are not the probe's as they are; empty when they are."""
    photometric, samples = dataset.text("PhotometricInterpretation"), dataset.number("SamplesPerPixel")
    bits, planar = dataset.number("BitsAllocated"), dataset.number("PlanarConfiguration")
    components = COMPONENTS.get((photometric or "", int(samples or 0)))
    if components is None or bits != 8:
        return f"they are {photometric} with {samples} sample(s) of {bits} bits"
    if components > 1 and planar not in (None, 0):
        return "they are stored plane by plane"
    rows, columns = int(dataset.number("Rows") or 0), int(dataset.number("Columns") or 0)
    named = (
        range(span[0], span[0] + 1) if span is not None and span[0] in pictures.shapes else pictures.shapes
    )
    shapes = set[tuple[int, int, int]]().union(*(pictures.shapes[number] for number in named))
    if shapes and (columns, rows, components) not in shapes:
        shown = " or ".join(f"{w} x {h} x {c}" for w, h, c in sorted(shapes)[:3])
        return f"the probe's picture is {shown}, the stored one {columns} x {rows} x {components}"
    seen, frames = dataset.pixels, int(dataset.number("NumberOfFrames") or 1)
    whole = rows * columns * components * frames
    if seen is None or len(seen.frames) != frames or seen.length != whole + whole % 2:
        return f"{seen.length if seen is not None else 0} bytes are not {frames} frame(s) of which each was looked at"
    return ""


def _frames(
    digests: tuple[str, ...],
    span: tuple[int, int] | None,
    claim: Mapping[str, Any],
    pictures: _Pictures,
    where: Evidence,
) -> Iterator[Finding]:
    last = -1 if span is None else span[0] - 1
    found: list[int] = []
    for number, digest in enumerate(digests, 1):
        what = "the image" if len(digests) == 1 else f"frame {number}"
        made = pictures.numbers.get(digest)
        if made is None:
            yield failed(PIXELS, f"{what} is no picture that the probe's front end made", where)
            return
        at = bisect_right(made, last)
        if at == len(made) or (span is not None and made[at] > span[1]):
            named = (
                "in this order" if span is None else f"as number {last + 1} to {span[1]}, as the console says"
            )
            text = f"{what} is picture {made[0]} of the probe, and not made {named}"
            yield failed(PIXELS, text, where, Evidence(seq=pictures.shown[made[0]]))
            return
        last = made[at]
        found.append(last)
    first = Evidence(seq=pictures.shown[found[0]])
    if span is None:
        yield inconclusive(PIXELS, "the console does not name the pictures of which it made the image", where)
        return
    missing = claim.get("missing")
    wanted = span[1] - span[0] + 1 - (missing if isinstance(missing, int) else 0)
    if len(found) != wanted:
        text = f"{len(found)} frame(s) of {wanted} that the console names: pictures {span[0]} to {span[1]} of the probe"
        yield failed(PIXELS, text, where, first)
    elif not _named(digests, claim):
        yield failed(PIXELS, "the console names other pictures by their digest", where, first)
    elif len(found) == 1:
        yield passed(PIXELS, f"the pixels are those of picture {found[0]} of the probe", where, first)
    else:
        text = (
            f"each of {len(found)} frames is a picture of the probe, {found[0]} to {found[-1]} in their order"
        )
        yield passed(PIXELS, text, where, first)


def _named(digests: tuple[str, ...], claim: Mapping[str, Any]) -> bool:
    """Whether the digest of the raw pictures, where the console tells it, is theirs."""
    raw = claim.get("raw_sha256")
    if not isinstance(raw, str) or not raw:
        return True
    all_ = hashlib.sha256("".join(digests).encode("ascii")).hexdigest()
    return raw == all_ or digests == (raw,)


def _pictures(case: Case) -> _Pictures:
    found = _Pictures()
    for event in case.happened("ultrasound.frame", "modality.image", "pacs.stored"):
        data = event.data
        if event.kind == "pacs.stored":
            dataset = data.get("dataset")
            pixels = dataset.get("7FE00010") if isinstance(dataset, Mapping) else None
            if isinstance(pixels, Mapping) and pixels.get("sha256"):
                key = str(data.get("sop_instance")), str(data.get("transfer_syntax"))
                found.archived.setdefault(key, set()).add(str(pixels["sha256"]))
        elif event.kind == "modality.image":
            uid = data.get("sop_instance")
            if isinstance(uid, str):
                found.claims.setdefault(uid, data)
        else:
            _picture(found, event.seq, data)
    return found


def _picture(found: _Pictures, seq: int, data: Mapping[str, Any]) -> None:
    digest, number = data.get("sha256"), data.get("sequence")
    if not isinstance(digest, str) or not isinstance(number, int):
        return
    numbers = found.numbers.setdefault(digest, [])
    if number not in numbers:
        insort(numbers, number)
    found.shown.setdefault(number, seq)
    width, height, components = data.get("width"), data.get("height"), data.get("components")
    if isinstance(width, int) and isinstance(height, int) and isinstance(components, int):
        found.shapes.setdefault(number, set()).add((width, height, components))


__all__ = ["probe_truth"]
