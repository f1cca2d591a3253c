"""What a stranger may send: every message in every state before login, and the catalogue of attacks there.

The names carry the catalogue's numbers. The unit tests have the machines' tables; these have the real
processes, and look for what must not follow: an answer that a message was acted upon, a target dialled.
"""

import contextlib
import os
import re
import socket

import pytest

from support import raw
from support.raw import key_query, paramiko, signed_request, string, u32, userauth_request
from support.targets import LOGIN

USER = f"{LOGIN}@web1"
# Messages of the transport, which may come at any time: these do not end a connection.
HARMLESS = {2: string("ignored"), 3: u32(0), 4: b"\0" + string("") + string("")}
NO_SERVICE, AUTH = "before the service", "before authentication"


def stranger(bastion, state: str) -> raw.Raw:
    connection = raw.connect(bastion.port)
    if state == AUTH:
        connection.send(raw.SERVICE_REQUEST, string("ssh-userauth"))
        while (got := connection.receive())[0] != raw.SERVICE_ACCEPT:
            assert got[0] == 7, got
    return connection


def key(lab, name: str = "alice"):
    return paramiko.Ed25519Key.from_private_key_file(str(getattr(lab, name).path))


def answers(connection) -> list[int]:
    """The numbers of all messages up to the end, but for EXT_INFO."""
    return [number for number, _ in connection.rest() if number != 7]


def body_of(number: int) -> bytes:
    """A body that is well-formed where such a message exists, so that only its number is wrong."""
    return {
        52: b"",
        60: string("ssh-ed25519") + string(b"x"),
        61: u32(0),
        80: string("tcpip-forward") + b"\1" + string("127.0.0.1") + u32(0),
        90: string("session") + u32(0) + u32(1 << 20) + u32(1 << 15),
        94: u32(0) + string("data"),
        98: u32(0) + string("exec") + b"\1" + string("id"),
    }.get(number, string("ssh-userauth") + bytes(64))


@pytest.mark.parametrize("state", [NO_SERVICE, AUTH])
@pytest.mark.parametrize("decade", range(0, 256, 16))
def test_sec_001_sec_002_sec_003_every_message_number_before_login(decade, state, bastion, lab):
    """Guarantee 5: each number but the few that belong there ends the connection."""
    mark = bastion.mark()
    dialled = lab.targets["web1"].mark()
    for number in range(decade, decade + 16):
        if number in HARMLESS or number in (1, 5, 7, 20, 21, 30, 31, 50, 192, 193):
            continue
        with stranger(bastion, state) as connection:
            connection.send(number, body_of(number))
            got = answers(connection)
            assert got in ([], [raw.DISCONNECT]), (number, got)
    assert "alice" not in bastion.log_since(mark)
    assert lab.targets["web1"].mark() == dialled


@pytest.mark.parametrize("state", [NO_SERVICE, AUTH])
def test_messages_of_the_transport_are_harmless(state, bastion):
    with stranger(bastion, state) as connection:
        for number, body in HARMLESS.items():
            connection.send(number, body)
        connection.send(raw.SERVICE_REQUEST, string("ssh-userauth"))
        while (got := connection.receive())[0] == 7:
            pass
        assert got == (raw.SERVICE_ACCEPT, string("ssh-userauth"))


def test_sec_003_the_connection_service_is_not_to_be_had_without_login(bastion):
    with stranger(bastion, NO_SERVICE) as connection:
        connection.send(raw.SERVICE_REQUEST, string("ssh-connection"))
        connection.send(90, body_of(90))
        assert answers(connection) in ([], [raw.DISCONNECT])


def test_sec_004_the_key_that_signs_decides(bastion, lab):
    """alice's key is probed last and would do; bob's signs, so it is bob."""
    alice, bob = key(lab), key(lab, "bob")
    mark = bastion.mark()
    with stranger(bastion, AUTH) as connection:
        for probe in (bob, alice):
            connection.send(raw.USERAUTH_REQUEST, key_query(USER, probe))
            assert connection.receive()[0] == raw.USERAUTH_PK_OK
        connection.send(raw.USERAUTH_REQUEST, signed_request(connection, USER, bob))
        assert connection.receive()[0] == raw.USERAUTH_SUCCESS
        bastion.wait_for_log("guests-commands", mark)
        assert "alice" not in bastion.log_since(mark)


