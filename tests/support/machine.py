"""A whole machine to install bastiond on: Debian as debootstrap makes it, booted by systemd-nspawn.

The tree is made once, below the cache folder of deploy/setup; what a run changes is kept in memory and gone with it.
The programs come from `meson install`, file by file, each with the libraries that it loads. The machine has the
network of whoever starts it: give it one of its own by private_network(), after tree(), which needs the real one.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess

from support import process
from support.process import Done, run

# What a bastion's machine has beside Debian's least.
PACKAGES = "systemd,systemd-sysv"
BOOT_SECONDS_MAX = 90
# No traffic but loopback, and nothing that wakes up while tests run.
BOOT_WORDS = ["systemd.mask=apt-daily.timer", "systemd.mask=apt-daily-upgrade.timer"]

CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def private_network():
    """Gives this thread, and what it starts, a network of its own that has nothing but loopback."""
    if os.getuid() != 0:
        raise AssertionError("a machine of their own is booted for these tests, which needs root: run them as root")
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise AssertionError(f"a network of its own is refused: {os.strerror(ctypes.get_errno())}")
        try:
            run(["ip", "link", "set", "lo", "up"]).ok()
            yield
        finally:
            libc.setns(before.fileno(), CLONE_NEWNET)


def install(folder: pathlib.Path) -> list[pathlib.Path]:
    """Runs `meson install` into a folder, and gives the files as paths below it."""
    run(["meson", "install", "-C", process.BUILD, "--no-rebuild", "--quiet", "--destdir", folder], timeout=120).ok()
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def codename() -> str:
    text = pathlib.Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.M)
    assert found, "/etc/os-release names no Debian that debootstrap could make"
    return found[1]


def mirror(suite: str) -> str:
    """Where apt has this suite from."""
    out = run(["apt-get", "indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)"]).ok().text
    for line in out.splitlines():
        kind, release, component, uri = line.split(" ", 3)
        if kind == "Packages" and component == "main" and release in (suite, "stable", "oldstable"):
            return uri
    raise AssertionError(f"apt has no source for {suite} main")


def tree() -> pathlib.Path:
    """The machine's files as debootstrap made them; the first time it takes a minute or two."""
    suite = codename()
    roots = process.peers().parent / "roots"
    roots.mkdir(parents=True, exist_ok=True)
    root = roots / suite
    entry = root / "etc" / "bastiond-tests"
    assert shutil.which("debootstrap"), "debootstrap is missing: run deploy/setup test"
    with open(roots / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if entry.exists() and entry.read_text() == PACKAGES:
            return root
        new = roots / f"{suite}.new"
        for old in (new, root):
            shutil.rmtree(old, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, new, mirror(suite)]
        done = run(command, timeout=500)
        assert done.code == 0, f"debootstrap failed; its log is in {new}/debootstrap/debootstrap.log:\n{done}"
        for archive in (new / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        (new / "etc" / entry.name).write_text(PACKAGES)
        new.rename(root)
    return root


def libraries(program: pathlib.Path) -> list[pathlib.Path]:
    """The shared objects that a program loads, at the places where it looks for them."""
    out = run(["ldd", program]).ok().text
    missing = re.findall(r"^\s*(\S+) => not found", out, re.M)
    assert not missing, f"{program} lacks {missing}"
    return [pathlib.Path(path) for path in re.findall(r"=> (/\S+)", out)]


class Machine:
    """One booted machine. `configuration` is its /etc/bastiond, and may be changed from outside while it runs."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.root = tree()
        self.configuration = folder / "etc"
        self.configuration.mkdir(parents=True)
        self.configuration.chmod(0o750)
        installed = folder / "installed"
        binds = {pathlib.Path("/") / path: installed / path for path in install(installed)}
        for program in [path for path in binds.values() if os.access(path, os.X_OK)]:
            binds |= {place: place for place in libraries(program) if not self.has(place)}
        command = [
            "systemd-nspawn", "--boot", "--quiet", f"--directory={self.root}", "--volatile=overlay", "--keep-unit",
            "--register=no", "--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
            "--machine=bastion", f"--bind={self.configuration}:/etc/bastiond",
            *[f"--bind-ro={os.path.realpath(source)}:{place}" for place, source in binds.items()],
            *BOOT_WORDS,
        ]  # fmt: skip
        search = f"{process.peers()}/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        assert shutil.which(command[0], path=search), "systemd-nspawn is missing: run deploy/setup test"
        environment = os.environ | {"PATH": search}
        self.nspawn = process.Service(command, folder / "console.log", env=environment)
        self.init = 0
        try:
            process.wait_until(self.booted, timeout=BOOT_SECONDS_MAX, what="booting")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}; the console:\n{self.nspawn.text()[-4000:]}") from None

    def has(self, place: pathlib.Path) -> bool:
        """Whether the tree has that file; Debian's /lib is a link to /usr/lib."""
        return (self.root / str(place).lstrip("/")).exists()

    def booted(self) -> bool:
        assert self.nspawn.process.poll() is None, "systemd-nspawn has ended"
        if not self.init:
            for pid, _ in process.descendants(self.nspawn.process.pid):
                status = pathlib.Path(f"/proc/{pid}/status")
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if re.search(r"^NSpid:\s+\d+\s+1$", status.read_text(), re.M):
                        self.init = pid
        if not self.init or not self.path("/run/systemd/private").exists():
            return False
        return self.run("systemctl", "is-system-running", "--wait").text.strip() in ("running", "degraded")

    def run(self, *words, timeout: float = 60, input: bytes = b"") -> Done:
        """Runs a program inside to its end."""
        command = ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        return run([*command, *words], timeout=timeout, env=environment, input=input)

    def path(self, inside: str) -> pathlib.Path:
        """A file of the machine as it is seen from outside."""
        return pathlib.Path("/proc", str(self.init), "root", inside.lstrip("/"))

    def close(self) -> None:
        if self.nspawn.process.poll() is None:
            self.nspawn.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.nspawn.process.wait(15)
        self.nspawn.kill()
        if self.init and process.identity(self.init):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
