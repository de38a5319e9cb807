"""Stand-ins for the devices around a DICOM modality.

A simulator never judges, and imports neither :mod:`bench` nor :mod:`modality`.  Each one runs alone
(``modbench simulate …``) or as an actor of a bench.
"""