def test_sec_006_an_accepted_probe_is_no_leave_for_another_key(bastion, lab):
    with stranger(bastion, AUTH) as connection:
        connection.send(raw.USERAUTH_REQUEST, key_query(USER, key(lab)))
        assert connection.receive()[0] == raw.USERAUTH_PK_OK
        connection.send(raw.USERAUTH_REQUEST, signed_request(connection, USER, key(lab, "stranger")))
        assert connection.receive() == (raw.USERAUTH_FAILURE, string("publickey") + b"\0")


@pytest.mark.parametrize("spoil", ["session id", "user", "algorithm", "service", "one bit"])
def test_a_signature_over_something_else_opens_nothing(spoil, bastion, lab):
    alice = key(lab)
    with stranger(bastion, AUTH) as connection:
        request = signed_request(connection, USER, alice)
        if spoil == "session id":
            request = signed_request(connection, USER, alice, session_id=os.urandom(len(connection.session_id)))
        elif spoil == "user":
            other = signed_request(connection, f"{LOGIN}@new1", alice)
            signature = other[other.rindex(string("ssh-ed25519")) - 4 :]
            request = request[: len(request) - len(signature)] + signature
        elif spoil == "algorithm":
            request = request.replace(string("ssh-ed25519"), string("rsa-sha2-512"), 1)
        elif spoil == "service":
            request = request.replace(string("ssh-connection"), string("ssh-userauth"), 1)
        else:
            request = request[:-1] + bytes([request[-1] ^ 1])
        connection.send(raw.USERAUTH_REQUEST, request)
        got = connection.receive()
        while got[0] == 7:
            got = connection.receive()
        assert got[0] in (raw.USERAUTH_FAILURE, raw.DISCONNECT), got


def test_a_signature_of_another_connection_opens_nothing(bastion, lab):
    with stranger(bastion, AUTH) as first:
        request = signed_request(first, USER, key(lab))
    with stranger(bastion, AUTH) as second:
        second.send(raw.USERAUTH_REQUEST, request)
        assert second.receive()[0] == raw.USERAUTH_FAILURE


@pytest.mark.parametrize("method", ["gssapi-with-mic", "gssapi-keyex", "hostbased", "password", "keyboard-interactive",
                                    "", "\0", "publickey\0", "PUBLICKEY", "x" * 30_000],
                         ids=lambda method: repr(method[:40]))  # fmt: skip
def test_sec_015_methods_that_are_not_offered(method, bastion):
    with stranger(bastion, AUTH) as connection:
        connection.send(raw.USERAUTH_REQUEST, userauth_request(USER, method, b"\xff" * 9))
        assert connection.receive() == (raw.USERAUTH_FAILURE, string("publickey") + b"\0")


def test_sec_019_an_unknown_user_and_a_wrong_key_get_the_same_bytes(bastion, lab):
    seen = set()
    wrong = key(lab, "stranger")
    for user in (USER, f"{LOGIN}@no-such-target", "nobody", "alice", f"alice+{USER}", "", "\x1b[31m", "x" * 300):
        with stranger(bastion, AUTH) as connection:
            connection.send(raw.USERAUTH_REQUEST, userauth_request(user, "none"))
            connection.send(raw.USERAUTH_REQUEST, key_query(user, wrong))
            connection.send(raw.USERAUTH_REQUEST, signed_request(connection, user, wrong))
            seen.add(tuple(connection.receive() for _ in range(3)))
    assert seen == {((raw.USERAUTH_FAILURE, string("publickey") + b"\0"),) * 3}


