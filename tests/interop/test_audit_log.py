"""The audit log of real sessions: which events, in which order, and that they verify."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from support import process
from support.audit import Audited
from support.bastion import bastionctl
from support.fixtures import client_of
from support.targets import LOGIN


USER = f"{LOGIN}@web1@bastion"


def pids(bastion, role: str) -> set[int]:
    found = set()
    for pid, _ in bastion.processes():
        try:
            if f"--role={role}" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().replace("--role ", "--role="):
                found.add(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@pytest.fixture
def folder():
    """The log's folder becomes the recorder's, which must be able to reach it."""
    with tempfile.TemporaryDirectory(prefix="audit-") as path:
        yield pathlib.Path(path)


@pytest.fixture
def audited(lab, make_bastion, folder):
    return Audited(lab, make_bastion, folder)


def names(events: list[dict]) -> list[str]:
    return [event["event"] for event in events]


def test_a_command_from_login_to_end(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    done = client.ssh(USER, "echo out; exit 3")
    assert (done.code, done.text) == (3, "out\n")
    end = audited.wait_for("session.end")
    events = audited.of_session(end["session"])
    assert [name for name in names(events) if name != "target.connected"] == [
        "login",
        "decision",
        "session.start",
        "target.verified",
        "target.login",
        "channel.open",
        "request",
        "channel.close",
        "session.end",
    ]
    by_name = {event["event"]: event for event in events}
    login = by_name["login"]
    assert login["outcome"] == "accepted" and login["method"] == "publickey" and login["user"] == "alice"
    assert login["key"] == lab.alice.fingerprint and login["from"] == "127.0.0.1" and login["from_port"] > 0
    assert login["client"].startswith("SSH-2.0-OpenSSH") and login["user_name"] == f"{LOGIN}@web1"
    decision = by_name["decision"]
    assert (decision["outcome"], decision["rule"]) == ("allow", "developers-everywhere")
    assert by_name["target.connected"]["address"] == f"127.0.0.1:{lab.targets['web1'].port}"
    verified = by_name["target.verified"]
    assert (verified["verified_by"], verified["credential"]) == ("pin", "certificate")
    assert verified["host_key"].startswith("SHA256:")
    target = by_name["target.login"]
    for field in ("down_kex", "down_cipher_in", "up_kex", "up_cipher_out", "up_host_key", "server"):
        assert target[field], target
    request = by_name["request"]
    assert (request["request"], request["detail"], request["outcome"]) == ("exec", "echo out; exit 3", "allowed")
    close = by_name["channel.close"]
    assert (close["use"], close["bytes_down"], close["exit_status"]) == ("exec", 4, 3)
    assert close["duration_us"] > 0 and end["duration_us"] >= close["duration_us"]
    audited.check()


def test_a_folder_that_holds_other_things_is_given_to_nobody(lab, make_bastion, folder):
    """As root the log's folder becomes the recorder's: not one like /var/log, which is others' too."""
    (folder / "syslog").write_text("")
    before = folder.stat().st_uid
    if os.getuid() == 0:
        with pytest.raises(AssertionError, match="name a folder of its own"):
            Audited(lab, make_bastion, folder)
    else:
        Audited(lab, make_bastion, folder)
    assert folder.stat().st_uid == before


def test_a_wrong_key_a_refusal_and_a_user_nobody_knows(audited, lab, tmp_path):
    assert client_of(audited.bastion, tmp_path / "s", lab.stranger).ssh(USER, "true").code == 255
    abandoned = audited.wait_for("login.abandoned")
    assert abandoned["keys_offered"] >= 1 and "session" not in abandoned

    done = client_of(audited.bastion, tmp_path / "b", lab.bob).ssh("nobody@web1@bastion", "true")
    assert done.code == 255
    end = audited.wait_for("session.end")
    events = audited.of_session(end["session"])
    assert names(events)[:3] == ["login", "decision", "session.start"]
    decision = events[1]
    assert (decision["outcome"], decision["mode"], decision["user"]) == ("deny", "refused", "bob")
    assert (decision["login"], decision["host"]) == ("nobody", "web1")
    audited.check()


