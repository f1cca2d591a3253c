"""Users who want to do something that the record does not have, against real targets."""

import contextlib
import pathlib
import tempfile

import pytest

from support import raw, recordings
from support.audit import Audited
from support.raw import string, u32
from support.targets import LOGIN

CHANNEL_DATA, CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 94, 96, 97, 98, 99, 100


@pytest.fixture
def audited(lab, make_bastion, tmp_path):
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        service = {"state_dir": str(tmp_path / "state"), "recording": {"reserve": "1MiB"}, "algorithms": "compatible"}
        yield Audited(lab, make_bastion, pathlib.Path(folder), service=service)


class Evader:
    """One session channel, of which every message is sent as it is wanted."""

    def __init__(self, audited, target: str):
        lab = audited.bastion.lab
        self.raw = raw.login(audited.bastion.port, f"{LOGIN}@{target}", str(lab.alice.path))
        self.raw.send(90, string("session") + u32(0) + u32(1 << 20) + u32(1 << 15))
        self.channel = int.from_bytes(self.until(91)[4:8], "big")
        self.out = b""

    def request(self, kind: str, body: bytes = b"", *, reply: bool = True) -> None:
        self.raw.send(CHANNEL_REQUEST, u32(self.channel) + string(kind) + bytes([reply]) + body)

    def pty(self) -> None:
        self.request("pty-req", string("xterm") + u32(80) + u32(24) + u32(0) + u32(0) + string(b"\0"))

    def data(self, data: bytes) -> None:
        self.raw.send(CHANNEL_DATA, u32(self.channel) + string(data))

    def until(self, *numbers: int) -> bytes:
        """The body of the next message of these numbers; what is said meanwhile is kept."""
        while (got := self.raw.receive())[0] not in numbers:
            assert got != raw.END, numbers
            if got[0] == CHANNEL_DATA:
                self.out += got[1][8:]
        self.last = got[0]
        return got[1]

    def answer(self) -> bool:
        self.until(CHANNEL_SUCCESS, CHANNEL_FAILURE)
        return self.last == CHANNEL_SUCCESS

    def finish(self) -> None:
        self.raw.send(CHANNEL_EOF, u32(self.channel))
        self.until(CHANNEL_CLOSE)
        self.raw.close()


@pytest.fixture
def evader(audited):
    with contextlib.ExitStack() as stack:

        def make(target: str) -> Evader:
            made = Evader(audited, target)
            stack.callback(made.raw.close)
            return made

        yield make


def recording_of(audited) -> recordings.Recording:
    (file,) = recordings.wait_sealed(audited.bastion, 1)
    return recordings.read(file, recordings.audit_key(audited.bastion))


@pytest.mark.parametrize("target", ["web1", "drop1"])
def test_sec_085_input_of_a_command_is_not_made_typing_by_a_terminal_that_comes_late(target, audited, evader):
    user = evader(target)
    user.request("exec", string("cat"))
    assert user.answer()
    user.pty()
    assert not user.answer()
    user.data(b"not to be seen\n")
    user.until(CHANNEL_DATA)
    user.finish()
    assert recording_of(audited).bytes_of("stdin") == b"not to be seen\n"


def test_sec_085_a_command_is_on_record_behind_any_crowd_of_requests(audited, evader):
    user = evader("web1")
    for number in range(300):
        user.request(f"x{number}@example.org", reply=False)
    user.request("exec", string("echo not to be seen"))
    assert user.answer()
    user.until(CHANNEL_CLOSE)
    user.raw.close()
    audited.wait_for("request", request="exec", detail="echo not to be seen", outcome="allowed")
    told = [event for event in audited.events() if event["event"] == "request" and event["outcome"] == "refused"]
    limit = audited.wait_for("limit", limit="channel_requests", channel=user.channel)
    assert len(told) + limit["count"] == 300 and limit["value"] == len(told)
    audited.check()


def test_sec_085_nothing_is_read_by_a_handle_that_was_guessed(audited, evader, tmp_path):
    """OpenSSH's first handle is four zeros: a client that asks for open and read in one go needs no answer."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"not to be seen")
    user = evader("web1")
    user.request("subsystem", string("sftp"))
    assert user.answer()
    user.data(string(b"\1" + u32(3)))
    user.until(CHANNEL_DATA)
    opening = b"\3" + u32(1) + string(str(secret)) + u32(1) + u32(0)
    reading = b"\5" + u32(2) + string(u32(0)) + u32(0) + u32(0) + u32(100)
    user.data(string(opening) + string(reading))
    user.until(CHANNEL_CLOSE)
    user.raw.close()
    assert b"not to be seen" not in user.out
    failed = audited.wait_for("file", operation="session", outcome="failed")
    assert failed["reason"] == "sftp content of a file that was not open when asked for"
