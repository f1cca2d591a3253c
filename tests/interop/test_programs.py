"""Whole programs that people use over SSH: file trees, Ansible. sshfs is in test_sshfs.py."""

import os
import pathlib
import tempfile

import pytest

from support.process import run
from support.targets import LOGIN
from support.trees import make_tree, same

DESTINATION = f"{LOGIN}@web1@bastion"


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "tree")


@pytest.mark.parametrize("version", ["system", "openssh-new"])
@pytest.mark.parametrize("protocol", ["-O", "-s"])
def test_scp_copies_a_tree_there_and_back(protocol, version, alice, tree, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    alice.scp(protocol, "-r", "-p", tree, f"{DESTINATION}:{there}", version=version).ok()
    same(tree, there)
    alice.scp(protocol, "-r", f"{DESTINATION}:{there}", back, version=version).ok()
    same(tree, back)


def test_sftp_copies_a_tree_there_and_back(alice, tree, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    alice.sftp(DESTINATION, f"put -r {tree} {there}\nget -r {there}/tree {back}\nrename {there}/tree {there}/moved\n").ok()
    same(tree, back)
    same(tree, there / "moved")


def test_rsync_copies_a_tree_and_then_only_what_changed(alice, tree, tmp_path):
    there = tmp_path / "there"
    rsync = alice.peers / "bin/rsync"
    shell = " ".join(map(str, alice.ssh_command()))
    command = [rsync, "-a", "--stats", "-e", shell, f"--rsync-path={rsync}", f"{tree}/", f"{DESTINATION}:{there}"]
    run(command, env=alice.env, timeout=60).ok()
    same(tree, there)
    (tree / "large").write_bytes((tree / "large").read_bytes()[:-1] + b"!")
    # Of the same size, and perhaps written within the same second: rsync looks at both.
    os.utime(tree / "large", (1_000_000_000, 1_000_000_000))
    second = run(command, env=alice.env, timeout=60).ok()
    assert "Number of regular files transferred: 1\n" in second.text
    same(tree, there)


PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
    - ansible.builtin.file: {path: "FOLDER", state: directory}
    - ansible.builtin.copy: {src: "SOURCE", dest: "FOLDER/copied"}
    - ansible.builtin.copy: {content: "written\\n", dest: "FOLDER/written"}
    - ansible.builtin.command: uname -s
      register: uname
    - ansible.builtin.assert: {that: uname.stdout == "Linux"}
    - ansible.builtin.shell: "cat FOLDER/written >FOLDER/shell"
    - ansible.builtin.lineinfile: {path: "FOLDER/written", line: "another"}
    - ansible.builtin.stat: {path: "FOLDER/copied"}
      register: copied
    - ansible.builtin.assert: {that: copied.stat.size == 5000000}
    - ansible.builtin.slurp: {src: "FOLDER/shell"}
    - ansible.builtin.file: {path: "FOLDER/shell", state: absent}
"""


@pytest.fixture
def short_folder():
    """For sockets: their paths are limited to 107 bytes, which tmp_path and what ssh adds may exceed."""
    with tempfile.TemporaryDirectory(prefix="cp-") as folder:
        yield pathlib.Path(folder)


@pytest.mark.parametrize("user, pipelining", [(f"{LOGIN}@web1", "True"), (f"{LOGIN}+web1", "False")])
def test_ansible(user, pipelining, alice, tree, tmp_path, short_folder):
    folder = tmp_path / "ansible"
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK.replace("FOLDER", str(folder)).replace("SOURCE", str(tree / "large")))
    inventory = tmp_path / "inventory"
    inventory.write_text(
        f"web1 ansible_host=bastion ansible_user={user} ansible_python_interpreter=/usr/bin/python3\n"
    )
    env = alice.env | {
        "ANSIBLE_SSH_COMMON_ARGS": f"-F {alice.config}",
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=5s",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(short_folder),
        "ANSIBLE_SSH_PIPELINING": pipelining,
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible-local"),
        "ANSIBLE_REMOTE_TMP": str(tmp_path / "ansible-remote"),
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
    }
    done = run(["/usr/bin/ansible-playbook", "-i", inventory, playbook], env=env, timeout=150)
    assert done.code == 0 and "failed=0" in done.text and "ok=12" in done.text, done
    assert (folder / "written").read_text() == "written\nanother\n"
    assert (folder / "copied").stat().st_size == 5_000_000
