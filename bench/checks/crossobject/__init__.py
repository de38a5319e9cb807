"""Worklist item, performed procedure step, images, dose report and commitment must tell one story (``STD-X``).

Rules of this package:

* A thing is compared with what it was made from; where that is not in the capture there is nothing to compare.
* One wrong value is told once: where a value already differs from the worklist item, the comparisons between
  the things made from it do not tell it again.
* What a peer sent wrongly (an item without its Study Instance UID, text in a foreign character set) is no fault
  of the SUT.
"""
