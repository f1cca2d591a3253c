"""Every form in which people and programs name a target."""

import pytest

from support import process
from support.fixtures import client_of, make_policy
from support.targets import LOGIN

ECHO = "echo $((6 * 7))"
VERSIONS = ["system", "openssh-new"]


def check(done):
    assert (done.code, done.text) == (0, "42\n"), done


def forms(port):
    """What stands before the command, for ssh."""
    return {
        "argument": [f"{LOGIN}@web1@bastion"],
        "-l": ["-l", f"{LOGIN}@web1", "bastion"],
        "-l before its host": ["-l", f"{LOGIN}+web1", "bastion"],
        "-o User": ["-o", f"User={LOGIN}@web1", "bastion"],
        "plus": [f"{LOGIN}+web1@bastion"],
        "identity": [f"alice+{LOGIN}@web1@bastion"],
        "identity and plus": [f"alice+{LOGIN}+web1@bastion"],
        "upper case": [f"{LOGIN}@WEB1@bastion"],
        "own port": [f"{LOGIN}@web1+{port}@bastion"],
        "uri with escapes": [f"ssh://{LOGIN}%40web1@bastion"],
        "uri with plus": [f"ssh://{LOGIN}%2Bweb1@bastion"],
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", forms(0))
def test_ssh_in_every_form(form, version, alice, lab):
    words = forms(lab.targets["web1"].port)[form]
    check(alice.ssh(*words, ECHO, version=version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_host_of_ssh_config(version, alice):
    alice.write_config(f"Host web\n  HostName 127.0.0.1\n  Port {alice.port}\n  User {LOGIN}@web1\n"
                       f"  HostKeyAlias bastion\n  IdentityFile {alice.key.path}\n")  # fmt: skip
    check(alice.ssh("web", ECHO, version=version))


def test_another_port_reaches_another_server(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    port = lab.targets["new1"].port
    policy["targets"]["web1"]["ports"] = [port]
    client = client_of(make_bastion(policy), tmp_path, lab.alice)
    mark = lab.targets["new1"].mark()
    check(client.ssh(f"{LOGIN}@web1+{port}@bastion", ECHO))
    assert "Accepted publickey" in lab.targets["new1"].log_since(mark)
    check(client.ssh(f"{LOGIN}+web1+{port}@bastion", ECHO))


def test_a_port_that_the_policy_does_not_name_is_refused(alice, lab):
    done = alice.ssh(f"{LOGIN}@web1+{lab.targets['new1'].port}@bastion", ECHO)
    assert done.code == 255
    assert "bastion: " in done.error and "42" not in done.text, done


@pytest.mark.parametrize("program", ["dbclient", "plink", "asyncssh", "paramiko", "libssh", "ssh2"])
@pytest.mark.parametrize("user", [f"{LOGIN}@web1", f"{LOGIN}+web1", f"alice+{LOGIN}+web1"])
def test_other_clients(program, user, alice):
    check(getattr(alice, program)(user, ECHO))


def test_plink_with_both_in_one_argument(alice):
    command = ["/usr/bin/plink", *alice._putty("unused"), f"{LOGIN}@web1@127.0.0.1", ECHO]
    index = command.index("-l")
    del command[index : index + 2]
    check(process.run(command, env=alice.env))


# ---- files


@pytest.fixture
def files(tmp_path):
    """A file to copy, where to, and what it holds."""
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(range(256)) * 300)
    return source, tmp_path / "copy.bin", source.read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("protocol", ["-O", "-s"])
@pytest.mark.parametrize("place", ["{login}@web1@bastion:{path}", "{login}+web1@bastion:{path}",
                                   "scp://{login}%40web1@bastion/{path}", "scp://{login}%2Bweb1@bastion/{path}"])  # fmt: skip
def test_scp(version, protocol, place, alice, files):
    source, copy, data = files
    far = place.format(login=LOGIN, path=copy)
    alice.scp(protocol, source, far, version=version).ok()
    assert copy.read_bytes() == data
    back = copy.with_name("back.bin")
    alice.scp(protocol, far, back, version=version).ok()
    assert back.read_bytes() == data


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", ["{login}@web1@bastion", "{login}+web1@bastion", "sftp://{login}%40web1@bastion"])
def test_sftp(version, place, alice, files):
    source, copy, data = files
    alice.sftp(place.format(login=LOGIN), f"put {source} {copy}\nls -l {copy}\n", version=version).ok()
    assert copy.read_bytes() == data


def test_psftp(alice, files):
    source, copy, data = files
    alice.psftp(f"{LOGIN}@web1", f"put {source} {copy}\n").ok()
    assert copy.read_bytes() == data


@pytest.mark.parametrize("protocol", ["-sftp", "-scp"])
def test_pscp(protocol, alice, files):
    source, copy, data = files
    alice.pscp(f"{LOGIN}+web1", str(source), f":{copy}", protocol=protocol).ok()
    assert copy.read_bytes() == data


@pytest.mark.parametrize("user", [f"{LOGIN}@web1", f"{LOGIN}+web1"])
def test_curl(user, lab, make_bastion, files, tmp_path):
    """libssh2 before 1.11, which Debian 12 has, knows no MAC of `algorithms: standard`."""
    alice = client_of(make_bastion(service={"algorithms": "compatible"}), tmp_path / "c", lab.alice)
    source, copy, data = files
    assert alice.curl(user, str(source)).ok().out == data
    alice.curl(user, str(copy), "-T", source).ok()
    assert copy.read_bytes() == data


def test_lftp(alice, files):
    source, copy, data = files
    alice.lftp(f"{LOGIN}+web1", f"put {source} -o {copy}").ok()
    assert copy.read_bytes() == data


def test_rsync(alice, files):
    source, copy, data = files
    shell = " ".join(str(word) for word in alice.ssh_command())
    rsync = alice.peers / "bin/rsync"
    command = [rsync, "-a", "-e", shell, f"--rsync-path={rsync}", source, f"{LOGIN}@web1@bastion:{copy}"]
    process.run(command, env=alice.env).ok()
    assert copy.read_bytes() == data


@pytest.mark.parametrize("place", ["{login}@web1@bastion:{path}", "ssh://{login}+web1@bastion{path}",
                                   "ssh://{login}%40web1@bastion{path}"])  # fmt: skip
def test_git(place, alice, tmp_path):
    origin = tmp_path / "origin.git"
    process.run(["git", "init", "-q", "--bare", "-b", "main", origin]).ok()
    env = alice.env | {
        "GIT_SSH_COMMAND": " ".join(str(word) for word in alice.ssh_command()),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "tester@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    work = tmp_path / "work"
    process.run(["git", "clone", "-q", place.format(login=LOGIN, path=origin), work], env=env).ok()
    (work / "file").write_bytes(b"\0\1\2" * 100_000)
    for command in (["checkout", "-q", "-b", "main"], ["add", "file"], ["commit", "-q", "-m", "first"],
                    ["push", "-q", "origin", "main"]):  # fmt: skip
        process.run(["git", "-C", work, *command], env=env).ok()
    again = tmp_path / "again"
    process.run(["git", "clone", "-q", place.format(login=LOGIN, path=origin), again], env=env).ok()
    assert (again / "file").read_bytes() == (work / "file").read_bytes()


# ---- tunnels and the list


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("host", ["web1", "127.0.0.1"])
def test_proxy_jump_reaches_a_target_by_its_name_or_address(version, host, alice, lab):
    """The user's own key goes through to the target, which trusts it for this test."""
    target = lab.targets["web1"]
    alice.write_config(f"Host {host}\n  Port {target.port}\n  IdentityFile {lab.credential.path}\n"
                       f"  HostKeyAlias target\n  User {LOGIN}\n"
                       f"  ProxyCommand {' '.join(map(str, alice.ssh_command(version=version)))} -W %h:%p bastion\n")  # fmt: skip
    with open(alice.known_hosts, "a") as known:
        known.writelines(f"target {line}\n" for line in target.host_keys)
    check(alice.ssh(host, ECHO, version=version))


@pytest.mark.parametrize("version", VERSIONS)
def test_dash_j(version, alice, lab):
    target = lab.targets["web1"]
    with open(alice.known_hosts, "a") as known:
        known.writelines(f"target {line}\n" for line in target.host_keys)
    alice.write_config(f"Host web1\n  Port {target.port}\n  IdentityFile {lab.credential.path}\n  HostKeyAlias target\n")
    # The inner ssh that -J starts takes the same -F; only its name is looked up in PATH.
    check(alice.ssh("-J", "bastion", f"{LOGIN}@web1", ECHO, version=version))


@pytest.mark.parametrize("words", [[], ["ls"]])
def test_no_target_gives_the_list(words, alice):
    done = alice.ssh("bastion", *words)
    assert done.code == 0, done
    for name in ("web1", "new1", "drop1"):
        assert name in done.text, done
    assert all(len(line) <= 120 for line in done.text.splitlines())


def test_the_list_has_what_this_user_may_reach_only(bob):
    done = bob.ssh("bastion")
    assert "web1" in done.text and "drop1" not in done.text, done


def test_another_users_name_with_my_key_is_refused(alice):
    for user in (f"bob+{LOGIN}@web1", f"bob+{LOGIN}+web1", "bob"):
        done = alice.ssh("-l", user, "bastion", ECHO)
        assert done.code == 255, done
        assert "42" not in done.text
