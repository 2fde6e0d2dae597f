"""Let through only who has the token, from this page, and a body of a sensible size.

A page that listens on a port of this machine can be reached by every web site that its user looks at, and by every user
of the machine. So: a token that is in the link alone; a cookie that no other site's request carries (SameSite=Strict);
requests that change something only from the page's own origin and as JSON; and, where the page is served to this
machine alone, no other host name than the machine's own, which a rebound DNS name would be.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

LONGEST = 12
"""Digits of a length that is believed to be one."""
MOST_BYTES = 1_000_000
"""Of a request's body: a decision about ten thousand rows has a tenth of it."""
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def cookie_of(token: str) -> str:
    """Return the name of the cookie that holds a token.

    One for each token: a browser sends the cookies of a host to all its ports, where other runs may have their pages.
    """
    return f"distal-page-{hashlib.sha256(token.encode()).hexdigest()[:12]}"


class TooLargeError(Exception):
    """Stop the reading of a body that is too large."""


class Guard:
    """Stand before an ASGI application.

    hosts: the host names that it is reached by; None: any, where the page is served to other machines.
    """

    def __init__(self, app: Any, token: str, hosts: frozenset[str] | None = HERE) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie_of(token)
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse, or hand on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        by_link = self._has_token(parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0])
        by_link = by_link and scope["path"] == "/" and scope["method"] == "GET"
        wrong = self._wrong(scope["method"], headers, by_link)
        if wrong is not None:
            await _refuse(send, *wrong, in_a_tab=scope["path"] == "/")
            return

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = list(HEADERS)
                if by_link:
                    cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                    more.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, _limited(receive), send_guarded)

    def _wrong(self, method: str, headers: Mapping[str, str], by_link: bool) -> tuple[int, str] | None:
        """Return status and reason of a refusal, None where all is well."""
        host = headers.get("host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return 403, f"this page is served to this machine alone, not to '{_name_of(host)[:100]}'"
        if method not in ("GET", "POST"):
            return 405, f"{method[:20]} is not answered"
        if not (by_link or self._has_token(_cookie(headers, self._cookie)) or self._has_token(_bearer(headers))):
            return 401, "open the link that distal printed: it has a token that this address lacks"
        if method == "POST":
            origin = headers.get("origin")
            if (origin is not None and urlsplit(origin).netloc != host) or headers.get(
                "sec-fetch-site", "same-origin"
            ) not in ("same-origin", "none"):
                return 403, "another site sent this request"
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return 415, "expected: application/json"
            length = headers.get("content-length", "0")
            if not length.isdecimal() or len(length) > LONGEST or int(length) > MOST_BYTES:
                return 413, f"the request has more than {MOST_BYTES:,} bytes"
        return None

    def _has_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def _limited(receive: Any) -> Any:
    """Count what is received, whatever the headers say of it."""
    size = 0

    async def receive_limited() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            raise TooLargeError(f"the request has more than {MOST_BYTES:,} bytes")
        return message

    return receive_limited


async def _refuse(send: Any, status: int, reason: str, in_a_tab: bool) -> None:
    """Send a refusal; in a tab a person reads it, elsewhere the page does."""
    body = reason.encode() if in_a_tab else json.dumps({"error": reason}).encode()
    kind = b"text/plain; charset=utf-8" if in_a_tab else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, given = headers.get("authorization", "").partition(" ")
    return given if kind.lower() == "bearer" else ""
