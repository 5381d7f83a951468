"""A headless Chromium, driven through its pipe by the DevTools protocol: no port, no package, no network.

with Chromium() as browser:
    page = browser.open(path)
    page.evaluate("document.title")
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # it refuses root otherwise; all that it shows is our own
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
)
_SECONDS = 30.0
_SETTLES = 5.0
_SIZE = (1200, 900)


def installed() -> str | None:
    """The program, where one is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Chromium:
    """The browser process; it is killed at the end."""

    def __init__(self) -> None:
        program = installed()
        assert program, f"none of {', '.join(PROGRAMS)} is installed: tools/setup.sh installs the first"
        self._folder = tempfile.mkdtemp(prefix="netapply-browser-")
        self._numbers = 0
        self._pending = b""
        self.events: list[dict[str, Any]] = []
        # The browser reads descriptor 3 and writes 4; away from those, so that neither is overwritten first.
        theirs_in, ours_out = (_high(each) for each in os.pipe())
        ours_in, theirs_out = (_high(each) for each in os.pipe())
        self._in, self._out = ours_in, ours_out
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, each, place) for place, each in ((3, theirs_in), (4, theirs_out))]
        actions += [(os.POSIX_SPAWN_DUP2, null, place) for place in (0, 1, 2)]
        size = f"--window-size={_SIZE[0]},{_SIZE[1]}"
        arguments = [program, *_ARGUMENTS, size, f"--user-data-dir={self._folder}", "about:blank"]
        environment = {"PATH": os.environ["PATH"], "HOME": self._folder}
        self._pid = os.posix_spawn(program, arguments, environment, file_actions=actions, setpgroup=0)
        for each in (null, theirs_in, theirs_out):
            os.close(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, path: Path, *, scripts: bool = True, dark: bool = False, fragment: str = "") -> Page:
        """The page, loaded; without ``scripts`` as if JavaScript were switched off."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.ask("Emulation.setEmulatedMedia", features=[scheme])
        page.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.ask("Page.navigate", url=path.as_uri() + fragment)
        page.wait("Page.loadEventFired")
        return page

    def ask(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": parameters}
        os.write(self._out, json.dumps({**message, **({"sessionId": session} if session else {})}).encode() + b"\0")
        answer = self.next(lambda each: each.get("id") == message["id"])
        assert "error" not in answer, (method, answer["error"])
        found: dict[str, Any] = answer["result"]
        return found

    def next(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message of that kind; others are kept as events."""
        deadline = time.monotonic() + _SECONDS
        while True:
            while b"\0" not in self._pending:
                assert select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0], "no answer in time"
                data = os.read(self._in, 1 << 20)
                assert data, "the browser ended"
                self._pending += data
            first, _, self._pending = self._pending.partition(b"\0")
            message: dict[str, Any] = json.loads(first)
            if "id" not in message:
                self.events.append(message)
            if wanted(message):
                return message


class Page:
    """One page of the browser."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command for this page."""
        return self._browser.ask(method, self._session, **parameters)

    def wait(self, method: str) -> None:
        """Until that event has come."""
        if not any(self._is_mine(each) and each["method"] == method for each in self._browser.events):
            self._browser.next(lambda each: self._is_mine(each) and each.get("method") == method)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON has it."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of what a selector finds."""
        found = self.evaluate(
            f"(() => {{ const each = document.querySelector({json.dumps(selector)});"
            " each.scrollIntoView({block: 'center'});"
            " const area = each.getBoundingClientRect();"
            " return [area.x + area.width / 2, area.y + area.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask(
                "Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", buttons=1, clickCount=1
            )

    def visible(self, selector: str) -> list[str]:
        """The ids of what is found and shown."""
        found: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".filter(each => each.getClientRects().length).map(each => each.id)"
        )
        return found

    def becomes_visible(self, selector: str, wanted: list[str]) -> bool:
        """Whether soon exactly these are shown: where a link leads is followed a moment after the click."""
        deadline = time.monotonic() + _SETTLES
        while (found := self.visible(selector)) != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        return found == wanted

    def faults(self) -> list[str]:
        """What the browser complained of: errors and warnings of scripts, of policy, of the network."""
        self.evaluate("0")  # whatever was said before this has come by now
        return [
            json.dumps(each["params"])
            for each in self._browser.events
            if self._is_mine(each)
            and each["method"] in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        ]

    def requests(self) -> list[str]:
        """All that the page asked for."""
        events = [each for each in self._browser.events if self._is_mine(each)]
        return [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _is_mine(self, message: dict[str, Any]) -> bool:
        return message.get("sessionId") == self._session


def _high(descriptor: int) -> int:
    found = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return found
