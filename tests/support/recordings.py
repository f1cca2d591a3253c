"""Recordings as the tests see them: found in a bastion's folder, read by the format's own reader."""

import dataclasses
import json
import pathlib

from support import process


@dataclasses.dataclass
class Recording:
    path: pathlib.Path
    verdict: str
    problems: list
    metadata: dict
    end: dict | None
    entries: list[dict]

    def kinds(self, channel: int | None = None) -> list[str]:
        return [entry["kind"] for entry in self.entries if channel in (None, entry["channel"])]

    def bytes_of(self, kind: str, channel: int | None = None) -> bytes:
        return b"".join(
            bytes.fromhex(entry["bytes"])
            for entry in self.entries
            if entry["kind"] == kind and channel in (None, entry["channel"])
        )

    def channels(self) -> list[int]:
        return sorted({entry["channel"] for entry in self.entries})

    def starts(self) -> dict[int, bytes]:
        """The command of each channel."""
        return {entry["channel"]: bytes.fromhex(entry["bytes"])[1:] for entry in self.entries if entry["kind"] == "start"}


def folder_of(bastion) -> pathlib.Path:
    return pathlib.Path(bastion.service["state_dir"]) / "recordings"


def files_of(bastion) -> list[pathlib.Path]:
    return sorted(folder_of(bastion).glob("????-??-??/*.rec"), key=lambda path: path.stat().st_mtime_ns)


def open_of(bastion) -> list[str]:
    """The ids of what is not sealed yet."""
    return [path.name[11:] for path in (folder_of(bastion) / "open").glob("*.*")]


def read(path: pathlib.Path, key: pathlib.Path | None = None) -> Recording:
    command = [process.BUILD / "tests" / "support" / "read_recording", path]
    done = process.run(command + ([key] if key else []), timeout=60)
    assert done.code == 0, done
    lines = [json.loads(line) for line in done.text.splitlines()]
    first = lines[0]
    return Recording(path, first["verdict"], first["problems"], first["metadata"], first["end"], lines[1:])


def wait_sealed(bastion, count: int, *, timeout: float = 10) -> list[pathlib.Path]:
    """Waits until there are `count` recordings and none of them is open, and gives their files."""
    process.wait_until(
        lambda: len(files_of(bastion)) >= count and not open_of(bastion), timeout=timeout, what="sealed recordings"
    )
    return files_of(bastion)


def read_new(bastion, before: list[pathlib.Path], *, timeout: float = 10) -> Recording:
    """The one recording that was made since `before`, sealed."""
    files = wait_sealed(bastion, len(before) + 1, timeout=timeout)
    new = [path for path in files if path not in before]
    assert len(new) == 1, new
    return read(new[0], audit_key(bastion))


def audit_key(bastion) -> pathlib.Path | None:
    key = bastion.service.get("audit_key")
    return pathlib.Path(f"{key}.pub") if key else None
