"""File transfers under rules: what passes, what is refused, and what each program's user reads then."""

import asyncio
import pathlib
import struct
import sys

import asyncssh
import paramiko
import pytest

from support.fixtures import client_of, make_policy
from support.process import run
from support.targets import LOGIN

DESTINATION = f"{LOGIN}@web1@bastion"


@pytest.fixture
def ruled(lab, make_bastion, tmp_path):
    """ruled(files, allow): alice's client at a bastion whose only rule has these."""

    def make(files: dict, allow=("sftp",), service=None):
        policy = make_policy(lab)
        policy["rules"] = [
            {"name": "files", "who": "all", "targets": "all", "logins": "all", "allow": list(allow), "files": files}
        ]
        return client_of(make_bastion(policy=policy, service=service), tmp_path, lab.alice)

    return make


@pytest.fixture
def places(tmp_path) -> tuple[pathlib.Path, pathlib.Path]:
    """A file, and a folder of the target's."""
    source = tmp_path / "source"
    source.write_bytes(b"0123456789" * 50_000)
    there = tmp_path / "there"
    there.mkdir()
    return source, there


def test_read_only_sftp_downloads_and_refuses_every_change(ruled, places, tmp_path):
    source, there = places
    alice = ruled({"read_only": True})
    alice.sftp(DESTINATION, f"get {source} {tmp_path}/copy\nls -l {there}\n").ok()
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    for command in (f"put {source} {there}/new", f"mkdir {there}/d", f"rm {source}", f"rename {source} {there}/x",
                    f"chmod 600 {source}", f"ln -s {source} {there}/l"):
        done = alice.sftp(DESTINATION, command + "\n")
        assert done.code != 0 and "ermission denied" in done.error, (command, done)
    assert list(there.iterdir()) == [] and source.exists()


def test_upload_only_sftp(ruled, places, tmp_path):
    source, there = places
    alice = ruled({"allow": ["upload"]})
    alice.sftp(DESTINATION, f"put {source} {there}/new\n").ok()
    assert (there / "new").read_bytes() == source.read_bytes()
    done = alice.sftp(DESTINATION, f"get {there}/new {tmp_path}/copy\n")
    assert done.code != 0 and "ermission denied" in done.error, done


def test_paths_and_size(ruled, places, tmp_path):
    source, there = places
    alice = ruled({"paths": [f"{there}/**"], "deny_paths": [f"{there}/secret/**"], "size": "100KiB"})
    small = tmp_path / "small"
    small.write_bytes(b"s" * 102_400)
    (there / "secret").mkdir()
    alice.sftp(DESTINATION, f"cd {there}\nput {small} small\nget small {tmp_path}/back\n").ok()
    assert (tmp_path / "back").read_bytes() == small.read_bytes()
    for command in (f"put {source} {there}/large", f"put {small} {there}/secret/x", f"put {small} {tmp_path}/x",
                    f"put {small} {there}/secret/../../x", f"rename {there}/secret {there}/open"):
        done = alice.sftp(DESTINATION, command + "\n")
        assert done.code != 0 and "ermission denied" in done.error, (command, done)
    assert not (tmp_path / "x").exists() and not (there / "open").exists()
    assert not (there / "large").exists() or (there / "large").stat().st_size <= 102_400


def test_the_old_scp_is_allowed_by_rule_and_direction(ruled, places, tmp_path):
    source, there = places
    alice = ruled({"read_only": True, "scp": "allow"})
    alice.scp("-O", f"{DESTINATION}:{source}", tmp_path / "copy").ok()
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    done = alice.scp("-O", source, f"{DESTINATION}:{there}/new")
    assert done.code != 0 and "may not copy by the old scp protocol to upload" in done.error, done
    refused = alice.ssh(DESTINATION, "id")
    assert refused.code == 255 and "may not run commands" in refused.error, refused
    assert list(there.iterdir()) == []


def test_a_direction_is_what_the_target_makes_of_the_command(ruled, places, tmp_path):
    """sec_089: words that a shell, or the program, reads otherwise than they look."""
    source, there = places
    config, marker = tmp_path / "rsyncd.conf", tmp_path / "ran"
    config.write_text(f"use chroot = no\n[m]\npath = {there}\nearly exec = /usr/bin/touch {marker}\n")
    alice = ruled({"allow": ["upload"], "scp": "allow", "rsync": "allow"})
    for command in (f"scp -t {{-f,{source}}}", f"rsync --server -re.LsfxCIvu . --sender {source}",
                    f"rsync --server --sender . {source}", f"rsync --server . --daemon --config={config}"):
        done = alice.ssh(DESTINATION, command, input=b"\0\0\0\n@RSYNCD: 31.0\nm\n\n")
        assert done.code == 255 and done.out == b"" and "may not" in done.error, (command, done)
    assert not marker.exists()
    # What the clients send goes on.
    alice.scp("-O", source, f"{DESTINATION}:{there}/new").ok()
    assert (there / "new").read_bytes() == source.read_bytes()


