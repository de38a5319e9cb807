"""Who takes messages off an association of the console: only who asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pynetdicom.dimse_primitives import C_ECHO

from modality.dicom.association import Asked, Watch, _listen


def test_the_associations_own_thread_takes_no_answer_away() -> None:
    """It may still look when the answer to the second of two quick requests is there."""
    answer = C_ECHO()
    answer.MessageIDBeingRespondedTo = 2
    answer.Status = 0
    there: list[Any] = [(1, answer)]
    dimse = SimpleNamespace(get_msg=lambda block=False: there.pop() if there else (None, None))
    watch = Watch(asked=Asked(C_ECHO, 2))
    _listen(SimpleNamespace(dimse=dimse), watch)  # type: ignore[arg-type]
    assert dimse.get_msg(block=False) == (None, None)
    assert dimse.get_msg(block=True) == (1, answer)
    assert watch.wrong == ""
