"""The send queue without a network: what is sent again, what waits for whom, and what keeps nobody back."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modality.config import Peer
from modality.notices import Notices, ServiceFailure
from modality.products.vxvue.config import VxvueConfig as Config
from modality.sendqueue import SendQueue
from modality.store import Store
from tests.unit.test_modality_store import expose, started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path, tmp_path / "c", storage=(Peer("a", "A", "h"), Peer("b", "B", "h")))


def queue_with(store: Store, config: Config, sender: Any) -> tuple[SendQueue, list[dict[str, Any]]]:
    notices = Notices(store)
    warnings: list[dict[str, Any]] = []
    notices.listen(lambda event: warnings.append(event) if event["event"] == "modality.warning" else None)
    return SendQueue(store, notices, lambda: config, sender), warnings


def accepted(store: Store, config: Config, count: int) -> list[int]:
    exams = started(store)
    return [exams.decide(expose(exams, config)["sop_instance"], "accepted")["id"] for _ in range(count)]


def test_destinations_do_not_wait_for_each_other(store: Store, config: Config) -> None:
    meet = threading.Barrier(2, timeout=60)
    sets: list[tuple[str, int]] = []

    def sender(config: Config, peer: Peer, images: Any, begin: Any, report: Any) -> None:
        meet.wait()
        sets.append((peer.name, len(images)))
        for sop_instance, path in images:
            assert path.exists()
            report(sop_instance, 0, "")

    queue, warnings = queue_with(store, config, sender)
    images = accepted(store, config, 3)
    jobs = queue.add(1, images, ["a", "b"])
    assert queue.wait(queue.idle, 60)
    assert sorted(sets) == [("a", 3), ("b", 3)]
    assert [job["state"] for job in queue.jobs()] == ["sent", "sent"]
    assert queue.add(1, images, ["a", "b"]) == []  # each image goes once
    assert queue.wait(lambda: queue.begun(jobs), 60)
    assert warnings == []
    assert store.row("SELECT sent FROM exams") == {"sent": 1}
    queue.stop()


def test_only_what_was_not_sent_is_sent_again(store: Store, config: Config) -> None:
    config = replace(config, storage=config.storage[:1])
    seen: list[list[str]] = []

    def sender(config: Config, peer: Peer, images: Any, begin: Any, report: Any) -> None:
        seen.append([uid for uid, _ in images])
        for number, (sop_instance, _) in enumerate(images):
            if len(seen) == 1 and number == 1:
                raise ServiceFailure("storage", peer.name, "lost", connection="lost")
            report(sop_instance, 0xB000 if number else 0, "")

    queue, warnings = queue_with(store, config, sender)
    queue.add(1, accepted(store, config, 3), ["a"])
    assert queue.wait(queue.idle, 60)
    (job,) = queue.jobs()
    assert (job["state"], job["waits_for_operator"], job["last_error"]) == ("queued", True, "lost")
    assert queue.resend("b") == []
    assert queue.resend() == [job["job"]]
    assert queue.wait(queue.idle, 60)
    assert seen[1] == seen[0][1:]
    assert queue.jobs()[0]["state"] == "sent"
    assert [w["data"].get("connection", w["data"].get("status")) for w in warnings] == ["lost", "B000"]
    queue.stop()


def test_a_fault_of_ours_costs_a_warning_and_not_the_thread(store: Store, config: Config) -> None:
    config = replace(config, storage=config.storage[:1])
    calls: list[int] = []

    def sender(config: Config, peer: Peer, images: Any, begin: Any, report: Any) -> None:
        calls.append(len(images))
        if len(calls) == 1:
            raise ZeroDivisionError
        for sop_instance, _ in images:
            report(sop_instance, 0, "")

    queue, warnings = queue_with(store, config, sender)
    queue.add(1, accepted(store, config, 1), ["a"])
    assert queue.wait(queue.idle, 60)
    assert len(warnings) == 1
    queue.resend()
    assert queue.wait(queue.idle, 60)
    assert calls == [1, 1]
    assert queue.jobs()[0]["state"] == "sent"
    queue.stop()


def test_a_destination_taken_out_of_the_settings_keeps_its_job(store: Store, config: Config) -> None:
    queue, _ = queue_with(store, replace(config, storage=()), lambda *args: None)
    queue.add(1, accepted(store, config, 1), ["a"])
    (job,) = queue.jobs()
    assert (job["state"], job["waits_for_operator"]) == ("queued", True)
    assert "no longer configured" in job["last_error"]
    assert queue.idle()
    assert queue.resend() == []
    queue.stop()


class Poisoned:
    """A sender that breaks off at one image, as an archive or our own codec would."""

    def __init__(self, poison: str, **details: Any) -> None:
        self.poison, self.details = poison, details
        self.tries: list[list[str]] = []

    def __call__(self, config: Config, peer: Peer, images: Any, begin: Any, report: Any) -> None:
        begin()
        self.tries.append([uid for uid, _ in images])
        for uid, _ in images:
            if uid == self.poison:
                raise ServiceFailure("storage", peer.name, "broken off", **self.details)
            report(uid, 0, "")


@pytest.mark.parametrize(("details", "needed"), [({}, 2), ({"connection": "lost"}, 3)])
def test_an_image_that_breaks_every_try_keeps_the_others_back_only_so_long(
    store: Store, config: Config, details: dict[str, Any], needed: int
) -> None:
    config = replace(config, storage=config.storage[:1])
    images = accepted(store, config, 4)
    uids = [store.row("SELECT * FROM images WHERE id=?", image)["sop_instance"] for image in images]  # type: ignore[index]
    sender = Poisoned(uids[1], **details)
    queue, _ = queue_with(store, config, sender)
    queue.add(1, images, ["a"])
    assert queue.wait(queue.idle, 60)
    for _ in range(needed - 1):
        assert queue.resend()
        assert queue.wait(queue.idle, 60)
    assert sender.tries[-1] == [uids[2], uids[3], uids[1]]
    assert [image["state"] for image in queue.jobs()[0]["images"]] == ["sent", "queued", "sent", "sent"]
    assert store.row("SELECT sent FROM exams") == {"sent": 0}
    sender.poison = ""
    queue.resend()
    assert queue.wait(queue.idle, 60)
    assert sender.tries[-1] == [uids[1]]
    assert store.row("SELECT sent FROM exams") == {"sent": 1}
    queue.stop()


def test_an_image_without_file_is_told_and_the_others_go(store: Store, config: Config) -> None:
    config = replace(config, storage=config.storage[:1])
    images = accepted(store, config, 3)
    gone = store.row("SELECT * FROM images WHERE id=?", images[0])
    assert gone is not None
    store.remove_object(gone["sop_instance"])
    sender = Poisoned("")
    queue, warnings = queue_with(store, config, sender)
    queue.add(1, images, ["a"])
    assert queue.wait(queue.idle, 60)
    (job,) = queue.jobs()
    assert (job["state"], [image["state"] for image in job["images"]]) == (
        "failed",
        ["failed", "sent", "sent"],
    )
    assert warnings[0]["data"]["sop_instance"] == gone["sop_instance"]
    assert store.row("SELECT sent FROM exams") == {"sent": 0}
    queue.stop()


def test_an_exam_with_a_new_image_is_not_sent_any_more(store: Store, config: Config) -> None:
    config = replace(config, storage=config.storage[:1])
    images = accepted(store, config, 2)
    sender = Poisoned("")
    queue, _ = queue_with(store, config, sender)
    queue.add(1, images[:1], ["a"])
    assert queue.wait(queue.idle, 60)
    assert store.row("SELECT sent FROM exams") == {"sent": 1}
    held = store.row("SELECT * FROM images WHERE id=?", images[1])
    assert held is not None
    sender.poison = held["sop_instance"]
    queue.add(1, images[1:], ["a"])
    assert store.row("SELECT sent FROM exams") == {"sent": 0}
    assert queue.wait(queue.idle, 60)
    assert store.row("SELECT sent FROM exams") == {"sent": 0}
    queue.stop()


@pytest.mark.parametrize("away", [86400.0, -86400.0])
def test_a_clock_that_steps_does_not_stop_the_retry(
    store: Store, config: Config, monkeypatch: pytest.MonkeyPatch, away: float
) -> None:
    config = replace(config, storage=config.storage[:1], auto_retry=True, retry_interval=0.2)
    now = time.time
    sender = Poisoned("x")

    def failing(config: Config, peer: Peer, images: Any, begin: Any, report: Any) -> None:
        if not sender.tries:
            sender.tries.append([])
            monkeypatch.setattr("modality.sendqueue.time.time", lambda: now() + away)
            raise ServiceFailure("storage", peer.name, "lost", connection="lost")
        sender(config, peer, images, begin, report)

    queue, _ = queue_with(store, config, failing)
    monkeypatch.setattr("modality.sendqueue.time.time", now)
    (job,) = queue.add(1, accepted(store, config, 1), ["a"])
    assert queue.wait(lambda: queue.jobs()[0]["state"] == "sent", 60)
    store.update(
        "jobs", job, state="queued", hold=1, retry_at=now() + away + 3600
    )  # set back after it was planned
    assert queue.wait(lambda: bool(queue.wake()) or queue.jobs()[0]["state"] == "sent", 60)
    queue.stop()


def test_a_disk_that_takes_no_note_for_a_while_ends_no_thread(
    store: Store, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modality.sendqueue._DISK_PAUSE_S", 0.01)
    config = replace(config, storage=config.storage[:1])
    sender = Poisoned("")
    queue, warnings = queue_with(store, config, sender)
    images = accepted(store, config, 2)
    update, warn = store.update, store.add_warning
    left = {"sending": 2, "queued": 3, "warnings": 1}

    def full(what: str) -> None:
        if left.get(what, 0):
            left[what] -= 1
            raise sqlite3.OperationalError("database or disk is full")

    def updating(table: str, row: int, **values: Any) -> None:
        full(str(values.get("state")))
        update(table, row, **values)

    def warning(*args: Any) -> None:
        full("warnings")
        warn(*args)

    monkeypatch.setattr(store, "update", updating)
    monkeypatch.setattr(store, "add_warning", warning)
    sender.poison = store.rows("SELECT * FROM images ORDER BY id")[1]["sop_instance"]
    queue.add(1, images, ["a"])
    assert queue.wait(queue.idle, 60)
    assert set(left.values()) == {0}
    assert queue.jobs()[0]["waits_for_operator"]
    assert [warning["data"]["text"] for warning in warnings] == [
        "broken off"
    ]  # told, though the log was full
    sender.poison = ""
    queue.resend()
    assert queue.wait(lambda: queue.jobs()[0]["state"] == "sent", 60)
    queue.stop()


def test_a_queue_is_stopped_though_the_disk_takes_nothing(
    store: Store, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = threading.Event()

    def sender(config: Config, peer: Peer, images: Any, begin: Any, report: Any) -> None:
        monkeypatch.setattr(store, "update", broken)
        sent.set()

    def broken(*args: Any, **values: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    queue, _ = queue_with(store, replace(config, storage=config.storage[:1]), sender)
    queue.add(1, accepted(store, config, 1), ["a"])
    assert sent.wait(10)
    queue.stop(0.1)
    worker = queue._workers["a"]
    worker.join(10)
    assert not worker.is_alive()
    monkeypatch.undo()
    assert store.recover()["interrupted"] == 1
