"""The other programs by themselves, without the bastion: each client reaches each server directly.

When one of these fails, what fails beside it is not the bastion's fault.
"""

import pytest

from support.clients import Client
from support.targets import LOGIN

TARGETS = ["web1", "new1", "drop1", "tiny1", "async1"]


@pytest.fixture(params=TARGETS)
def direct(request, lab, tmp_path):
    """A client of the target itself, with the key that every target trusts."""
    target = lab.targets[request.param]
    key = lab.certified if request.param == "async1" else lab.credential
    return Client(tmp_path, target.port, target.host_keys, key, name="target")


def test_ssh_reaches_every_target(direct):
    done = direct.ssh(f"{LOGIN}@target", "echo $((6 * 7)); exit 3")
    assert (done.code, done.text) == (3, "42\n"), done


CLIENTS = {
    "ssh-new": lambda client, command: client.ssh(f"{LOGIN}@target", command, version="openssh-new"),
    "dbclient": lambda client, command: client.dbclient(LOGIN, command),
    "plink": lambda client, command: client.plink(LOGIN, command),
    "asyncssh": lambda client, command: client.asyncssh(LOGIN, command),
    "paramiko": lambda client, command: client.paramiko(LOGIN, command),
    "libssh": lambda client, command: client.libssh(LOGIN, command),
    "ssh2": lambda client, command: client.ssh2(LOGIN, command),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_reaches_openssh(name, lab, tmp_path):
    target = lab.targets["web1"]
    client = Client(tmp_path, target.port, target.host_keys, lab.credential, name="target")
    done = CLIENTS[name](client, "echo $((6 * 7)); exit 3")
    assert (done.code, done.text) == (3, "42\n"), done
