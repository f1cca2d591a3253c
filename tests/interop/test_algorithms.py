"""Every algorithm, in both roles, with every peer; what was negotiated is read from the peers' own words.

With OpenSSH every pair of values meets (the full product with BASTION_LONG=1); with the others each
algorithm is used at least once. What we do not offer is refused.
"""

import functools
import itertools
import pathlib
import re
import subprocess
import tempfile

import pytest

from support import keys, process
from support.bastion import Bastion, target_entry
from support.clients import Client
from support.fixtures import client_of, make_policy
from support.pairwise import pairs, product
from support.targets import LOGIN, negotiated

STANDARD = {
    "kex": [
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "diffie-hellman-group16-sha512",
    ],
    "cipher": [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    ],
    "mac": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"],
    "HostKeyAlgorithms": ["ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"],
}
COMPATIBLE = {
    "kex": [
        *STANDARD["kex"],
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha256",
    ],
    "cipher": STANDARD["cipher"],
    "mac": [*STANDARD["mac"], "hmac-sha2-256", "hmac-sha2-512"],
    "HostKeyAlgorithms": [
        *STANDARD["HostKeyAlgorithms"],
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
    ],
}
# The key that each of a user's algorithms needs.
USER_ALGORITHMS = {
    "ssh-ed25519": "ed25519",
    "rsa-sha2-256": "rsa",
    "rsa-sha2-512": "rsa",
    "ecdsa-sha2-nistp256": "ecdsa256",
    "ecdsa-sha2-nistp384": "ecdsa384",
    "ecdsa-sha2-nistp521": "ecdsa521",
    "ssh-ed25519-cert-v01@openssh.com": "ed25519",
    "rsa-sha2-256-cert-v01@openssh.com": "rsa",
    "rsa-sha2-512-cert-v01@openssh.com": "rsa",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com": "ecdsa256",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com": "ecdsa384",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com": "ecdsa521",
}
TREES = {"system": "openssh-system", "openssh-new": "openssh-new"}


@functools.cache
def listed(version: str, what: str) -> list[str]:
    """What `ssh -Q` of one version lists."""
    program = "/usr/bin/ssh" if version == "system" else process.peers() / version / "usr/bin/ssh"
    return subprocess.check_output([program, "-Q", what], text=True).split()


def both(version: str, what: str) -> list[str]:
    """What that version and `algorithms: compatible` have in common."""
    names = [name for name in COMPATIBLE[what] if name in listed(version, what)]
    assert len(names) >= 4, names
    return names


def cases(version: str) -> list[tuple[str, tuple[str, str], str]]:
    """Key exchange, cipher with MAC, and host key: with an AEAD the MAC says nothing and is the first."""
    kex, macs, host_keys = both(version, "kex"), both(version, "mac"), COMPATIBLE["HostKeyAlgorithms"]
    aeads = [(name, macs[0]) for name in both(version, "cipher") if not name.endswith("-ctr")]
    others = [name for name in both(version, "cipher") if name.endswith("-ctr")]
    if process.LONG:
        return product(kex, aeads + product(others, macs), host_keys)
    # Key exchange and host key meet in the first half; so in the second the host keys just take turns.
    turns = itertools.cycle(host_keys)
    return pairs(kex, aeads, host_keys) + [(k, (c, m), next(turns)) for k, c, m in pairs(kex, others, macs)]


def is_as_wanted(found: dict, kex: str, suite: tuple[str, str]) -> None:
    cipher, mac = suite
    expected = mac if cipher.endswith("-ctr") else "<implicit>"
    assert found["kex"] == kex
    assert (found["cipher_in"], found["cipher_out"]) == (cipher, cipher)
    assert (found["mac_in"], found["mac_out"]) == (expected, expected)


# ---- towards users


class World:
    """A bastion with every kind of host key, and a user with every kind of key and certificate."""

    def __init__(self, lab, folder: pathlib.Path):
        self.lab = lab
        self.folder = folder
        self.user_keys = {kind: keys.make_key(folder, f"user_{kind}", kind) for kind in keys.KEY_TYPES}
        self.host_keys = [keys.make_key(folder, f"host_{kind}", kind) for kind in keys.KEY_TYPES]
        self.ca = keys.make_key(folder, "corp_ca")
        for key in self.user_keys.values():
            keys.sign_key(self.ca, key, identity="all", principals="alice")
        policy = make_policy(lab)
        policy["users"]["alice"]["keys"] = [key.line for key in self.user_keys.values()]
        policy["user_cas"] = {"corp": {"key": self.ca.line, "principals_are": "users"}}
        service = {"algorithms": "compatible", "host_keys": [str(key.path) for key in self.host_keys]}
        self.bastion = Bastion(lab, folder / "compatible", policy, service).start()

    def client(self, folder: pathlib.Path, kind: str = "ed25519") -> Client:
        lines = [key.line for key in self.host_keys]
        return Client(folder, self.bastion.port, lines, self.user_keys[kind])


