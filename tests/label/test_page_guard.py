"""Attacks on the page: who lacks the token, another site, a rebound name, too much, a path that climbs: all refused."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_run import CLASSES, Pool, ask

from distal.label.desk import Desk
from distal.label.guard import MOST_BYTES, cookie_of
from distal.label.images import ShownImages
from distal.label.labeling import Labeling
from distal.label.server import hosts_of, page_app, token_of
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal

TOKEN = "s3cret-token-of-this-page"
COOKIE = cookie_of(TOKEN)
HOST = "127.0.0.1:8377"
OURS = {"cookie": f"{COOKIE}={TOKEN}", "host": HOST, "origin": f"http://{HOST}", "content-type": "application/json"}
RULING = {"page": "p", "person": "ann", "row_ids": [10], "label": 1, "token": "t"}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.open(str(tmp_path), "r")
    ask(run, 1, range(10, 16))
    return run


@pytest.fixture
def app(run):
    desk = Desk(run, CLASSES, 0.0, 0)
    images = ShownImages(Pool(), 50_000_000)
    page = Labeling(run, desk, images, CLASSES.names, 6, 0, "me", look=lambda: lambda rows: rows[:, None])
    yield page_app("label", page.routes(), TOKEN, hosts_of("127.0.0.1"))
    images.close()


def request(
    app, method: str, target: str, headers: dict[str, str], body: Any = b""
) -> tuple[int, dict[str, str], bytes]:
    """Speak ASGI with an application, as uvicorn does. body: bytes, parts of it, or what JSON can hold."""
    parts = body if isinstance(body, list) else [body if isinstance(body, bytes) else json.dumps(body).encode()]
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8377),
    }
    sent: list[Any] = []
    left = list(parts)

    async def receive() -> Any:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def decide(app, **changed: str) -> int:
    headers = {name: value for name, value in {**OURS, **changed}.items() if value}
    return request(app, "POST", "/api/decide", headers, RULING)[0]


def test_the_link_opens_the_page_and_its_cookie_does_the_rest(app):
    status, headers, body = request(app, "GET", f"/?token={TOKEN}", {"host": HOST})
    assert (status, b"<!doctype html>" in body) == (200, True)
    assert headers["set-cookie"] == f"{COOKIE}={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert request(app, "GET", "/label.js", {"host": HOST, "cookie": OURS["cookie"]})[0] == 200
    assert decide(app) == 200


@pytest.mark.parametrize(
    "path", ["/", "/?token=wrong", "/label.js", "/api/next?page=p", "/image/10", "/api/start?token=" + TOKEN]
)
@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=wrong", f"{COOKIE}=", "other=1", f"{COOKIE}={TOKEN}x"])
def test_without_the_token_nothing_is_shown(app, path, cookie):
    headers = {"host": HOST} | ({"cookie": cookie} if cookie else {})
    status, _, body = request(app, "GET", path, headers)
    assert (status, TOKEN.encode() in body) == (401, False)


def test_two_runs_have_their_pages_on_one_machine_and_a_browser_that_has_both_open_sends_both_cookies(app):
    other = "another-token-of-another-run"
    both = f"{cookie_of(other)}={other}; {COOKIE}={TOKEN}"
    assert request(app, "GET", "/label.js", {"host": HOST, "cookie": both})[0] == 200
    assert cookie_of(other) != COOKIE, "the second page would take the first one's place"
    assert TOKEN not in COOKIE


def test_a_person_without_the_link_reads_words_and_no_code(app):
    status, headers, body = request(app, "GET", "/", {"host": HOST})
    assert (status, headers["content-type"]) == (401, "text/plain; charset=utf-8")
    assert body.startswith(b"open the link that distal printed")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"cookie": ""}, 401),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "", "sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example:8377", "origin": "http://evil.example:8377"}, 403),
        ({"content-length": str(100 * 2**20)}, 413),
        ({"content-length": "-1"}, 413),
        ({"content-length": "1" * 5000}, 413),
    ],
)
def test_what_another_site_could_send_changes_nothing(app, run, changed, status):
    assert decide(app, **changed) == status
    assert Journal(run, Decision).new() == []


def test_a_forwarded_port_is_the_same_page(app):
    forwarded = {"host": "localhost:9000", "origin": "http://localhost:9000"}
    assert decide(app, **forwarded) == 200


def test_an_answer_of_100_mb_that_says_nothing_of_its_size_is_cut_off(app, run):
    part = b" " * 2**16
    parts = [part] * (100 * 2**20 // len(part))
    assert request(app, "POST", "/api/decide", OURS, parts)[0] == 413
    assert Journal(run, Decision).new() == []
    assert MOST_BYTES < 2 * 2**20


@pytest.mark.parametrize(
    "target",
    [
        "/image/../../etc/passwd",
        "/image/..%2f..%2fetc%2fpasswd",
        "/image/-1",
        "/image/99",
        "/image/" + "9" * 5000,
        "/image/10.0",
        "/../label.py",
        "/page/label.js",
    ],
)
def test_no_path_leads_out_of_what_was_asked(app, target):
    assert request(app, "GET", target, {"host": HOST, "cookie": OURS["cookie"]})[0] in (404, 405)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        {**RULING, "row_ids": "10"},
        {**RULING, "row_ids": [True]},
        {**RULING, "row_ids": [10.0]},
        {**RULING, "label": "cat"},
        {**RULING, "label": 7},
        {**RULING, "token": "x" * 101},
        {**RULING, "row_ids": [99]},
        {**RULING, "label": None, "why": "\ud800"},
        {**RULING, "seconds": "NaN"},
    ],
)
def test_what_is_no_decision_is_refused_in_words(app, run, body):
    status, _, reply = request(app, "POST", "/api/decide", OURS, body)
    if body == {**RULING, "seconds": "NaN"}:
        assert status == 200  # a pace that is no number counts as none
        return
    assert status in (400, 409)
    assert json.loads(reply)["error"]
    assert Journal(run, Decision).new() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from([10, 11, 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "page",
    "person",
    "row_ids",
    "label",
    "token",
    "why",
    "seconds",
    "suggested",
    "settles",
    "count",
    "kind",
    "row_id",
)
PATHS = ("decide", "undo", "skip", "leave", "start", "next", "groups", "review", "suggestion")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS), changed=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), told=st.booleans()
)
def test_whatever_is_sent_is_answered_or_refused_in_words_and_no_wrong_decision_is_kept(app, run, path, changed, told):
    fields = {**RULING, "kind": "mine", "row_id": 10, **changed}
    target = f"/api/{path}"
    if told:
        status, _, reply = request(app, "POST", target, OURS, fields)
    else:
        query = urlencode(fields, errors="replace")
        status, _, reply = request(app, "GET", f"{target}?{query}", OURS)
    assert status in (200, 400, 405, 409), reply
    assert status in (200, 405) or json.loads(reply)["error"]
    for decision in Journal(run, Decision).new():
        assert set(decision.row_ids) <= set(range(10, 16))
        assert decision.label in (None, 0, 1, 2)
        assert 0.0 <= decision.seconds <= 86400.0
        assert len(decision.person) <= 60


def test_class_names_and_paths_are_data(app):
    headers = {"host": HOST, "cookie": OURS["cookie"]}
    page = request(app, "GET", f"/?token={TOKEN}", {"host": HOST})[2]
    assert b"onerror" not in page
    start = json.loads(request(app, "GET", "/api/start", headers)[2])
    assert start["classes"][2] == CLASSES.names[2]
    image = request(app, "GET", "/image/11", headers)[1]
    assert (image["x-about"], image["x-content-type-options"]) == ("a/11.png", "nosniff")


def test_a_local_run_keeps_its_token_and_no_two_runs_share_one(run, tmp_path):
    assert token_of(run) == token_of(run)
    assert token_of(RunDirectory.open(str(tmp_path), "other")) != token_of(run)
