"""Removable media of the bench: block devices with faults, FAT volumes on them, and mounts of those.

Rules of this package: it shares no code with `bench.witness`, which reads the same media as a judge, so that
one mistake cannot hide in both; nothing here is imported by a simulator.
"""
