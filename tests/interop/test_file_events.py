"""Files and forwardings on record: each operation once, digests as sha256sum's, in the audit log and the recording."""

import asyncio
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import socketserver
import tempfile
import threading

import asyncssh
import paramiko
import pytest

from support import process, recordings, x11
from support.audit import Audited
from support.bastion import bastionctl, target_entry
from support.fixtures import client_of, make_policy
from support.targets import LOGIN

USER = f"{LOGIN}@web1"
DESTINATION = f"{USER}@bastion"
DATA = random.Random(4).randbytes(3_000_000)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def tools(lab):
    """A target on whose path rsync is."""
    if "tools1" not in lab.targets:
        lab.add_openssh("tools1", "openssh-system", {"SetEnv": f"PATH={lab.peers / 'bin'}:/usr/bin:/bin"})
        lab.start()
    return lab.targets["tools1"]


@pytest.fixture
def folder():
    """The log's folder becomes the recorder's, which must be able to reach it."""
    with tempfile.TemporaryDirectory(prefix="audit-") as path:
        yield pathlib.Path(path)


@pytest.fixture
def watched(lab, tools, folder, make_bastion, tmp_path):
    """watched(files): a bastion that records and audits, whose one rule has these, and alice's client."""

    def make(files: dict | None = None, **rule):
        policy = make_policy(lab)
        policy["targets"]["tools1"] = target_entry(lab, tools)
        policy["rules"] = [
            {"name": "files", "who": "all", "targets": "all", "logins": "all", "allow": "all", "files": files or {"digest": "sha256"}}
            | rule,
            {"name": "jumps", "who": "all", "targets": {"kind": "tunnel"}, "allow": ["jump"]},
        ]
        service = {"state_dir": str(tmp_path / "state"), "recording": {"reserve": "1MiB"}, "algorithms": "compatible"}
        audited = Audited(lab, make_bastion, folder, policy=policy, service=service)
        audited.alice = client_of(audited.bastion, tmp_path / "alice", lab.alice)
        return audited

    return make


@pytest.fixture
def places(tmp_path):
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_bytes(DATA)
    there.mkdir()
    return source, there


def files_of(audited, session: str) -> list[dict]:
    audited.wait_for("session.end", session=session)
    return [event for event in audited.of_session(session) if event["event"] == "file"]


def last_session(audited, number: int = 1) -> str:
    return audited.wait_for("session.end", number)["session"]


def recording_of(audited, session: str) -> recordings.Recording:
    process.wait_until(lambda: not recordings.open_of(audited.bastion), what="sealed recordings", timeout=20)
    [path] = [path for path in recordings.files_of(audited.bastion) if path.stem == session]
    return recordings.read(path, pathlib.Path(f"{audited.key.path}.pub"))


def entries_of(recording, kind: str) -> list[dict]:
    return [json.loads(bytes.fromhex(entry["bytes"])) for entry in recording.entries if entry["kind"] == kind]


def ask(audited, *words) -> process.Done:
    """bastionctl recordings … of what the bastion has recorded."""
    return process.run([bastionctl(), "recordings", "--dir", recordings.folder_of(audited.bastion), *words])


COMMON = ("v", "seq", "time", "prev", "session", "user", "login", "target", "channel")


def as_recorded(event: dict) -> dict:
    return {key: value for key, value in event.items() if key not in COMMON}


def same_as_recorded(audited, session: str, events: list[dict]) -> None:
    """The recording has the very same operations as the log, in the same order."""
    recording = recording_of(audited, session)
    assert entries_of(recording, "file") == [as_recorded(event) for event in events]
    assert DATA[:1000] not in b"".join(bytes.fromhex(entry["bytes"]) for entry in recording.entries)