def test_files_forwardings_and_tunnels(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    local = tmp_path / "file"
    local.write_bytes(b"x" * 1000)
    assert client.sftp(USER, f"put {local} {tmp_path}/copy\n").code == 0
    audited.wait_for("request", request="subsystem", detail="sftp", outcome="allowed")
    audited.wait_for("channel.close", use="sftp")

    # -W is -L for one connection.
    port = lab.targets["web1"].port
    done = client.ssh("-W", f"127.0.0.1:{port}", USER, input=b"SSH-2.0-test\r\n")
    assert done.out.startswith(b"SSH-2.0-"), done
    audited.wait_for("channel.open", type="direct-tcpip", detail=f"127.0.0.1:{port}")
    close = audited.wait_for("channel.close", type="direct-tcpip")
    assert close["bytes_down"] >= 20 and close["target"] == "web1"

    done = client.ssh("-W", f"127.0.0.1:{port}", "bastion", input=b"SSH-2.0-test\r\n")
    assert done.out.startswith(b"SSH-2.0-"), done
    opened = audited.wait_for("tunnel.open")
    assert (opened["target"], opened["port"]) == ("web1", port)
    events = audited.of_session(opened["session"])
    assert names(events)[:3] == ["login", "decision", "session.start"]
    assert "tunnel.granted" in names(events)
    audited.wait_for("channel.close", session=opened["session"])

    assert client.ssh("-W", "127.0.0.1:1", "bastion").code != 0
    audited.wait_for("tunnel.refused", host="127.0.0.1", port=1)
    audited.check()


def test_reload_end_and_a_policy_that_is_wrong(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    assert audited.bastion.control("reload").code == 0
    loaded = audited.wait_for("config.load", 2, outcome="loaded")
    assert loaded["by"].startswith("reload by uid") and loaded["policy"]
    audited.bastion.policy_file.write_text("users: 3\n")
    assert audited.bastion.control("reload").code == 1
    assert audited.wait_for("config.load", outcome="refused")["reason"]

    with subprocess.Popen(client.ssh_command(USER, "cat"), stdin=subprocess.PIPE, env=client.env) as running:
        audited.wait_for("request", request="exec")
        session = audited.wait_for("session.start")["session"]
        assert audited.bastion.control("end", session[:6], "--reason", "noon").code == 0
        assert running.wait(20) == 255
    events = audited.of_session(session)
    admin = audited.wait_for("admin")
    assert (admin["command"], admin["outcome"], admin["reason"]) == ("end", "done", "noon")
    assert admin["session"] == session and admin["by"].startswith("uid")
    end = audited.wait_for("session.end", session=session)
    assert events.index(admin) and admin["seq"] < end["seq"]
    text = audited.check()
    assert "signatures" in text
    assert names(audited.events())[-1] == "audit.head"
    assert "service.stop" in names(audited.events())


def test_hostile_bytes_are_escaped_and_come_back(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    command = b"true # \x1b[2J\xff\xe2\x80\xae\\x41\n\x07\"}"
    client.ssh(USER, os.fsdecode(command))
    request = audited.wait_for("request", request="exec")
    shown = request["detail"]
    assert all(c.isprintable() for c in shown), shown
    back = shown.encode("utf-8").decode("unicode_escape").encode("latin-1")
    assert back == command
    done = process.run([bastionctl(), "audit", "search", "--file", audited.file, "--event", "request"])
    assert done.code == 0 and b"\x1b" not in done.out and b"\\x1b[2J" in done.out, done
    audited.check()


def test_a_killed_recorder_loses_nothing(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    stop = threading.Event()
    results = []

    def keep_logging_in():
        while not stop.is_set():
            results.append(client.ssh(USER, "true").code)

    threads = [threading.Thread(target=keep_logging_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for round_number in range(1, 6):
        ends = len([event for event in audited.events() if event["event"] == "session.end"])
        audited.wait_for("session.end", ends + 1)
        [recorder] = pids(audited.bastion, "recorder")
        os.kill(recorder, signal.SIGKILL)
        audited.wait_for("process.end", round_number, role="recorder")
    stop.set()
    for thread in threads:
        thread.join()
    assert results and set(results) == {0}, results
    sessions = len(results)
    audited.wait_for("session.end", sessions)
    events = audited.events()
    for name in ("login", "decision", "session.start", "target.verified", "request", "channel.close", "session.end"):
        assert len([event for event in events if event["event"] == name]) == sessions, name
    audited.check()


@pytest.fixture
def small_disk():
    if os.getuid() != 0:
        pytest.fail("mounting a small tmpfs takes root; the suite is run in a user namespace otherwise")
    with tempfile.TemporaryDirectory(prefix="small-") as path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", path], check=True)
        try:
            yield pathlib.Path(path)
        finally:
            subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_ends_sessions_and_room_brings_the_service_back(lab, make_bastion, small_disk, tmp_path):
    audited = Audited(lab, make_bastion, small_disk)
    client = client_of(audited.bastion, tmp_path, lab.alice)
    assert client.ssh(USER, "true").code == 0
    with subprocess.Popen(
        client.ssh_command(USER, "cat"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=client.env
    ) as running:
        audited.wait_for("request", detail="cat")
        filler = small_disk / "filler"
        out = os.open(filler, os.O_CREAT | os.O_WRONLY)
        with pytest.raises(OSError, match="No space left"):
            while True:
                os.write(out, b"x" * 4096)
        os.close(out)
        # The space that was promised ahead is used up by events that fit into it.
        mark = audited.bastion.mark()
        process.wait_until(
            lambda: client.ssh(USER, "true").code != 0
            and "audit log cannot be written" in audited.bastion.log_since(mark),
            what="the end of service",
            timeout=120,
        )
        assert running.wait(20) == 255
        assert b"cannot write its audit log" in running.stderr.read()
    done = client.ssh(USER, "true")
    assert done.code == 255 and b"cannot write its audit log" in done.err, done
    filler.unlink()
    audited.bastion.wait_for_log("the audit log is written again", mark)
    assert client.ssh(USER, "true").code == 0
    events = audited.events()
    assert "audit.failed" in names(events) and "audit.recovered" in names(events)
    starts = {event["session"] for event in events if event["event"] == "session.start"}
    audited.wait_for("session.end", len(starts))
    audited.check()


@pytest.fixture
def sockets():
    """A folder that every user may reach."""
    with tempfile.TemporaryDirectory(prefix="sockets-") as path:
        pathlib.Path(path).chmod(0o755)
        yield pathlib.Path(path)


def test_syslog_and_journald_get_the_same_lines(lab, make_bastion, folder, sockets, tmp_path):
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(sockets / "journal"))
    (sockets / "journal").chmod(0o777)
    journal.settimeout(10)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    audited = Audited(
        lab,
        make_bastion,
        folder,
        journald={"socket": str(sockets / "journal")},
        syslog={"tcp": f"127.0.0.1:{listener.getsockname()[1]}"},
    )
    assert client_of(audited.bastion, tmp_path, lab.alice).ssh(USER, "true").code == 0
    audited.wait_for("session.end")
    lines = audited.file.read_text().splitlines()
    stream, _ = listener.accept()
    stream.settimeout(10)
    received = b""
    for line in lines:
        while b" " not in received:
            received += stream.recv(65536)
        length, _, received = received.partition(b" ")
        while len(received) < int(length):
            received += stream.recv(65536)
        message, received = received[: int(length)], received[int(length) :]
        head, _, text = message.partition(b"\xef\xbb\xbf")
        assert text.decode() == line
        assert head.startswith(b"<1") and b" bastiond " in head
        entry = journal.recv(1 << 20).decode()
        assert f"BASTIOND_LINE={line}\n" in entry and "SYSLOG_IDENTIFIER=bastiond\n" in entry
    audited.check()


def test_a_changed_line_and_a_cut_end_are_found(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    assert client.ssh(USER, "true").code == 0
    audited.wait_for("session.end")
    audited.check()
    text = audited.file.read_text()
    head = audited.verify("--file", audited.file).text.splitlines()[-1].removeprefix("head ")
    audited.file.write_text(text.replace('"user":"alice"', '"user":"bobby"', 1))
    assert audited.verify("--file", audited.file).code == 1
    audited.file.write_text("".join(text.splitlines(True)[:3]))
    assert audited.verify("--file", audited.file).code == 0
    assert audited.verify("--file", audited.file, "--head", head).code == 1


def test_search_and_tail(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    follow = [bastionctl(), "--socket", audited.bastion.socket, "audit", "tail", "-f", "-n", "0", "--event", "login"]
    with subprocess.Popen(follow, stdout=subprocess.PIPE) as tail:
        # It follows once it has shown what was there: nothing, so the next line is the login's.
        client.ssh(USER, "true")
        audited.wait_for("session.end")
        client.ssh(USER, "true")
        line = tail.stdout.readline().decode()
        tail.terminate()
    assert " login " in line and "alice" in line and "outcome=accepted" in line
    session = audited.wait_for("session.end")["session"]
    done = audited.bastion.control("audit", "search", "--session", session[:8], "--json")
    assert [json.loads(each)["event"] for each in done.text.splitlines()] == names(audited.of_session(session))
    assert audited.bastion.control("audit", "search", "--user", "nobody").code == 1
    assert audited.bastion.control("audit", "search", "--since", "yesterday").code == 2
    assert audited.bastion.control("audit", "search", "--until", "1h").code == 1
    assert audited.bastion.control("audit", "search", "--file", "/nowhere").code == 2
    assert "Example:" in audited.bastion.control("audit", "verify", "--help").text


class Logins:
    """A user who logs in again and again, so that lines flow."""

    def __init__(self, client):
        self.codes: list[int] = []
        self.client = client
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.over.is_set():
            self.codes.append(self.client.ssh(USER, "true").code)

    def wait_for(self, more: int) -> None:
        process.wait_until(lambda count=len(self.codes): len(self.codes) >= count + more, timeout=30, what="logins")

    def end(self) -> int:
        self.over.set()
        self.thread.join()
        assert set(self.codes) == {0}, self.codes
        return len(self.codes)


def starts_of(audited, reason: str) -> list[dict]:
    return [event for event in audited.events() if event["event"] == "audit.start" and event["reason"] == reason]


def test_logrotate_moves_the_log_while_lines_flow(audited, lab, tmp_path):
    """As `create`, the usual way, does it: a new file of the same owner and mode takes the name."""
    logins = Logins(client_of(audited.bastion, tmp_path, lab.alice))
    for number in range(1, 6):
        logins.wait_for(2)
        status = audited.file.stat()
        audited.file.rename(f"{audited.file}.{number}")
        with contextlib.suppress(FileExistsError):  # the bastion may have been quicker
            made = os.open(audited.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.fchown(made, status.st_uid, status.st_gid)
            os.fchmod(made, status.st_mode & 0o777)
            os.close(made)
        process.wait_until(lambda: starts_of(audited, "moved"), what="the file to be taken up")
    count = logins.end()
    audited.check()
    names_of_all = []
    for file in [*(f"{audited.file}.{number}" for number in range(1, 6)), audited.file]:
        names_of_all += [json.loads(line)["event"] for line in pathlib.Path(file).read_text().splitlines()]
    assert names_of_all.count("session.end") == count


def test_copytruncate_is_told_and_what_it_lost_is_found(audited, lab, tmp_path):
    client = client_of(audited.bastion, tmp_path, lab.alice)
    assert client.ssh(USER, "true").code == 0
    audited.wait_for("session.end")
    shutil.copy(audited.file, f"{audited.file}.1")
    assert client.ssh(USER, "true").code == 0  # between the copy and the truncation
    audited.wait_for("session.end", 2)
    os.truncate(audited.file, 0)
    process.wait_until(lambda: starts_of(audited, "truncated"), what="the truncation to be told")
    assert client.ssh(USER, "true").code == 0
    audited.bastion.stop()
    done = audited.verify("--file", audited.file)
    assert done.code == 1 and "stands behind line" in done.text + done.error, done
