"""Reference modality software: the system under test when no real product is attached.

It imports neither :mod:`bench` nor :mod:`simulators`, and nothing but its own tests imports it: it is started
as a process and driven only through what a real product has (network, serial and detector lines, the
operator's hands).
"""
