"""A headless Chromium for pictures of web pages, spoken to by its DevTools protocol."""

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import urllib3
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from core.errors import Unavailable

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
DEADLINE_SECS = 90.0
COLOURS = 128


class Page:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            reply = json.loads(self._socket.recv(timeout=DEADLINE_SECS))
            if reply.get("id") == number:
                if "error" in reply:
                    raise Unavailable(f"the browser refuses {method}: {reply['error']}")
                result: dict[str, Any] = reply["result"]
                return result

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    def show(self, url: str, *wanted: str) -> None:
        """Open an address and wait until every wanted text is there, and the page is at rest."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        deadline, calm, last = time.monotonic() + DEADLINE_SECS, 0, ""
        while calm < 6:
            time.sleep(0.5)
            text = str(self.value("document.body ? document.body.innerText : ''"))
            missing = [word for word in wanted if word not in text]
            calm = calm + 1 if not missing and text == last else 0
            last = text
            if time.monotonic() > deadline:
                raise Unavailable(f"{url} does not show {missing or 'anything at rest'}: {text}")

    def press(self, selector: str) -> None:
        """Press a button, where there is one."""
        self.value(f"document.querySelector({selector!r})?.click()")
        time.sleep(1.0)

    def save(self, path: Path) -> None:
        """Write what is shown as a small PNG."""
        shot = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        picture = Image.open(io.BytesIO(shot)).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


@contextmanager
def open_page(width: int, height: int) -> Iterator[Page]:
    """Start a browser of its own profile and give its page; nothing of it stays.

    Raises
    ------
    Unavailable
        When no Chromium is installed; the environment variable CHROMIUM may name one.
    """
    named = os.environ.get("CHROMIUM")
    program = named or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise Unavailable("no Chromium is installed (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(  # noqa: S603 (a browser that the user has chosen)
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={profile}",
             f"--window-size={width},{height}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with connect(_address(Path(profile)), max_size=1 << 26) as socket:
                page = Page(socket)
                page.call("Page.enable")
                size = {"width": width, "height": height}
                page.call(
                    "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False
                )
                yield page
        finally:
            process.terminate()
            process.wait(10)


def _address(profile: Path) -> str:
    """WebSocket of the first page, once the browser listens."""
    http, deadline = urllib3.PoolManager(retries=False, timeout=5.0), time.monotonic() + 30.0
    while time.monotonic() < deadline:
        try:
            port = int((profile / "DevToolsActivePort").read_text().split()[0])
            pages = http.request("GET", f"http://127.0.0.1:{port}/json/list").json()
            return str(next(row["webSocketDebuggerUrl"] for row in pages if row["type"] == "page"))
        except (OSError, IndexError, ValueError, StopIteration, urllib3.exceptions.HTTPError):
            time.sleep(0.2)
    raise Unavailable("the browser does not start")
