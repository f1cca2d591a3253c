"""Runs the benchmark's programs and reads what they print."""

import json

from support import process


class Failed(Exception):
    """A program of the benchmark did not do what it was for."""


def result_of(command, *, timeout: float = 300) -> dict:
    """Runs a light client to its end; gives its last line of JSON."""
    done = process.run(command, timeout=timeout)
    if done.code != 0:
        raise Failed(str(done))
    return json.loads(done.text.splitlines()[-1])


class Held:
    """A light client that holds sessions: it is ready when made, and gone when closed."""

    def __init__(self, command, log, *, timeout: float = 600):
        self.service = process.Service(command, log)
        self.timeout = timeout
        try:
            self.service.wait_for(r'"ready"', timeout=timeout)
        except AssertionError as error:
            self.service.kill()
            raise Failed(str(error)) from None

    def go(self) -> dict:
        """Lets it do what it is for; gives its result."""
        self.start()
        return self.result()

    def start(self) -> None:
        self.service.process.stdin.write(b"go\n")
        self.service.process.stdin.flush()

    def result(self) -> dict:
        try:
            return json.loads(self.service.wait_for(r"^\{(?!.*ready).*\}$", timeout=self.timeout)[0])
        except AssertionError as error:
            raise Failed(str(error)) from None

    def kill(self) -> None:
        self.service.kill()

    def close(self) -> None:
        self.service.process.stdin.close()
        try:
            self.service.process.wait(30)
        finally:
            self.service.kill()