def test_each_operation_of_sftp_is_told_once_and_in_order(watched, places, tmp_path):
    source, there = places
    audited = watched()
    batch = f"""
put {source} {there}/a
mkdir {there}/d
rename {there}/a {there}/b
chmod 600 {there}/b
ln -s b {there}/l
ln {there}/b {there}/h
cp {there}/b {there}/c
get {there}/b {tmp_path}/back
-rm {there}/missing
rm {there}/l
rmdir {there}/d
"""
    audited.alice.sftp(DESTINATION, batch).ok()
    session = last_session(audited)
    events = files_of(audited, session)
    told = [(event["operation"], event["outcome"], pathlib.Path(event.get("path", "")).name) for event in events
            if event["operation"] not in ("opendir",)]
    copies = [("open", "done", "b"), ("open", "done", "c"), ("copy", "done", "b"), ("close", "done", "b"), ("close", "done", "c")]
    copied = [one for one in told if one[0] == "copy"]
    assert copied == [("copy", "done", "b")], told
    told = [one for one in told if one not in copies or one[0] == "none"]
    assert told == [
        ("session", "done", ""),
        ("open", "done", "a"),
        ("close", "done", "a"),
        ("mkdir", "done", "d"),
        ("rename", "done", "a"),
        ("setstat", "done", "b"),
        ("symlink", "done", "l"),
        ("hardlink", "done", "b"),
        ("remove", "failed", "missing"),
        ("remove", "done", "l"),
        ("rmdir", "done", "d"),
    ], told
    by = {(event["operation"], pathlib.Path(event.get("path", "")).name, event["outcome"]): event for event in events}
    opened, closed = by["open", "a", "done"], by["close", "a", "done"]
    assert opened["flags"] == "write create truncate" and opened["file_number"] == closed["file_number"]
    assert (closed["bytes_written"], closed["bytes_read"], closed["whole_written"]) == (len(DATA), 0, True)
    assert closed["digest_written"] == digest_of(DATA) and "no_digest" not in closed
    assert closed["duration_us"] > 0 and closed["tool"] == "sftp" and closed["status"] == 0
    [read] = [event for event in events if event["operation"] == "close" and event.get("bytes_read") == len(DATA)]
    assert read["whole_read"] and read["digest_read"] == digest_of(DATA)
    assert by["rename", "a", "done"]["other_path"] == f"{there}/b"
    assert by["setstat", "b", "done"]["attributes"] == "mode=0600"
    assert by["symlink", "l", "done"]["other_path"] == "b"
    assert by["hardlink", "b", "done"]["name"] == "hardlink@openssh.com"
    assert by["remove", "missing", "failed"]["status"] == 2
    same_as_recorded(audited, session, events)

    shown = ask(audited, "show", session)
    assert f"remove  {there}/missing" in shown.text and digest_of(DATA) in shown.text, shown
    found = ask(audited, "search", "missing")
    assert session[:4] in found.text, found
    audited.check()


# Each client sends the file there and gets it back.


def by_sftp(alice, source, there, back):
    alice.sftp(DESTINATION, f"put {source} {there}\nget {there} {back}\n").ok()


def by_scp(alice, source, there, back):
    alice.scp("-s", source, f"{DESTINATION}:{there}").ok()
    alice.scp("-s", f"{DESTINATION}:{there}", back).ok()


def by_old_scp(alice, source, there, back):
    alice.scp("-O", source, f"{DESTINATION}:{there}").ok()
    alice.scp("-O", f"{DESTINATION}:{there}", back).ok()


def by_paramiko(alice, source, there, back):
    with paramiko.SSHClient() as ssh:
        ssh.load_host_keys(str(alice.known_hosts))
        ssh.connect("127.0.0.1", alice.port, USER, key_filename=str(alice.key.path), look_for_keys=False, allow_agent=False)
        sftp = ssh.open_sftp()
        sftp.put(str(source), str(there))
        sftp.get(str(there), str(back))  # asks for all of the file at once
        sftp.close()


def by_asyncssh(alice, source, there, back):
    async def copy():
        async with asyncssh.connect(
            "127.0.0.1", alice.port, username=USER, client_keys=[str(alice.key.path)],
            known_hosts=str(alice.known_hosts), agent_path=None, config=None,
        ) as connection, connection.start_sftp_client() as sftp:  # fmt: skip
            await sftp.put(str(source), str(there), block_size=8192, max_requests=256)
            await sftp.get(str(there), str(back), block_size=8192, max_requests=256)

    asyncio.run(copy())