@pytest.fixture(scope="module")
def world(lab):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="alg-", dir=lab.folder))
    made = World(lab, folder)
    yield made
    made.bastion.stop()


def user_cases():
    """Each with one of the user's keys in turn."""
    turns = itertools.cycle(USER_ALGORITHMS)
    return [(version, *case, next(turns)) for version in TREES for case in cases(version)]


@pytest.mark.parametrize("version, kex, suite, host_key, user_key", user_cases(), ids=lambda part: "+".join(part) if isinstance(part, tuple) else None)
def test_openssh_as_client(version, kex, suite, host_key, user_key, world, tmp_path):
    client = world.client(tmp_path, USER_ALGORITHMS[user_key])
    # For the signature ssh wants the plain name of a certificate's algorithm, too.
    accepted = user_key + "," + user_key.replace("-cert-v01@openssh.com", "")
    options = [f"KexAlgorithms={kex}", f"Ciphers={suite[0]}", f"MACs={suite[1]}", f"HostKeyAlgorithms={host_key}",
               f"PubkeyAcceptedAlgorithms={accepted}"]  # fmt: skip
    if "-cert-" in user_key:
        options.append(f"CertificateFile={client.key.path}-cert.pub")
    done = client.ssh("-v", f"{LOGIN}@web1@bastion", "echo $((6 * 7))", version=version, options=options)
    assert (done.code, done.text) == (0, "42\n"), done
    found = negotiated(done.error)
    is_as_wanted(found, kex, suite)
    assert found["host_key"] == host_key
    wanted = r"ED25519|RSA|ECDSA" + ("-CERT" if "-cert-" in user_key else "")
    assert re.search(rf"Server accepts key: .*({wanted})", done.error), done.error


def test_nothing_but_the_listed_is_offered(lab, make_bastion, tmp_path):
    """What `ssh -Q` has and `algorithms: standard` has not finds no partner."""
    bastion = make_bastion()
    client = client_of(bastion, tmp_path, lab.alice)
    options = {"kex": "KexAlgorithms", "cipher": "Ciphers", "mac": "MACs", "HostKeyAlgorithms": "HostKeyAlgorithms"}
    for version in TREES:
        for what, option in options.items():
            others = [name for name in listed(version, what) if name not in STANDARD[what] and "cert" not in name]
            assert others, f"ssh -Q {what} lists something that we refuse"
            words = [f"{option}={','.join(others)}"]
            if what == "mac":
                words.append("Ciphers=aes128-ctr,aes192-ctr,aes256-ctr")
            done = client.ssh(f"{LOGIN}@web1@bastion", "true", version=version, options=words)
            assert done.code == 255
            assert "no matching" in done.error or "Unable to negotiate" in done.error, done
        for name in STANDARD["kex"] + STANDARD["cipher"] + STANDARD["mac"]:
            what = next(what for what in ("kex", "cipher", "mac") if name in STANDARD[what])
            if name in listed(version, what):
                words = [f"{options[what]}={name}"] + (["Ciphers=aes256-ctr"] if what == "mac" else [])
                assert client.ssh(f"{LOGIN}@web1@bastion", "true", version=version, options=words).code == 0, name


def by_name(prefix: str, names) -> list[str]:
    return [f"{prefix}={name}" for name in names]


