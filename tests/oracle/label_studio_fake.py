"""A server that answers as Label Studio 1.23.2 did to the requests that distal makes, recorded by hand."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LEGACY, PERSONAL = "0123abcd", "head.refresh.sign"


class FakeLabelStudio:
    """Keep projects, tasks and uploads in memory. dies_after: takes this many imports, then answers none of them."""

    def __init__(self):
        self.projects, self.tasks, self.uploads, self.requests = [], [], [], []
        self.access, self.dies_after = "head.access-1.sign", None

    def answer(self, method, path, query, body, authorization):
        self.requests.append((method, path))
        if path == "/api/token/refresh":
            return (200, {"access": self.access}) if json.loads(body)["refresh"] == PERSONAL else (401, {})
        if authorization not in (f"Token {LEGACY}", f"Bearer {self.access}"):
            return 401, {"detail": "Invalid token."}
        if path == "/api/projects":
            if method == "GET":
                return 200, {"count": len(self.projects), "results": self._page(self.projects, query)}
            self.projects.append({"id": len(self.projects) + 1, **json.loads(body)})
            return 201, self.projects[-1]
        if found := re.fullmatch(r"/api/projects/(\d+)", path):
            return 200, self.projects[int(found[1]) - 1]
        if path == "/api/tasks":
            return 200, {"total": len(self.tasks), "tasks": self._page(self.tasks, query)}
        if found := re.fullmatch(r"/api/import/file-upload/(\d+)", path):
            return 200, {"id": int(found[1]), "file": f"upload/1/ab12cd34-{self.uploads[int(found[1])]}"}
        assert path.endswith("/import")
        if query.get("commit_to_project") == ["false"]:
            names = re.findall(rb'filename="([^"]+)"', body)
            self.uploads += [name.decode() for name in names]
            return 201, {"file_upload_ids": list(range(len(self.uploads) - len(names), len(self.uploads)))}
        for task in json.loads(body):
            self.tasks.append({"id": 500 + len(self.tasks), "annotations": [], **task})
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                return 500, "the connection was cut"
        return 201, {"task_count": len(json.loads(body))}

    def _page(self, items, query):
        size, page = int(query["page_size"][0]), int(query["page"][0])
        return items[size * (page - 1) : size * page]

    def label(self, row_id, *choices, person=1, at="2026-11-28T12:00:00Z", skipped=False):
        """Answer a row's task as a person does on the page."""
        (task,) = [task for task in self.tasks if task["data"]["row_id"] == row_id]
        value = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": list(choices)}}
        task["annotations"].append(
            {
                "result": [value] if choices else [],
                "was_cancelled": skipped,
                "completed_by": person,
                "created_at": at,
                "updated_at": at,
            }
        )


@contextmanager
def serving(fake):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, answer = fake.answer(
                self.command, parts.path, parse_qs(parts.query), body, self.headers["Authorization"]
            )
            data = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