def by_curl(alice, source, there, back):
    alice.curl(USER, str(there), "-T", source).ok()
    alice.curl(USER, str(there), "-o", back).ok()


def by_psftp(alice, source, there, back):
    alice.psftp(USER, f"put {source} {there}\nget {there} {back}\n").ok()


@pytest.mark.parametrize("copy", [by_sftp, by_scp, by_old_scp, by_paramiko, by_asyncssh, by_curl, by_psftp])
@pytest.mark.parametrize("data", [DATA, b""], ids=["large", "empty"])
def test_digests_are_those_of_the_file(copy, data, watched, tmp_path):
    source, there, back = tmp_path / "source", tmp_path / "there", tmp_path / "back"
    source.write_bytes(data)
    audited = watched()
    copy(audited.alice, source, there, back)
    assert there.read_bytes() == back.read_bytes() == data
    closes = [audited.wait_for("file", number, operation="close") for number in (1, 2)]
    written, read = sorted(closes, key=lambda event: "digest_read" in event)
    assert (written.get("digest_written"), read.get("digest_read")) == (digest_of(data), digest_of(data)), closes
    assert written["bytes_written"] == read["bytes_read"] == len(data)
    audited.wait_for("session.end")
    for session in {event["session"] for event in closes}:
        same_as_recorded(audited, session, files_of(audited, session))
        kept = sum(len(entry["bytes"]) // 2 for entry in recording_of(audited, session).entries
                   if entry["kind"] in ("stdin", "stdout"))  # fmt: skip
        assert kept < 200, "no content: the lines of scp at most"
    audited.check()


def test_no_file_hides_in_the_content_of_one_that_scp_refuses(watched, places):
    audited = watched({"digest": "sha256"})
    (places[1] / "folder").mkdir()
    # A source that does not wait: what follows the refused file is no content of it but the next file.
    sent = b"C0644 500 folder\nC0644 6 hidden\nsecret\0"
    done = audited.alice.ssh(DESTINATION, f"scp -t {places[1]}", input=sent)
    assert b"folder" in done.out and (places[1] / "hidden").read_bytes() == b"secret", done
    events = files_of(audited, last_session(audited))
    assert ("session", "failed") in [(event["operation"], event.get("outcome")) for event in events], events
    assert recording_of(audited, last_session(audited)).bytes_of("stdin") == sent
    audited.check()


KEPT = 4096  # of each direction of rsync and git, whose content is not


def by_rsync(audited, source, there):
    shell = " ".join(str(word) for word in audited.alice.ssh_command())
    rsync = audited.alice.peers / "bin/rsync"
    process.run([rsync, "-a", "-e", shell, source, f"{LOGIN}@tools1@bastion:{there}/"], env=audited.alice.env).ok()
    assert (there / source.name).read_bytes() == DATA
    told = audited.wait_for("file", tool="rsync")
    assert (told["operation"], told["outcome"], told["status"]) == ("transfer", "done", 0), told
    assert told["bytes_written"] > len(DATA) and f"{there}/" in told["path"] and told["name"].startswith("rsync --server")
    audited.wait_for("session.end")
    return recording_of(audited, told["session"])


def test_rsync_is_told_as_a_whole_and_its_content_is_not_kept(watched, places):
    audited = watched()
    recording = by_rsync(audited, *places)
    sent = recording.bytes_of("stdin")
    assert len(sent) == KEPT and sent[1:4] == b"\0\0\0", "what it begins with"
    assert [entry["bytes"][:2] for entry in recording.entries if entry["kind"] == "cap-reached"] == ["09"], "and it says so"
    assert not [event for event in audited.events() if event["event"] == "limit"], "no limit of the rule's"
    audited.check()


def test_rsync_is_recorded_whole_where_the_rule_says_so(watched, places):
    audited = watched({}, record_file_content=True)
    assert DATA[1_000_000:1_001_000] in by_rsync(audited, *places).bytes_of("stdin")
    audited.check()


