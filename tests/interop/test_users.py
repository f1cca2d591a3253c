"""How users prove who they are: keys of every kind, security keys, certificates, and their restrictions."""

import pathlib
import tempfile

import pytest

from support import keys
from support.clients import Client
from support.fixtures import client_of, make_policy
from support.sk_agent import PRESENT, VERIFIED, SkAgent, SkKey
from support.targets import LOGIN
from support.wire import asyncssh

DESTINATION = f"{LOGIN}@web1@bastion"


@pytest.fixture
def sockets():
    """A folder whose paths are short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="bs") as folder:
        yield pathlib.Path(folder)


def sk_login(bastion, key: SkKey, folder: pathlib.Path, sockets: pathlib.Path):
    """ssh logs in with a security key that an agent holds."""
    path = sockets / f"agent-{folder.name}"
    folder.mkdir(parents=True, exist_ok=True)
    public = folder / "sk.pub"
    public.write_text(key.line + "\n")
    client = Client(folder / "client", bastion.port, bastion.host_key_lines, keys.Key(folder / "sk"))
    with SkAgent(path, [key]):
        return client.ssh(DESTINATION, "echo in", options=[f"IdentityAgent={path}"])


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_security_keys_need_a_touch(kind, lab, make_bastion, tmp_path, sockets):
    touched, untouched = SkKey(kind), SkKey(kind, flags=0)
    policy = make_policy(lab)
    policy["users"]["alice"]["keys"] = [touched.line, untouched.line]
    bastion = make_bastion(policy)
    assert sk_login(bastion, touched, tmp_path / "touched", sockets).text == "in\n"
    refused = sk_login(bastion, untouched, tmp_path / "untouched", sockets)
    assert refused.code == 255 and "Permission denied" in refused.error, refused


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_security_keys_with_verify_required(kind, lab, make_bastion, tmp_path, sockets):
    verified, only_touched = SkKey(kind, PRESENT | VERIFIED), SkKey(kind, PRESENT)
    policy = make_policy(lab)
    policy["users"]["alice"]["keys"] = [
        {"key": key.line, "verify_required": True} for key in (verified, only_touched)
    ]
    bastion = make_bastion(policy)
    assert sk_login(bastion, verified, tmp_path / "verified", sockets).text == "in\n"
    refused = sk_login(bastion, only_touched, tmp_path / "touched", sockets)
    assert refused.code == 255 and "Permission denied" in refused.error, refused


# ---- certificates of a user CA


@pytest.fixture(scope="module")
def corp(lab, request):
    """A bastion that trusts a user CA, and the CA."""
    from support.bastion import Bastion

    folder = pathlib.Path(tempfile.mkdtemp(prefix="corp-", dir=lab.folder))
    ca = keys.make_key(folder, "ca")
    policy = make_policy(lab)
    policy["users"]["alice"]["keys"] = []
    policy["users"]["bob"]["keys"] = []
    policy["user_cas"] = {"corp": {"key": ca.line, "principals_are": "users"}}
    bastion = Bastion(lab, folder / "bastion", policy).start()
    yield bastion, ca
    bastion.stop()


def certificate_login(corp, tmp_path, *command, principals="alice", options=(), ca=None, target="web1", host=False):
    bastion, corp_ca = corp
    key = keys.make_key(tmp_path, "user")
    certificate = keys.sign_key(
        ca or corp_ca, key, identity="a laptop", principals=principals, options=options, host=host
    )
    client = Client(tmp_path / "client", bastion.port, bastion.host_key_lines, key)
    words = [f"CertificateFile={certificate}"]
    return client.ssh(f"{LOGIN}@{target}@bastion", *(command or ("echo in",)), options=words)


def test_a_certificate_says_who_it_is(corp, tmp_path):
    assert certificate_login(corp, tmp_path).text == "in\n"


def test_a_certificate_for_several_names(corp, tmp_path):
    done = certificate_login(corp, tmp_path, principals="someone,alice")
    assert done.text == "in\n", done


REFUSED = {
    "another CA": {"ca": "another"},
    "an unknown principal": {"principals": "carol"},
    "no principal": {"principals": None},
    "expired": {"options": ["-V", "-2d:-1d"]},
    "not yet valid": {"options": ["-V", "+1d:+2d"]},
    "another address": {"options": ["-O", "source-address=192.0.2.0/24"]},
    "a critical option that nobody knows": {"options": ["-O", "critical:no-such@example.org=1"]},
    "a host certificate": {"host": True},
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_certificate_that_does_not_hold(why, corp, tmp_path):
    options = dict(REFUSED[why])
    if options.get("ca"):
        options["ca"] = keys.make_key(tmp_path, "another_ca")
    done = certificate_login(corp, tmp_path, **options)
    assert done.code == 255 and "Permission denied (publickey)" in done.error, done


@pytest.mark.parametrize("principals", [["alice,bob"], ["*"], [""], ["alice", "bob"]], ids=repr)
def test_sec_012_principals_are_whole_names(principals, corp, tmp_path):
    """The last names two known users, and the user name does not say which of them is meant."""
    bastion, ca = corp
    key = keys.make_key(tmp_path, "user")
    authority, public = asyncssh.read_private_key(str(ca.path)), asyncssh.read_public_key(f"{key.path}.pub")
    certificate = authority.generate_user_certificate(public, "a laptop", principals=principals)
    path = tmp_path / "user-cert.pub"
    certificate.write_certificate(str(path))
    client = Client(tmp_path / "client", bastion.port, bastion.host_key_lines, key)
    done = client.ssh(DESTINATION, "echo in", options=[f"CertificateFile={path}"])
    assert done.code == 255 and "Permission denied (publickey)" in done.error, done


@pytest.mark.parametrize("address", ["127.0.0.0/8", "127.0.0.1", "192.0.2.1,127.0.0.1"])
def test_a_source_address_that_fits(address, corp, tmp_path):
    done = certificate_login(corp, tmp_path, options=["-O", f"source-address={address}"])
    assert done.text == "in\n", done


@pytest.mark.parametrize("words", [["echo mine"], [], ["-s"]])
def test_sec_008_a_forced_command_takes_the_place_of_every_other(words, corp, tmp_path):
    bastion, ca = corp
    key = keys.make_key(tmp_path, "user")
    certificate = keys.sign_key(ca, key, identity="x", principals="alice", options=["-O", "force-command=echo forced"])
    client = Client(tmp_path / "client", bastion.port, bastion.host_key_lines, key)
    option = f"CertificateFile={certificate}"
    if words == ["-s"]:
        done = client.ssh("-s", DESTINATION, "sftp", options=[option])
    else:
        done = client.ssh("-T", DESTINATION, *words, options=[option])
    assert done.text == "forced\n", done


def test_a_certificates_extensions_limit_the_session(corp, tmp_path):
    done = certificate_login(corp, tmp_path, options=["-O", "clear"])
    assert done.text == "in\n", done
    (tmp_path / "tty").mkdir()
    key = keys.make_key(tmp_path / "tty", "user")
    certificate = keys.sign_key(corp[1], key, identity="x", principals="alice", options=["-O", "clear"])
    client = Client(tmp_path / "client2", corp[0].port, corp[0].host_key_lines, key)
    done = client.ssh("-tt", DESTINATION, "tty", options=[f"CertificateFile={certificate}"])
    assert "/dev/pts" not in done.text, done
    done = client.ssh("-W", "127.0.0.1:1", DESTINATION, options=[f"CertificateFile={certificate}"])
    assert "administratively prohibited" in done.error, done


def test_a_key_that_is_not_in_the_policy_next_to_one_that_is(lab, bastion, tmp_path):
    """What an agent does: several keys are offered, one is right. Who logs in is whose key has signed."""
    client = client_of(bastion, tmp_path, lab.bob)
    options = [f"IdentityFile={lab.stranger.path}", f"IdentityFile={lab.certified.path}"]
    done = client.ssh(DESTINATION, "echo in", options=options)
    assert done.text == "in\n", done


def test_the_key_that_signs_decides_and_not_the_one_that_was_offered(lab, bastion, tmp_path):
    """alice's key is only offered (its private half is not there); bob's signs: bob's rights hold."""
    only_public = tmp_path / "alice_public"
    only_public.with_suffix(".pub").write_text(lab.alice.line + "\n")
    client = client_of(bastion, tmp_path / "c", lab.bob)
    options = [f"IdentityFile={only_public}.pub"]
    done = client.ssh(DESTINATION, "echo in", options=options)
    assert done.text == "in\n", done
    shell = client.ssh("-T", DESTINATION, options=options, input=b"echo reached\n")
    assert "reached" not in shell.text, shell
