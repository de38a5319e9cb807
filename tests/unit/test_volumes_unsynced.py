"""What a pull undoes: the newest writes, all, or some by chance; and never what was flushed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.unsynced import SECTOR, Some, Unsynced

SECTORS = 64


def filled(number: int, sectors: int = 1) -> bytes:
    return number.to_bytes(2, "big") * (SECTOR // 2 * sectors)


class Pulled:
    """Random writes to a small disk, a flush in their middle, and a pull; and what each sector may be then."""

    def __init__(self, path: Path, seed: int, lots: int) -> None:
        rng = random.Random(seed)
        path.unlink(missing_ok=True)
        device = BlockDevice(path, SECTORS * SECTOR)
        versions: list[list[bytes]] = [[bytes(SECTOR)] for _ in range(SECTORS)]
        order: list[tuple[int, int]] = []  # (sector, version's index), oldest first
        for number in range(1, 41):
            if number == 11:
                device.flush()
                versions = [[them[-1]] for them in versions]
                order = []
            first = rng.randrange(SECTORS)
            count = rng.randrange(1, min(12, SECTORS - first) + 1)
            device.write(first * SECTOR, filled(number, count))
            for sector in range(first, first + count):
                versions[sector].append(filled(number))
                order.append((sector, len(versions[sector]) - 1))
        self.yank = device.yank(Some(lots))
        device.close()
        image = path.read_bytes()
        self.found = [image[n * SECTOR : (n + 1) * SECTOR] for n in range(SECTORS)]
        self.versions, self.order = versions, order


def test_every_sector_is_one_that_was_written_there_since_the_flush(tmp_path: Path) -> None:
    """Never a mix, never what was overwritten before the flush; and each kind of loss does come."""
    middle = older = none = every = 0
    for seed in range(120):
        run = Pulled(tmp_path / "disk", seed, seed * 7)
        at = []
        for sector, found in enumerate(run.found):
            assert found in run.versions[sector], (seed, sector)
            at.append(run.versions[sector].index(found))
        kept = [index <= at[sector] for sector, index in run.order]
        # an older write is gone that nothing newer covers, and a newer one elsewhere is there
        first_gone = next((n for n, there in enumerate(kept) if not there), None)
        older += first_gone is not None and any(kept[first_gone:])
        middle += any(0 < index < len(run.versions[s]) - 1 for s, index in enumerate(at))
        none += all(kept)
        every += not any(kept)
        undone = sum(len(run.versions[s]) - 1 - index for s, index in enumerate(at))
        assert run.yank.lost == undone * SECTOR, seed
        assert run.yank.unsynced == len(run.order) * SECTOR
    assert older > 80
    assert middle > 40
    assert none < 40
    assert every < 40


def test_the_same_seed_loses_the_same(tmp_path: Path) -> None:
    runs = [Pulled(tmp_path / "disk", 5, lots).found for lots in (1, 1, 2, 3, 4)]
    assert runs[0] == runs[1]
    assert any(run != runs[0] for run in runs[2:])


def test_the_newest_are_undone_first_and_in_part() -> None:
    log = Unsynced()
    log.add(0, 1024, filled(1, 2))
    log.add(4096, 1024, None)
    assert list(log.undo(700)) == [(4096, bytes(1024))]
    assert list(log.undo(1025)) == [(4096, bytes(1024)), (512, filled(1))]
    assert list(log.undo(None)) == [(4096, bytes(1024)), (0, filled(1, 2))]
    assert list(log.undo(0)) == []
    assert list(log.undo(-5)) == []


@pytest.mark.parametrize("lose", [None, Some(3), 10_000])
def test_what_was_forgotten_is_never_undone(lose: int | Some | None) -> None:
    log = Unsynced()
    log.add(0, 512, filled(1))
    log.forget()
    assert log.bytes == 0
    assert list(log.undo(lose)) == []


def test_a_cache_has_an_end() -> None:
    log = Unsynced(limit=1024)
    for number in range(4):
        log.add(number * 512, 512, filled(number))
    assert log.bytes == 1024
    assert list(log.undo(None)) == [(1536, filled(3)), (1024, filled(2))]
    nothing = Unsynced(limit=0)
    nothing.add(0, 512, None)
    assert nothing.bytes == 0