@pytest.mark.parametrize("kind", ["query", "none", "service", "unknown"])
def test_sec_020_ten_thousand_requests_reach_a_limit(kind, bastion, lab):
    with stranger(bastion, AUTH) as connection:
        number, body = {
            "query": (raw.USERAUTH_REQUEST, key_query(USER, key(lab, "stranger"))),
            "none": (raw.USERAUTH_REQUEST, userauth_request(USER, "none")),
            "service": (raw.SERVICE_REQUEST, string("ssh-userauth")),
            "unknown": (raw.USERAUTH_REQUEST, userauth_request(USER, "no-such-method")),
        }[kind]
        for _ in range(10_000):
            connection.send(number, body)
            if not connection.transport.is_active():
                break
        got = answers(connection)
        assert len(got) <= 80, len(got)


def test_sec_042_a_second_key_exchange_before_login_ends_the_connection(bastion):
    with stranger(bastion, AUTH) as connection:
        with contextlib.suppress(Exception):
            connection.transport._send_kex_init()
        assert answers(connection) in ([], [raw.DISCONNECT])


def test_sec_049_trailing_bytes_end_the_connection(bastion, lab):
    for number, body in ((raw.SERVICE_REQUEST, string("ssh-userauth")), (raw.USERAUTH_REQUEST, key_query(USER, key(lab)))):
        for extra in (1, 4, 1000):
            with stranger(bastion, AUTH) as connection:
                connection.send(number, body + bytes(extra))
                assert answers(connection) in ([], [raw.DISCONNECT]), (number, extra)


# ---- before the key exchange: bytes on a socket


def speak(bastion, data: bytes) -> bytes:
    """Sends bytes and gives what comes back until the bastion ends the connection."""
    with bastion.connect() as connection:
        connection.settimeout(10)
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
        return answer


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
                                  b"SSH-1.5-old\r\n", b"hello\r\nSSH-2.0-late\r\n", b"SSH-2.0-\0nul\r\n",
                                  b"SSH-2.0-" + b"x" * 300 + b"\r\n", b"x" * 100_000],
                         ids=lambda line: repr(line[:20]))  # fmt: skip
def test_sec_048_identification_lines_that_are_none(line, bastion):
    """The answer is at most our own line and a KEXINIT that nobody asked for, and the end."""
    answer = speak(bastion, line)
    assert len(answer) < 4096
    assert answer.startswith(b"SSH-2.0-") or not answer


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 7, 8, 35_001, 0x10000, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
def test_sec_034_packet_lengths_that_are_none(length, bastion):
    answer = speak(bastion, b"SSH-2.0-evil\r\n" + u32(length) + os.urandom(4096))
    assert len(answer) < 8192


def test_sec_031_nothing_comes_before_the_first_kexinit(bastion):
    """IGNORE, UNIMPLEMENTED and DEBUG may, and make strict key exchange fail later (unit tests have that)."""
    for number in range(256):
        if number in (2, 3, 4, 20):
            continue
        payload = bytes([number]) + string("ssh-userauth") + bytes(3)
        padding = 8 - (5 + len(payload)) % 8 + 8
        packet = u32(1 + len(payload) + padding) + bytes([padding]) + payload + bytes(padding)
        try:
            answer = speak(bastion, b"SSH-2.0-evil\r\n" + packet * 2)
        except TimeoutError:
            raise AssertionError(f"message {number} did not end the connection") from None
        assert re.match(rb"SSH-2\.0-\S+\r\n", answer), number
        assert len(answer) < 8192, number


def test_many_half_open_connections_keep_nobody_out(bastion, alice):
    held = []
    try:
        for _ in range(60):
            held.append(socket.create_connection(("127.0.0.1", bastion.port)))
        done = alice.ssh(f"{USER}@bastion", "echo in")
        assert done.text == "in\n", done
    finally:
        for connection in held:
            connection.close()


def test_the_end_of_all_that_leaves_it_well(bastion, alice):
    assert alice.ssh(f"{USER}@bastion", "echo well").text == "well\n"
