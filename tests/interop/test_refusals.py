"""What a user sees when it does not work: one line for each cause, and nothing that should stay unknown."""

import contextlib
import re
import socket
import time
import warnings

import pytest

from support import keys
from support.fixtures import client_of, make_policy
from support.targets import LOGIN
from support.wire import connect

SESSION_ID = r"\([0-9a-z]{4,}\)"


def told(done) -> str:
    """The one line that the bastion gave as its reason; the command must not have run."""
    assert done.code == 255, done
    lines = [line.strip() for line in done.error.splitlines() if line.startswith("bastion: ")]
    assert len(lines) == 1, done
    assert not done.out, done
    assert not re.search(r"[^\x20-\x7e]", lines[0]), lines[0]
    return lines[0]


def test_a_login_that_is_not_permitted_names_the_one_that_is(alice):
    line = told(alice.ssh("nobody2@web1@bastion", "id"))
    assert re.search(rf"alice may not log in as nobody2 on web1; as {LOGIN} you may: ssh {LOGIN}@web1@\S+ +{SESSION_ID}$", line)


def test_a_misspelt_target_gets_a_hint(alice):
    line = told(alice.ssh(f"{LOGIN}@wbe1@bastion", "id"))
    assert re.search(rf'no target "wbe1" that you may reach\..*web1.* {SESSION_ID}$', line), line


def test_what_does_not_exist_and_what_is_out_of_reach_look_the_same(bob):
    def shape(name):
        line = told(bob.ssh(f"{LOGIN}@{name}@bastion", "id"))
        return re.sub(SESSION_ID, "(ID)", line).replace(name, "NAME")

    assert shape("drop1") == shape("drap1"), "drop1 exists, and bob may not know"


def test_hints_name_only_what_this_user_may_reach(bob):
    line = told(bob.ssh(f"{LOGIN}@drop2@bastion", "id"))
    assert "drop1" not in line


def test_an_action_that_is_not_permitted(bob):
    """bob may run commands on web1, and nothing else."""
    assert bob.ssh(f"{LOGIN}@web1@bastion", "echo yes").text == "yes\n"
    shell = bob.ssh("-T", f"{LOGIN}@web1@bastion", input=b"echo reached\n")
    assert shell.code != 0 and "reached" not in shell.text, shell
    sftp = bob.sftp(f"{LOGIN}@web1@bastion", "pwd\n")
    assert sftp.code != 0 and "Remote working directory" not in sftp.text, sftp
    forward = bob.ssh("-W", "127.0.0.1:1", f"{LOGIN}@web1@bastion")
    assert forward.code != 0 and "administratively prohibited" in forward.error, forward
    remote = bob.ssh("-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes", f"{LOGIN}@web1@bastion", "echo ran")
    assert remote.code != 0 and "ran" not in remote.text, remote


def test_a_tunnel_that_is_not_permitted_names_the_routed_command(alice, lab):
    port = lab.targets["new1"].port
    done = alice.ssh("-W", f"new1:{port}", "bastion")
    assert done.code != 0
    assert "administratively prohibited" in done.error, done
    assert re.search(r"ssh \S+@new1@\S+", done.error), done


def test_a_tunnel_to_an_address_that_the_policy_does_not_name(alice):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        for host in ("127.0.0.1", "localhost", "0", "127.1", "[::ffff:127.0.0.1]"):
            done = alice.ssh("-W", f"{host}:{server.getsockname()[1]}", "bastion")
            assert done.code != 0 and "administratively prohibited" in done.error, done
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_target_that_refuses(alice, lab):
    line = told(alice.ssh(f"{LOGIN}@down1@bastion", "id"))
    assert re.search(rf"down1 \(127\.0\.0\.1:{lab.targets['down1'].port}\) refused the connection\. +{SESSION_ID}$", line), line


def test_a_target_that_does_not_answer(lab, make_bastion, tmp_path):
    """Its queue of connections is full, and the kernel answers no further one."""
    policy = make_policy(lab)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        policy["targets"]["busy1"] = policy["targets"]["web1"] | {"port": port}
        client = client_of(make_bastion(policy, {"limits": {"connect": "1s"}}), tmp_path, lab.alice)
        line = told(client.ssh(f"{LOGIN}@busy1@bastion", "id"))
    assert re.search(rf"busy1 \(127\.0\.0\.1:{port}\) did not answer within 1 s\. +{SESSION_ID}$", line), line


