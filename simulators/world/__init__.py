"""The physical world between the devices of the front end: photons and contacts.

The modality never sees it: it sees only what a detector and a generator tell it over their own lines.
"""

from simulators.world.bus import Beam, Signal, World, air_kerma_ugy

__all__ = ["Beam", "Signal", "World", "air_kerma_ugy"]
