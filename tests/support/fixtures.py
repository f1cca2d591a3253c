"""Fixtures that the suites share: the targets of one run, and a bastion for each module.

A suite's conftest.py takes them over by `from support.fixtures import *`.
"""

import pathlib
import tempfile

import pytest

from support import keys
from support.bastion import Bastion, target_entry
from support.clients import Client
from support.targets import LOGIN, Lab

__all__ = ["lab", "bastion", "make_bastion", "alice", "bob", "stranger", "make_policy", "client_of"]


@pytest.fixture(scope="session")
def lab():
    """Every kind of target, and the keys of alice (who may all) and bob (who may run commands on web1)."""
    # A short path, since sockets' paths are limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bastion-") as folder:
        lab = Lab(pathlib.Path(folder))
        lab.alice = keys.make_key(lab.keys, "alice")
        lab.bob = keys.make_key(lab.keys, "bob")
        lab.stranger = keys.make_key(lab.keys, "stranger")
        lab.certified = keys.make_key(lab.keys, "certified")
        keys.sign_key(lab.user_ca, lab.certified, identity="direct", principals=LOGIN)
        lab.other_host_key = keys.make_key(lab.keys, "other_host_key")
        lab.add_openssh("web1", "openssh-system")
        lab.add_openssh("new1", "openssh-new")
        lab.add_openssh("rekey1", "openssh-system", {"RekeyLimit": "64K", "LogLevel": "DEBUG1"})
        lab.add_openssh("untrusting1", "openssh-system", trust=False)
        lab.add_dropbear("drop1")
        lab.add_tinyssh("tiny1")
        lab.add_asyncssh("async1")
        lab.add_silent("silent1")
        lab.add_down("down1")
        lab.start()
        lab.common = list(lab.targets)  # what each policy has; modules may add more for themselves
        try:
            yield lab
        finally:
            lab.close()


def make_policy(lab: Lab) -> dict:
    targets = {name: target_entry(lab, lab.targets[name]) for name in lab.common}
    targets["web1"]["labels"] = {"kind": "tunnel"}
    targets["changed1"] = targets["web1"] | {"host_keys": [lab.other_host_key.line], "labels": {}}
    return {
        "users": {
            "alice": {"keys": [lab.alice.line], "groups": ["developers"]},
            "bob": {"keys": [lab.bob.line], "groups": ["guests"]},
        },
        "targets": targets,
        "rules": [
            {
                "name": "developers-everywhere",
                "who": ["group:developers"],
                "targets": "all",
                "logins": [LOGIN],
                "allow": "all",
                "env": ["LC_*"],
            },
            {
                "name": "developers-tunnels",
                "who": ["group:developers"],
                "targets": {"kind": "tunnel"},
                "allow": ["jump"],
            },
            {
                "name": "guests-commands",
                "who": ["group:guests"],
                "targets": ["web1"],
                "logins": [LOGIN],
                "allow": ["exec"],
            },
        ],
    }


@pytest.fixture(scope="module")
def bastion(lab, request):
    """A bastion that the tests of one module share. Its BASTIOND_YAML, if there is one, is added to the settings."""
    folder = lab.folder / request.module.__name__.rsplit(".", 1)[-1]
    made = Bastion(lab, folder, make_policy(lab), getattr(request.module, "BASTIOND_YAML", None)).start()
    yield made
    made.stop()


@pytest.fixture
def make_bastion(lab, tmp_path_factory):
    """Makes bastions of their own: make_bastion(policy=…, service=…). They are stopped at the end."""
    made = []

    def make(policy: dict | None = None, service: dict | None = None) -> Bastion:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="own-", dir=lab.folder))
        made.append(Bastion(lab, folder, make_policy(lab) if policy is None else policy, service).start())
        return made[-1]

    yield make
    for each in made:
        each.stop()


def client_of(bastion: Bastion, folder: pathlib.Path, key: keys.Key) -> Client:
    return Client(folder, bastion.port, bastion.host_key_lines, key)


@pytest.fixture
def alice(lab, bastion, tmp_path):
    return client_of(bastion, tmp_path / "alice", lab.alice)


@pytest.fixture
def bob(lab, bastion, tmp_path):
    return client_of(bastion, tmp_path / "bob", lab.bob)


@pytest.fixture
def stranger(lab, bastion, tmp_path):
    return client_of(bastion, tmp_path / "stranger", lab.stranger)
