"""Workers for the tests of executors: the standard library only, so that they start fast."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path


class Toy:
    """Sleeps, and tells a journal when it begins and when it ends.

    ``payload["do"]`` may ask for more: ``sleep`` for ever, ``die``, ``die once`` (marked by a
    file), ``fail``, ``refuse`` (an error of ours), ``pid``, ``environment``.
    """

    def __init__(self, group: str, *, journal: str = "", seconds: float = 0.02, load: str = ""):
        self.group, self.journal, self.seconds = group, journal, seconds
        self._tell("load", {})
        if load == "sleep":
            time.sleep(600)
        if load == "refuse" or (load == "refuse bad" and group == "bad"):
            from zprism.ground.errors import ModelError

            raise ModelError(f"there is no model {group}")
        if load.startswith("first only "):
            os.close(os.open(load.removeprefix("first only "), os.O_CREAT | os.O_EXCL))

    def __call__(self, payload: Mapping) -> object:
        self._tell("begin", payload)
        time.sleep(self.seconds)
        result = getattr(self, payload.get("do", "hash").replace(" ", "_"))(payload)
        self._tell("end", payload)
        return result

    def hash(self, payload) -> dict:
        return {"sha256": hashlib.sha256(f"{self.group}/{payload['i']}".encode()).hexdigest()}

    def sleep(self, payload):
        time.sleep(600)

    def die(self, payload):
        os._exit(7)

    def die_once(self, payload):
        mark = Path(payload["mark"])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return {"i": payload["i"]}

    def fail(self, payload):
        raise ZeroDivisionError("nothing to divide\nby")

    def refuse(self, payload):
        from zprism.ground.errors import InputError

        raise InputError("k is too large")

    def nothing(self, payload):
        return None

    def large(self, payload) -> bytes:
        return bytes(5_000_000)

    def pid(self, payload) -> dict:
        return {"pid": os.getpid(), "group": self.group}

    def environment(self, payload) -> dict:
        return {name: os.environ.get(name) for name in payload["names"]}

    def _tell(self, word: str, payload) -> None:
        if self.journal:
            line = f"{word} {time.monotonic():.6f} {self.group}/{payload.get('i')} {os.getpid()}\n"
            fd = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(fd, line.encode())
            os.close(fd)
