"""Each limit of the configuration that somebody can run into is on record when he does, and a flood of it is counted."""

import asyncio
import contextlib
import pathlib
import socket
import tempfile

import paramiko
import pytest

from support import process, raw
from support.audit import Audited
from support.fixtures import client_of, make_policy
from support.targets import LOGIN
from support.wire import connect

USER = f"{LOGIN}@web1"
DESTINATION = f"{USER}@bastion"


@pytest.fixture
def folder():
    """The log's folder becomes the recorder's, which must be able to reach it."""
    with tempfile.TemporaryDirectory(prefix="audit-") as path:
        yield pathlib.Path(path)


@pytest.fixture
def limited(lab, make_bastion, folder, tmp_path):
    """limited(limits, rule): a bastion with these limits, whose one rule for all has these keys, too."""

    def make(limits: dict | None = None, **rule):
        policy = make_policy(lab)
        policy["rules"] = [{"name": "all", "who": "all", "targets": "all", "logins": "all", "allow": "all"} | rule]
        service = {"limits": limits or {}, "state_dir": str(tmp_path / "state"), "recording": {"reserve": "1MiB"}}
        audited = Audited(lab, make_bastion, folder, policy=policy, service=service)
        audited.alice = client_of(audited.bastion, tmp_path / "alice", lab.alice)
        return audited

    return make


def told(audited, limit: str) -> list[dict]:
    return [event for event in audited.events() if event["event"] == "limit" and event["limit"] == limit]


def counted(audited, limit: str) -> int:
    return sum(event["count"] for event in told(audited, limit))


@contextlib.contextmanager
def crowd(audited, sources: list[str]):
    with contextlib.ExitStack() as stack:
        for source in sources:
            stack.enter_context(
                socket.create_connection(("127.0.0.1", audited.bastion.port), timeout=20, source_address=(source, 0))
            )
        yield


def test_a_flood_from_one_source_is_counted_and_fills_no_log(limited):
    audited = limited({"unauthenticated_per_source": 3})
    with crowd(audited, ["127.0.0.1"] * 203):
        process.wait_until(lambda: counted(audited, "unauthenticated_per_source") >= 200, timeout=20, what="200 that were dropped")
    events = told(audited, "unauthenticated_per_source")
    assert counted(audited, "unauthenticated_per_source") == 200
    assert len(events) < 30, "told at once, and then once a second"
    assert {(event["value"], event["from"]) for event in events} == {(3, "127.0.0.1")}
    assert not told(audited, "unauthenticated")
    audited.check()


def test_strangers_in_all(limited):
    audited = limited({"unauthenticated": 4, "unauthenticated_per_source": 3})
    with crowd(audited, [f"127.0.0.{i}" for i in range(1, 8)]):
        process.wait_until(lambda: counted(audited, "unauthenticated") == 3, timeout=20, what="three that were dropped")
    assert {event["value"] for event in told(audited, "unauthenticated")} == {4}
    assert not told(audited, "unauthenticated_per_source")
    audited.check()


@pytest.mark.parametrize("limit", ["first_factor", "login_grace"])
@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "after its key exchange"])
def test_who_does_not_log_in_in_time(limit, speaks, limited):
    audited = limited({"first_factor": "3s", "login_grace": "3s" if limit == "login_grace" else "30s"})
    connection = raw.connect(audited.bastion.port) if speaks else audited.bastion.connect()
    with connection:
        event = audited.wait_for("limit", limit=limit)
    assert (event["value"], event["count"], event["from"]) == (3000, 1, "127.0.0.1")
    audited.check()


@pytest.mark.parametrize("how", ["passwords", "wrong signatures"])
def test_too_many_failures(how, limited, lab):
    audited = limited({"auth_failures": 2})
    with raw.connect(audited.bastion.port) as connection:
        connection.send(raw.SERVICE_REQUEST, raw.string("ssh-userauth"))
        for _ in range(2):
            if how == "passwords":
                guess = raw.userauth_request(USER, "password", b"\0" + raw.string("guess"))
            else:
                key = paramiko.Ed25519Key.from_private_key_file(str(lab.alice.path))
                guess = raw.signed_request(connection, USER, key, session_id=bytes(32))
            connection.send(raw.USERAUTH_REQUEST, guess)
        connection.rest()
    event = audited.wait_for("limit", limit="auth_failures")
    assert (event["value"], event["count"], event["from"]) == (2, 1, "127.0.0.1")
    audited.check()


