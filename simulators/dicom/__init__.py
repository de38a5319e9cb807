"""A DICOM server of threads and blocking sockets around :mod:`simulators.wire`, with faults on command."""
