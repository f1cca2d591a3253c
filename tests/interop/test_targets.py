"""The bastion as a client: every kind of target, every way to trust one and to be trusted by one."""

import os
import re
from datetime import datetime

import pytest

from support import keys, process
from support.fixtures import client_of, make_policy
from support.targets import LOGIN

KIND_NAMES = {"rsa": "RSA", "ecdsa256": "ECDSA", "ecdsa521": "ECDSA"}
TARGETS = ["web1", "new1", "drop1", "tiny1", "async1"]
MIB = 1 << 20


@pytest.mark.parametrize("target", TARGETS)
def test_a_command_with_its_streams_and_status(target, alice):
    done = alice.ssh(f"{LOGIN}@{target}@bastion", "cat; echo err >&2; exit 9", input=b"in and out\n")
    assert (done.code, done.text) == (9, "in and out\n"), done
    assert "err\n" in done.error


@pytest.mark.parametrize("target", TARGETS)
def test_bulk_both_ways(target, alice):
    data = os.urandom(MIB) * 8
    done = alice.ssh(f"{LOGIN}@{target}@bastion", "cat", input=data, timeout=90)
    assert done.code == 0 and done.out == data, done.error


# dropbear has no sftp of its own, and looks for OpenSSH's where Debian does not put it.
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "drop1"])
def test_sftp(target, alice, tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(300_000))
    alice.sftp(f"{LOGIN}@{target}@bastion", f"put {source} {copy}\n").ok()
    assert copy.read_bytes() == source.read_bytes()


# tinysshd started by hand gives no terminal to its user's own client either.
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "tiny1"])
def test_a_terminal(target, alice):
    done = alice.ssh("-tt", f"{LOGIN}@{target}@bastion", "echo here-$((40 + 2)); exit 4")
    assert "here-42" in done.text and done.code == 4, done


@pytest.mark.parametrize("target", ["web1", "new1"])
def test_the_targets_own_host_keys_are_not_passed_on(target, alice):
    """hostkeys-00@openssh.com of the target would teach the user's client keys of another host."""
    done = alice.ssh("-v", f"{LOGIN}@{target}@bastion", "true", options=["UpdateHostKeys=yes"])
    assert done.code == 0
    assert len(alice.known_hosts.read_text().splitlines()) == 2, "nothing was added"


# ---- how the bastion logs in


@pytest.mark.parametrize("kind", list(keys.KEY_TYPES))
def test_a_key_file_of_each_kind(kind, lab, make_bastion, tmp_path):
    key = keys.make_key(tmp_path, "credential", kind)
    authorized = lab.home / ".ssh/authorized_keys"
    before = authorized.read_text()
    authorized.write_text(before + key.line + "\n")
    try:
        policy = make_policy(lab)
        for name in ("web1", "new1", "drop1"):
            policy["targets"][name]["credential"] = {"key_file": str(key.path)}
        client = client_of(make_bastion(policy), tmp_path / "c", lab.alice)
        for name in ("web1", "new1") + (("drop1",) if kind != "ecdsa384" else ()):
            done = client.ssh(f"{LOGIN}@{name}@bastion", "echo in")
            assert done.text == "in\n", done
    finally:
        authorized.write_text(before)


def certificate_of(client, tmp_path, target: str = "web1") -> str:
    """The certificate that a target was shown, as ssh-keygen prints it."""
    done = client.ssh(f"{LOGIN}@{target}@bastion", "cat $SSH_USER_AUTH").ok()
    shown = tmp_path / "shown-cert.pub"
    shown.write_text(done.text.removeprefix("publickey "))
    return process.run(["ssh-keygen", "-L", "-f", shown]).ok().text


@pytest.mark.parametrize("kind", ["rsa", "ecdsa256", "ecdsa521"])
def test_a_user_ca_of_each_kind(kind, lab, make_bastion, tmp_path):
    ca = keys.make_key(tmp_path, "user_ca", kind)
    name = f"ca-{kind}"
    lab.add_openssh(name, "openssh-system", {"TrustedUserCAKeys": f"{ca.path}.pub"})
    lab.start()
    from support.bastion import target_entry

    policy = make_policy(lab)
    policy["targets"][name] = target_entry(lab, lab.targets[name])
    client = client_of(make_bastion(policy, {"user_ca": str(ca.path)}), tmp_path / "c", lab.alice)
    shown = certificate_of(client, tmp_path, name)
    assert f"Signing CA: {KIND_NAMES[kind]} {ca.fingerprint}" in shown, shown


def test_the_session_certificate_is_narrow(alice, tmp_path):
    shown = certificate_of(alice, tmp_path)
    assert "user certificate" in shown and re.search(rf"Principals: +\n +{LOGIN}\n", shown), shown
    assert "source-address 127.0.0.1" in shown, shown
    begin, end = re.search(r"Valid: from (\S+) to (\S+)", shown).groups()
    minutes = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 60
    assert 0 < minutes <= 30, shown


def test_the_session_certificate_allows_only_what_was_granted(bob, alice, tmp_path):
    """bob may run commands: the target itself would refuse him a terminal or a forwarding."""
    alices = set(re.findall(r"permit-\S+", certificate_of(alice, tmp_path)))
    assert {"permit-pty", "permit-port-forwarding", "permit-agent-forwarding"} <= alices
    bobs = set(re.findall(r"permit-\S+", certificate_of(bob, tmp_path)))
    assert not {"permit-port-forwarding", "permit-agent-forwarding", "permit-X11-forwarding", "permit-user-rc"} & bobs


# ---- how the bastion knows a target


def known_hosts(folder, text: str) -> str:
    path = folder / "known_hosts"
    path.write_text(text)
    return str(path)