def test_too_many_keys(limited, lab):
    audited = limited({"key_offers": 3})
    stranger = paramiko.Ed25519Key.from_private_key_file(str(lab.stranger.path))
    with raw.connect(audited.bastion.port) as connection:
        connection.send(raw.SERVICE_REQUEST, raw.string("ssh-userauth"))
        for _ in range(4):
            connection.send(raw.USERAUTH_REQUEST, raw.key_query(USER, stranger))
        connection.rest()
    event = audited.wait_for("limit", limit="key_offers")
    assert (event["value"], event["count"], event["from"]) == (3, 1, "127.0.0.1")
    audited.check()


def test_somebody_who_logs_in_reaches_none(limited):
    audited = limited({"auth_failures": 1, "key_offers": 1, "unauthenticated_per_source": 1, "first_factor": "5s"})
    assert audited.alice.ssh(DESTINATION, "echo passed").out == b"passed\n"
    audited.wait_for("session.end")
    audited.check()
    assert not [event for event in audited.events() if event["event"] == "limit"]


def test_too_many_sessions(limited, lab, tmp_path):
    audited = limited({"sessions_per_user": 1})

    async def conversation():
        async with connect(audited.alice, USER):
            done = await asyncio.to_thread(audited.alice.ssh, DESTINATION, "true")
            assert "which is the limit" in done.error, done

    asyncio.run(asyncio.wait_for(conversation(), 60))
    event = audited.wait_for("limit", limit="sessions_per_user")
    assert (event["value"], event["user"], event["from"]) == (1, "alice", "127.0.0.1")
    audited.check()


@pytest.mark.parametrize("limit", ["session_channels_per_session", "channels_per_session"])
@pytest.mark.parametrize("user, target", [(USER, "web1"), ("menu", None)])
def test_too_many_channels(limit, user, target, limited, lab):
    audited = limited({"session_channels_per_session": 1} | {limit: 1})
    with raw.login(audited.bastion.port, user, str(lab.alice.path)) as connection:
        for number in range(4):
            connection.send(90, raw.string("session") + raw.u32(number) + raw.u32(1 << 20) + raw.u32(1 << 15))
        answers: list = []
        while len(answers) < 4:
            got = connection.receive()
            assert got != raw.END
            answers += [got] if got[0] in (91, 92) else []
        assert [number for number, _ in answers].count(92) == 3, answers
        event = audited.wait_for("limit", limit=limit)
    assert (event["value"], event["count"], event["user"]) == (1, 1, "alice")
    assert "too many" in event["reason"] and event.get("target") == target
    audited.wait_for("session.end", session=event["session"])
    refused = [each for each in audited.of_session(event["session"]) if each["event"] == "channel.refused"]
    assert len(refused) == 3, "each of them is told by an event of its own"
    audited.check()


def test_what_is_recorded_of_a_command(limited):
    audited = limited(exec_bytes="1KiB")
    assert len(audited.alice.ssh(DESTINATION, "head -c 500000 /dev/zero").out) == 500_000
    event = audited.wait_for("limit", limit="exec_bytes")
    assert (event["value"], event["user"], event["target"]) == (1024, "alice", "web1")
    assert event["reason"] == "stdout of channel 0 is recorded no further"
    assert len(told(audited, "exec_bytes")) == 1
    audited.check()


def test_a_file_that_is_too_large(limited, tmp_path):
    audited = limited(files={"size": "10KiB"})
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    assert audited.alice.sftp(DESTINATION, f"put {tmp_path}/large {tmp_path}/there\n").code != 0
    event = audited.wait_for("limit", limit="files.size")
    assert (event["value"], event["user"], event["target"]) == (10_240, "alice", "web1")
    audited.wait_for("file", outcome="refused")
    audited.check()