def test_a_target_whose_name_leads_nowhere(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["targets"]["gone1"] = policy["targets"]["web1"] | {"address": "no-such-host.invalid"}
    line = told(client_of(make_bastion(policy), tmp_path, lab.alice).ssh(f"{LOGIN}@gone1@bastion", "id"))
    assert re.search(rf"gone1: its address no-such-host\.invalid was not found \(.+\)\. +{SESSION_ID}$", line), line


def test_a_target_that_says_nothing(lab, make_bastion, tmp_path):
    client = client_of(make_bastion(service={"limits": {"handshake": "1s"}}), tmp_path, lab.alice)
    started = time.monotonic()
    line = told(client.ssh(f"{LOGIN}@silent1@bastion", "id"))
    assert re.search(rf"silent1 did not finish its SSH handshake within 1 s\. +{SESSION_ID}$", line), line
    assert time.monotonic() - started < 15


def test_a_target_whose_host_key_is_another(alice, lab):
    line = told(alice.ssh(f"{LOGIN}@changed1@bastion", "id"))
    assert re.search(
        r"the host key of changed1 is not the one on record \(\S+ SHA256:\S+ instead of SHA256:\S+\)\. "
        rf"Not connecting; tell your administrators\. +{SESSION_ID}$",
        line,
    ), line
    assert lab.other_host_key.fingerprint in line


def test_no_credential_reaches_a_target_whose_host_key_is_another(alice, lab):
    mark = lab.targets["web1"].mark()
    told(alice.ssh(f"{LOGIN}@changed1@bastion", "id"))
    assert "userauth-request" not in lab.targets["web1"].log_since(mark)
    assert "Accepted" not in lab.targets["web1"].log_since(mark)


def test_a_target_without_a_known_host_key(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    empty = tmp_path / "known_hosts"
    empty.write_text("# nobody yet\n")
    policy["targets"]["web1"].pop("host_keys")
    policy["targets"]["web1"]["known_hosts"] = str(empty)
    bastion = make_bastion(policy)
    mark = bastion.mark()
    line = told(client_of(bastion, tmp_path / "c", lab.alice).ssh(f"{LOGIN}@web1@bastion", "id"))
    assert "host key" in line and "web1" in line, line
    # The log has the line that an administrator may add.
    logged = bastion.wait_for_log(r"host key refused.*", mark)[0]
    assert any(key.fingerprint in logged and key.line in logged for key in lab.host_keys.values()), logged


def test_a_target_that_refuses_our_login(alice):
    line = told(alice.ssh(f"{LOGIN}@untrusting1@bastion", "id"))
    assert re.search(rf"untrusting1.*{LOGIN}|{LOGIN}.*untrusting1", line) and re.search(SESSION_ID + "$", line), line


def test_the_log_says_more_and_has_the_same_id(alice, bastion):
    mark = bastion.mark()
    line = told(alice.ssh(f"{LOGIN}@down1@bastion", "id"))
    session = re.search(r"\(([0-9a-z]+)\)$", line)[1]
    found = bastion.wait_for_log(rf"{session}.*down1|down1.*{session}", mark)
    assert "alice" in bastion.log_since(mark), found


def test_an_unknown_user_and_a_wrong_key_are_told_the_same(stranger):
    """Neither the name nor the target changes a byte of the answer but where ssh itself repeats the name."""
    seen = set()
    for user in (f"{LOGIN}@web1", f"{LOGIN}@no-such", f"alice+{LOGIN}@web1", f"nobody+{LOGIN}@web1", "alice", "nobody"):
        done = stranger.ssh("-v", "-l", user, "bastion", "id")
        assert done.code == 255
        seen.add(done.error.splitlines()[-1].replace(user, "USER"))
        # Between the offer and the refusal nothing is said.
        seen.add(re.search(r"Authentications that can continue: (\S+)", done.error)[1])
    assert seen == {"USER@127.0.0.1: Permission denied (publickey).", "publickey"}


def test_too_many_failures(lab, bastion):
    """Forged signatures: ssh never makes any, so paramiko with a key that lies has to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paramiko

    class Forger(paramiko.Ed25519Key):
        def sign_ssh_data(self, data, algorithm=None):
            message = paramiko.Message()
            message.add_string("ssh-ed25519")
            message.add_string(bytes(64))
            return message

    transport = paramiko.Transport(("127.0.0.1", bastion.port))
    try:
        transport.start_client(timeout=10)
        refused = 0
        with pytest.raises((paramiko.SSHException, EOFError)) as end:
            while refused < 20:
                try:
                    transport.auth_publickey(f"{LOGIN}@web1", Forger.from_private_key_file(str(lab.alice.path)))
                except paramiko.AuthenticationException:
                    if not transport.is_active():
                        raise
                    refused += 1
        assert refused in (5, 6), (refused, end)
        assert not transport.is_authenticated()
    finally:
        transport.close()


def test_too_many_keys(lab, make_bastion, tmp_path):
    bastion = make_bastion(service={"limits": {"key_offers": 3}})
    client = client_of(bastion, tmp_path, lab.alice)
    strangers = [keys.make_key(tmp_path, f"k{i}") for i in range(5)]
    options = [f"IdentityFile={key.path}" for key in strangers]
    done = client.ssh(f"{LOGIN}@web1@bastion", "id", options=options)
    assert done.code == 255
    assert "Too many keys" in done.error, done


def test_too_many_sessions_of_one_user(lab, make_bastion, tmp_path):
    import asyncio

    client = client_of(make_bastion(service={"limits": {"sessions_per_user": 2}}), tmp_path, lab.alice)

    async def fill():
        async with connect(client, f"{LOGIN}@web1") as one, connect(client, f"{LOGIN}@web1") as two:
            assert (await one.run("echo one")).stdout == "one\n"
            assert (await two.run("echo two")).stdout == "two\n"
            third = await asyncio.to_thread(client.ssh, f"{LOGIN}@web1@bastion", "id")
        return third

    third = asyncio.run(asyncio.wait_for(fill(), 40))
    assert third.code == 255 and "2" in third.error and "sessions" in third.error, third
    # The places are free again when the sessions are gone.
    for _ in range(3):
        assert client.ssh(f"{LOGIN}@web1@bastion", "true").code == 0


def test_a_key_that_is_too_late_is_cut(lab, make_bastion):
    """The time to the first factor is absolute: bytes do not extend it."""
    bastion = make_bastion(service={"limits": {"first_factor": "2s", "login_grace": "4s"}})
    started = time.monotonic()
    with bastion.connect() as silent:
        silent.sendall(b"SSH-2.0-slow\r\n")
        while silent.recv(65536):
            pass
    assert 1.5 < time.monotonic() - started < 6


def test_peers_bytes_never_reach_the_log_unescaped(lab, make_bastion):
    bastion = make_bastion()
    mark = bastion.mark()
    with bastion.connect() as evil:
        evil.sendall(b"SSH-2.0-\x1b[31mred\x07\x9b31m\r\n")
        while evil.recv(65536):
            pass
    text = bastion.log_since(mark)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), repr(text)


def test_a_reload_that_is_wrong_changes_nothing_and_says_why(lab, make_bastion, tmp_path):
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    policy = make_policy(lab)
    policy["targets"]["web1"]["credentail"] = "certificate"
    bastion.reload(policy, expect=r'unknown key "credentail"')
    assert client.ssh(f"{LOGIN}@web1@bastion", "echo still").text == "still\n"


def test_a_reload_takes_a_user_away(lab, make_bastion, tmp_path):
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.bob)
    assert client.ssh(f"{LOGIN}@web1@bastion", "echo in").text == "in\n"
    policy = make_policy(lab)
    del policy["users"]["bob"]
    policy["rules"] = policy["rules"][:2]
    bastion.reload(policy)
    assert "Permission denied" in client.ssh(f"{LOGIN}@web1@bastion", "echo in").error


def test_sigterm_ends_sessions_with_a_message(lab, make_bastion, tmp_path):
    from support.process import Service

    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    running = Service(client.ssh_command(f"{LOGIN}@web1@bastion", "echo started; sleep 300"), tmp_path / "log", env=client.env)
    running.wait_for("started")
    bastion.stop()
    running.process.wait(10)
    running.reader.join(5)
    assert running.process.returncode == 255
    assert re.search("bastion: the bastion is being stopped", running.text()), running.text()


def test_a_policy_that_does_not_load_refuses_to_start(lab, tmp_path):
    from support import process
    from support.bastion import Bastion, binary

    policy = make_policy(lab)
    policy["rules"][0]["who"] = ["group:develoeprs"]
    broken = Bastion(lab, tmp_path / "b", policy)
    broken.write()
    for words in (["--config", broken.config], ["--check", "--config", broken.config]):
        done = process.run([binary(), *words])
        assert done.code != 0
        text = done.text + done.error
        assert re.search(r"policy\.yaml:\d+(:\d+)?: .*develoeprs", text), done
