"""The state machine of the DICOM upper layer: PS3.8 Table 9-10, both roles from one table."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """The states of PS3.8 Tables 9-1 to 9-5."""

    STA1 = 1
    STA2 = 2
    STA3 = 3
    STA4 = 4
    STA5 = 5
    STA6 = 6
    STA7 = 7
    STA8 = 8
    STA9 = 9
    STA10 = 10
    STA11 = 11
    STA12 = 12
    STA13 = 13
