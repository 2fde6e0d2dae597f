"""Drive a real, headless browser: press keys, ask the page, take pictures, over its debugging protocol."""

import asyncio
import base64
import json
import re
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from browser import CHROMIUM, FLAGS

NAMED = {"Backspace": 8, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One browser with one page; a context manager. Its protocol speaks from a thread of its own."""

    def __init__(self, profile: Path, *options: str) -> None:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", *options]
        self._process = subprocess.Popen([*command, "about:blank"], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
                self._address = found[1]
                break
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._number = 0
        self._do(self._connect())

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._do(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        until = time.monotonic() + 60.0
        while time.monotonic() < until:
            with suppress(AssertionError):  # while one page gives way to the next, neither answers
                if self.ask("location.href !== 'about:blank' && document.readyState === 'complete'"):
                    return
            time.sleep(0.02)

    def press(self, key: str) -> None:
        code = NAMED.get(key, ord(key.upper()[0]))
        text = {} if len(key) > 1 else {"text": key}
        fields = {"key": key, "windowsVirtualKeyCode": code, **text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **fields)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def ask(self, expression: str) -> Any:
        """Return what an expression comes to, awaited."""
        reply = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def until(self, expression: str, seconds: float = 20.0) -> Any:
        """Wait in the page until an expression is true, and return it."""
        waiting = (
            f"new Promise((done, fail) => {{ const end = performance.now() + {1000 * seconds};"
            f"const look = () => {{ const found = {expression}; if (found) done(found);"
            "else if (performance.now() > end) fail(new Error(document.body.innerText)); else setTimeout(look, 10); };"
            "look(); })"
        )
        return self.ask(waiting)

    def picture(self, path: Path, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **params: Any) -> Any:
        return self._do(self._called(method, params))

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://{self._address}/json") as reply:
            targets = await reply.json(content_type=None)
        (page,) = [target for target in targets if target["type"] == "page"]
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)

    async def _called(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(await self._socket.receive_str())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
