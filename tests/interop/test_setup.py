"""What a newcomer sees where something is in the way: one line with the cause and one with the cure.

deploy/setup is run as an ordinary user in a folder of its own; programs of the machine that it asks are put in
front of the real ones, so that nothing here can install or change anything.
"""

import os
import pathlib
import re
import shutil
import socket
import tempfile

import pytest

from support import process
from support.bastion import Bastion
from support.fixtures import make_policy
from support.process import run
from support.targets import LOGIN

ROOT = process.ROOT
NOBODY = 65534
# The bare machine: neither sudo nor apt-get, which no test here may reach.
PROGRAMS = ("bash sh awk cat comm cut date dpkg dpkg-query env find flock getconf grep head id install mkdir mktemp mv "
            "printf ps realpath dirname rm sed sort tail tee touch tr uname").split()  # fmt: skip


class Newcomer:
    """Runs deploy/setup with PATH at one folder; say() puts a program of ours there."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in PROGRAMS:
            if found := shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin"):
                (self.bin / name).symlink_to(found)
        shutil.copy(ROOT / "deploy/setup", folder / "setup")
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o777)
        folder.chmod(0o755)

    def put(self, name: str, text: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text("#!/bin/sh\n" + text)
        (self.bin / name).chmod(0o755)

    def setup(self, *words, wrapper=()) -> process.Done:
        env = {"PATH": str(self.bin), "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}
        as_nobody = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [*(as_nobody if os.getuid() == 0 else []), *wrapper, "/bin/bash", self.folder / "setup", *words]
        return run(command, env=env, cwd="/")


@pytest.fixture
def newcomer():
    with tempfile.TemporaryDirectory(prefix="setup-") as folder:
        yield Newcomer(pathlib.Path(folder))


def lines(done: process.Done) -> list[str]:
    return done.error.splitlines()


def test_an_old_kernel(newcomer):
    newcomer.put("uname", 'case $1 in -r) echo 5.10.0-28-amd64 ;; *) exec /usr/bin/uname "$@" ;; esac\n')
    done = newcomer.setup("build")
    assert done.code == 1 and done.text == "", done
    cause, cure = lines(done)
    assert cause == "deploy/setup: the kernel is 5.10.0-28-amd64; bastiond needs Linux 6.1 for its io_uring"
    assert cure.startswith("  cure: boot Debian's own kernel (package linux-image-"), cure


def deny_io_uring() -> list:
    """Words before a command that take io_uring_setup away from it, as a container's seccomp profile does."""
    program = (
        "import ctypes, os, struct, sys\n"
        "code = struct.pack('HBBI' * 4, 0x20, 0, 0, 0, 0x15, 0, 1, 425, 6, 0, 0, 0x50001, 6, 0, 0, 0x7fff0000)\n"
        "kept = ctypes.create_string_buffer(code, len(code))\n"
        "fprog = struct.pack('HxxxxxxQ', 4, ctypes.addressof(kept))\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, fprog, 0, 0) == 0\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    return ["/usr/bin/python3", "-c", program]


def test_a_blocked_io_uring(newcomer):
    done = newcomer.setup("build", wrapper=deny_io_uring())
    assert done.code == 1 and done.text == "", done
    cause, cure = lines(done)
    assert cause == "deploy/setup: the kernel refuses io_uring here (io_uring_setup: EPERM)"
    assert cure.startswith("  cure: in a container, allow io_uring_setup, "), cure


def test_bastiond_itself_says_it_of_a_blocked_io_uring(lab):
    bastion = Bastion(lab, lab.folder / "blocked", make_policy(lab))
    bastion.write()
    done = run([*deny_io_uring(), process.BUILD / "daemon/bastiond", "--config", bastion.config, "--one-uid"])
    assert done.code == 1, done
    last = (done.text + done.error).strip().splitlines()[-1]
    assert "io_uring" in last and "seccomp" in last, done


def lacking(newcomer, package: str) -> None:
    newcomer.put("dpkg-query", f"/usr/bin/dpkg-query \"$@\" | grep -v '^installed {package} '\n")


def test_a_missing_package_without_sudo(newcomer):
    lacking(newcomer, "ninja-build")
    done = newcomer.setup("build")
    assert done.code == 1, done
    cause, cure = lines(done)
    assert cause == "deploy/setup: installing ninja-build needs root, and there is no sudo"
    assert cure == "  cure: run deploy/setup build once as root"


def test_a_missing_package_with_a_sudo_that_refuses(newcomer):
    lacking(newcomer, "ninja-build")
    newcomer.put("apt-get", 'exec /usr/bin/apt-get "$@"\n')  # it asks what there is; sudo is ours
    newcomer.put("sudo", 'echo "sudo $*" >>"$HOME/cache/sudo"\necho "nobody is not in the sudoers file." >&2\nexit 1\n')
    done = newcomer.setup("build")
    assert done.code == 1, done
    said, *_ = done.text.splitlines()
    assert said == "[setup] sudo is used for installing ninja-build; nothing else runs as root"
    cause, cure = lines(done)[-2:]
    assert cause == "deploy/setup: installing ninja-build needs root, and sudo refused (nobody is not in the sudoers file.)"
    assert cure == "  cure: run deploy/setup build once as root, or as a user who may use sudo"


def test_another_system(newcomer):
    """What the machine is, is read from a file: so the copy of the script reads another one."""
    script = newcomer.folder / "setup"
    script.write_text(script.read_text().replace("/etc/os-release", str(newcomer.folder / "os-release")))
    (newcomer.folder / "os-release").write_text('ID=fedora\nVERSION_ID="42"\n')
    done = newcomer.setup("build")
    assert done.code == 1 and done.text == "", done
    cause, cure = lines(done)
    assert cause == "deploy/setup: this is fedora 42; bastiond is set up on Debian 12 or 13"
    assert cure == "  cure: use one of them, for example in a container or a virtual machine"


# ---- ./dev build


def test_two_builds_of_one_tree_wait_for_each_other(tmp_path):
    shutil.copy(ROOT / "dev", tmp_path / "dev")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/setup").write_text("#!/bin/sh\n")
    (tmp_path / "deploy/setup").chmod(0o755)
    build = tmp_path / "build"
    build.mkdir()
    (build / "build.ninja").write_text("rule r\n  command = echo in >>log; cat go; echo out >>log\nbuild programs: r\n")
    os.mkfifo(build / "go")
    first = process.Service([tmp_path / "dev", "build"], tmp_path / "first.log")
    second = None
    try:
        process.wait_until(lambda: (build / "log").exists(), what="the first build")
        second = process.Service([tmp_path / "dev", "build"], tmp_path / "second.log")
        process.wait_until(lambda: "another ./dev builds build; waiting for it" in second.text(), what="the second")
        (build / "go").write_text("")
        assert first.process.wait(30) == 0, first.text()
        (build / "go").write_text("")
        assert second.process.wait(30) == 0, second.text()
    finally:
        first.kill()
        if second:
            second.kill()
    assert (build / "log").read_text() == "in\nout\nin\nout\n"


# ---- ./dev demo


def demo(*words) -> process.Done:
    return run(["/usr/bin/python3", ROOT / "deploy/demo", "--build", process.BUILD, "--preflight", *words])


def test_a_taken_port_is_said_before_anything_is_built():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = demo("--port", str(port))
    assert done.code == 1 and done.text == "", done
    (line,) = lines(done)
    assert line.startswith(f"demo: port {port} on 127.0.0.1 is taken by another program   cure: ./dev demo --port "), line


@pytest.mark.parametrize("words, part", [(["--port", "70000"], "70000 is no port"), (["--port", "x"], "invalid int value"),
                                         (["--chekc"], "unrecognized arguments")])  # fmt: skip
def test_a_wrong_command_line_of_the_demo(words, part):
    done = demo(*words)
    assert done.code != 0 and part in done.error, done


def test_a_free_port_is_no_problem():
    assert demo("--check").code == 0


def test_the_demo_from_its_targets_to_its_last_word(tmp_path):
    folder = tmp_path / "demo"
    words = ["--build", process.BUILD, "--folder", folder, "--check"]
    # With the umask of an ordinary user of Debian 13.
    done = run(["/bin/sh", "-c", 'umask 002; exec "$@"', "sh", "/usr/bin/python3", ROOT / "deploy/demo", *words], timeout=90)
    assert (done.code, done.error) == (0, ""), done
    said = done.text
    assert re.search(r"^\[3/5\] two targets +web1 127\.0\.0\.1:\d+ · db1 127\.0\.0\.1:\d+ ", said, re.M), said
    assert re.search(r"^\[4/5\] bastion +127\.0\.0\.1:\d+ · 2 workers · policy ", said, re.M), said
    assert re.search(rf'^\[5/5\] one session +alice → {LOGIN}@web1: `uname -sn` → "Linux .*", exit 0, ', said, re.M), said
    assert re.search(r'^ +decided by rule "developers-on-web", recorded as \w{4}$', said, re.M), said
    assert said.endswith("demo: all well\n"), said
    # It is the service that an administrator would run: its files are good as they lie there.
    run([process.BUILD / "daemon/bastiond", "--check", "--config", folder / "bastiond.yaml"]).ok()
    # A second one starts from nothing again. Where others may write, its keys lie elsewhere.
    tmp_path.chmod(0o777)
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    refused = run([process.BUILD / "daemon/bastiond", "--check", "--config", folder / "bastiond.yaml"])
    assert refused.code != 0 and f"chmod go-w {tmp_path}" in refused.error + refused.text, refused
    tmp_path.chmod(0o755)
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    words[3] = open_folder / "demo"
    done = run(["/usr/bin/python3", ROOT / "deploy/demo", *words], timeout=90, env=environment).ok()
    elsewhere = tmp_path / "tmp" / f"bastiond-demo-{os.getuid()}"
    assert done.text.startswith(f"others than you may write to {open_folder}: the demo's keys lie in {elsewhere} instead\n"), done
    assert (elsewhere / "keys").is_dir() and not (open_folder / "demo").exists()
