"""RLIMIT_FSIZE (LimitFSIZE= of a unit): a file at its limit ends its own session, says why, and nothing else."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import tempfile

from support import process, recordings
from support.audit import Audited
from support.bastion import Bastion, binary
from support.fixtures import client_of, make_policy
from support.traffic import DESTINATION, Traffic, check_all_recorded, service_of

MIB = 1 << 20
REASON = "files may be no larger here: raise LimitFSIZE= or ulimit -f"
ENDED = rf"this session is to be recorded, and cannot be any more \({re.escape(REASON)}\)"


@contextlib.contextmanager
def file_size_limit(size: int):
    """What is started in this block has the limit, and whoever waits in it, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def limit_of(pid: int, size: int | str = "") -> None:
    """Gives a process that runs another soft limit; none, where nothing is said."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    uid, gid = (re.search(rf"^{which}:\t(\d+)", status, re.M)[1] for which in ("Uid", "Gid"))
    same = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"] if os.getuid() == 0 else []
    process.run([*same, "prlimit", f"--pid={pid}", f"--fsize={size or 'unlimited'}:"]).ok()


class Random(Traffic):
    """A session that prints more random bytes than a recording may have."""

    COMMAND = "head -c 100000000 /dev/urandom"


def wait_for_end(traffic: Traffic) -> None:
    process.wait_until(lambda: traffic.running() == 0, timeout=60, what="the end of sessions")
    traffic.join()


def test_a_recording_at_its_limit_ends_and_is_sealed(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["rules"][0]["exec_bytes"] = "1GiB"
    bastion = make_bastion(policy, service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    # Its memory, which is files to the kernel, is made; a recorder takes the limit over when it starts.
    limit = 20 * MIB
    limit_of(bastion.process.process.pid, limit)
    before = bastion.pids("recorder")
    os.kill(before[0], signal.SIGKILL)
    process.wait_until(lambda: bastion.pids("recorder") not in ([], before), what="another recorder")
    (recorder,) = bastion.pids("recorder")
    small = Traffic(alice, 1)
    try:
        process.wait_until(small.flows, timeout=30, what="traffic")
        large = Random(alice, 2)
        wait_for_end(large)
        for error in large.errors():
            assert re.search(ENDED, error), error
        assert bastion.pids("recorder") == [recorder], "it lives, and with it what else is recorded"
        assert alice.ssh(DESTINATION, "echo passed").out == b"passed\n"
        assert small.running() == 1
    finally:
        small.end()
    made = check_all_recorded(bastion, large, [])
    check_all_recorded(bastion, small, [])
    failed = [each for each in made if each.end["state"] == "failed"]
    assert len(failed) == 2 and len(made) == 4
    for each in failed:
        assert each.end["reason"] == REASON
        assert limit - 4 * MIB < each.path.stat().st_size <= limit, "as much as could be was let through"


def test_a_limit_below_what_is_recorded_already(lab, make_bastion, tmp_path):
    """Set while the recorder runs: there is no room for the end, which is written when there is."""
    bastion = make_bastion(service=service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    (recorder,) = bastion.pids("recorder")
    traffic = Traffic(alice, 2)
    try:
        process.wait_until(lambda: traffic.flows(2 * MIB), timeout=30, what="traffic")
        limit_of(recorder, 32 * 1024)
        wait_for_end(traffic)
        for error in traffic.errors():
            assert re.search(ENDED, error), error
        assert alice.ssh(DESTINATION, "echo passed").out == b"passed\n", "a small one fits"
        assert bastion.pids("recorder") == [recorder]
        process.wait_until(lambda: len(recordings.open_of(bastion)) == 2, what="the small one's end on the disk")
        limit_of(recorder)
    finally:
        traffic.end()
    made = check_all_recorded(bastion, traffic, [])
    assert sorted(each.end["state"] for each in made) == ["complete", "failed", "failed"]


def test_an_audit_log_at_its_limit(lab, make_bastion, tmp_path):
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        audited = Audited(lab, make_bastion, pathlib.Path(folder))
        bastion = audited.bastion
        alice = client_of(bastion, tmp_path / "alice", lab.alice)
        (recorder,) = bastion.pids("recorder")
        traffic = Traffic(alice, 1)
        try:
            process.wait_until(traffic.flows, timeout=30, what="traffic")
            mark = bastion.mark()
            limit_of(recorder, audited.file.stat().st_size + 100)
            assert alice.ssh(DESTINATION, "echo passed").out == b""
            wait_for_end(traffic)
            assert "the bastion cannot write its audit log, so this session ends" in traffic.errors()[0]
            bastion.wait_for_log("the audit log cannot be written.*raise LimitFSIZE= or ulimit -f", mark)
            assert bastion.pids("recorder") == [recorder]
            limit_of(recorder)
            process.wait_until(
                lambda: alice.ssh(DESTINATION, "echo passed").out == b"passed\n", timeout=10, what="a login"
            )
        finally:
            traffic.end()
        audited.check()


def test_a_limit_below_a_ring_is_said_at_the_start(lab, tmp_path):
    bastion = Bastion(lab, tmp_path / "own", make_policy(lab), service_of(lab, tmp_path / "state"))
    bastion.write()
    with file_size_limit(MIB):
        done = process.run([binary(), "--config", bastion.config, *(["--one-uid"] if os.getuid() == 0 else [])])
    assert done.code == 1 and "raise LimitFSIZE= or ulimit -f" in done.error, done
