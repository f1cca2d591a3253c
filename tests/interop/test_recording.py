"""What a recorded session leaves: every byte that passed, whatever dies meanwhile, or no session."""

import asyncio
import contextlib
import json
import os
import pathlib
import random
import re
import select
import signal
import subprocess
import time

import pytest

from support import process, recordings
from support.bastion import Bastion, bastionctl
from support.fixtures import client_of, make_policy
from support.targets import LOGIN
from support.traffic import DESTINATION, Traffic, check_all_recorded, service_of
from support.wire import connect

USER = f"{LOGIN}@web1"
MIB = 1 << 20
LONG = os.environ.get("BASTION_LONG") == "1"


@pytest.fixture(scope="module")
def bastion(lab):
    folder = lab.folder / "recording"
    made = Bastion(lab, folder, make_policy(lab), service_of(lab, folder / "state")).start()
    yield made
    made.stop()


@pytest.fixture
def before(bastion):
    recordings.wait_sealed(bastion, 0)
    return recordings.files_of(bastion)


# ---- what is recorded


def test_a_command_with_its_three_streams_byte_for_byte(alice, bastion, before):
    data = random.Random(1).randbytes(300_000)
    done = alice.ssh(DESTINATION, "tee /dev/stderr", input=data)
    assert done.code == 0 and done.out == data and done.err == data
    recording = recordings.read_new(bastion, before)
    assert recording.verdict == "proven", recording.problems
    assert recording.metadata["user"] == "alice" and recording.metadata["target"] == "web1"
    assert recording.metadata["login"] == LOGIN and recording.metadata["rule"] == "developers-everywhere"
    assert recording.end["state"] == "complete"
    assert recording.bytes_of("stdin") == data
    assert recording.bytes_of("stdout") == data
    assert recording.bytes_of("stderr") == data
    assert list(recording.starts().values()) == [b"tee /dev/stderr"]
    assert recording.kinds()[0] == "channel-open" and recording.kinds()[-1] == "channel-close"
    assert "exit-status" in recording.kinds()


def test_a_terminal_with_its_sizes_and_a_notice(alice, bastion, before):
    async def session():
        async with connect(alice, USER) as connection:
            process = await connection.create_process(
                "stty size; read a; stty size; head -c 200000 /dev/urandom | base64; read b",
                term_type="xterm", term_size=(100, 40), encoding=None, stderr=asyncio.subprocess.PIPE,
            )
            seen = b""
            while b"40 100" not in seen:
                seen += await process.stdout.read(65536)
            process.change_terminal_size(111, 33)
            process.stdin.write(b"\r")
            while len(seen) < 250_000:
                seen += await process.stdout.read(65536)
            process.stdin.write(b"\r")
            while data := await process.stdout.read(65536):
                seen += data
            return seen

    seen = asyncio.run(asyncio.wait_for(session(), 60))
    assert b"33 111" in seen
    recording = recordings.read_new(bastion, before)
    assert recording.verdict == "proven", recording.problems
    assert recording.bytes_of("stdout") == seen
    assert recording.bytes_of("stdin") == b"", "input at a terminal is not recorded unless that is asked for"
    assert {"pty", "resize"} <= set(recording.kinds())


def test_status_says_how_much_there_is(bastion):
    assert re.search(r"· recordings [\d.]+\w?, disk \d+% free\n", bastion.control("status").ok().text)


def test_the_notice_is_for_terminals_alone(alice, bastion, before):
    async def shell():
        async with connect(alice, USER) as connection:
            process = await connection.create_process(
                None, term_type="xterm", encoding=None, stderr=asyncio.subprocess.PIPE
            )
            line = await process.stderr.readline()
            process.stdin.write(b"exit\r")
            await process.wait()
            return line

    line = asyncio.run(asyncio.wait_for(shell(), 30))
    recording = recordings.read_new(bastion, before)
    short = re.fullmatch(rb"This session is recorded \((\w+)\)\.\r\n", line).group(1).decode()
    assert recording.metadata["session"].startswith(short)
    assert recording.bytes_of("notice") == line
    assert alice.ssh(DESTINATION, "true").err == b""


def test_each_channel_of_a_shared_connection(alice, bastion, before):
    """sec_085: a second channel hides nothing."""
    async def session():
        async with connect(alice, USER) as connection:
            results = await asyncio.gather(*(
                connection.run(f"head -c {size} /dev/urandom", encoding=None) for size in (1000, 200_000, 700_000)
            ))
            return [result.stdout for result in results]

    outputs = asyncio.run(asyncio.wait_for(session(), 60))
    recording = recordings.read_new(bastion, before)
    recorded = [recording.bytes_of("stdout", channel) for channel in recording.channels()]
    assert sorted(map(len, recorded)) == [1000, 200_000, 700_000]
    assert sorted(recorded) == sorted(outputs)


