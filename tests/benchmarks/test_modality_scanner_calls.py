"""What the benchmark of the picture stream calls: the reference modality is imported by files of this name only."""

from __future__ import annotations

from modality.ultrasound.igtl import Decoder, Message


def decode(data: bytes, times: int) -> int:
    """Receive the same bytes again and again, as from a socket; return how many good messages there were."""
    decoder, good = Decoder(), 0
    for _ in range(times):
        at = 0
        while at < len(data):
            target = decoder.target()
            count = min(len(target), len(data) - at)
            target[:count] = data[at : at + count]
            at += count
            good += isinstance(decoder.filled(count), Message)
    return good
