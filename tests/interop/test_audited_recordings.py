"""Recordings and the audit log match one to one: what is gone, exchanged or put there is named."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from support import process, recordings
from support.audit import Audited
from support.bastion import bastionctl
from support.fixtures import client_of
from support.targets import LOGIN

USER = f"{LOGIN}@web1@bastion"


@pytest.fixture
def folder():
    """The log's folder becomes the recorder's, which must be able to reach it."""
    with tempfile.TemporaryDirectory(prefix="audit-") as path:
        yield pathlib.Path(path)


class Both:
    """A bastion that records and has an audit log."""

    def __init__(self, lab, make_bastion, folder, tmp_path, **recording):
        service = {"state_dir": str(tmp_path / "state"), "recording": {"reserve": "1MiB"} | recording}
        self.audited = Audited(lab, make_bastion, folder, service=service)
        self.bastion = self.audited.bastion
        self.alice = client_of(self.bastion, tmp_path / "alice", lab.alice)

    def record(self, count: int) -> list[pathlib.Path]:
        before = len(recordings.files_of(self.bastion))
        for at in range(count):
            assert self.alice.ssh(USER, f"echo {at}").out == f"{at}\n".encode()
            files = recordings.wait_sealed(self.bastion, before + at + 1)
        self.wait_closed(files)
        return files

    def wait_closed(self, files: list[pathlib.Path]) -> None:
        for path in files:
            self.audited.wait_for("recording.close", session=path.stem)

    def verify(self, *words) -> process.Done:
        return process.run([
            bastionctl(), "recordings", "--dir", recordings.folder_of(self.bastion), "verify", "--all",
            "--key", f"{self.audited.key.path}.pub", "--audit-log", self.audited.file, *words,
        ])  # fmt: skip


@pytest.fixture
def both(lab, make_bastion, folder, tmp_path):
    return Both(lab, make_bastion, folder, tmp_path)


def test_each_recording_has_its_events_and_each_event_its_recording(both):
    files = both.record(3)
    done = both.verify()
    assert done.code == 0, done
    assert "3 of 3 recordings are proven" in done.text and "tells of 3; 0 missing" in done.text, done
    for path in files:
        begun = both.audited.wait_for("recording.open", session=path.stem)
        assert begun["recording"] == f"{path.parent.name}/{path.name}"
        end = both.audited.wait_for("recording.close", session=path.stem)
        assert end["recording"] == begun["recording"] and end["state"] == "complete"
        assert end["bytes"] == path.stat().st_size


def test_a_recording_is_signed_from_its_end_on_and_one_bit_is_noticed(both):
    """sec_083: what is to be signed is, and each octet of it counts."""
    (path,) = both.record(1)

    def verdict() -> process.Done:
        return process.run([
            bastionctl(), "recordings", "--dir", recordings.folder_of(both.bastion), "verify", path.stem,
            "--key", f"{both.audited.key.path}.pub",
        ])  # fmt: skip

    assert verdict().code == 0, verdict()
    whole = path.read_bytes()
    signature = whole.rindex(b"BREC")
    for at in (0, len(whole) // 3, len(whole) // 2, signature - 1, signature + 100, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert verdict().code == 1, f"octet {at}"
    path.write_bytes(whole[:signature])
    unsigned = verdict()
    assert unsigned.code == 1 and "sign" in unsigned.text + unsigned.error, unsigned
    path.write_bytes(whole)
    assert verdict().code == 0


def test_a_whole_file_that_is_removed_is_missing(both):
    files = both.record(3)
    files[1].unlink()
    done = both.verify()
    assert done.code == 1 and f"{files[1].stem}  MISSING" in done.text, done
    assert files[0].stem not in done.text and files[2].stem not in done.text


def test_two_that_are_swapped_are_bad(both):
    files = both.record(3)
    between = files[0].with_suffix(".between")
    files[0].rename(between)
    files[1].rename(files[0])
    between.rename(files[1])
    done = both.verify()
    assert done.code == 1, done
    for path in files[:2]:
        assert f"{path.stem}  BAD" in done.text, done


def test_one_that_was_put_there_is_extra(both, lab, make_bastion, folder, tmp_path):
    files = both.record(1)
    # Of another bastion with the same audit key: its signature is right.
    other = make_bastion(service={
        "state_dir": str(tmp_path / "other"), "audit_key": str(both.audited.key.path), "recording": {"reserve": "1MiB"},
    })  # fmt: skip
    client = client_of(other, tmp_path / "other-alice", lab.alice)
    assert client.ssh(USER, "echo there").out == b"there\n"
    [made] = recordings.wait_sealed(other, 1)
    stranger = files[0].with_name(made.name)
    shutil.copy(made, stranger)
    done = both.verify()
    assert done.code == 1 and f"{made.stem}  EXTRA" in done.text, done


def test_an_old_copy_that_is_put_back_is_bad(both):
    command = list(map(str, both.alice.ssh_command(USER, "echo first; read a; echo second; read b")))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout.readline() == b"first\n"
            [path] = recordings.files_of(both.bastion)
            copy = path.with_suffix(".copy")
            shutil.copy(path, copy)
            client.stdin.write(b"\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"second\n"
            client.stdin.write(b"\n")
            client.stdin.flush()
        finally:
            client.wait(20)
    both.wait_closed(recordings.wait_sealed(both.bastion, 1))
    assert both.verify().code == 0
    shutil.copy(copy, path)
    copy.unlink()
    done = both.verify("--allow-open")
    assert done.code == 1 and f"{path.stem}  BAD" in done.text, done
    assert "before a block that the audit log tells of" in done.text, done


@pytest.mark.parametrize("role", ["recorder", "worker", "warden", "supervisor"])
def test_they_match_whoever_dies(role, both):
    command = list(map(str, both.alice.ssh_command(USER, "echo on; exec sleep 60")))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout.readline() == b"on\n"
            [path] = recordings.files_of(both.bastion)
            both.audited.wait_for("recording.open", session=path.stem)
            if role == "supervisor":
                both.bastion.process.process.kill()
                client.wait(30)
                both.bastion.process.stop(timeout=10)
                both.bastion.process = None
                both.bastion.start()
            else:
                for pid in both.bastion.pids(role):
                    os.kill(pid, signal.SIGKILL)
                if role != "recorder":
                    client.wait(30)
        finally:
            client.kill()
    both.wait_closed(recordings.wait_sealed(both.bastion, 1, timeout=30))
    end = both.audited.wait_for("recording.close", session=path.stem)
    assert end["state"] == recordings.read(path).end["state"]
    done = both.verify()
    assert done.code == 0, done
    assert "tells of 1; 0 missing" in done.text, done


def test_what_retention_removes_is_told_before_and_not_missed(lab, make_bastion, folder, tmp_path):
    both = Both(lab, make_bastion, folder, tmp_path, retention={"size": "1MiB"})
    made = []
    for _ in range(4):
        assert both.alice.ssh(USER, "head -c 400000 /dev/urandom").code == 0
        process.wait_until(lambda: not recordings.open_of(both.bastion), timeout=10, what="sealed recordings")
        made += [path for path in recordings.files_of(both.bastion) if path not in made]
    both.wait_closed(made)
    # It looks again when what it is told changes.
    both.bastion.service["recording"]["retention"] = {"size": "1100KiB"}
    both.bastion.write()
    both.bastion.reload()
    process.wait_until(lambda: not made[0].exists(), timeout=60, what="a removal")
    gone = both.audited.wait_for("recording.removed", session=made[0].stem)
    assert gone["reason"] == "size" and gone["recording"] == f"{made[0].parent.name}/{made[0].name}"
    assert gone["bytes"] >= 400_000
    told = {event["session"] for event in both.audited.events() if event["event"] == "recording.removed"}
    process.wait_until(
        lambda: {path.stem for path in made if not path.exists()} == told, timeout=10, what="what was told to go"
    )
    done = both.verify()
    assert done.code == 0, done
    assert "0 missing" in done.text, done
