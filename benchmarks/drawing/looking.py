"""What a reader gets: how soon the browser shows it, what it asks the network for, and whether a name runs as code."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .chromium import Chromium, ChromiumError

OPENINGS = 5
PATIENCE = 60.0
LOCAL_SCHEMES = ("about", "blob", "chrome", "chrome-extension", "data", "devtools", "file")

# Text without scripts and styles, in which a name may stand that is shown nowhere.
TEXT = """(() => {
  const page = document.documentElement.cloneNode(true);
  page.querySelectorAll("script, style").forEach(element => element.remove());
  return page.textContent;
})()"""


@dataclass
class Opened:
    """A file in the browser.

    Args:
        seconds: the shortest time until its first node was there; None if it never was.
        hosts: what it asked for outside this machine.
        dialogs: alerts that opened.
        text: whether the text of the page contains "<script".
        images: pictures that a hostile name has put there.
    """

    seconds: float | None = None
    hosts: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    text: bool = False
    images: int = 0


def look(browser: Chromium, address: str, node: str, openings: int = OPENINGS) -> Opened:
    """Open an address again and again and wait for a node.

    Args:
        browser: a page of it.
        address: of a file or of this machine.
        node: a CSS selector.
        openings: how often.
    """
    browser.requests.clear()
    browser.dialogs.clear()
    opened = Opened()
    for _ in range(openings):
        seconds = _until(browser, address, f"document.querySelector({node!r})?.getBoundingClientRect().height > 0")
        pause(browser, 0.3)
        if seconds is None:
            break
        opened.seconds = min(seconds, opened.seconds or seconds)
    opened.text = "<script" in browser.run(TEXT)
    opened.images = browser.run("document.querySelectorAll('img[src=q]').length")
    opened.hosts = _outside(browser.requests)
    opened.dialogs = list(browser.dialogs)
    return opened


def look_at_netron(browser: Chromium, address: str, node: str, openings: int = OPENINGS) -> Opened:
    """Do the same with Netron, after its message about cookies was accepted."""
    browser.requests.clear()
    _until(browser, address, "document.querySelector('#message-button')")
    pause(browser, 2.5)
    browser.run("document.querySelector('#message-button')?.click()")
    pause(browser, 2.0)
    hosts = _outside(browser.requests)
    opened = look(browser, address, node, openings)
    opened.hosts = sorted({*hosts, *opened.hosts})
    return opened


def pause(browser: Chromium, seconds: float) -> None:
    """Wait, and listen meanwhile to what the browser reports."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        browser.run("1")
        time.sleep(0.05)


def _until(browser: Chromium, address: str, condition: str) -> float | None:
    """Return the seconds from the address until a loaded page fulfils a condition; None if it never does."""
    start = time.monotonic()
    browser.call("Page.navigate", url=address)
    while time.monotonic() - start < PATIENCE:
        try:
            if browser.run(f"document.readyState === 'complete' && Boolean({condition})"):
                return time.monotonic() - start
        except ChromiumError:  # the old page is gone and the new one not yet there
            pass
        time.sleep(0.01)
    return None


def _outside(addresses: list[str]) -> list[str]:
    found = (urlsplit(address) for address in addresses)
    hosts = {url.hostname for url in found if url.scheme not in LOCAL_SCHEMES}
    return sorted(host for host in hosts if host not in (None, "127.0.0.1", "localhost"))
