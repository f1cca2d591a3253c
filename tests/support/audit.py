"""The audit log of a bastion as the tests see it."""

import json
import pathlib
import tempfile

from support import keys, process
from support.bastion import bastionctl


class Audited:
    """A bastion with an audit log, and what tests ask of that."""

    def __init__(self, lab, make_bastion, folder: pathlib.Path, *, policy: dict | None = None, service: dict | None = None, **audit):
        self.folder = folder
        self.file = folder / "audit.jsonl"
        self.key = keys.make_key(pathlib.Path(tempfile.mkdtemp(dir=lab.folder)), "audit_key")
        settings = {"audit": {"file": str(self.file)} | audit, "audit_key": str(self.key.path), "workers": 2}
        self.bastion = make_bastion(policy=policy, service=settings | (service or {}))

    def events(self) -> list[dict]:
        """The whole lines of the file that has the log's name now."""
        text = self.file.read_text() if self.file.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def of_session(self, session: str) -> list[dict]:
        return [event for event in self.events() if event.get("session") == session]

    def wait_for(self, name: str, count: int = 1, **fields) -> dict:
        def found():
            matching = [
                event
                for event in self.events()
                if event["event"] == name and all(event.get(key) == value for key, value in fields.items())
            ]
            return matching[count - 1 :]

        process.wait_until(found, what=f"{name} {fields}", timeout=20)
        return found()[0]

    def verify(self, *words) -> process.Done:
        return process.run([bastionctl(), "audit", "verify", "--key", f"{self.key.path}.pub", *words])

    def check(self) -> str:
        """Ends the bastion; then the whole log must be good, and signed to its end."""
        self.bastion.stop()
        done = self.verify("--file", self.file)
        assert done.code == 0, done
        assert "not signed yet" not in done.text, done
        return done.text
