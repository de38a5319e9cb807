"""The physical world between the devices of the front end: photons and contacts, never seen by the modality."""

from simulators.world.bus import Beam, Signal, World, air_kerma_ugy

__all__ = ["Beam", "Signal", "World", "air_kerma_ugy"]
