"""A real Chromium that a test drives through its debugging pipe."""

import base64
import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from local.pdf import BROWSERS, QUIET
from waits import wait_until

_PACKAGE = find_spec("axe_playwright_python")
AXE = Path(_PACKAGE.origin).with_name("axe.min.js") if _PACKAGE and _PACKAGE.origin else None
VIOLATIONS = "axe.run().then(found => found.violations.map(one => one.id + ': ' + one.nodes[0].html.slice(0, 200)))"
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


class Chromium:
    """One tab; a context manager. `profile` is an empty folder, `size` the window's in pixels."""

    def __init__(self, profile: Path, size: tuple[int, int]):
        self.profile, self.size, self.number = profile, size, 0

    def __enter__(self) -> "Chromium":
        their_input, self.output = os.pipe()
        self.input, their_output = os.pipe()
        options = [*QUIET, "--no-sandbox", "--hide-scrollbars", "--remote-debugging-pipe"]
        options += [f"--user-data-dir={self.profile}"]
        self.process = subprocess.Popen(
            [BROWSER, *options],
            # Chromium reads from descriptor 3 and writes to 4.
            preexec_fn=lambda: [os.dup2(fd, n) for n, fd in ((3, os.dup(their_input)), (4, os.dup(their_output)))],
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_input)
        os.close(their_output)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self.resize(*self.size)
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.input)
        os.close(self.output)

    session: dict[str, str] = {}

    def call(self, method: str, **parameters: object) -> dict:
        """Call a method of the DevTools protocol and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._receive())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> bytes:
        data = b""
        while not data.endswith(b"\0"):
            piece = os.read(self.input, 1)
            assert piece, "Chromium has ended"
            data += piece
        return data[:-1]

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Show pages as to somebody who prefers this colour scheme: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> object:
        """Return the value of an expression of JavaScript, or that of a promise once it is kept."""
        options = {"returnByValue": True, "awaitPromise": True}
        return self.call("Runtime.evaluate", expression=expression, **options)["result"].get("value")

    def violations(self, axe: Path) -> object:
        """Return what axe-core, in the file `axe`, finds on the page."""
        self.call("Runtime.evaluate", expression=axe.read_text(encoding="utf-8"))
        return self.evaluate(VIOLATIONS)

    def wait_for(self, expression: str) -> None:
        wait_until(lambda: self.evaluate(expression), expression)

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def choose_file(self, selector: str, file: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