ASYNCSSH = (
    # Debian's asyncssh has no post-quantum key exchange.
    by_name("kex_algs", [name for name in COMPATIBLE["kex"] if "mlkem" not in name and "sntrup" not in name])
    + by_name("encryption_algs", COMPATIBLE["cipher"])
    + by_name("mac_algs", COMPATIBLE["mac"])
    + by_name("server_host_key_algs", COMPATIBLE["HostKeyAlgorithms"])
)
PARAMIKO = (
    by_name("kex", [name for name in COMPATIBLE["kex"] if re.match("curve25519-sha256@|ecdh|diffie", name)])
    + by_name("ciphers", [name for name in COMPATIBLE["cipher"] if name.endswith("-ctr")])
    + by_name("digests", COMPATIBLE["mac"])
    + by_name("keys", COMPATIBLE["HostKeyAlgorithms"])
)
LIBSSH = (
    by_name("kex", [name for name in COMPATIBLE["kex"] if "sntrup" not in name and "mlkem" not in name])
    + by_name("ciphers", COMPATIBLE["cipher"])
    + by_name("macs", COMPATIBLE["mac"])
    + by_name("hostkeys", COMPATIBLE["HostKeyAlgorithms"])
)
SSH2 = (
    by_name("kex", [name for name in COMPATIBLE["kex"] if "sntrup" not in name and "mlkem" not in name])
    + by_name("cipher", COMPATIBLE["cipher"])
    + by_name("hmac", COMPATIBLE["mac"])
    + by_name("serverHostKey", COMPATIBLE["HostKeyAlgorithms"])
)
# A MAC is only used with a cipher that needs one.
WITH_A_MAC = {
    "mac_algs": "encryption_algs=aes256-ctr",
    "digests": "ciphers=aes256-ctr",
    "macs": "ciphers=aes256-ctr",
    "hmac": "cipher=aes256-ctr",
}


@pytest.mark.parametrize(
    "program, option",
    [("asyncssh", option) for option in ASYNCSSH]
    + [("paramiko", option) for option in PARAMIKO]
    + [("libssh", option) for option in LIBSSH]
    + [("ssh2", option) for option in SSH2],
)
def test_other_clients_with_one_algorithm(program, option, world, tmp_path):
    name, value = option.split("=")
    options = [option] + ([WITH_A_MAC[name]] if name in WITH_A_MAC else [])
    done = getattr(world.client(tmp_path), program)(f"{LOGIN}@web1", "echo $((6 * 7))", *options)
    assert (done.code, done.text) == (0, "42\n"), done
    if name in ("encryption_algs", "ciphers", "cipher", "mac_algs", "digests", "macs", "hmac"):
        assert value in done.error, done


@pytest.mark.parametrize("option", [("-c", "chacha20-poly1305@openssh.com"), ("-c", "aes128-ctr"), ("-c", "aes256-ctr"),
                                    ("-m", "hmac-sha2-256")])  # fmt: skip
def test_dbclient_with_one_algorithm(option, world, tmp_path):
    words = option + (("-c", "aes256-ctr") if option[0] == "-m" else ())
    client = world.client(tmp_path)
    command = ["/usr/bin/dbclient", "-y", "-y", "-T", *words, "-i", client.key.convert("dropbear"), "-p", client.port]
    done = process.run([*command, "-l", f"{LOGIN}+web1", "127.0.0.1", "echo $((6 * 7))"], env=client.env)
    assert (done.code, done.text) == (0, "42\n"), done


# A list of PuTTY's must be whole: what it leaves out, PuTTY puts in where it likes.
PUTTY_LISTS = {
    "Cipher": ["aesgcm", "chacha20", "aes", "3des", "des", "blowfish", "arcfour"],
    "KEX": ["ntru-curve25519", "ecdh", "dh-group18-sha512", "dh-group17-sha512", "dh-group16-sha512",
            "dh-group15-sha512", "dh-group14-sha1", "dh-gex-sha1", "rsa", "dh-group1-sha1"],
}  # fmt: skip
PUTTY = {
    ("Cipher", "aesgcm"): r"AES-\d+ GCM",
    ("Cipher", "chacha20"): "ChaCha20",
    ("Cipher", "aes"): "AES-256 SDCTR",
    ("KEX", "ecdh"): "Doing ECDH key exchange with curve Curve25519",
    ("KEX", "ntru-curve25519"): "Doing NTRU Prime / Curve25519 hybrid key exchange",
    ("KEX", "dh-group16-sha512"): "Doing Diffie-Hellman key exchange using 4096-bit .*SHA-512",
    ("KEX", "dh-group14-sha1"): "Doing Diffie-Hellman key exchange using 2048-bit .*SHA-256",
}


@pytest.mark.parametrize("what, name", PUTTY)
def test_plink_with_one_algorithm(what, name, world, tmp_path):
    client = world.client(tmp_path)
    sessions = client.folder / "home/.putty/sessions"
    sessions.mkdir(parents=True)
    # What stands behind WARN needs a question, which -batch answers with no.
    others = [other for other in PUTTY_LISTS[what] if other != name]
    (sessions / "one").write_text(f"{what}={','.join([name, 'WARN', *others])}\nProtocol=ssh\n")
    done = client.plink(f"{LOGIN}@web1", "echo $((6 * 7))", options=["-load", "one", "-v"])
    assert (done.code, done.text) == (0, "42\n"), done
    assert re.search(PUTTY[what, name], done.error), done


