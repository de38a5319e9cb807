"""A sandbox from start to end: what it sees, what it leaves, how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.links.probe import probe
from bench.zygote import ChannelClosed, SandboxError, Zygote

HERE = Path(__file__).parent
AVAILABLE = {report.name: report for report in probe()}


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("veth", marks=pytest.mark.netns),
        pytest.param("userns", marks=pytest.mark.netns),
        "loopback",
    ],
)
def zygote(request: pytest.FixtureRequest) -> Iterator[Zygote]:
    if not AVAILABLE[request.param].available:
        pytest.skip(f"{request.param}: {AVAILABLE[request.param].reason}")
    with Zygote(["pyroute2"], request.param, path=[str(HERE)]) as made:
        yield made


def test_arguments_messages_and_exit_code_pass(zygote: Zygote) -> None:
    argument = {"text": "山田^太郎\n", "number": 3, "big": "x" * 300_000}
    with zygote.run("sandbox_bodies:echo", argument) as handle:
        assert handle.channel.recv(60) == argument
        handle.channel.send(["and back", None])
        assert handle.channel.recv(60) == ["and back", None]
        ended = handle.wait(60)
        assert (ended.status, ended.error) == (7, None)
        with pytest.raises(ChannelClosed):
            handle.channel.recv(60)


def test_the_cell_runner_is_alone(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:look_around") as handle:
        seen = handle.channel.recv(60)
        assert handle.wait(60).status == 0
    assert seen["threads"] == 1
    assert seen["preloaded"], "the zygote's imports are there"
    assert seen["environment"] == {name: os.environ.get(name) for name in seen["environment"]}
    here = os.stat("/proc/self/ns/net").st_ino if sys.platform == "linux" else None
    if zygote.backend == "loopback":
        assert seen["network"] == here
    else:
        assert seen["network"] != here
        assert seen["interfaces"] == ["lo"]
        assert (seen["pid"], seen["parent"]) == (2, 1)
        assert seen["processes"] == [1, 2], "a fresh /proc shows only the sandbox"


def test_sandboxes_do_not_inherit_from_each_other(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:leave_children", "stay") as first:
        first.channel.recv(60)
        with zygote.run("sandbox_bodies:look_around") as second:
            fds = second.channel.recv(60)["fds"]
            # 0, 1, 2, channel, status, the launcher's namespace and the listing itself
            assert len(fds) <= 7, fds
            assert second.wait(60).status == 0
        first.kill()
        with pytest.raises(ChannelClosed):
            first.channel.recv(60)


def test_a_mount_is_seen_inside_only(zygote: Zygote, tmp_path: Path) -> None:
    if zygote.backend == "loopback":
        pytest.skip("loopback has no mount namespace")
    with zygote.run("sandbox_bodies:mount_something", str(tmp_path)) as handle:
        assert handle.channel.recv(60) == ["inside"]
        assert os.listdir(tmp_path) == []


def test_the_launchers_network_is_refused(zygote: Zygote) -> None:
    if zygote.backend != "veth":
        pytest.skip("only root could come back to the launcher's namespace at all")
    with zygote.run("sandbox_bodies:touch_host_network") as handle:
        assert "network of the machine itself" in handle.channel.recv(60)


def test_a_failing_body_ends_with_its_traceback(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:fail") as handle:
        ended = handle.wait(60)
    assert ended.status == 1
    assert ended.error is not None
    assert ended.error.rstrip().endswith("ValueError: this body fails")


def test_a_body_that_dies_of_a_signal_is_told_apart(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:die") as handle:
        assert handle.wait(60).status == -15


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("no_such_module:main", "no_such_module:main cannot be imported: ModuleNotFoundError"),
        ("sandbox_bodies:no_such_function", "cannot be imported: AttributeError"),
    ],
)
def test_set_up_errors_reach_the_worker(zygote: Zygote, function: str, text: str) -> None:
    with pytest.raises(SandboxError, match=text):
        zygote.run(function)
    with zygote.run("sandbox_bodies:look_around") as handle:  # and the zygote goes on
        assert handle.wait(60).status == 0


def test_everything_ends_with_the_body(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:leave_children") as handle:
        pids = handle.channel.recv(60)
        assert handle.wait(60).status == 0
    if zygote.backend == "loopback":
        assert not [pid for pid in pids if alive(pid)]


def test_kill_ends_everything(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:leave_children", "stay") as handle:
        pids = handle.channel.recv(60)
        handle.kill()
        ended = handle.wait(60)
        assert ended.status == -9
        assert ended.error == "the sandbox was killed"
        handle.kill()  # harmless
        if zygote.backend == "loopback":
            assert eventually(lambda: not [pid for pid in pids if alive(pid)])


def test_wait_gives_up_in_time(zygote: Zygote) -> None:
    with zygote.run("sandbox_bodies:leave_children", "stay") as handle:
        with pytest.raises(TimeoutError):
            handle.wait(0.05)


def test_output_goes_where_it_was_told(zygote: Zygote, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file, zygote.run("logging:critical", "ignored", stdio=file.fileno()) as handle:
        # logging.critical(channel, argument) prints the channel's repr to standard error
        handle.wait(60)
    assert "Channel object" in log.read_text()


def test_sandboxes_end_with_their_zygote() -> None:
    zygote = Zygote([], "loopback", path=[str(HERE)])
    handle = zygote.run("sandbox_bodies:leave_children", "stay")
    pids = [handle.pid, *handle.channel.recv(60)]
    assert all(alive(pid) for pid in pids)
    zygote.close()
    assert handle.wait(60).status == -9
    assert eventually(lambda: not [pid for pid in pids if alive(pid)])
    handle.close()
    with pytest.raises(SandboxError, match="zygote is gone"):
        zygote.run("sandbox_bodies:echo")


def test_orphans_of_a_killed_first_process_are_found_without_namespaces() -> None:
    with Zygote([], "loopback", path=[str(HERE)]) as zygote:
        handle = zygote.run("sandbox_bodies:leave_children", "stay")
        pids = handle.channel.recv(60)
        os.kill(handle.pid, 9)
        assert eventually(lambda: not [pid for pid in pids if alive(pid)])
        handle.close()


def test_a_preload_that_starts_threads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "threaded_module.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='culprit', daemon=True).start()\n"
    )
    with Zygote(["threaded_module"], "loopback", path=[str(tmp_path)]) as zygote:
        with pytest.raises(SandboxError, match="culprit"):
            zygote.wait_ready()


def test_numpy_can_be_preloaded() -> None:
    with Zygote(["numpy", "pydicom"], "loopback") as zygote:
        zygote.wait_ready()  # would refuse if BLAS started threads


def test_an_unknown_preload_is_named() -> None:
    with Zygote(["no_such_module"], "loopback") as zygote:
        with pytest.raises(SandboxError, match="no_such_module"):
            zygote.run("sandbox_bodies:echo")


ORDINARY_USER = """
import pyroute2
import os, sys
from bench.links.probe import best_backend
from bench.zygote import Zygote
assert os.getuid() == 65534
assert best_backend() == "userns", best_backend()
with Zygote(["pyroute2"], path=[sys.argv[1]]) as zygote:
    assert zygote.backend == "userns"
    with zygote.run("sandbox_bodies:addresses") as handle:
        print(len(handle.channel.recv(60)))
        assert handle.wait(60).status == 0
"""


@pytest.mark.netns
def test_an_ordinary_user_gets_a_whole_network(tmp_path: Path) -> None:
    """As uid 65534, in a user namespace, with what the system's Python can read."""
    if not AVAILABLE["userns"].available:
        pytest.skip(AVAILABLE["userns"].reason)
    if os.geteuid() != 0:
        pytest.skip("this test changes its user id; as an ordinary user all other tests show the same")
    import pyroute2

    root = Path(__file__).parents[2]
    path = [str(root), str(Path(pyroute2.__file__).parents[1])]
    command = ["-c", ORDINARY_USER, str(HERE)]
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            done = subprocess.run(
                [python, *command],
                user=65534,
                group=65534,
                extra_groups=[],
                capture_output=True,
                text=True,
                timeout=60,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path)},
                cwd=tempfile.gettempdir(),
            )
        except PermissionError:
            continue  # this Python lives in a directory that only root may read
        if "No module named" in done.stderr or "Permission denied" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["13"]
        return
    pytest.skip("no Python here that an ordinary user could run with the project")
