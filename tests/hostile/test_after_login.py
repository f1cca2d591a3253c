"""Users who break the rules after they have logged in: their own connection may end, nobody else's does."""

import os
import re

import pytest

from support import raw
from support.raw import string, u32
from support.targets import LOGIN
from support.wire import connect

USER = f"{LOGIN}@web1"


@pytest.fixture
def inside(bastion, lab):
    connection = raw.login(bastion.port, USER, str(lab.alice.path))
    yield connection
    connection.close()


def open_session(connection, channel: int = 0, window: int = 1 << 20, packet: int = 1 << 15):
    """Opens a session channel and gives the other side's number, or None where it was refused."""
    connection.send(90, string("session") + u32(channel) + u32(window) + u32(packet))
    while (got := connection.receive())[0] not in (91, 92):
        if got == raw.END:
            return None
    return int.from_bytes(got[1][4:8], "big") if got[0] == 91 else None


def well(alice, bastion):
    done = alice.ssh(f"{USER}@bastion", "echo well")
    assert done.text == "well\n", done
    bastion.check_log(bastion.process.text())


UNIMPLEMENTED = 3
# Server-only and unknown numbers; those of the transport are elsewhere.
NUMBERS = [0, 5, 6, 8, 19, 22, 29, 32, 49, 51, 52, 53, 60, 61, 63, 79, 83, 89, 101, 127, 128, 191, 194, 255]


@pytest.mark.parametrize("number", NUMBERS)
def test_messages_that_have_no_place_after_login(number, inside, bastion, alice):
    inside.send(number, string("ssh-userauth"))
    while (got := inside.receive()[0]) in (7, 80, 4):
        pass
    assert got in (None, raw.DISCONNECT, UNIMPLEMENTED), got
    well(alice, bastion)


def test_requests_to_log_in_again_are_ignored(inside, lab):
    """RFC 4252 5.1: silently."""
    for _ in range(50):
        inside.send(raw.USERAUTH_REQUEST, raw.userauth_request("bob", "none"))
    channel = open_session(inside)
    assert channel is not None
    inside.send(98, u32(channel) + string("exec") + b"\1" + string("echo in"))
    text = b""
    while (got := inside.receive())[0] != 97:
        assert got != raw.END
        if got[0] == 94:
            text += got[1][8:]
    assert text == b"in\n"


@pytest.mark.parametrize("packet", [0, 1, 31, (1 << 32) - 1])
def test_sec_060_packet_sizes_at_the_edge(packet, inside, bastion, alice):
    channel = open_session(inside, packet=packet)
    if channel is not None:
        inside.send(98, u32(channel) + string("exec") + b"\1" + string("echo 12345678"))
        text = b""
        while (got := inside.receive())[0] not in (97, None):
            if got[0] == 94:
                assert len(got[1]) - 8 <= packet
                text += got[1][8:]
        assert text == b"12345678\n"
    well(alice, bastion)


def test_sec_061_a_window_that_overflows_ends_the_connection(inside, bastion, alice):
    channel = open_session(inside, window=(1 << 32) - 1)
    for _ in range(3):
        inside.send(93, u32(channel) + u32((1 << 32) - 1))
    assert inside.rest()[-1][0] == raw.DISCONNECT
    well(alice, bastion)


def test_sec_061_more_data_than_the_window_ends_the_connection(inside, bastion, alice):
    channel = open_session(inside)
    inside.send(98, u32(channel) + string("exec") + b"\1" + string("sleep 20"))
    for _ in range(400):
        inside.send(94, u32(channel) + string(bytes(32_000)))
        if not inside.transport.is_active():
            break
    assert raw.DISCONNECT in [number for number, _ in inside.rest()]
    well(alice, bastion)


def test_sec_063_a_hundred_thousand_channels_that_are_refused(inside, bastion, alice):
    count = 100_000 if os.environ.get("BASTION_LONG") == "1" else 5_000
    for i in range(count):
        inside.send(90, string("no-such-kind") + u32(i) + u32(1) + u32(1))
        if i % 100 == 99:
            refused = 0
            while refused < 100:
                got = inside.receive()
                assert got != raw.END
                refused += got[0] == 92
    assert open_session(inside) is not None
    well(alice, bastion)


def test_sec_063_session_channels_have_a_limit(inside):
    opened = 0
    for i in range(80):
        opened += open_session(inside, channel=i) is not None
    assert 1 <= opened <= 64, opened


@pytest.mark.parametrize("number", [81, 82, 99, 100])
def test_sec_064_replies_that_nobody_asked_for(number, inside, bastion, alice):
    channel = open_session(inside)
    for _ in range(20_000):
        inside.send(number, u32(channel) if number >= 99 else b"")
        if not inside.transport.is_active():
            break
    well(alice, bastion)


@pytest.mark.parametrize("channel", [1, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("number", [91, 92, 93, 94, 95, 96, 97, 98])
def test_sec_065_channels_that_are_not_there(number, channel, inside, bastion, alice):
    body = {
        91: u32(0) + u32(1) + u32(1),
        92: u32(1) + string("") + string(""),
        93: u32(1),
        94: string("x"),
        95: u32(1) + string("x"),
        98: string("exec") + b"\1" + string("id"),
    }.get(number, b"")
    inside.send(number, u32(channel) + body)
    inside.send(90, string("session") + u32(0) + u32(1 << 20) + u32(1 << 15))
    while (got := inside.receive())[0] not in (91, None):
        assert got[0] != 99, "no request was taken"
    well(alice, bastion)


@pytest.mark.parametrize("reply", [0, 1])
def test_no_more_sessions_is_kept(reply, inside):
    """OpenSSH's clients ask servers of their own kind for it before they run what they do not trust."""
    assert open_session(inside) is not None
    inside.send(80, string("no-more-sessions@openssh.com") + bytes([reply]))
    assert open_session(inside, channel=1) is None


def test_global_requests_by_the_thousand_are_answered_in_order(inside):
    for i in range(2000):
        inside.send(80, string(f"no-such-{i}@example.org") + b"\1")
        if i % 50 == 49:
            answered = 0
            while answered < 50:
                got = inside.receive()
                assert got != raw.END
                assert got[0] != 81
                answered += got[0] == 82


def test_another_sessions_traffic_goes_on_beside_all_that(bastion, lab, alice):
    import asyncio

    async def beside():
        async with connect(alice, USER) as connection:
            shell = await connection.create_process("cat")
            for i in range(20):
                evil = await asyncio.to_thread(raw.login, bastion.port, USER, str(lab.alice.path))
                evil.send(94, u32(i) + string(bytes(1000)))
                shell.stdin.write(f"{i}\n")
                assert await asyncio.wait_for(shell.stdout.readline(), 10) == f"{i}\n"
                evil.close()

    asyncio.run(asyncio.wait_for(beside(), 60))


def test_the_log_names_no_internal_error(bastion):
    assert not re.search("internal", bastion.process.text(), re.I)
