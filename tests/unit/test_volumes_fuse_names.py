"""The names that a kernel knows of a mount: told, moved, removed, forgotten."""

from __future__ import annotations

import errno

import pytest

from bench.volumes.fusenames import Names
from bench.volumes.fuseproto import ROOT, Facts


def test_a_name_has_one_number_whatever_its_case_until_it_is_forgotten() -> None:
    names = Names()
    folder = names.told(ROOT, "DICOM")
    file = names.told(folder, "IM000001")
    assert names.told(ROOT, "dicom") == folder
    assert names.path(file) == "/DICOM/IM000001"
    assert names.below(folder, "x") == "/DICOM/x"
    assert names.below(ROOT, "x") == "/x"
    names.forget(folder, 1)
    assert names.path(folder) == "/DICOM", "it was told twice"
    names.forget(file, 1)
    names.forget(folder, 1)
    with pytest.raises(OSError, match="unknown") as gone:
        names.path(folder)
    assert gone.value.errno == errno.ESTALE
    assert names.told(ROOT, "DICOM") not in (folder, file, ROOT)
    names.forget(ROOT, 100)
    assert names.path(ROOT) == "/"


def test_what_was_removed_keeps_its_number_for_those_who_use_it() -> None:
    names = Names()
    old = names.told(ROOT, "A")
    names.removed(ROOT, "a", Facts(False, 5, 1.0))
    with pytest.raises(FileNotFoundError):
        names.path(old)
    assert names.node(old).gone == Facts(False, 5, 1.0)
    new = names.told(ROOT, "A")
    assert new != old
    names.forget(old, 1)
    assert names.path(new) == "/A", "the old one's end is nothing to the new one"
    names.removed(ROOT, "never told", None)


def test_a_folder_that_moves_takes_along_what_is_in_it() -> None:
    names = Names()
    folder = names.told(ROOT, "D")
    file = names.told(folder, "F")
    other = names.told(ROOT, "E")
    names.removed(ROOT, "e", Facts(True, 0, 0.0))
    names.moved(ROOT, "d", ROOT, "E")
    assert names.path(file) == "/E/F"
    assert names.told(ROOT, "e") == folder
    assert names.told(ROOT, "D") not in (folder, other)
    names.moved(ROOT, "unknown", ROOT, "G")


def test_names_are_the_same_as_they_are_on_fat() -> None:
    """Another way of folding would show one file's bytes under the other's name."""
    names = Names()
    assert names.told(ROOT, "straße") != names.told(ROOT, "strasse")
    assert names.told(ROOT, "Größe") == names.told(ROOT, "GRÖßE")
