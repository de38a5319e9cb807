"""The DICOM data dictionary (PS3.6) by keyword, and the names of well-known UIDs.

The tables are pydicom's.  They are loaded from their files without importing pydicom itself: that import takes
400 ms, and a lint of a whole suite is to be done in one second.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class Element(NamedTuple):
    """One attribute of the dictionary."""

    tag: str  # GGGGEEEE, upper-case hexadecimal as in the DICOM JSON model
    vr: str  # the first one where the dictionary names several ("US or SS")
    vm: str
    keyword: str


def _table(module: str, name: str) -> Any:
    package = importlib.util.find_spec("pydicom")
    if package is not None and package.submodule_search_locations:
        file = Path(next(iter(package.submodule_search_locations))) / f"{module}.py"
        spec = importlib.util.spec_from_file_location(f"_modbench{module}", file)
        if spec is not None and spec.loader is not None and file.is_file():
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
            return getattr(loaded, name)
    return getattr(importlib.import_module(f"pydicom.{module}"), name)


@cache
def elements() -> dict[str, Element]:
    """Return every attribute of PS3.6 by keyword."""
    table = _table("_dicom_dict", "DicomDictionary")
    return {
        row[4]: Element(f"{tag:08X}", str(row[0]).split(" or ")[0], row[1], row[4])
        for tag, row in table.items()
        if row[4]
    }


@cache
def keywords_by_tag() -> dict[str, str]:
    """Return the keyword of every tag (GGGGEEEE)."""
    return {element.tag: keyword for keyword, element in elements().items()}


@cache
def uids() -> dict[str, str]:
    """Return the UID of every well-known name of PS3.6 A, such as ``DigitalXRayImageStorageForPresentation``."""
    return {row[4]: uid for uid, row in _table("_uid_dict", "UID_dictionary").items() if row[4]}


@cache
def uid_names() -> dict[str, str]:
    """Return the name of every well-known UID."""
    return {uid: name for name, uid in uids().items()}