@pytest.mark.parametrize("answer", [r"hello\n", r"\037\000\000\000"], ids=["from the first byte", "that the user does not speak"])
def test_a_program_that_only_is_called_rsync_is_recorded_whole(answer, watched, lab, tmp_path):
    """A shell of the user's own by rsync's name: what is said there is in the recording, all of it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "rsync").write_text(f"#!/bin/sh\nprintf '{answer}'\nexec sh\n")
    (programs / "rsync").chmod(0o755)
    name = f"fake{len(lab.targets)}"
    lab.add_openssh(name, "openssh-system", {"SetEnv": f"PATH={programs}:/usr/bin:/bin"})
    lab.start()
    audited = watched()
    audited.bastion.policy["targets"][name] = target_entry(lab, lab.targets[name])
    audited.bastion.reload(audited.bastion.policy)
    script = b"head -c 20000 /dev/zero | tr '\\0' x; " + b"echo; " * 2000 + b"echo hidden\n"
    done = audited.alice.ssh(f"{LOGIN}@{name}@bastion", "rsync --server -e.LsfxCIvu . /tmp/x", input=script)
    assert done.out.endswith(b"hidden\n"), done
    audited.wait_for("session.end")
    recording = recording_of(audited, last_session(audited))
    assert recording.bytes_of("stdin") == script and recording.bytes_of("stdout") == done.out
    audited.check()


def test_what_git_sends_is_told_and_its_content_is_not_kept(watched, places, tmp_path):
    source, there = places
    audited = watched()
    identity = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"), "GIT_CONFIG_SYSTEM": "/dev/null"}
    (tmp_path / "gitconfig").write_text("[user]\nname = a\nemail = a@b\n[core]\nlooseCompression = 0\ncompression = 0\n")
    shell = " ".join(str(word) for word in audited.alice.ssh_command())
    env = audited.alice.env | identity | {"GIT_SSH_COMMAND": shell}
    origin, work = there / "origin.git", tmp_path / "work"
    process.run(["git", "init", "-q", "--bare", "-b", "main", origin], env=env).ok()
    process.run(["git", "clone", "-q", f"{DESTINATION}:{origin}", work], env=env).ok()
    (work / "data").write_bytes(DATA)
    for command in (["add", "data"], ["commit", "-q", "-m", "data"], ["push", "-q", "origin", "HEAD:main"]):
        process.run(["git", "-C", work, *command], env=env).ok()
    pushed = audited.wait_for("file", 2, tool="git", operation="transfer", outcome="done")
    assert pushed["name"] == f"git-receive-pack '{origin}'" and pushed["bytes_written"] > len(DATA)
    audited.wait_for("session.end", session=pushed["session"])
    recording = recording_of(audited, pushed["session"])
    sent = recording.bytes_of("stdin")
    assert len(sent) == KEPT and b"refs/heads/main" in sent, "what was asked for is there"
    assert "cap-reached" in recording.kinds()
    audited.check()


# ---- displays


def test_a_display_is_told_with_its_bytes_and_refused_by_rule(watched, lab, tmp_path):
    programs = x11.Programs(lab, tmp_path)
    name = programs.target.name
    audited = watched({})
    policy = audited.bastion.policy
    policy["targets"][name] = target_entry(lab, programs.target)
    policy["rules"].insert(0, {"name": "no-displays", "who": ["bob"], "targets": "all", "logins": "all", "deny": ["x11"]})
    audited.bastion.reload(policy)
    with x11.Screen() as screen:
        done = audited.alice.ssh("-Y", f"{LOGIN}@{name}@bastion", programs.command, env=screen.env)
        assert done.text == "b'seen'\n", done
        sent = screen.first()
        session = last_session(audited)
        events = audited.of_session(session)
        [asked] = [event for event in events if event["event"] == "request" and event["request"] == "x11-req"]
        assert asked["outcome"] == "allowed"
        [opened] = [event for event in events if event["event"] == "channel.open" and event["type"] == "x11"]
        [closed] = [event for event in events if event["event"] == "channel.close" and event["type"] == "x11"]
        assert opened["opener"] == closed["opener"] == "target" and opened["channel"] == closed["channel"] != asked["channel"]
        assert re.fullmatch(r"(127\.0\.0\.1|::1|localhost)\D+\d+", closed["origin"]), closed
        # The user's ssh puts a cookie of the same length in the place of the one that the target has.
        assert (closed["bytes_down"], closed["bytes_up"]) == (len(sent), len(b"seen")) and closed["duration_us"] > 0
        assert (closed["user"], closed["target"]) == ("alice", name)
        recording = recording_of(audited, session)
        told = [entry for entry in entries_of(recording, "forward") if entry.get("type") == "x11"]
        assert [entry["event"] for entry in told] == ["channel.open", "channel.close"]
        assert b"hello" not in b"".join(bytes.fromhex(entry["bytes"]) for entry in recording.entries), "its bytes are not ours to read"

        bob = client_of(audited.bastion, tmp_path / "bob", lab.bob)
        done = bob.ssh("-Y", f"{LOGIN}@{name}@bastion", "echo display=$DISPLAY", env=screen.env)
        assert done.text == "display=\n", done
        refused = audited.wait_for("request", request="x11-req", user="bob")
        assert refused["outcome"] == "refused"
        assert not [event for event in audited.events() if event.get("user") == "bob" and event.get("type") == "x11"]
    audited.check()


def test_without_digest_no_content_is_hashed(watched, places):
    source, there = places
    audited = watched({"digest": "none"})
    audited.alice.sftp(DESTINATION, f"put {source} {there}/a\n").ok()
    closed = audited.wait_for("file", operation="close")
    assert closed["whole_written"] and not {"digest_written", "no_digest"} & set(closed)
    audited.check()


def test_what_is_not_the_whole_file_has_no_digest_and_a_reason(watched, places):
    source, there = places
    (there / "a").write_bytes(b"before")
    audited = watched()
    with paramiko.SSHClient() as ssh:
        ssh.load_host_keys(str(audited.alice.known_hosts))
        ssh.connect("127.0.0.1", audited.alice.port, USER, key_filename=str(audited.alice.key.path), look_for_keys=False,
                    allow_agent=False)
        sftp = ssh.open_sftp()
        with sftp.open(f"{there}/a", "r+") as file:
            file.write(b"more")
        with sftp.open(f"{there}/new", "w") as file:
            file.write(b"x" * 10)
            file.seek(0)
            file.write(b"y")
        with sftp.open(f"{there}/a", "r") as file:
            file.read(3)
        left = sftp.open(f"{there}/left", "w")
        left.write(b"z")
        ssh.get_transport().close()
    reasons = [audited.wait_for("file", number, operation="close") for number in (1, 2, 3, 4)]
    assert [event.get("no_digest") for event in reasons] == [
        "what the file held before was kept", "written out of order", "not read to its end", "it was not closed",
    ], reasons  # fmt: skip
    assert not any("digest_written" in event or "digest_read" in event for event in reasons)
    assert reasons[3]["outcome"] == "unanswered"
    audited.check()


def test_a_refusal_names_its_rule_and_reason(watched, places):
    source, there = places
    audited = watched({"read_only": True})
    assert audited.alice.sftp(DESTINATION, f"put {source} {there}/a\n").code != 0
    refused = audited.wait_for("file", outcome="refused")
    assert (refused["operation"], refused["rule"], refused["path"]) == ("open", "files", f"{there}/a"), refused
    assert "nothing may be changed here" in refused["reason"] and list(there.iterdir()) == []
    audited.check()


def test_many_operations_at_once_are_each_told(watched, places):
    """More than either log takes at once: the session waits, and nothing is left out."""
    _, there = places
    audited = watched()
    count = 6_000

    async def work():
        async with asyncssh.connect(
            "127.0.0.1", audited.alice.port, username=USER, client_keys=[str(audited.alice.key.path)],
            known_hosts=str(audited.alice.known_hosts), agent_path=None, config=None,
        ) as connection, connection.start_sftp_client() as sftp:  # fmt: skip
            done = await asyncio.gather(*(sftp.remove(f"{there}/{'n' * 200}{i}") for i in range(count)), return_exceptions=True)
            assert all(isinstance(one, asyncssh.SFTPNoSuchFile) for one in done), done[0]

    asyncio.run(work())
    session = last_session(audited)
    events = files_of(audited, session)
    removed = [event["path"] for event in events if event["operation"] == "remove"]
    assert sorted(removed) == sorted(f"{there}/{'n' * 200}{i}" for i in range(count))
    same_as_recorded(audited, session, events)
    audited.check()


def test_a_recorder_killed_in_the_middle_loses_the_digest_and_says_so(watched, tmp_path):
    audited = watched()
    there = tmp_path / "there"
    half = DATA[:1_000_000]
    with paramiko.SSHClient() as ssh:
        ssh.load_host_keys(str(audited.alice.known_hosts))
        ssh.connect("127.0.0.1", audited.alice.port, USER, key_filename=str(audited.alice.key.path), look_for_keys=False,
                    allow_agent=False)
        sftp = ssh.open_sftp()
        with sftp.open(str(there), "w") as file:
            file.write(half)
            audited.wait_for("file", operation="open")
            [recorder] = audited.bastion.pids("recorder")
            os.kill(recorder, signal.SIGKILL)
            audited.wait_for("process.end", role="recorder")
            file.write(half)
        with sftp.open(f"{there}2", "w") as file:
            file.write(half)
        sftp.close()
    assert there.read_bytes() == half + half
    lost, whole = (audited.wait_for("file", number, operation="close") for number in (1, 2))
    assert lost["whole_written"] and lost["bytes_written"] == 2 * len(half)
    assert lost["no_digest"] == "the recorder was replaced meanwhile" and "digest_written" not in lost
    assert whole["digest_written"] == digest_of(half)
    session = whole["session"]
    same_as_recorded(audited, session, files_of(audited, session))
    audited.check()


def test_a_recorder_that_stands_still_ends_a_transfer_that_is_to_have_a_digest(watched, tmp_path):
    audited = watched({"digest": "sha256"}, record="none")
    source = tmp_path / "source"
    with open(source, "wb") as file:
        file.truncate(4 << 30)  # more than passes before the recorder is stopped
    told = []
    put = threading.Thread(
        target=lambda: told.append(audited.alice.sftp(DESTINATION, f"put {source} /dev/null\n"))
    )
    put.start()
    audited.wait_for("file", operation="open")
    [recorder] = audited.bastion.pids("recorder")
    os.kill(recorder, signal.SIGSTOP)
    try:
        put.join(30)
        assert told, "the transfer goes on without its digest"
    finally:
        os.kill(recorder, signal.SIGCONT)
    put.join()
    assert told[0].code != 0, told
    assert "recorded" not in told[0].error, "nothing of it is"
    assert "bastion: " in told[0].error and "Tell your administrators." in told[0].error, told


# ---- forwardings


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65_536):
            self.request.sendall(data)


@pytest.fixture
def echoes(tmp_path):
    """A port and a socket that echo."""
    servers = [socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo),
               socketserver.ThreadingUnixStreamServer(str(tmp_path / "e"), Echo)]  # fmt: skip
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield servers[0].server_address[1], str(tmp_path / "e")
    for server in servers:
        server.shutdown()
        server.server_close()


def talk(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"x" * 5000)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while data := connection.recv(65_536):
            got += data
    assert got == b"x" * 5000


async def forwardings(alice, port: int, path: str, folder: pathlib.Path) -> list[str]:
    """Each kind once, with 5000 bytes each way."""
    async with asyncssh.connect(
        "127.0.0.1", alice.port, username=USER, client_keys=[str(alice.key.path)],
        known_hosts=str(alice.known_hosts), agent_path=None, config=None,
    ) as connection:  # fmt: skip
        loop = asyncio.get_running_loop()

        def tcp(number: int) -> None:
            talk(socket.create_connection(("127.0.0.1", number)))

        def unix(name: str) -> None:
            opened = socket.socket(socket.AF_UNIX)
            opened.connect(name)
            talk(opened)

        local = await connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", port)
        await loop.run_in_executor(None, tcp, local.get_port())
        local_path = await connection.forward_local_path(str(folder / "l"), path)
        await loop.run_in_executor(None, unix, str(folder / "l"))
        remote = await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)
        await loop.run_in_executor(None, tcp, remote.get_port())
        remote_path = await connection.forward_remote_path(str(folder / "r"), path)
        await loop.run_in_executor(None, unix, str(folder / "r"))
        for listener in (local, local_path, remote, remote_path):
            listener.close()
        return [f"127.0.0.1:{port}", path, f"127.0.0.1:{remote.get_port()}", str(folder / "r")]


TYPES = ["direct-tcpip", "direct-streamlocal@openssh.com", "forwarded-tcpip", "forwarded-streamlocal@openssh.com"]


def test_each_forwarding_is_told_with_its_bytes(watched, echoes, tmp_path):
    audited = watched()
    wanted = asyncio.run(forwardings(audited.alice, *echoes, tmp_path))
    session = last_session(audited)
    events = audited.of_session(session)
    closes = [event for event in events if event["event"] == "channel.close"]
    assert [(event["type"], event["detail"]) for event in closes] == list(zip(TYPES, wanted)), closes
    assert [event["opener"] for event in closes] == ["user", "user", "target", "target"]
    for close in closes:
        assert (close["bytes_up"], close["bytes_down"]) == (5000, 5000) and close["duration_us"] > 0, close
        assert ("origin" in close) == ("tcpip" in close["type"]), close
    opened = [event["outcome"] for event in events if event["event"] == "forward"]
    assert opened.count("established") == 2, opened
    told = entries_of(recording_of(audited, session), "forward")
    assert [one for one in told if one["event"] == "channel.close"] == [as_recorded(close) for close in closes]
    assert [one["event"] for one in told].count("forward") == len(opened)
    shown = ask(audited, "show", session)
    assert f"channel.close  direct-tcpip  127.0.0.1:{echoes[0]}" in shown.text and "up 5,000  down 5,000" in shown.text, shown
    audited.check()


def test_a_forwarding_that_is_refused_is_in_the_recording(watched, echoes):
    audited = watched(None, allow=["exec", {"forward_local": ["10.0.0.1:1"]}])
    done = audited.alice.ssh("-W", f"127.0.0.1:{echoes[0]}", DESTINATION)
    assert done.code != 0
    refused = audited.wait_for("channel.refused", type="direct-tcpip")
    session = refused["session"]
    audited.wait_for("session.end", session=session)
    told = entries_of(recording_of(audited, session), "forward")
    assert told == [as_recorded(refused)]
    audited.check()


def test_a_forwarded_agent_is_told(watched, lab):
    audited = watched()
    agent = process.run(["ssh-agent", "-s"]).ok().text
    place = agent.split("SSH_AUTH_SOCK=")[1].split(";")[0]
    pid = int(agent.split("SSH_AGENT_PID=")[1].split(";")[0])
    env = audited.alice.env | {"SSH_AUTH_SOCK": place}
    try:
        process.run(["ssh-add", "-q", lab.alice.path], env=env).ok()
        done = audited.alice.ssh("-A", DESTINATION, "ssh-add -l", env=env)
        assert done.code == 0, done
    finally:
        os.kill(pid, signal.SIGTERM)
    close = audited.wait_for("channel.close", type="auth-agent@openssh.com")
    assert close["opener"] == "target" and close["bytes_up"] > 0 and close["bytes_down"] > 0 and close["duration_us"] > 0
    audited.check()


def test_a_jump_is_told_with_its_bytes(watched, lab):
    audited = watched()
    port = lab.targets["web1"].port
    done = audited.alice.ssh("-W", f"127.0.0.1:{port}", "bastion", input=b"SSH-2.0-test\r\n")
    assert done.out.startswith(b"SSH-2.0-"), done
    opened = audited.wait_for("tunnel.open")
    close = audited.wait_for("channel.close", session=opened["session"])
    assert close["channel"] == opened["channel"] and close["detail"] == f"127.0.0.1:{port}"
    assert close["bytes_up"] == 14 and close["bytes_down"] >= 20 and close["duration_us"] > 0
    assert audited.wait_for("tunnel.granted", session=opened["session"])["rule"] == "jumps"
    audited.check()