def test_no_request_of_sftp_comes_before_sftp(ruled, places):
    """sec_085: asyncssh keeps what it was sent before a channel was anything, for the server that it starts then."""
    source, _ = places
    alice = ruled({"read_only": True})
    remove = struct.pack(">II", 1, len(str(source))) + str(source).encode()
    with paramiko.SSHClient() as ssh:
        ssh.load_host_keys(str(alice.known_hosts))
        ssh.connect("127.0.0.1", alice.port, f"{LOGIN}@async1", key_filename=str(alice.key.path), look_for_keys=False, allow_agent=False)
        channel = ssh.get_transport().open_session()
        channel.sendall(struct.pack(">IBI", 5, 1, 3) + struct.pack(">IB", 1 + len(remove), 13) + remove)
        channel.invoke_subsystem("sftp")
        sftp = paramiko.SFTPClient(channel)  # asks for the version, and hears it
        with pytest.raises(PermissionError):
            sftp.remove(str(source))
    assert source.exists()


def test_scp_by_sftp_is_refused_like_sftp(ruled, places):
    source, there = places
    done = ruled({"read_only": True}).scp("-s", source, f"{DESTINATION}:{there}/new")
    assert done.code != 0 and "ermission denied" in done.error, done
    assert list(there.iterdir()) == []


# Each copies a file there and back, then tries to write where it may not: it gets an error, or says one.


def by_paramiko(alice, source, there, back, forbidden):
    with paramiko.SSHClient() as ssh:
        ssh.load_host_keys(str(alice.known_hosts))
        ssh.connect("127.0.0.1", alice.port, f"{LOGIN}@web1", key_filename=str(alice.key.path), look_for_keys=False, allow_agent=False)
        sftp = ssh.open_sftp()
        sftp.put(str(source), str(there))
        sftp.get(str(there), str(back))  # asks for all of the file at once
        with pytest.raises(PermissionError, match="not allowed"):
            sftp.put(str(source), str(forbidden))


def by_asyncssh(alice, source, there, back, forbidden):
    async def copy():
        async with asyncssh.connect(
            "127.0.0.1", alice.port, username=f"{LOGIN}@web1", client_keys=[str(alice.key.path)],
            known_hosts=str(alice.known_hosts), agent_path=None, config=None,
        ) as connection, connection.start_sftp_client() as sftp:  # fmt: skip
            await sftp.put(str(source), str(there), block_size=8192, max_requests=256)
            await sftp.get(str(there), str(back), block_size=8192, max_requests=256)
            # More refusals than any window has room for, all at once.
            for _ in range(40):
                done = await asyncio.gather(*(sftp.remove(str(forbidden)) for _ in range(500)), return_exceptions=True)
                assert all(isinstance(each, asyncssh.SFTPPermissionDenied) for each in done), done[0]

    asyncio.run(copy())


def by_curl(alice, source, there, back, forbidden):
    common = ["/usr/bin/curl", "-sS", "--insecure", "--key", alice.key.path, "--pubkey", f"{alice.key.path}.pub", "-u", f"{LOGIN}+web1:"]
    place = f"sftp://127.0.0.1:{alice.port}"
    run([*common, "-T", source, f"{place}{there}"], env=alice.env).ok()
    run([*common, "-o", back, f"{place}{there}"], env=alice.env).ok()
    refused = run([*common, "-T", source, f"{place}{forbidden}"], env=alice.env)
    assert refused.code != 0 and "ermission denied" in refused.error, refused


def by_lftp(alice, source, there, back, forbidden):
    def lftp(command):
        connect = f"set sftp:connect-program 'ssh -a -x -F {alice.config}'; set net:max-retries 1; open -u {LOGIN}+web1,none sftp://bastion"
        return run(["/usr/bin/lftp", "-c", f"{connect}; {command}"], env=alice.env)

    lftp(f"put {source} -o {there}; get {there} -o {back}").ok()
    refused = lftp(f"put {source} -o {forbidden}")
    assert refused.code != 0 and "not allowed" in refused.error, refused


def by_psftp(alice, source, there, back, forbidden):
    alice.psftp(f"{LOGIN}@web1", f"put {source} {there}\nget {there} {back}\n").ok()
    refused = alice.psftp(f"{LOGIN}@web1", f"put {source} {forbidden}\n")
    assert "permission denied" in (refused.error + refused.text).lower(), refused


@pytest.mark.parametrize("copy", [by_paramiko, by_asyncssh, by_curl, by_lftp, by_psftp])
def test_other_clients(copy, ruled, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    there, closed = tmp_path / "there", tmp_path / "closed"
    source.write_bytes(bytes(range(256)) * 16_384)
    there.mkdir()
    closed.mkdir()
    # The libssh2 of Debian 12's curl agrees on nothing with our standard algorithms.
    alice = ruled({"deny_paths": [f"{closed}/**"]}, service={"algorithms": "compatible"})
    copy(alice, source, there / "copy", back, closed / "copy")
    assert (there / "copy").read_bytes() == back.read_bytes() == source.read_bytes()
    assert list(closed.iterdir()) == []
