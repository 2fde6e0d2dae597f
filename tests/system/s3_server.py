"""Be an S3 server in a process of its own: moto's, whose requests are made one at a time and may be spoiled.

    python s3_server.py PORT

S3 decides a conditional write and does it in one step. moto looks first and writes then, so requests wait for each
other here. `PUT /spoil/NAME` with a body turns a fault on, `DELETE /spoil/NAME` off again:

    status     every request is answered with this status, such as 507, which pyarrow's client does not try again itself
    seconds    every request waits that long first
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

ERROR = b"<Error><Code>Spoiled</Code><Message>This was asked for by a test.</Message></Error>"


class Spoiled:
    """Answer as moto does, unless a fault is on."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.faults: dict[str, float] = {}
        self.one_at_a_time = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith("/spoil/"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            self.faults.pop(path.rpartition("/")[2], None)
            if method == "PUT":
                self.faults[path.rpartition("/")[2]] = float(body)
            start_response("200 OK", [("Content-Length", "0")])
            return []
        time.sleep(self.faults.get("seconds", 0.0))
        if status := int(self.faults.get("status", 0)):
            start_response(f"{status} Spoiled", [("Content-Length", str(len(ERROR))), ("Content-Type", "text/xml")])
            return [ERROR]
        with self.one_at_a_time:
            return list(self.moto(environ, start_response))


class Silent(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Log nothing."""


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Spoiled(), threaded=True, request_handler=Silent)
