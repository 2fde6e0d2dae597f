"""Speak with a Label Studio server over its HTTP interface: projects, tasks, uploaded images.

A few requests of the standard library serve; Label Studio's own SDK brings some forty packages, OpenCV and NLTK among
them. Tried with the versions that `docs/label-studio.md` names.
"""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from distal.errors import OracleError

KEY = "LABEL_STUDIO_API_KEY"
"""Name of the environment variable with the token: a secret has no place in a configuration."""
TIMEOUT_S = 60.0
TRIES, PAUSE_S = 4, 2.0
"""How often a request that changes nothing is made before a server counts as away, and the seconds between."""
PAGE = 100
"""Tasks or projects that one answer holds."""
UPLOAD = 2**24
"""Bytes of images that travel in one request."""


class LabelStudioServer:
    """Make requests in one user's name.

    token: a personal access token, which is exchanged for one of a few minutes, or a legacy token.

    Raises:
        OracleError: of every method, where the server cannot be reached or refuses; the message says which.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._access = ""

    def find_project(self, description: str) -> int | None:
        """Return the project of this very description, the oldest if there are several."""
        found = [p["id"] for p in self._pages("/api/projects", {}) if p.get("description") == description]
        return min(found, default=None)

    def project(self, number: int) -> dict[str, Any]:
        """Return a project; its `label_config` says what is asked."""
        found: dict[str, Any] = self._call("GET", f"/api/projects/{number}")
        return found

    def create_project(self, title: str, description: str, labeling: str, suggest: bool) -> int:
        """Make a project whose tasks are asked in order, and return its number. suggest: show predictions to people."""
        body = {
            "title": title,
            "description": description,
            "label_config": labeling,
            "sampling": "Sequential sampling",
            "show_collab_predictions": suggest,
            "show_skip_button": True,
        }
        return int(self._call("POST", "/api/projects", body)["id"])

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """Yield every task of a project with its data and annotations."""
        return self._pages("/api/tasks", {"project": project, "fields": "all"})

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Add tasks; the server keeps all of one request, or none."""
        self._call("POST", f"/api/projects/{project}/import", list(tasks))

    def upload(self, project: int, images: Mapping[str, bytes]) -> dict[str, str]:
        """Keep PNG images on the server; return by name the place at which its pages show each."""
        places: dict[str, str] = {}
        part: dict[str, bytes] = {}
        for name, data in images.items():
            if part and sum(map(len, part.values())) + len(data) > UPLOAD:
                places |= self._upload(project, part)
                part = {}
            part[name] = data
        return places | (self._upload(project, part) if part else {})

    def _upload(self, project: int, images: Mapping[str, bytes]) -> dict[str, str]:
        boundary = uuid.uuid4().hex
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            f"Content-Type: image/png\r\n\r\n".encode()
            + data
            + b"\r\n"
            for name, data in images.items()
        )
        body += f"--{boundary}--\r\n".encode()
        path = f"/api/projects/{project}/import?commit_to_project=false"
        answer = self._call("POST", path, body, f"multipart/form-data; boundary={boundary}")
        places: dict[str, str] = {}
        for number in answer["file_upload_ids"]:
            file = str(self._call("GET", f"/api/import/file-upload/{number}")["file"])  # upload/<project>/<hash>-<name>
            name = next((name for name in images if file.endswith(f"-{name}")), None)
            if name is not None:
                places[name] = f"/data/{file}"
        if missing := images.keys() - places.keys():
            raise OracleError(
                f"{self.url}: took {len(images)} images, but cannot say where {min(missing)} is.\nTry again."
            )
        return places

    def _pages(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        page, seen = 1, 0
        while True:
            parameters = {**query, "page": page, "page_size": PAGE}
            answer = self._call("GET", f"{path}?{urlencode(parameters)}")
            found = answer if isinstance(answer, list) else answer.get("tasks", answer.get("results", []))
            yield from found
            seen += len(found)
            total = None if isinstance(answer, list) else answer.get("total", answer.get("count"))
            if len(found) == 0 or (len(found) < PAGE if total is None else seen >= total):
                return
            page += 1

    def _call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Make a request and return what its JSON holds."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        for attempt in range(TRIES):
            try:
                return self._answer(method, path, data, kind)
            except urllib.error.HTTPError as error:
                said = " ".join(error.read().decode(errors="replace").split())[:200]
                if error.code == 401 and self._access and attempt == 0:
                    self._access = ""  # its minutes are over
                    continue
                if method != "GET" or error.code < 500 or attempt == TRIES - 1:
                    raise self._refused(method, path, error.code, said) from None
            except (OSError, ValueError) as error:
                if method != "GET" or attempt == TRIES - 1:
                    raise OracleError(
                        f"oracle.url: Label Studio at {self.url} cannot be reached: {str(error)[:150]}\n"
                        "Start it, or mend oracle.url; all answers so far are kept, and distal resume goes on."
                    ) from None
            time.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def _answer(self, method: str, path: str, data: bytes | None, kind: str) -> Any:
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", kind)
        request.add_header("Authorization", self._authorization())
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return json.loads(response.read() or b"null")

    def _authorization(self) -> str:
        if self._token.count(".") != 2:  # no JSON web token, so a legacy one
            return f"Token {self._token}"
        if not self._access:
            body = json.dumps({"refresh": self._token}).encode()
            request = urllib.request.Request(f"{self.url}/api/token/refresh", data=body, method="POST")
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                self._access = str(json.loads(response.read())["access"])
        return f"Bearer {self._access}"

    def _refused(self, method: str, path: str, code: int, said: str) -> OracleError:
        if code in (401, 403):
            return OracleError(
                f"Label Studio at {self.url} refuses the token in {KEY} ({code}).\n"
                "Copy one from Account & Settings there; where only legacy tokens are shown, one of those."
            )
        return OracleError(
            f"Label Studio at {self.url} refuses {method} {path.partition('?')[0]} ({code}): {said}\n"
            "All answers so far are kept; distal resume tries again."
        )
