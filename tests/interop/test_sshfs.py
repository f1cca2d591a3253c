"""sshfs through the bastion: the target's files as a file system, each change of them told and held against the rule."""

import contextlib
import errno
import hashlib
import os
import pathlib
import re
import tempfile

import pytest

from support import process
from support.audit import Audited
from support.fixtures import client_of, make_policy
from support.targets import LOGIN
from support.trees import make_tree, same

DESTINATION = f"{LOGIN}@web1@bastion"


@pytest.fixture
def served(lab, make_bastion, tmp_path):
    """served(files): a bastion with an audit log whose only rule allows sftp with these, and alice's client."""
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:  # it becomes the recorder's, who must reach it

        def make(files: dict) -> Audited:
            policy = make_policy(lab)
            policy["rules"] = [
                {"name": "files", "who": "all", "targets": "all", "logins": "all", "allow": ["sftp"], "files": files}
            ]
            service = {"state_dir": str(tmp_path / "state"), "recording": {"reserve": "1MiB"}}
            audited = Audited(lab, make_bastion, pathlib.Path(folder), policy=policy, service=service)
            audited.alice = client_of(audited.bastion, tmp_path / "alice", lab.alice)
            return audited

        yield make


@contextlib.contextmanager
def mounted(audited: Audited, there: pathlib.Path):
    """The target's folder as one of ours. At the end of the block its session has ended, too."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this machine has no /dev/fuse")
    sessions = sum(event["event"] == "session.end" for event in audited.events())
    with tempfile.TemporaryDirectory(prefix="mounted-") as folder:
        command = ["/usr/bin/sshfs", "-F", audited.alice.config, f"{DESTINATION}:{there}", folder]
        done = process.run(command, env=audited.alice.env)
        if done.code != 0 and "fuse" in done.error and "ermitted" in done.error:
            pytest.skip(f"this machine does not let us mount: {done.error.strip()}")
        done.ok()
        try:
            yield pathlib.Path(folder)
        finally:
            process.run(["fusermount3", "-u", folder]).ok()
    audited.wait_for("session.end", sessions + 1)


def files_of(audited: Audited, number: int) -> list[dict]:
    """What the log has of the files of a session, by its number among those that have ended."""
    session = audited.wait_for("session.end", number)["session"]
    return [event for event in audited.of_session(session) if event["event"] == "file"]


def told(events: list[dict], outcome: str = "done") -> set[tuple[str, str]]:
    """(operation, name) of what had this outcome."""
    return {(e["operation"], pathlib.Path(e.get("path", "")).name) for e in events if e["outcome"] == outcome}


def digest_of(path: pathlib.Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_tree_goes_in_and_comes_out(served, tmp_path):
    audited = served({"digest": "sha256"})
    tree, there, back = make_tree(tmp_path / "tree"), tmp_path / "there", tmp_path / "back"
    there.mkdir()
    with mounted(audited, there) as here:
        process.run(["cp", "-r", tree, here / "tree"], timeout=60).ok()
        same(tree, there / "tree")
    with mounted(audited, there) as here:  # a mount that has seen none of it
        process.run(["cp", "-r", here / "tree", back], timeout=60).ok()
    same(tree, back)

    sizes = {str(path.relative_to(tree)): path.stat().st_size for path in tree.rglob("*") if path.is_file()}
    for number, way in ((1, "written"), (2, "read")):
        events = files_of(audited, number)
        closes = [e for e in events if e["operation"] == "close" and e["path"].startswith(str(there))]
        passed = {}
        for event in closes:
            name = str(pathlib.Path(event["path"]).relative_to(there / "tree"))
            passed[name] = passed.get(name, 0) + event[f"bytes_{way}"]
            if f"digest_{way}" in event:  # what did not pass in order has none
                assert event[f"digest_{way}"] == digest_of(tree / name), event
        assert passed == sizes, f"{way}: each file, and each octet once"
        assert sum(f"digest_{way}" in event for event in closes) > len(sizes) // 2
    assert {("mkdir", "tree"), ("mkdir", "folder 3"), ("mkdir", "deep")} <= told(files_of(audited, 1))
    audited.check()


def test_what_is_changed_is_changed_there_and_told(served, tmp_path):
    audited = served({"digest": "sha256"})
    there = tmp_path / "there"
    there.mkdir()
    for name in ("renamed", "over", "removed", "shorter", "longer", "appended", "written-into", "modes"):
        (there / name).write_bytes(name.encode() * 1000)
    (there / "gone").mkdir()
    with mounted(audited, there) as here:
        os.rename(here / "renamed", here / "new-name")
        os.rename(here / "over", here / "new-name")  # what is there goes
        os.unlink(here / "removed")
        os.truncate(here / "shorter", 10)
        os.truncate(here / "longer", 100_000)
        with (here / "appended").open("ab") as file:
            file.write(b"more")
        with (here / "written-into").open("r+b") as file:
            file.seek(5)
            file.write(b"MIDST")
        os.chmod(here / "modes", 0o640)
        os.mkdir(here / "made")
        os.rmdir(here / "gone")
        os.symlink("made", here / "link")
        assert os.readlink(here / "link") == "made"
        with pytest.raises(FileNotFoundError):
            (here / "missing").read_bytes()
    assert (there / "new-name").read_bytes() == b"over" * 1000
    assert (there / "shorter").read_bytes() == b"shortersho"
    assert (there / "longer").read_bytes() == (b"longer" * 1000).ljust(100_000, b"\0")
    assert (there / "appended").read_bytes() == b"appended" * 1000 + b"more"
    assert (there / "written-into").read_bytes() == (b"writt" + b"MIDST" + b"to" + b"written-into" * 999)
    assert (there / "modes").stat().st_mode & 0o777 == 0o640
    names = {"new-name", "shorter", "longer", "appended", "written-into", "modes", "made", "link"}
    assert {path.name for path in there.iterdir()} == names and os.readlink(there / "link") == "made"

    events = files_of(audited, 1)
    wanted = {("rename", "renamed"), ("rename", "over"), ("remove", "removed"), ("setstat", "shorter"), ("setstat", "longer"),
              ("setstat", "modes"), ("mkdir", "made"), ("rmdir", "gone"), ("symlink", "link"),
              ("open", "appended"), ("open", "written-into")}  # fmt: skip
    assert wanted <= told(events), wanted - told(events)
    by = {(event["operation"], pathlib.Path(event.get("path", "")).name): event for event in events}
    assert by["rename", "over"]["other_path"] == f"{there}/new-name"
    assert re.search(r"\bsize=10\b", by["setstat", "shorter"]["attributes"])
    assert (by["close", "appended"]["bytes_written"], by["close", "written-into"]["bytes_written"]) == (4, 5)
    assert not [event for event in events if "digest_written" in event], "no whole file passed"
    audited.check()


def test_a_read_only_rule_is_a_read_only_mount(served, tmp_path):
    audited = served({"read_only": True})
    there = make_tree(tmp_path / "there")
    kept = make_tree(tmp_path / "kept")
    with mounted(audited, there) as here:
        same(kept, here)
        changes = {
            "create": lambda: (here / "new").write_bytes(b"new"),
            "open": lambda: (here / "large").open("r+b"),
            "append": lambda: (here / "large").open("ab"),
            "truncate": lambda: os.truncate(here / "large", 1),
            "unlink": lambda: os.unlink(here / "empty"),
            "rename": lambda: os.rename(here / "empty", here / "full"),
            "mkdir": lambda: os.mkdir(here / "folder"),
            "rmdir": lambda: os.rmdir(here / "folder 1" / "deep"),
            "chmod": lambda: os.chmod(here / "large", 0o600),
            "utime": lambda: os.utime(here / "large", (1, 1)),
            "symlink": lambda: os.symlink("large", here / "link"),
            "link": lambda: os.link(here / "large", here / "link"),
        }
        for name, change in changes.items():
            with pytest.raises(OSError) as refused:
                change()
            assert refused.value.errno in (errno.EACCES, errno.EPERM), (name, refused.value)
        same(kept, here)
    same(kept, there)
    refused = told(files_of(audited, 1), "refused")
    wanted = {("open", "new"), ("open", "large"), ("remove", "empty"), ("rename", "empty"), ("mkdir", "folder"),
              ("rmdir", "deep"), ("setstat", "large"), ("symlink", "link"), ("hardlink", "large")}  # fmt: skip
    assert wanted <= refused, wanted - refused
    audited.check()
