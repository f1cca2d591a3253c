"""What `meson install` puts where, and what systemd itself says of the unit."""

import os
import pathlib
import re
import shutil
import socket

import pytest

from support import machine, process

# A uid for each kind of process costs CAP_SETUID and CAP_SETGID; all else that can be taken away is.
# The index needs files alone.
EXPOSURE_MAX = {"bastiond.service": 2.3, "bastiond-indexer.service": 1.3}
UNITS = list(EXPOSURE_MAX)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("installed")
    machine.install(folder)
    return folder


def only(installed: pathlib.Path, pattern: str) -> pathlib.Path:
    found = list(installed.rglob(pattern))
    assert len(found) == 1, f"{pattern}: {found}"
    return found[0]


def analyze(*words) -> process.Done:
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: install Debian's package systemd"
    return process.run(["systemd-analyze", "--no-pager", *words])


def test_every_file_is_installed(installed):
    for pattern in (
        "sbin/bastiond",
        "bin/bastionctl",
        "libexec/bastiond/bastiond-resolver",
        "libexec/bastiond/bastiond-indexer",
        "lib/systemd/system/bastiond.service",
        "lib/systemd/system/bastiond-indexer.service",
        "lib/sysusers.d/bastiond.conf",
        "lib/tmpfiles.d/bastiond.conf",
        "doc/bastiond/README.md",
        "doc/bastiond/docs/operations.md",
        "doc/bastiond/samples/bastiond.yaml",
        "doc/bastiond/samples/policy.yaml",
    ):
        only(installed, pattern)


def test_an_installed_bastiond_finds_its_resolver(installed, tmp_path):
    # It looks for the resolver before it binds anything, so that a taken port shows that it got that far.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        key = tmp_path / "key"
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]).ok()
        (tmp_path / "policy.yaml").write_text("users: {}\ntargets: {}\nrules: []\n")
        config = tmp_path / "bastiond.yaml"
        config.write_text(
            f"listen: ['127.0.0.1:{taken.getsockname()[1]}']\nhost_keys: [key]\ncontrol: {{socket: {tmp_path}/c}}\n"
        )
        program = only(installed, "sbin/bastiond")
        words = ["--one-uid"] if os.getuid() == 0 else []
        done = process.run([program, "--config", config, *words])
        assert done.code == 1 and "another program has that port" in done.error, str(done)


def test_the_samples_are_good_with_the_keys_that_the_documents_make(installed, tmp_path):
    samples = only(installed, "samples/bastiond.yaml").parent
    for sample in samples.iterdir():
        shutil.copyfile(sample, tmp_path / sample.name)
    for name in ("ssh_host_ed25519_key", "user_ca", "audit_key"):
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]).ok()
    process.run([only(installed, "sbin/bastiond"), "--check", "--config", tmp_path / "bastiond.yaml"]).ok()


def test_every_page_that_the_pages_name_is_installed(installed):
    readme = only(installed, "doc/bastiond/README.md")
    for page in [readme, *(readme.parent / "docs").iterdir()]:
        for link in re.findall(r"\]\(([\w./-]+\.md)\)", page.read_text()):
            assert (page.parent / link).is_file(), f"{page.name} names {link}"


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_names_programs_that_are_there(installed, name):
    unit = only(installed, name).read_text()
    assert "@" not in re.sub(r"(?m)^#.*|SystemCallFilter=.*", "", unit), "a place was not filled in"
    for command in re.findall(r"^Exec\w+=(\S+)", unit, re.M):
        assert (installed / command.lstrip("/")).is_file(), command
    for document in re.findall(r"file:(\S+)", unit):
        assert (installed / document.lstrip("/")).is_file(), document


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_with_the_unit(installed, tmp_path, name):
    # Its programs are not at their places on this machine: a copy names them where they are.
    unit = only(installed, name).read_text()
    copy = tmp_path / name
    copy.write_text(re.sub(r"(?m)^(Exec\w+=)(/)", rf"\g<1>{installed}/", unit))
    done = analyze("verify", "--man=no", "--recursive-errors=no", copy)
    assert done.code == 0 and name not in done.error, str(done)


@pytest.mark.parametrize("name", UNITS)
def test_the_exposure_is_small(installed, name):
    most = EXPOSURE_MAX[name]
    done = analyze("security", "--offline=yes", f"--threshold={most * 10:.0f}", only(installed, name))
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.text)
    assert score, str(done)
    assert done.code == 0 and float(score[1]) <= most, str(done)
