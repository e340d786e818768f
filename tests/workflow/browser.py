"""A headless Chromium, spoken to over a pipe by its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)


class NavigatedError(Exception):
    """The page that was asked has given way to another."""


class Browser:
    """One page of a headless Chromium; a context manager."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM
        read, self._out = os.pipe()
        self._in, write = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command = f'exec "$0" "$@" 3<&{read} 4>&{write}'  # the protocol's two descriptors
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, *options, "--remote-debugging-pipe"],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._received, self._number, self._session = b"", 0, None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def open(self, url: str) -> None:
        """Go to a page."""
        self._ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message | session).encode() + b"\0")
        while True:
            while b"\0" not in self._received:
                more = os.read(self._in, 2**20)
                assert more, "Chromium has gone"
                self._received += more
            one, self._received = self._received.split(b"\0", 1)
            answer = json.loads(one)
            if answer.get("id") == self._number:
                if "navigated" in str(answer.get("error")):
                    raise NavigatedError
                assert "error" not in answer, answer
                return answer["result"]  # type: ignore[no-any-return]