def test_a_forwarding_is_told_without_its_bytes(alice, bastion, before, lab):
    done = alice.ssh("-W", f"127.0.0.1:{lab.targets['web1'].port}", DESTINATION, input=None)
    assert b"SSH-2.0-" in done.out
    recording = recordings.read_new(bastion, before)
    assert b"direct-tcpip" in recording.bytes_of("channel-open")
    assert recording.bytes_of("stdout") == b""


def test_none_metadata_and_the_cap_of_a_rule(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    rule = policy["rules"][0]
    rule["exec_bytes"] = "10KiB"
    policy["rules"].insert(0, rule | {"name": "unrecorded", "targets": ["new1"], "record": "none"})
    policy["rules"].insert(0, rule | {"name": "metadata", "targets": ["drop1"], "record": "metadata"})
    bastion = make_bastion(policy, service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    assert alice.ssh(f"{LOGIN}@new1@bastion", "echo unseen").out == b"unseen\n"
    assert recordings.files_of(bastion) == []
    assert alice.ssh(f"{LOGIN}@drop1@bastion", "echo unseen").out == b"unseen\n"
    recording = recordings.read_new(bastion, [])
    assert b"unseen" in list(recording.starts().values())[0] and recording.bytes_of("stdout") == b""
    before = recordings.files_of(bastion)
    done = alice.ssh(DESTINATION, "head -c 30000 /dev/zero; echo fine >&2")
    assert len(done.out) == 30000
    recording = recordings.read_new(bastion, before)
    assert recording.bytes_of("stdout") == bytes(10 * 1024)
    assert recording.bytes_of("stderr") == b"fine\n"
    assert recording.kinds().count("cap-reached") == 1


def test_typed_input_is_kept_as_far_as_it_is_echoed(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["rules"][0]["record_input"] = True
    bastion = make_bastion(policy, service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)

    async def session():
        async with connect(alice, USER) as connection:
            process = await connection.create_process(
                "read a; stty -echo; echo got; read b; stty echo; echo hidden; read c", term_type="xterm", encoding=None
            )

            async def until(text):
                seen = b""
                while text not in seen:
                    seen += await process.stdout.read(1000)

            for letter in b"visible":
                process.stdin.write(bytes([letter]))
                await until(bytes([letter]))
            process.stdin.write(b"\r")
            await until(b"got\r\n")
            process.stdin.write(b"hunter2\r")
            await until(b"hidden\r\n")
            process.stdin.write(b"\r")
            await process.wait()

    asyncio.run(asyncio.wait_for(session(), 30))
    recording = recordings.read_new(bastion, [])
    typed = recording.bytes_of("stdin")
    assert typed.startswith(b"visible\r") and b"hunter2" not in typed
    assert not any(byte in typed[8:] for byte in b"hunter2"), typed
    assert recording.kinds().count("input-hidden") == 1
    assert bytes.fromhex(next(e["bytes"] for e in recording.entries if e["kind"] == "input-hidden")) == b"\x07"


def received_unread(port: int) -> int:
    """Bytes that a target at this port has sent and the worker has not taken: the largest of its connections."""
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return max(int(line[4].split(":")[1], 16) for line in lines if int(line[2].split(":")[1], 16) == port)


def test_what_is_encrypted_is_read_with_an_identity_alone_and_verified_without(lab, make_bastion, tmp_path):
    def ctl(*words):
        return process.run([bastionctl(), "recordings", "--dir", recordings.folder_of(bastion), *words])

    identity, raw = tmp_path / "team.identity", tmp_path / "raw"
    recipient = process.run([bastionctl(), "recordings", "keygen", identity]).ok().text.splitlines()[0]
    service = service_of(lab, tmp_path / "state", recording={"reserve": "1MiB", "recipients": [recipient]})
    bastion = make_bastion(service=service)
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    assert alice.ssh(DESTINATION, "echo topsecretword").out == b"topsecretword\n"
    [path] = recordings.wait_sealed(bastion, 1)
    assert b"topsecretword" not in path.read_bytes()

    ways = [
        ("play", path.stem), ("show", path.stem), ("search", "topsecretword"),
        ("export", path.stem, "--format", "raw", "-o", raw),
    ]  # fmt: skip
    for words in ways:
        blind = ctl(*words)
        assert "topsecretword" not in blind.text and "--identity FILE" in blind.text + blind.error, blind
        assert not raw.exists()
        read = ctl(*words, "--identity", identity)
        assert read.code == 0, read
        assert "topsecretword" in (raw.read_text() if raw.exists() else read.text), read
    assert ctl("search", "topsecretword").code == 1
    shown = ctl("show", path.stem, "--identity", identity).ok()
    assert re.search(r"^channel 0  exec: echo topsecretword$", shown.text, re.M), "the first channel, too"
    assert re.search(r"^  bytes    out 14, err 0, in 0$", shown.text, re.M), shown
    proven = ctl("verify", path.stem, "--key", f"{service['audit_key']}.pub").ok()
    assert "proven" in proven.text


def test_what_waited_for_the_recorder_leaves_without_a_further_event(alice, bastion, lab, tmp_path):
    """Credit ends amid the last bytes, which lie at the worker when the recorder grants more."""
    first, last = 60_000, 50_000  # of 128 KiB credit; a packet needs 48 KiB of it left
    go = tmp_path / "go"
    command = (
        f"head -c {first} /dev/zero; while ! [ -e {go} ]; do sleep 0.02; done; head -c {last} /dev/zero; exec sleep 60"
    )
    words = list(map(str, alice.ssh_command(DESTINATION, command)))
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=alice.env) as client:

        def receive(size: int) -> None:
            received = 0
            while received < size:
                ready, _, _ = select.select([client.stdout], [], [], 20)
                assert ready, f"{received} of {size} bytes"
                received += len(os.read(client.stdout.fileno(), size - received))

        try:
            receive(first)
            workers, recorder = bastion.pids("worker"), bastion.pids("recorder")[0]
            for pid in [*workers, recorder]:
                os.kill(pid, signal.SIGSTOP)
            try:
                go.touch()
                process.wait_until(
                    lambda: received_unread(lab.targets["web1"].port) >= last, timeout=20, what="the last bytes"
                )
            finally:
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
            receive(1)
            os.kill(recorder, signal.SIGCONT)
            receive(last - 1)
        finally:
            os.kill(recorder, signal.SIGCONT)
            client.kill()


# ---- what dies


# Kills in the short form and in the long one, which has a thousand.
KILLS = {"recorder": (7, 300), "worker": (7, 300), "warden": (7, 300), "gate": (2, 50), "supervisor": (2, 50)}


def kill(bastion, role: str, traffic: Traffic) -> None:
    """Kills all processes of a kind, and waits for what that is to mean to sessions."""
    pids = [bastion.process.process.pid] if role == "supervisor" else bastion.pids(role)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if role in ("recorder", "gate"):
        # Sessions go on: a successor is there within two seconds, and gates have no part in them.
        sizes = [len(received) for received in traffic.received]
        process.wait_until(
            lambda: all(len(r) > size + 100_000 for r, size in zip(traffic.received, sizes)),
            timeout=15, what="traffic after the death",
        )
    elif role == "supervisor":
        traffic.join()
        bastion.process.stop(timeout=10)
        bastion.process = None
        bastion.start()  # signs what the recorder before it sealed
    else:
        process.wait_until(lambda: traffic.running() < len(traffic.clients), timeout=15, what="the end of sessions")


@pytest.mark.parametrize("role", KILLS)
@pytest.mark.timeout(4 * 3600 if LONG else 180)
def test_kill_9_loses_nothing_that_was_accepted(role, lab, make_bastion, tmp_path):
    bastion = make_bastion(service=service_of(lab, tmp_path / "state"))
    chance = random.Random(role)
    counts = dict.fromkeys(("kills", "sessions", "received", "recorded"), 0)
    for number in range(KILLS[role][LONG]):
        alice = client_of(bastion, tmp_path / f"alice-{number}", lab.alice)
        before = recordings.wait_sealed(bastion, 0, timeout=30)
        traffic = Traffic(alice, 3)
        try:
            process.wait_until(lambda: traffic.flows() or not traffic.running(), timeout=30, what="traffic")
            process.wait_until(lambda: traffic.flows(chance.randrange(20_000, 400_000)) or not traffic.running(),
                               timeout=30, what="traffic")
            kill(bastion, role, traffic)
        except AssertionError as why:
            log = bastion.log.read_text()[-4000:]
            got = [len(received) for received in traffic.received]
            raise AssertionError(f"{why}; {got} bytes, {traffic.running()} clients run\n{log}") from why
        finally:
            traffic.end()
        made = check_all_recorded(bastion, traffic, before)
        states = {recording.end["state"] for recording in made}
        allowed = {"recorder": {"complete"}, "gate": {"complete"}, "supervisor": {"interrupted"}}
        assert states <= allowed.get(role, {"complete", "interrupted"}), states
        alice = client_of(bastion, tmp_path / f"again-{number}", lab.alice)  # the port may be another now
        process.wait_until(lambda: alice.ssh(DESTINATION, "echo again").out == b"again\n", timeout=20, what="a login")
        counts["kills"] += 1
        counts["sessions"] += len(made)
        counts["received"] += sum(map(len, traffic.received))
        counts["recorded"] += sum(len(recording.bytes_of("stdout")) for recording in made)
    print(f"{role}: {counts}")


# ---- what cannot be recorded


def refused_line(client) -> str:
    return client.ssh(DESTINATION, "echo passed").error


def test_a_recorder_that_stands_still_ends_the_sessions(lab, make_bastion, tmp_path):
    bastion = make_bastion(service=service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    traffic = Traffic(alice, 2)
    process.wait_until(lambda: traffic.flows(), timeout=30, what="traffic")
    (recorder,) = bastion.pids("recorder")
    os.kill(recorder, signal.SIGSTOP)
    started = time.monotonic()
    try:
        process.wait_until(lambda: traffic.running() == 0, timeout=10, what="the end of sessions")
        assert 1 < time.monotonic() - started < 8
    finally:
        os.kill(recorder, signal.SIGCONT)
    traffic.join()
    for error in traffic.errors():
        assert re.search(r"bastion: this session is to be recorded, and .*\(\w+\)", error), error
    check_all_recorded(bastion, traffic, [])
    process.wait_until(lambda: alice.ssh(DESTINATION, "echo again").out == b"again\n", timeout=5, what="a login")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MiB."""
    if os.getuid() != 0:
        # Without root there is a user namespace's mount, which the bastion outside would not see.
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path: pathlib.Path) -> None:
    """Writes until the disk takes no more."""
    with path.open("ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))


def test_a_full_disk_ends_sessions_and_room_lets_new_ones_in(lab, make_bastion, tmp_path, small_disk):
    """sec_086: nobody goes on unrecorded, and nothing must be started again."""
    bastion = make_bastion(service=service_of(lab, small_disk / "state", recording={"reserve": "0B"}))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    traffic = Traffic(alice, 2)
    process.wait_until(lambda: traffic.flows(), timeout=30, what="traffic")
    filler = small_disk / "filler"
    fill(filler)
    process.wait_until(lambda: traffic.running() == 0, timeout=40, what="the end of sessions")
    traffic.join()
    for error in traffic.errors():
        assert "this session is to be recorded, and cannot be any more (no space left on the disk)" in error, error
    check_all_recorded(bastion, traffic, [])
    fill(filler)  # also what the ended sessions gave back
    process.wait_until(lambda: "no space left on the disk" in refused_line(alice), timeout=5, what="a refusal")
    assert alice.ssh(DESTINATION, "echo passed").out == b""
    filler.unlink()
    process.wait_until(lambda: alice.ssh(DESTINATION, "echo passed").out == b"passed\n", timeout=5, what="a login")


def test_a_disk_that_becomes_read_only(lab, make_bastion, tmp_path, small_disk):
    """sec_086: likewise."""
    bastion = make_bastion(service=service_of(lab, small_disk / "state", recording={"reserve": "0B"}))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    assert alice.ssh(DESTINATION, "echo passed").out == b"passed\n"
    recordings.wait_sealed(bastion, 1)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    process.wait_until(lambda: "the disk is read-only" in refused_line(alice), timeout=5, what="a refusal")
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    process.wait_until(lambda: alice.ssh(DESTINATION, "echo passed").out == b"passed\n", timeout=5, what="a login")


def test_a_file_that_is_removed_ends_its_session(alice, bastion, before):
    traffic = Traffic(alice, 1)
    process.wait_until(lambda: traffic.flows(), timeout=30, what="traffic")
    files = [path for path in recordings.files_of(bastion) if path not in before]
    files[0].unlink()
    process.wait_until(lambda: traffic.running() == 0, timeout=10, what="the end of the session")
    traffic.join()
    assert "the file was removed" in traffic.errors()[0]
    assert alice.ssh(DESTINATION, "echo passed").out == b"passed\n"


# ---- keeping


def test_the_oldest_go_first_but_those_that_are_held(lab, make_bastion, tmp_path):
    service = service_of(lab, tmp_path / "state", recording={"reserve": "1MiB", "retention": {"size": "1MiB"}})
    bastion = make_bastion(service=service)
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    made = []
    for _ in range(4):
        assert alice.ssh(DESTINATION, "head -c 400000 /dev/urandom").code == 0
        new = [path for path in recordings.wait_sealed(bastion, 1) if path not in made]
        made += new
        if len(made) == 1:
            made[0].with_suffix(".hold").touch()
    bastion.reload()
    bastion.service["recording"]["retention"] = {"size": "1100KiB"}
    bastion.write()
    bastion.reload()
    process.wait_until(lambda: len(recordings.files_of(bastion)) < 4, timeout=60, what="a removal")
    kept = recordings.files_of(bastion)
    assert made[0] in kept, "it is held"
    assert made[-1] in kept, "it is the newest"
    assert made[1] not in kept


def hold_file(path: pathlib.Path) -> pathlib.Path:
    return path.with_suffix(".hold")


def test_an_administrator_holds_a_recording_and_releases_it(lab, make_bastion, tmp_path):
    audit_file = tmp_path / "audit" / "audit.jsonl"
    audit_file.parent.mkdir()
    service = service_of(lab, tmp_path / "state", audit={"file": str(audit_file)})
    bastion = make_bastion(service=service)
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    made = []
    for _ in range(2):
        assert alice.ssh(DESTINATION, "head -c 1200000 /dev/urandom").code == 0
        made += [path for path in recordings.wait_sealed(bastion, len(made) + 1) if path not in made]
    first, second = made

    def ctl(*words):
        return bastion.control("recordings", "--dir", recordings.folder_of(bastion), *words)

    def acts() -> list[dict]:
        events = [json.loads(line) for line in audit_file.read_text().splitlines()]
        return [event for event in events if event["event"] == "admin"]

    held = ctl("hold", first.stem[:12], "--reason", "incident 4711")
    assert held.ok().text == f"{first.stem} is held: it stays until it is released\n"
    assert json.loads(hold_file(first).read_text())["reason"] == "incident 4711"
    assert not hold_file(second).exists()
    assert {"command", "by", "outcome", "subject", "session", "reason"} <= set(acts()[0])
    assert (acts()[0]["command"], acts()[0]["outcome"], acts()[0]["session"]) == ("hold", "done", first.stem)
    assert acts()[0]["by"] == f"uid {os.getuid()}"

    again = ctl("hold", first.stem)
    assert again.code == 1 and "it is held already" in again.error, again
    wrong = ctl("hold", "000000")
    assert wrong.code == 1 and "no recording begins with 000000" in wrong.error, wrong
    assert ctl("hold", "../" + first.stem).code == 1 and ctl("hold").code == 2
    unheld = ctl("release", second.stem)
    assert unheld.code == 1 and "it is not held" in unheld.error, unheld
    assert [act["outcome"] for act in acts()][1:] == ["refused"] * (len(acts()) - 1) and len(acts()) >= 4

    listed = {each["session"]: each["held"] for each in json.loads(ctl("list", "--json").ok().text)}
    assert listed == {first.stem: True, second.stem: False}
    assert "complete, held" in ctl("list").ok().text
    assert re.search(r"^kept +held since .* by uid \d+: incident 4711$", ctl("show", first.stem).ok().text, re.M)
    shown = json.loads(ctl("show", "--json", first.stem).ok().text)
    assert shown["held"] is True and shown["hold"]["reason"] == "incident 4711"
    assert json.loads(ctl("show", "--json", second.stem).ok().text)["held"] is False

    bastion.service["recording"]["retention"] = {"size": "1MiB"}
    bastion.write()
    bastion.reload()
    process.wait_until(lambda: not second.exists(), timeout=60, what="a removal")
    assert first.exists(), "it is held"
    assert ctl("release", first.stem, "--reason", "closed").code == 0
    assert not hold_file(first).exists()
    bastion.service["recording"]["retention"] = {"size": "1050KiB"}
    bastion.write()
    bastion.reload()
    process.wait_until(lambda: not first.exists(), timeout=60, what="a removal")


def test_a_hold_waits_for_a_recorder_that_stands_still(lab, make_bastion, tmp_path):
    bastion = make_bastion(service=service_of(lab, tmp_path / "state"))
    alice = client_of(bastion, tmp_path / "alice", lab.alice)
    assert alice.ssh(DESTINATION, "echo passed").code == 0
    (made,) = recordings.wait_sealed(bastion, 1)
    (recorder,) = bastion.pids("recorder")
    os.kill(recorder, signal.SIGSTOP)
    try:
        done = bastion.control("recordings", "hold", made.stem, timeout=30)
        assert done.code == 1 and "not done yet: the recorder does not answer" in done.error, done
        assert not hold_file(made).exists()
    finally:
        os.kill(recorder, signal.SIGCONT)
    process.wait_until(lambda: hold_file(made).exists(), timeout=20, what="the hold that was asked for")
