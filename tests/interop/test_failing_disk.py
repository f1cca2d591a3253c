"""A disk that fails under open recordings: sessions end and say why, none begins, and what was accepted is kept.

A full disk, one that is mounted read-only and a file that is removed are in test_recording.py.
"""

import contextlib
import errno
import os
import pathlib
import re
import subprocess

import pytest

from support import process, recordings
from support.fixtures import client_of
from support.traffic import DESTINATION, Traffic, check_all_recorded, service_of

LONG = os.environ.get("BASTION_LONG") == "1"


class FailingDisk:
    """A folder whose operations fail with the errno that they are told (tests/support/failing_disk.cc)."""

    def __init__(self, folder):
        (folder / "kept").mkdir(parents=True)
        self.mount = folder / "disk"
        self.mount.mkdir()
        command = [process.BUILD / "tests" / "support" / "failing_disk", folder / "kept", self.mount]
        self.service = process.Service(command, folder / "failing_disk.log")
        self.service.wait_for("mounted")

    def fail(self, operation: str, error: int) -> None:
        start = len(self.service.lines)
        self.service.process.stdin.write(f"{operation} {error}\n".encode())
        self.service.process.stdin.flush()
        self.service.wait_for("^ok$", start=start)

    def mend(self) -> None:
        self.fail("all", 0)

    def close(self) -> None:
        self.mend()
        self.service.process.stdin.close()
        self.service.process.wait(20)
        self.service.kill()


@pytest.fixture
def disk(tmp_path):
    if not os.path.exists("/dev/fuse"):
        pytest.skip("this machine has no /dev/fuse")
    made = FailingDisk(tmp_path / "failing")
    yield made
    made.close()


def ends_with_a_reason(traffic: Traffic, reason: str) -> None:
    process.wait_until(lambda: traffic.running() == 0, timeout=20, what="the end of sessions")
    traffic.join()
    for error in traffic.errors():
        assert re.search(rf"this session is to be recorded, and cannot be any more \({reason}\)", error), error


def is_refused(client, reason: str) -> None:
    done = client.ssh(DESTINATION, "echo passed")
    assert done.code != 0 and done.out == b"", done
    assert re.search(rf"this session is to be recorded, and cannot be now \({reason}\)", done.error), done


def is_served(client) -> None:
    process.wait_until(lambda: client.ssh(DESTINATION, "echo passed").out == b"passed\n", timeout=5, what="a login")


@pytest.mark.parametrize(
    ("operation", "error", "reason"),
    [
        ("write", errno.EIO, "the disk fails"),
        ("write", errno.EDQUOT, "the quota on the disk is used up"),
        ("allocate", errno.EIO, "the disk fails"),
        ("allocate", errno.EDQUOT, "the quota on the disk is used up"),
        ("all", errno.EROFS, "the disk is read-only"),
    ],
)
@pytest.mark.timeout(3600 if LONG else 180)
def test_a_disk_that_refuses(operation, error, reason, lab, make_bastion, disk, tmp_path):
    bastion = make_bastion(service=service_of(lab, disk.mount / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    for _ in range(20 if LONG else 1):
        before = recordings.wait_sealed(bastion, 0)
        traffic = Traffic(alice, 2)
        try:
            process.wait_until(lambda: traffic.flows(), timeout=30, what="traffic")
            disk.fail(operation, error)
            ends_with_a_reason(traffic, reason)
            is_refused(alice, reason)
            disk.mend()
        finally:
            traffic.end()
        made = check_all_recorded(bastion, traffic, before)
        assert {(each.end["state"], each.end["reason"]) for each in made} == {("failed", reason)}
        is_served(alice)
    bastion.stop()  # before its disk goes


def run_program(*words) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout.strip()


def needs_loop_devices() -> None:
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this machine has no loop devices")


@pytest.fixture
def thin_disk(tmp_path):
    """A file system on a device that promised more than it has: (where it is mounted, what fills the device)."""
    needs_loop_devices()
    run = run_program
    below, folder = tmp_path / "below", tmp_path / "disk"
    below.mkdir()
    folder.mkdir()
    with contextlib.ExitStack() as undo:
        run("mount", "-t", "tmpfs", "-o", "size=24m", "none", below)
        undo.callback(run, "umount", "-l", below)
        image = below / "image"
        with image.open("wb") as file:
            file.truncate(256 << 20)
        run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", image)
        device = run("losetup", "--find", "--show", image)
        undo.callback(run, "losetup", "-d", device)
        run("mount", "-o", "nodiscard", device, folder)
        undo.callback(run, "umount", "-l", folder)
        yield folder, below / "filler"


def fill(path) -> None:
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_disk_that_takes_bytes_and_does_not_keep_them(lab, make_bastion, thin_disk, tmp_path):
    """Only the sync says so: every write goes well."""
    folder, filler = thin_disk
    bastion = make_bastion(service=service_of(lab, folder / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    traffic = Traffic(alice, 2)
    process.wait_until(lambda: traffic.flows(), timeout=30, what="traffic")
    fill(filler)
    reason = "(no space left on the disk|the disk fails)"
    ends_with_a_reason(traffic, reason)
    is_refused(alice, reason)
    filler.unlink()
    bastion.wait_for_log("what was last written to recordings may be lost")
    is_served(alice)
    bastion.stop()


@pytest.fixture
def quota_disk(tmp_path):
    """A folder on btrfs that may take 24 MiB, on a disk with room for more. Its quota holds for root, too."""
    needs_loop_devices()
    with contextlib.suppress(FileNotFoundError):  # no modprobe in a container
        subprocess.run(["modprobe", "-q", "btrfs"], check=False)
    if "btrfs" not in pathlib.Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no btrfs")
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    with contextlib.ExitStack() as undo:
        run_program("mkfs.btrfs", "-q", image)
        run_program("mount", "-o", "loop", image, folder)
        undo.callback(run_program, "umount", "-l", folder)
        run_program("btrfs", "quota", "enable", folder)
        run_program("btrfs", "subvolume", "create", folder / "limited")
        run_program("btrfs", "qgroup", "limit", "24M", folder / "limited")
        yield folder / "limited"


def test_a_quota_that_is_used_up(lab, make_bastion, quota_disk, tmp_path):
    """The disk has room and says so; the kernel refuses our folder more of it."""
    bastion = make_bastion(service=service_of(lab, quota_disk / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    traffic = Traffic(alice, 2)
    try:
        process.wait_until(traffic.flows, timeout=30, what="traffic")
        fill(quota_disk / "filler")
        reason = "the quota on the disk is used up"
        ends_with_a_reason(traffic, reason)
        fill(quota_disk / "filler")  # also what the ended sessions gave back
        process.wait_until(lambda: "used up" in alice.ssh(DESTINATION, "true").error, timeout=10, what="a refusal")
        is_refused(alice, reason)
    finally:
        traffic.end()
    (quota_disk / "filler").unlink()
    run_program("sync", "-f", quota_disk)
    made = check_all_recorded(bastion, traffic, [])
    assert {(each.end["state"], each.end["reason"]) for each in made} == {("failed", reason)}
    is_served(alice)
    bastion.stop()  # before its disk goes
