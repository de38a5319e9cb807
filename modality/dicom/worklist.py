"""Modality Worklist SCU (VX-MWL-001 … 008, MX-MWL-001 … 010): the query, its keys, and what is kept of the answers.

Rules of this file:

* Keys are the profile's, plus and minus what the configuration says; every sequence key has one item of
  zero-length keys (ruling D2); matching values by VX-D-13 and MX-D-10.
* Both pending statuses are matches (field issue WL-08); at most 500 are kept, without C-CANCEL (VX-D-14).
* Items are kept as the bytes received, so that nothing of their text is lost before the exam needs it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode, encode

from ..config import Config, WorklistPeer
from ..notices import ServiceFailure
from .association import answered, ask, associate, comment
from .charset import seal, thaw
from .uids import WORKLIST
from .values import STEP, da, split_name

SERVICE = "worklist"
_MESSAGE = 1
_TYPE_1 = ("PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID", STEP)


@dataclass(frozen=True)
class Answer:
    """What a query brought."""

    items: tuple[Dataset, ...]
    truncated: bool


class KeyFault(ValueError):
    """A key of a query is unknown or cannot have this value."""


def build_query(config: Config, peer: WorklistPeer, wanted: Mapping[str, str], today: date) -> Dataset:
    """The identifier of one query.

    Args:
        wanted: matching values by keyword; a keyword of the scheduled step may be given without its sequence.

    Raises:
        KeyFault: a keyword is no key of this console, or the value does not fit it.
    """
    keys = config.profile.worklist
    paths = [path for path in keys.paths if not _removed(path, peer.remove_keys)]
    paths += [path for path in peer.add_keys if path not in paths]
    values = {
        f"{STEP}.ScheduledStationAETitle": config.ae_title,
        f"{STEP}.ScheduledProcedureStepStartDate": da(today),
        f"{STEP}.Modality": config.modality,
        **keys.defaults,
        **peer.add_keys,
    }
    for keyword, value in wanted.items():
        path = _find(keyword, paths)
        if keys.name_prefix and keyword == "PatientName" and value and not value.endswith("*"):
            value += "*"
        values[path] = value
    query = Dataset()
    for path in paths:
        _put(query, split_name(path), values.get(path, ""))
    seal(query, config.charset, ascii_too=keys.say_charset)
    return query


def _removed(path: str, removed: tuple[str, ...]) -> bool:
    parts = split_name(path)
    return any(
        key == path
        or (key == parts[-1] and len(parts) < 3)
        or key in parts[:-1]
        or path.startswith(key + ".")
        for key in removed
    )


def _find(keyword: str, paths: list[str]) -> str:
    for path in (keyword, f"{STEP}.{keyword}"):
        if path in paths:
            return path
    raise KeyFault(f"{keyword!r} is no key of this console's worklist query")


def _put(target: Dataset, path: list[str], value: str) -> None:
    for name in path[:-1]:
        if name not in target or not target[name].value:
            setattr(target, name, Sequence([Dataset()]))
        target = target[name].value[0]
    keyword = path[-1]
    try:
        vr = dictionary_VR(keyword)
    except KeyError:
        raise KeyFault(f"{keyword!r} is no DICOM keyword") from None
    try:
        if vr == "SQ":
            setattr(target, keyword, Sequence())
        elif vr in ("US", "SS", "UL", "SL"):
            setattr(target, keyword, int(value) if value else None)
        else:
            setattr(target, keyword, value)
    except (ValueError, TypeError) as error:
        raise KeyFault(f"{keyword}: {value!r} does not fit: {error}") from None


def query(config: Config, peer: WorklistPeer, wanted: Mapping[str, str], today: date) -> Answer:
    """Ask for scheduled steps over one association (VX-MWL-006).

    Raises:
        ServiceFailure: no association, no final answer, or a final status of failure; then nothing is taken over.
        KeyFault: a key cannot be asked for.
    """
    identifier = build_query(config, peer, wanted, today)
    items: list[Dataset] = []
    truncated = False
    code = 0xC000
    status = Dataset()
    with associate(config, peer, SERVICE) as association:
        ask(association, C_FIND, _MESSAGE)
        for status, found in association.send_c_find(identifier, WORKLIST, _MESSAGE):
            code = answered(config, peer, SERVICE, association, status, "while waiting for worklist items")
            if code in (0xFF00, 0xFF01):
                if found is not None and len(items) < config.profile.worklist.limit:
                    items.append(found)
                elif found is not None:
                    truncated = True
    if code != 0:
        text = f"{peer.name}: the worklist query ended with status {code:04X}{comment(status)}"
        raise ServiceFailure(SERVICE, peer.name, text, status=f"{code:04X}")
    return Answer(tuple(items), truncated)


def pack(item: Dataset) -> bytes:
    """A data set as bytes (Explicit VR Little Endian), texts as they came."""
    data = encode(item, False, True)
    if data is None:
        raise ValueError("the data set cannot be written")
    return bytes(data)


def unpack(data: bytes) -> Dataset:
    """The reverse of :func:`pack`, with every text decoded (PS3.5 6.1)."""
    dataset: Dataset = decode(io.BytesIO(data), False, True)
    thaw(dataset)
    return dataset


def summary(item: Dataset) -> dict[str, Any]:
    """What the operator sees of an item: keyword -> text, those of the scheduled step beside the others."""
    shown: dict[str, Any] = {}
    step = sequence(item, STEP)
    for source in (*(step[:1]), item):
        for element in readable(source):
            if element.VR != "SQ" and element.keyword:
                text = _text(element.value)
                if text or element.keyword not in shown:
                    shown[element.keyword] = text
    missing = [keyword for keyword in _TYPE_1 if not item.get(keyword)]
    if missing:
        shown["missing"] = missing  # field issue WL-01: say which key the worklist did not fill
    return shown


def sequence(item: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty when it is absent or not readable."""
    try:
        return list(item.get(keyword) or [])
    except (ValueError, TypeError, KeyError):
        return []


def readable(dataset: Dataset) -> Iterator[DataElement]:
    """The elements whose values can be read; a broken one is left out (field issue WL-05: no crash)."""
    for tag in sorted(dataset.keys()):
        try:
            yield dataset[tag]
        except (ValueError, TypeError, OverflowError, NotImplementedError, KeyError):
            continue


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue":
        return "\\".join(str(part) for part in value)
    return str(value)


def identity(shown: Mapping[str, Any]) -> str:
    """The key under which an item is updated and not doubled (VX-MWL-004)."""
    study, step = shown.get("StudyInstanceUID", ""), shown.get("ScheduledProcedureStepID", "")
    names = ("StudyInstanceUID", "ScheduledProcedureStepID") if study and step else (
        "StudyInstanceUID", "ScheduledProcedureStepID", "AccessionNumber", "RequestedProcedureID", "PatientID",
        "PatientName", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
    )  # fmt: skip
    joined = "\x1f".join(str(shown.get(name, "")) for name in names)
    return hashlib.sha256(joined.encode()).hexdigest()