def bastion_with(make_bastion, lab, **entry):
    policy = make_policy(lab)
    policy["targets"]["web1"].pop("host_keys")
    policy["targets"]["web1"] |= entry
    return make_bastion(policy)


def test_known_hosts_with_plain_hashed_and_ported_names(lab, make_bastion, tmp_path):
    target = lab.targets["web1"]
    line = target.host_keys[0]
    forms = {
        "plain": f"[127.0.0.1]:{target.port} {line}\n",
        "name": f"[web1]:{target.port} {line}\n",
        "glob": f"# comment\n\n[127.0.*]:{target.port},other {line} a comment\n",
    }
    for name, text in forms.items():
        folder = tmp_path / name
        folder.mkdir()
        path = known_hosts(folder, text)
        if name == "plain":
            process.run(["ssh-keygen", "-H", "-f", path]).ok()
            assert "|1|" in (folder / "known_hosts").read_text()
        client = client_of(bastion_with(make_bastion, lab, known_hosts=path), folder, lab.alice)
        done = client.ssh(f"{LOGIN}@web1@bastion", "echo in")
        assert done.text == "in\n", (name, done)


@pytest.fixture(scope="module")
def certified(lab):
    """A target with a host certificate for web1, and its CA."""
    folder = lab.folder / "certified"
    folder.mkdir()
    ca = keys.make_key(folder, "host_ca")
    key = keys.make_key(folder, "host_key")
    certificate = keys.sign_key(ca, key, identity="web1", principals="web1,127.0.0.1", host=True)
    lab.add_openssh("certified1", "openssh-system", {"HostCertificate": str(certificate)}, host_keys=[key])
    lab.start()
    return ca, key


def target_with(lab, **entry):
    return {"address": "127.0.0.1", "port": lab.targets["certified1"].port} | entry


@pytest.mark.parametrize("how", ["host_ca", "known_hosts"])
def test_a_host_ca(how, lab, certified, make_bastion, tmp_path):
    ca, _ = certified
    entry = {"host_ca": ca.line} if how == "host_ca" else {
        "known_hosts": known_hosts(tmp_path, f"@cert-authority * {ca.line}\n")
    }
    policy = make_policy(lab)
    policy["targets"]["web1"] = target_with(lab, **entry)
    done = client_of(make_bastion(policy), tmp_path / "c", lab.alice).ssh(f"{LOGIN}@web1@bastion", "echo in")
    assert done.text == "in\n", done


@pytest.mark.parametrize("how", ["another CA", "revoked CA", "revoked key", "another name"])
def test_a_host_certificate_that_is_not_to_be_trusted(how, lab, certified, make_bastion, tmp_path):
    ca, key = certified
    other = keys.make_key(tmp_path, "other_ca")
    text = {
        "another CA": f"@cert-authority * {other.line}\n",
        "revoked CA": f"@cert-authority * {ca.line}\n@revoked * {ca.line}\n",
        "revoked key": f"@cert-authority * {ca.line}\n@revoked * {key.line}\n",
        "another name": f"@cert-authority elsewhere.example.org {ca.line}\n",
    }[how]
    policy = make_policy(lab)
    policy["targets"]["web1"] = target_with(lab, known_hosts=known_hosts(tmp_path, text))
    done = client_of(make_bastion(policy), tmp_path / "c", lab.alice).ssh(f"{LOGIN}@web1@bastion", "echo in")
    assert done.code == 255 and done.text == "" and "host key" in done.error, done


# ---- names and addresses


def test_a_pattern_never_reaches_the_bastions_own_machine(lab, make_bastion, tmp_path):
    """Whoever may choose a name must not choose a loopback address by it."""
    policy = make_policy(lab)
    web1 = lab.targets["web1"]
    policy["targets"]["*.localhost"] = {"address": "{name}", "port": web1.port, "host_keys": web1.host_keys}
    mark = web1.mark()
    client = client_of(make_bastion(policy), tmp_path, lab.alice)
    for name in ("localhost", "x.localhost"):
        done = client.ssh(f"{LOGIN}@{name}@bastion", "echo in")
        assert done.code == 255 and done.text == "" and name in done.error, done
    assert web1.log_since(mark) == "", "it was not even connected"


def test_a_target_by_its_dns_name(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["targets"]["web1"]["address"] = "localhost"
    done = client_of(make_bastion(policy), tmp_path, lab.alice).ssh(f"{LOGIN}@web1@bastion", "echo in")
    assert done.text == "in\n", done


def test_a_name_that_does_not_resolve(lab, make_bastion, tmp_path):
    policy = make_policy(lab)
    policy["targets"]["lost1"] = policy["targets"]["web1"] | {"address": "no-such-host.invalid"}
    done = client_of(make_bastion(policy), tmp_path, lab.alice).ssh(f"{LOGIN}@lost1@bastion", "echo in", timeout=40)
    assert done.code == 255 and "lost1" in done.error, done


def test_the_bastions_own_host_certificate(lab, make_bastion, tmp_path):
    """A client that trusts the CA needs no first-contact question."""
    ca = keys.make_key(tmp_path, "host_ca")
    key = keys.make_key(tmp_path, "own_host_key")
    certificate = keys.sign_key(ca, key, identity="bastion", principals="bastion", host=True)
    service = {"host_keys": [str(key.path)], "host_certificates": [str(certificate)]}
    client = client_of(make_bastion(service=service), tmp_path / "c", lab.alice)
    client.known_hosts.write_text(f"@cert-authority bastion {ca.line}\n")
    done = client.ssh("-v", f"{LOGIN}@web1@bastion", "echo in")
    assert done.text == "in\n", done
    assert "Host certificate" in done.error or "matches the host certificate" in done.error.lower() or "ssh-ed25519-cert" in done.error
