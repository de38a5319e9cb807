"""Modality Bench: scenarios, plans, runs, journals, verdicts and reports.

The bench never imports :mod:`modality`; the system under test is a process, driven only through what a
real product has.  It may import :mod:`simulators`.
"""

__version__ = "0.1.0"