# ---- towards targets


def target_cases():
    return [(version, *case) for version in TREES for case in cases(version)]


TARGET_CASES = target_cases()



def target_name(number: int) -> str:
    return f"sshd{number}"


@pytest.fixture(scope="module")
def targets(lab):
    """An sshd for each case that has this one set of algorithms, and a bastion that knows them all."""
    policy = make_policy(lab)
    for number, (version, kex, (cipher, mac), host_key) in enumerate(TARGET_CASES):
        name = target_name(number)
        options = {"KexAlgorithms": kex, "Ciphers": cipher, "MACs": mac, "HostKeyAlgorithms": host_key,
                   "LogLevel": "DEBUG1"}  # fmt: skip
        lab.add_openssh(name, TREES[version], options)
    names = [f"async-{option.replace('=', '-').replace('_', '-').replace('@', '-')}" for option in ASYNCSSH_TARGET]
    options = [option + (";encryption_algs=aes256-ctr" if option.startswith("mac") else "") for option in ASYNCSSH_TARGET]
    lab.add_asyncssh(*names, options=tuple(options))
    lab.start()
    for name, target in lab.targets.items():
        policy["targets"].setdefault(name, target_entry(lab, target))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="alg-", dir=lab.folder))
    bastion = Bastion(lab, folder, policy, {"algorithms": "compatible"}).start()
    yield bastion
    bastion.stop()


ASYNCSSH_TARGET = [option for option in ASYNCSSH if not option.startswith("server_host_key")]


def case_id(number: int) -> str:
    version, kex, suite, host_key = TARGET_CASES[number]
    return "-".join([version, kex, "+".join(suite), host_key])


@pytest.mark.parametrize("number", range(len(TARGET_CASES)), ids=case_id)
def test_openssh_as_target(number, targets, lab, tmp_path):
    _, kex, suite, host_key = TARGET_CASES[number]
    target = lab.targets[target_name(number)]
    client = client_of(targets, tmp_path, lab.alice)
    mark = target.mark()
    done = client.ssh(f"{LOGIN}@{target.name}@bastion", "echo $((6 * 7))")
    assert (done.code, done.text) == (0, "42\n"), done
    found = target.negotiated(mark)
    is_as_wanted(found, kex, suite)
    assert found["host_key"] == host_key


# What Debian's dropbear and tinysshd have of ours; neither can be told to use less, so the bastion is.
DROPBEAR_TARGET = (
    by_name("kex", [name for name in COMPATIBLE["kex"] if re.match("curve25519|ecdh|.*group14", name)])
    + by_name("ciphers", ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"])
    + by_name("macs", ["hmac-sha2-256"])
    + by_name("host_keys", ["ssh-ed25519"])
)
TINYSSH_TARGET = (
    by_name("kex", [name for name in COMPATIBLE["kex"] if re.match("curve25519|sntrup.*@", name)])
    + by_name("ciphers", ["chacha20-poly1305@openssh.com"])
    + by_name("host_keys", ["ssh-ed25519"])
)


@pytest.mark.parametrize(
    "target, option", [("drop1", option) for option in DROPBEAR_TARGET] + [("tiny1", option) for option in TINYSSH_TARGET]
)
def test_other_targets_with_one_algorithm(target, option, lab, make_bastion, tmp_path):
    what, name = option.split("=")
    algorithms = {what: [name]}
    if name.endswith("-ctr") or what == "macs":
        algorithms = {"ciphers": ["aes256-ctr"], "macs": ["hmac-sha2-256"]} | algorithms
    bastion = make_bastion(service={"algorithms": algorithms})
    done = client_of(bastion, tmp_path, lab.alice).ssh("-v", f"{LOGIN}@{target}@bastion", "echo $((6 * 7))")
    assert (done.code, done.text) == (0, "42\n"), done
    assert name in negotiated(done.error).values(), "the same list holds on both legs"


@pytest.mark.parametrize("option", ASYNCSSH_TARGET)
def test_asyncssh_as_target(option, targets, lab, tmp_path):
    name = f"async-{option.replace('=', '-').replace('_', '-').replace('@', '-')}"
    done = client_of(targets, tmp_path, lab.alice).ssh(f"{LOGIN}@{name}@bastion", "echo $((6 * 7))")
    assert (done.code, done.text) == (0, "42\n"), done
