"""Be what every labeling page must be at least: what it takes in a browser is what the browser and HTTP take.

A key sends a request, which a server of a few lines answers at once, and then another image shows, which is loaded
already. The page measures that as the labeling page does, under the same name.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLAIN = b"""<!doctype html><title>plain</title><main></main><script>
const drawn = [0, 1].map((grey) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  canvas.getContext("2d").fillRect(grey, 0, 60, 60);
  return Object.assign(new Image(), { src: canvas.toDataURL() });
});
let turn = 0;
document.querySelector("main").append(drawn[0]);
document.addEventListener("keydown", async () => {
  const start = performance.now();
  await (await fetch("/told", { method: "POST", body: "{}", headers: { "content-type": "application/json" } })).json();
  turn += 1;
  document.querySelector("main").replaceChildren(drawn[turn % 2]);
  performance.measure("key to image", { start, end: performance.now() });
});
</script>"""


class PlainHandler(BaseHTTPRequestHandler):
    """Answer every request at once: a page to a GET, two letters to a POST."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply("text/html", PLAIN)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.reply("application/json", b"{}")

    def reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@contextmanager
def plain_page() -> Iterator[str]:
    """Serve a page that does what every page must: send what a key says, await the reply, show the next image."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), PlainHandler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/"
    finally:
        serving.shutdown()
