"""Chromium without a window, driven through the pipe of its DevTools protocol: no driver and no package is needed.

https://chromedevtools.github.io/devtools-protocol/ lists the methods. Messages are JSON, each ended by a zero byte; the
browser reads them from file descriptor 3 and writes to 4.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120.0
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # Nothing outside this machine can be reached, whatever a page asks for.
    "--proxy-server=http://127.0.0.1:9",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
)


class ChromiumError(Exception):
    """Chromium is not there, did not answer, or found an error in what it was asked."""


class Chromium:
    """A page in a browser. Its dialogs are answered at once.

    Args:
        to_browser, from_browser: file descriptors of the pipe's ends.

    Attributes:
        complaints: what the page wrote to the console, exceptions, and what the browser blocked or warned of.
        requests: every address that the page asked for, but those of `data:`.
        dialogs: the texts of its alerts and questions.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._rest, self._number = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self._seen: set[str] = set()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result."""
        number = self._send(method, parameters)
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise ChromiumError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, path: Path) -> float:
        """Open a file and return the milliseconds until it was loaded, scripts and pictures too."""
        self._seen.discard("Page.loadEventFired")
        self.call("Page.navigate", url=path.absolute().as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._receive()
        return float(self.run("performance.getEntriesByType('navigation')[0].domComplete"))

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise ChromiumError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def view(self, width: int = 1280, height: int = 900, scheme: str = "light", medium: str = "screen") -> None:
        """Change the window's size, the colour scheme that the reader prefers, or print."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=preferred)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        code = {"Tab": 9, "Enter": 13, " ": 32}.get(key, ord(key[0].upper()))
        shared = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def write(self, text: str) -> None:
        """Type text into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Write the whole page as a PNG file."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(found["data"]))

    def printed(self, path: Path) -> None:
        """Write the page as it is printed, as PDF."""
        found = self.call("Page.printToPDF", preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _send(self, method: str, parameters: dict[str, Any]) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._to, rest) :]
        return self._number

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise ChromiumError(f"Chromium did not answer within {SECONDS:g} s")
            read = os.read(self._from, 1 << 16)
            if not read:
                raise ChromiumError("Chromium has ended")
            self._rest += read
        line, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        self._seen.add(method)
        if method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if not address.startswith("data:"):
                self.requests.append(address)
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(json.dumps(parameters))
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(parameters["message"])
            self._send("Page.handleJavaScriptDialog", {"accept": True})


def _moved_up(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


def installed() -> str | None:
    """Return the path of a Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """Start Chromium with an empty profile in this folder.

    Raises:
        ChromiumError: there is none.
    """
    program = installed()
    if program is None:
        raise ChromiumError("no Chromium: install Debian's chromium")
    # Numbers from 10 on, so that neither end lies at 3 or 4, where they are put in the browser's process.
    (their_input, our_output), (our_input, their_output) = (map(_moved_up, os.pipe()) for _ in range(2))

    def place() -> None:
        os.dup2(their_input, 3)
        os.dup2(their_output, 4)

    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        preexec_fn=place,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_input)
    os.close(their_output)
    try:
        yield Chromium(our_output, our_input)
    finally:
        os.close(our_output)
        os.close(our_input)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
